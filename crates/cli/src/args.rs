//! Every argument of `pleach`: one definition for parsing, help, completions and man pages.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pleach_core::word::TargetName;

use crate::command;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "pleach",
    version,
    about = "Many branches to many targets at once, and back again",
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done and seen to be done · 1-99 that many checks failed · 100 command line or config wrong · \
        102 refused · 103 another holds the lease · 110 failed, all taken back · 111 failed and held · 112 something could \
        not be taken back · 113 unknown, run `pleach resume` · 130, 143 interrupted, after taking back"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// Work as if started in this directory
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Read this file instead of `pleach.toml` at the repository's root
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Answer in JSON; a run gives one event a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Say less on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more on standard error
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// Which targets of an environment.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct On {
    /// Only on these targets
    #[arg(long = "target", value_name = "TARGET,…", value_delimiter = ',')]
    pub(crate) targets: Vec<TargetName>,
}

impl On {
    /// Whether a target is one of them; all are where none is named.
    pub(crate) fn takes(&self, target: &TargetName) -> bool {
        self.targets.is_empty() || self.targets.contains(target)
    }

    /// What a command has behind it that means the same.
    pub(crate) fn words(&self) -> String {
        option("target", &self.targets)
    }
}

/// An option with these values, as it stands behind a command that is to be typed again; nothing where there are none.
pub(crate) fn option(name: &str, values: &[impl ToString]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    if values.is_empty() { String::new() } else { format!(" --{name} {}", values.join(",")) }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Also where no terminal is
    Always,
    /// Nowhere
    Never,
}

/// One command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at the repository and propose a `pleach.toml`
    Init(command::init::Args),
    /// Say what is missing on this machine and how to get it
    Doctor(command::doctor::Args),
    /// Show what a deployment would do; touch nothing
    Plan(command::plan::Args),
    /// Plan, ask for consent, and deploy
    Deploy(command::deploy::Args),
    /// Deploy what is live and healthy in one environment to another one, as it is
    Promote(command::promote::Args),
    /// Show every service and target: release, state, health, address, since when
    Status(command::status::Args),
    /// Show every process: release, memory, ports, restarts, since when
    Ps(command::ps::Args),
    /// Show the images of services: names, version, commit, size, which releases are made of them
    Images(command::images::Args),
    /// Show this Pleach's version, and the commits that are live beside the branches here
    Version(command::version::Args),
    /// Show what a run said, or the service itself
    Logs(command::logs::Args),
    /// Run the checks of every service
    Verify(command::verify::Args),
    /// Compare what is on the targets with what was deployed
    Check(command::check::Args),
    /// Consent to a saved plan
    Approve(command::approve::Args),
    /// Go on with a run that stopped before its end
    Resume(command::resume::Args),
    /// Go back to the release before, or to a kept one
    Rollback(command::rollback::Args),
    /// Say that all is well: a canary goes on, and hosts do not take themselves back
    Confirm(command::confirm::Args),
    /// Keep what services have beside their releases, until it is removed; list and remove such backups
    Backup(command::backup::Args),
    /// Put back what a backup keeps, and the release that was current
    Restore(command::restore::Args),
    /// Stop services and keep their releases
    Stop(command::stop::Args),
    /// Start services anew, at the releases that they have
    Restart(command::restart::Args),
    /// Merge what is deployed and healthy
    Merge(command::merge::Args),
    /// Run the same command on every target
    Exec(command::exec::Args),
    /// Show who may change which target, and take that right away
    Lease(command::lease::Args),
    /// List runs, the newest first
    Runs(command::runs::Args),
    /// Show what came of a run
    Report(command::report::Args),
    /// Make, list, sync and remove worktrees
    Worktree(command::worktree::Args),
    /// Explain the keys of `pleach.toml`, and check it
    Config(command::config::Args),
    /// Deploy a sample project on this machine, break it, and watch it being taken back
    Demo(command::demo::Args),
    /// Write a completion script for a shell
    Completions(command::completions::Args),
    /// Write man pages
    Man(command::man::Args),
    /// Keep one service running (started by Pleach itself)
    #[command(hide = true)]
    Supervise(command::supervise::Args),
    /// Lead a fixed port to the current release (started by Pleach itself)
    #[command(hide = true)]
    Route(command::route::Args),
    /// Lead requests through the proxy that is there (started by Pleach itself)
    #[command(hide = true)]
    Proxy(command::proxy::Args),
}

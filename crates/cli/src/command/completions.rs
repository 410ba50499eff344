//! `pleach completions`: from the same definitions as the arguments.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::{Arguments, Globals};
use crate::exit::{Ended, Exit};
use crate::print::answer;

/// Arguments of `pleach completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "bash:  pleach completions bash > ~/.local/share/bash-completion/completions/pleach\n\
    zsh:   pleach completions zsh > \"${fpath[1]}/_pleach\"\n\
    fish:  pleach completions fish > ~/.config/fish/completions/pleach.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: Args, _: &Globals) -> Result<Exit, Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut offered(Arguments::command()), "pleach", &mut script);
    answer(&String::from_utf8_lossy(&script));
    Ok(Exit::DONE)
}

/// The definitions without the commands that only Pleach itself starts: the generators do not leave hidden ones out.
pub(super) fn offered(command: clap::Command) -> clap::Command {
    let mut offered = clap::Command::new("pleach")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned());
    for (text, set) in [
        (command.get_about(), clap::Command::about as fn(clap::Command, clap::builder::StyledStr) -> clap::Command),
        (command.get_after_help(), clap::Command::after_help),
    ] {
        if let Some(text) = text {
            offered = set(offered, text.clone());
        }
    }
    offered.disable_help_subcommand(true)
}

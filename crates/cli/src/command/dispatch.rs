//! From a parsed command line to its command.

use std::process::ExitCode;

use crate::args::{Arguments, Command};
use crate::exit::{Ended, Exit};
use crate::print::lost_answer;

/// Runs the command that the arguments name.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Ended> {
    let globals = &arguments.globals;
    let exit = match arguments.command {
        Command::Init(args) => super::init::run(args, globals),
        Command::Doctor(args) => super::doctor::run(args, globals),
        Command::Plan(args) => super::plan::run(args, globals),
        Command::Deploy(args) => super::deploy::run(args, globals),
        Command::Promote(args) => super::promote::run(args, globals),
        Command::Status(args) => super::status::run(args, globals),
        Command::Ps(args) => super::ps::run(args, globals),
        Command::Images(args) => super::images::run(args, globals),
        Command::Version(args) => super::version::run(args, globals),
        Command::Logs(args) => super::logs::run(args, globals),
        Command::Verify(args) => super::verify::run(args, globals),
        Command::Check(args) => super::check::run(args, globals),
        Command::Approve(args) => super::approve::run(args, globals),
        Command::Resume(args) => super::resume::run(args, globals),
        Command::Rollback(args) => super::rollback::run(args, globals),
        Command::Confirm(args) => super::confirm::run(args, globals),
        Command::Backup(args) => super::backup::run(args, globals),
        Command::Restore(args) => super::restore::run(args, globals),
        Command::Stop(args) => super::stop::run(args, globals),
        Command::Restart(args) => super::restart::run(args, globals),
        Command::Merge(args) => super::merge::run(args, globals),
        Command::Exec(args) => super::exec::run(args, globals),
        Command::Lease(args) => super::lease::run(args, globals),
        Command::Runs(args) => super::runs::run(args, globals),
        Command::Report(args) => super::report::run(args, globals),
        Command::Worktree(args) => super::worktree::run(args, globals),
        Command::Config(args) => super::config::run(args, globals),
        Command::Demo(args) => super::demo::run(args, globals),
        Command::Completions(args) => super::completions::run(args, globals),
        Command::Man(args) => super::man::run(args, globals),
        Command::Supervise(args) => return Ok(super::supervise::run(args)),
        Command::Route(args) => return Ok(super::route::run(args)),
        Command::Proxy(args) => return Ok(super::proxy::run(args)),
    };
    let exit = exit?;
    match lost_answer() {
        // A code that says already what went wrong is kept.
        Some(failure) => Err(Ended::with(if exit == Exit::DONE { Exit::WRONG } else { exit }, failure)),
        None => Ok(exit.into()),
    }
}

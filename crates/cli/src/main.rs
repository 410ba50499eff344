//! `pleach`: many branches to many targets at once, and back again.
//!
//! The command is arguments, wiring and a terminal around `pleach-core`'s one straight path; nothing that an embedder
//! would need is decided here.
//!
//! | module | what it is |
//! |---|---|
//! | [`args`] | every argument, one definition for parsing, help, completions and man pages |
//! | [`board`] | a run as people look at it: one row for each service and target |
//! | [`command`] | one file a command; its top function is the command's runbook |
//! | [`deployment`] | from what somebody wants to a run at its end: prepare, consent, carry out, tell |
//! | [`demo`] | the sample project and the tour through it |
//! | [`doctor`] | what is looked at to say what is missing |
//! | [`durable`] | files that are whole or as they were before |
//! | [`exit`] | exit codes, and how a command ends without its answer |
//! | [`export`] | an archive of all that tells of an environment or a run |
//! | [`init`] | what a repository says of the services in it |
//! | [`interrupt`] | what Ctrl-C, SIGTERM and SIGHUP do to a run |
//! | [`observe`] | what follows a run: the terminal, its logs, `status.json` |
//! | [`print`](mod@print) | what people read: failures, tables, durations |
//! | [`progress`] | live progress: a block on a terminal, lines elsewhere, JSON |
//! | [`project`] | the repository, its state, its config, the adapters |
//! | [`standing`] | where everything stands now |
//! | [`watch`] | the full-screen view |
//!
//! Answers go to standard output, narration to standard error.

mod args;
mod board;
mod command;
mod demo;
mod deployment;
mod doctor;
mod durable;
mod exit;
mod export;
mod init;
mod interrupt;
mod observe;
mod print;
mod progress;
mod project;
mod since;
mod standing;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Arguments;
use crate::exit::Exit;
use crate::print::Paint;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and the version are answers; all else is a wrong command line. A closed pipe changes neither.
            let exit = if error.use_stderr() { Exit::WRONG } else { Exit::DONE };
            let _ = error.print();
            return exit.into();
        }
    };
    let paint = Paint::of_stderr(arguments.globals.color);
    match command::run(arguments) {
        Ok(exit) => exit,
        Err(ended) => {
            print::complain(&ended.text);
            for failure in &ended.failures {
                print::tell_failure(failure, paint);
            }
            ended.exit.into()
        }
    }
}

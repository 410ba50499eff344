//! `pleach`: many branches to many targets at once, and back again.
//!
//! The command is arguments, wiring and a terminal around `pleach-core`'s one straight path; nothing that an embedder
//! would need is decided here.
//!
//! | module | what it is |
//! |---|---|
//! | [`args`] | every argument, one definition for parsing, help, completions and man pages |
//! | [`command`] | one file a command; its top function is the command's runbook |
//! | [`exit`] | exit codes, and how a command ends without its answer |
//! | [`init`] | what a repository says of the services in it |
//! | [`print`] | what people read: failures, tables, durations |
//!
//! Answers go to standard output, narration to standard error.

mod args;
mod command;
mod exit;
mod init;
mod print;

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
        Ok(exit) => exit.into(),
        Err(ended) => {
            for failure in &ended.failures {
                print::tell_failure(failure, paint);
            }
            ended.exit.into()
        }
    }
}

//! `pleach route`: leads a fixed port to the current release; started by Pleach itself on the target.

use std::process::ExitCode;

/// Arguments of `pleach route`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The verb, and labels that tell people in a list of processes what this one is for
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    pleach_remote::route::main(args.arguments)
}

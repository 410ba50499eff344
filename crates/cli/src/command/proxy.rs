//! `pleach proxy`: leads requests through the HAProxy that is there; started by Pleach itself on the target.

use std::process::ExitCode;

/// Arguments of `pleach proxy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The verb
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> ExitCode {
    pleach_remote::proxy::main(args.arguments)
}

//! `pleach rollback`.

use crate::args::Globals;
use crate::exit::{Ended, Exit};

/// Arguments of `pleach rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, _: &Globals) -> Result<Exit, Ended> {
    Ok(Exit::WRONG)
}

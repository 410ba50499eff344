//! `pleach demo`: the main job on a sample project, by the real commands.

use std::path::PathBuf;

use crate::args::Globals;
use crate::demo::{Choice, Pace, Tour};
use crate::exit::{Ended, Exit};
use crate::print::Paint;

/// Arguments of `pleach demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Make the sample here; the directory must be empty or absent
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the services running at the end, to play with
    #[arg(long)]
    keep: bool,
    /// Do not pause for reading
    #[arg(long)]
    fast: bool,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let pace = if args.fast { Pace::Fast } else { Pace::Reading };
    let choice = if args.keep { Choice::Keep } else { Choice::Stop };
    let dir = args.dir.map(|dir| globals.directory.as_ref().map_or_else(|| dir.clone(), |base| base.join(&dir)));
    Tour::prepare(dir.as_deref(), pace, choice, Paint::of_stdout(globals.color))?.run()?;
    Ok(Exit::DONE)
}

//! `pleach man`: from the same definitions as the arguments.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use pleach_core::error::{Failure, Kind};

use super::completions::offered;
use crate::args::{Arguments, Globals};
use crate::exit::{Ended, Exit};
use crate::print::answer;

/// Arguments of `pleach man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write one page a command into this directory, instead of the main page to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let command = offered(Arguments::command());
    let Some(dir) = args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(|error| unwritable(Path::new("-"), &error))?;
        answer(&String::from_utf8_lossy(&page));
        return Ok(Exit::DONE);
    };
    let dir = globals.directory.as_ref().map_or_else(|| dir.clone(), |base| base.join(&dir));
    let written = std::fs::create_dir_all(&dir).and_then(|()| clap_mangen::generate_to(command, &dir));
    written.map_err(|error| unwritable(&dir, &error))?;
    answer(&format!("wrote one page a command to {}\n", dir.display()));
    Ok(Exit::DONE)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Rejected, format!("could not write man pages to `{}`", path.display()))
        .because(error.to_string())
        .next("name a directory that can be written: `pleach man --dir DIR`")
}

//! Fetching from a remote.
//!
//! The system's `git` is taken where it is installed, since it alone has the user's credential helpers; else `gix`.

use std::sync::atomic::AtomicBool;

use crate::error::{Cause, Error, Result};
use crate::repository::Repository;
use crate::system_git;

/// Which program fetches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FetchBackend {
    /// [`FetchBackend::Git`] where git is installed, else [`FetchBackend::Native`].
    #[default]
    Auto,
    /// `gix`.
    Native,
    /// The system's `git fetch`.
    Git,
}

impl Repository {
    /// Brings the tracked branches of a remote (`refs/remotes/REMOTE/…`) up to date. Local branches do not move.
    pub fn fetch(&self, remote: &str, backend: FetchBackend, interrupt: &AtomicBool) -> Result<()> {
        let local = self.local_for_writing()?;
        if !local.remote_names().iter().any(|name| *name == *remote) {
            return Err(Error::NoRemote(remote.to_owned()));
        }
        match backend {
            FetchBackend::Git => self.fetch_by_git(remote),
            FetchBackend::Auto if system_git::is_installed() => self.fetch_by_git(remote),
            FetchBackend::Auto | FetchBackend::Native => {
                let failed = || Error::failed(format!("fetch from `{remote}`"));
                let found = local.find_remote(remote).map_err(failed())?;
                let connection = found.connect(gix::remote::Direction::Fetch).map_err(failed())?;
                let prepared = connection
                    .prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())
                    .map_err(failed())?;
                prepared.receive(gix::progress::Discard, interrupt).map_err(failed())?;
                Ok(())
            }
        }
    }

    fn fetch_by_git(&self, remote: &str) -> Result<()> {
        let arguments = ["fetch", "--quiet", "--no-auto-maintenance", "--", remote];
        let output = system_git::run(self.current_worktree(), &arguments)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("`git fetch` failed").to_owned();
        Err(Error::Failed(format!("fetch from `{remote}`"), Cause::new(why)))
    }
}

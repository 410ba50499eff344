//! Where is looked, and by what.

use std::path::{Path, PathBuf};

use pleach_core::port::{Call, Files, NoLines, Shell, Source};
use pleach_core::word::{EnvironmentName, ServiceName};
use tokio_util::sync::CancellationToken;

use crate::directory::layout::ServiceLayout;
use crate::directory::parameter::typed_from;
use crate::ssh::quote_text;

/// A target as a check sees it: what can be asked there, and what its commits hold here.
#[derive(Clone, Copy)]
pub struct CheckScope<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// Where its services lie on the target, absolute.
    pub root: &'a Path,
    /// The target's files.
    pub files: &'a dyn Files,
    /// Its shell; without one only files are compared.
    pub shell: Option<&'a dyn Shell>,
    /// What commits hold.
    pub source: &'a dyn Source,
    /// The executable there that knows `supervise`.
    pub program: Option<&'a Path>,
    /// How one gets to a shell there from where Pleach runs, such as `ssh vm1`; absent on this machine.
    pub reach: Option<&'a str>,
}

impl CheckScope<'_> {
    pub(super) fn layout(&self, service: &ServiceName) -> ServiceLayout {
        ServiceLayout::new(self.root.join(service.as_str()))
    }

    /// A command for the target's shell as one types it where Pleach runs.
    pub(super) fn typed(&self, command: &str) -> String {
        typed_from(self.reach, command.to_owned())
    }

    /// How one looks at something there.
    pub(super) fn look_at(&self, path: &Path) -> String {
        format!("look with `{}`", self.typed(&format!("ls -la {}", quote_text(&path.to_string_lossy()))))
    }

    pub(super) fn deploy(&self, service: &ServiceName) -> String {
        format!("`pleach deploy {} --only {service}`", self.environment)
    }

    /// The executable that can be asked, if it is there.
    pub(super) async fn program(&self) -> Result<Option<PathBuf>, pleach_core::error::Failure> {
        let Some(program) = self.program else { return Ok(None) };
        Ok(self.files.stat(program).await?.map(|_| program.to_owned()))
    }

    pub(super) fn call(cancel: &CancellationToken) -> Call<'_> {
        Call { token: None, lines: &NoLines, cancel }
    }
}

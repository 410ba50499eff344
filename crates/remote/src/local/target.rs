//! A directory on this machine as a target.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::config::TargetConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{PlannedTarget, TargetDescription};
use pleach_core::port::{FencingToken, Files, Http, Shell};
use pleach_core::target::{Facet, Facts, Target};
use pleach_core::word::{EnvironmentName, TargetName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fence::Fence;
use super::files::LocalFiles;
use super::shell::LocalShell;
use crate::directory::probe_directory;
use crate::http::HttpClient;
use crate::process;

/// What a plan says of a directory: all that a later process needs to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DirectorySettings {
    /// The directory, absolute.
    pub path: PathBuf,
    /// How many releases of a service are kept.
    pub keep: u32,
    /// The address that services listen on.
    pub host: String,
    /// Added to each service's port.
    pub port_offset: u16,
    /// The executable that knows `supervise` and `route`, absolute.
    pub program: PathBuf,
}

/// The settings of a target as a plan carries them. `root` is the repository's root, where relative paths start; `program`
/// is the executable that knows `supervise` and `route`.
pub fn planned_settings(config: &TargetConfig, root: &Path, program: &Path) -> Value {
    let TargetConfig::Directory(directory) = config;
    json!(DirectorySettings {
        path: normal(&root.join(&directory.path)),
        keep: directory.keep,
        host: directory.host.clone(),
        port_offset: directory.port_offset,
        program: program.to_owned(),
    })
}

/// A target of the config as plans name it, with this very program as the one that knows `supervise` and `route`.
pub fn describe(config: &TargetConfig, root: &Path) -> Result<TargetDescription, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Kind::Internal, "could not find this program's own path").because(error.to_string())
    })?;
    Ok(TargetDescription {
        kind: config.kind().to_owned(),
        settings: planned_settings(config, root, &program),
        facets: vec![Facet::Shell, Facet::Files, Facet::Http],
    })
}

/// Without `.` and `..`, so that the same place has one name in plans. Links are not looked at: the place may not exist.
fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// The target that a plan names.
pub fn open_target(environment: &EnvironmentName, planned: &PlannedTarget) -> Result<Arc<dyn Target>, Failure> {
    if planned.kind != "directory" {
        let what = format!("this program knows no target of kind `{}`", planned.kind);
        return Err(Failure::new(Kind::Unsupported, what).state("nothing was touched"));
    }
    let settings: DirectorySettings = serde_json::from_value(planned.settings.clone()).map_err(|error| {
        Failure::new(Kind::Rejected, format!("could not understand the settings of target `{}`", planned.name))
            .because(error.to_string())
            .state("nothing was touched")
            .next(format!("make a new plan: `pleach plan {environment}`"))
    })?;
    Ok(Arc::new(DirectoryTarget::new(environment.clone(), planned.name.clone(), settings)))
}

/// A directory on this machine.
#[derive(Debug)]
pub struct DirectoryTarget {
    environment: EnvironmentName,
    name: TargetName,
    settings: DirectorySettings,
    fence: Fence,
    shell: LocalShell,
    files: LocalFiles,
    http: HttpClient,
}

impl DirectoryTarget {
    /// The target; nothing is touched.
    pub fn new(environment: EnvironmentName, name: TargetName, settings: DirectorySettings) -> Self {
        let fence = Fence::new(&settings.path);
        let (shell, files) = (LocalShell::new(fence.clone()), LocalFiles::new(fence.clone()));
        Self { environment, name, settings, fence, shell, files, http: HttpClient::new() }
    }

    /// What it was made from.
    pub fn settings(&self) -> &DirectorySettings {
        &self.settings
    }
}

#[async_trait]
impl Target for DirectoryTarget {
    fn id(&self) -> &TargetName {
        &self.name
    }

    fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    async fn probe(&self) -> Result<Facts, Failure> {
        let mut facts = probe_directory(&self.files, &self.settings.path, &self.settings.program).await?;
        let owners = tokio::task::spawn_blocking(process::port_owners).await.unwrap_or_default();
        facts.extend(owners.into_iter().map(|(port, owner)| (format!("port/{port}"), json!(owner.to_string()))));
        Ok(facts)
    }

    async fn fence(&self, token: FencingToken) -> Result<(), Failure> {
        let fence = self.fence.clone();
        let raised = tokio::task::spawn_blocking(move || fence.raise(token)).await;
        raised
            .map_err(|error| Failure::new(Kind::Internal, "could not raise the fence").because(error.to_string()))??;
        Ok(())
    }

    fn shell(&self) -> Option<&dyn Shell> {
        Some(&self.shell)
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(&self.files)
    }

    fn http(&self) -> Option<&dyn Http> {
        Some(&self.http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_name() {
        assert_eq!(normal(Path::new("/repo/../odoobo/./x")), Path::new("/odoobo/x"));
        assert_eq!(normal(Path::new("/../x")), Path::new("/x"));
    }
}

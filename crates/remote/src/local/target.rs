//! A directory on this machine as a target.

use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use pleach_core::config::DirectoryConfig;
use pleach_core::error::{Failure, Kind, quote_path};
use pleach_core::plan::TargetDescription;
use pleach_core::port::{Containers, FencingToken, Files, Http, Shell};
use pleach_core::target::{Facet, Facts, Target};
use pleach_core::word::{EnvironmentName, TargetName};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::begun::end_begun;
use super::fence::Fence;
use super::files::LocalFiles;
use super::shell::LocalShell;
use crate::directory::probe_directory;
use crate::docker::{DockerContainers, EngineWay, MissingEngine, SOCKET};
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
    /// The socket of the Docker engine, where it is another than the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_socket: Option<PathBuf>,
}

/// The settings of a directory as a plan carries them. `root` is the repository's root, where relative paths start;
/// `program` is the executable that knows `supervise` and `route`.
pub fn planned_directory(directory: &DirectoryConfig, root: &Path, program: &Path) -> DirectorySettings {
    DirectorySettings {
        path: normal(&root.join(&directory.path)),
        keep: directory.keep,
        host: directory.host.clone(),
        port_offset: directory.port_offset,
        program: program.to_owned(),
        docker_socket: directory.docker_socket.clone(),
    }
}

/// A directory as plans name it, with this very program as the one that knows `supervise` and `route`.
pub fn describe_directory(directory: &DirectoryConfig, root: &Path) -> Result<TargetDescription, Failure> {
    require_outside(&normal(&root.join(&directory.path)), root)?;
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Kind::Internal, "could not find this program's own path").because(error.to_string())
    })?;
    Ok(TargetDescription {
        kind: "directory".to_owned(),
        settings: json!(planned_directory(directory, root, &program)),
        facets: vec![Facet::Shell, Facet::Files, Facet::Http, Facet::Containers],
    })
}

/// Releases must not lie among what git keeps.
fn require_outside(path: &Path, root: &Path) -> Result<(), Failure> {
    if !root.starts_with(path) && path != root.join(".git") {
        return Ok(());
    }
    let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(Failure::new(Kind::Rejected, format!("`{}` cannot be a target", path.display()))
        .because(format!("the repository `{}` lies there, and releases would stand among its files", root.display()))
        .state("nothing was touched")
        .next(format!("give the target a directory of its own in `pleach.toml`, such as `path = \"../{name}-local\"`")))
}

/// The first directory that is there, of `path` and those above it, can take new files.
fn require_place(path: &Path) -> Result<(), Failure> {
    let Some(there) = path.ancestors().find(|path| path.symlink_metadata().is_ok()) else { return Ok(()) };
    let because = if !there.is_dir() {
        format!("`{}` is not a directory", there.display())
    } else if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        format!("`{}`: {}", there.display(), std::io::Error::from(error))
    } else {
        return Ok(());
    };
    Err(Failure::new(Kind::Rejected, format!("`{}` cannot be a target", path.display()))
        .because(because)
        .state("nothing was touched")
        .next(format!("`ls -ld {}`, or another `path` in `pleach.toml`", quote_path(there))))
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
    containers: DockerContainers,
}

impl DirectoryTarget {
    /// The target; nothing is touched.
    pub fn new(environment: EnvironmentName, name: TargetName, settings: DirectorySettings) -> Self {
        let fence = Fence::new(&settings.path);
        let (shell, files) = (LocalShell::new(fence.clone()), LocalFiles::new(fence.clone()));
        let engine = settings.docker_socket.as_ref().map_or_else(EngineWay::here, EngineWay::socket);
        let containers = DockerContainers::new(EngineWay::of_environment(), engine);
        Self { environment, name, settings, fence, shell, files, http: HttpClient::new(), containers }
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
        require_place(&self.settings.path)?;
        let mut facts = probe_directory(&self.files, &self.shell, &self.settings.path, &self.settings.program).await?;
        let socket = self.settings.docker_socket.as_deref().unwrap_or(SOCKET.as_ref());
        let missing = match access(socket, Access::WRITE_OK) {
            Ok(()) => None,
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Some(MissingEngine::Rights),
            Err(_) => Some(MissingEngine::Absent),
        };
        match missing {
            Some(missing) => drop(facts.insert("docker/missing".to_owned(), json!(missing))),
            None => facts.extend(self.containers.facts().await),
        }
        let owners = tokio::task::spawn_blocking(process::port_owners).await.unwrap_or_default();
        facts.extend(owners.into_iter().map(|(port, owner)| (format!("port/{port}"), json!(owner.to_string()))));
        Ok(facts)
    }

    async fn fence(&self, token: FencingToken) -> Result<(), Failure> {
        let fence = self.fence.clone();
        let raise = move || {
            fence.raise(token)?;
            end_begun(fence.root());
            Ok::<_, Failure>(())
        };
        let raised = tokio::task::spawn_blocking(raise).await;
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

    fn containers(&self) -> Option<&dyn Containers> {
        Some(&self.containers)
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

    #[test]
    fn releases_never_stand_among_what_git_keeps() {
        let root = Path::new("/home/ada/shop");
        for place in ["/home/ada/shop", "/home/ada", "/", "/home/ada/shop/.git"] {
            let failure = require_outside(Path::new(place), root).expect_err(place);
            assert!(failure.next.is_some_and(|next| next.contains("../shop-local")));
        }
        for place in ["/home/ada/shop-local", "/home/ada/shop/live"] {
            require_outside(Path::new(place), root).expect(place);
        }
    }

    #[test]
    fn a_place_that_cannot_hold_releases_is_told_before_anything_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it's a file");
        std::fs::write(&file, "").expect("written");
        require_place(&folder.path().join("not/there/yet")).expect("could be made");
        for place in [&file, &file.join("below"), Path::new("/proc/self/status")] {
            let failure = require_place(place).expect_err("no directory");
            assert!(failure.because[0].contains("is not a directory"), "{failure:?}");
        }
        assert!(require_place(&file).expect_err("a file").next.is_some_and(|next| next.contains("'\\''")));
    }
}

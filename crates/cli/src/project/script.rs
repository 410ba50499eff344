//! What a commit has of a service besides its tree: the scripts that its config names, and its version.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use pleach_core::config::ServiceConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::version_of;
use pleach_core::word::{CommitId, ServiceName};
use pleach_git::{Error, Mode, Repository};

/// Reads them; tells all that cannot be read. What the commit does not have is left out: planning tells of that.
pub(super) fn read_scripts(
    repository: &Repository,
    name: &ServiceName,
    service: &ServiceConfig,
    commit: &CommitId,
) -> Result<BTreeMap<PathBuf, String>, Vec<Failure>> {
    let (mut scripts, mut failures) = (BTreeMap::new(), Vec::new());
    for file in service.scripts.iter().flat_map(|script| script.files()) {
        match read(repository, commit, file) {
            Ok(None) => {}
            Ok(Some(Content::Text(text))) => drop(scripts.insert(file.to_owned(), text)),
            Ok(Some(Content::Other(what))) => failures.push(
                Failure::new(Kind::Rejected, format!("`{}` is no script for service `{name}`", file.display()))
                    .because(format!("in {} of branch `{}` it is {what}", commit.short(), service.branch))
                    .state("nothing was touched")
                    .next(format!("name a text file in `services.{name}.scripts`")),
            ),
            Err(error) => failures.push(super::untouched(error.into())),
        }
    }
    if failures.is_empty() { Ok(scripts) } else { Err(failures) }
}

/// Which version of the service a commit is.
pub(crate) fn read_version(
    repository: &Repository,
    service: &ServiceConfig,
    commit: &CommitId,
) -> pleach_git::Result<String> {
    let file = match read(repository, commit, &service.path.join("VERSION"))? {
        Some(Content::Text(text)) => Some(text),
        Some(Content::Other(_)) | None => None,
    };
    Ok(version_of(file.as_deref(), &repository.tags_at(commit)?, commit))
}

enum Content {
    Text(String),
    Other(&'static str),
}

fn read(repository: &Repository, commit: &CommitId, file: &Path) -> pleach_git::Result<Option<Content>> {
    let plain: PathBuf = file.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let (Some(folder), Some(name)) = (plain.parent(), plain.file_name()) else { return Ok(None) };
    let source = match repository.source(commit, folder) {
        Ok(source) => source,
        Err(Error::NoPath(..) | Error::NotADirectory(..)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(entry) = source.list()?.into_iter().find(|entry| entry.path == Path::new(name)) else { return Ok(None) };
    Ok(Some(match entry.mode {
        Mode::Symlink => Content::Other("a symbolic link"),
        Mode::Submodule => Content::Other("a submodule"),
        Mode::File | Mode::Executable => match String::from_utf8(source.read(&entry)?) {
            Ok(text) => Content::Text(text),
            Err(_) => Content::Other("not UTF-8"),
        },
    }))
}

//! Where things lie below a service's directory. Pure.

use std::path::{Component, Path, PathBuf};

use pleach_core::word::{ReleaseId, RunId, ScriptName};

/// The paths of one service on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLayout {
    directory: PathBuf,
}

impl ServiceLayout {
    /// The service whose directory is `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The service's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The link to the current release.
    pub fn current(&self) -> PathBuf {
        self.directory.join("current")
    }

    /// What [`current`](Self::current) holds when it leads to `release`: relative, so that the directory can be moved.
    pub fn current_target(release: &ReleaseId) -> PathBuf {
        Path::new("releases").join(release.as_str())
    }

    /// The release that a link like [`current`](Self::current) leads to, if it leads to one.
    pub fn release_of(target: &Path) -> Option<ReleaseId> {
        target.strip_prefix("releases").ok()?.to_str().and_then(|name| ReleaseId::new(name).ok())
    }

    /// All releases.
    pub fn releases(&self) -> PathBuf {
        self.directory.join("releases")
    }

    /// One release's tree.
    pub fn release(&self, release: &ReleaseId) -> PathBuf {
        self.releases().join(release.as_str())
    }

    /// What all releases share.
    pub fn shared(&self) -> PathBuf {
        self.directory.join("shared")
    }

    /// Records, locks and logs of processes.
    pub fn run(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// The record of a release's process.
    pub fn instance(&self, release: &ReleaseId) -> PathBuf {
        self.run().join(format!("{release}.json"))
    }

    /// Locked for as long as the release has a supervisor.
    pub fn instance_lock(&self, release: &ReleaseId) -> PathBuf {
        self.run().join(format!("{release}.lock"))
    }

    /// Locked shared by a router that has connections to the release, and alone by whoever ends it.
    pub fn instance_use(&self, release: &ReleaseId) -> PathBuf {
        self.run().join(format!("{release}.use"))
    }

    /// What the release's process prints.
    pub fn log(&self, release: &ReleaseId) -> PathBuf {
        self.run().join(format!("{release}.log"))
    }

    /// How far a script of a release has come.
    pub fn script_note(&self, release: &ReleaseId, script: &ScriptName) -> PathBuf {
        self.run().join(format!("{release}.script-{script}.note"))
    }

    /// What a script of a release printed.
    pub fn script_log(&self, release: &ReleaseId, script: &ScriptName) -> PathBuf {
        self.run().join(format!("{release}.script-{script}.log"))
    }

    /// What the script that took it back printed.
    pub fn undo_log(&self, release: &ReleaseId, script: &ScriptName) -> PathBuf {
        self.run().join(format!("{release}.undo-{script}.log"))
    }

    /// The record of the router of a port.
    pub fn router(&self, port: u16) -> PathBuf {
        self.run().join(format!("router-{port}.json"))
    }

    /// Locked for as long as the port has a router.
    pub fn router_lock(&self, port: u16) -> PathBuf {
        self.run().join(format!("router-{port}.lock"))
    }

    /// What the target's proxy was told to lead to the service.
    pub fn led(&self) -> PathBuf {
        self.run().join("proxy.json")
    }

    /// What a person is asked of a canary.
    pub fn canary_asked(&self) -> PathBuf {
        self.run().join("canary-asked.json")
    }

    /// What a person has answered.
    pub fn canary_given(&self) -> PathBuf {
        self.run().join("canary-given.json")
    }

    /// Which `start` or `stop` command was run last.
    pub fn last_command(&self) -> PathBuf {
        self.run().join("command.json")
    }

    /// The records of all releases.
    pub fn records(&self) -> PathBuf {
        self.directory.join(".pleach/releases")
    }

    /// The record of one release.
    pub fn record(&self, release: &ReleaseId) -> PathBuf {
        self.records().join(format!("{release}.json"))
    }

    /// What restore points rely on.
    pub fn pins(&self) -> PathBuf {
        self.directory.join(".pleach/pins")
    }

    /// What snapshots of files keep.
    pub fn all_kept(&self) -> PathBuf {
        self.directory.join(".pleach/kept")
    }

    /// What containers of a Compose project see of releases, each in a folder that is named after what it holds.
    pub fn kept_mounts(&self) -> PathBuf {
        self.directory.join(".pleach/mounts")
    }

    /// What the snapshot of files of one run keeps.
    pub fn kept(&self, run: &RunId) -> PathBuf {
        self.all_kept().join(run.as_str())
    }

    /// What snapshots of volumes keep.
    pub fn all_kept_volumes(&self) -> PathBuf {
        self.directory.join(".pleach/volumes")
    }

    /// What the snapshot of volumes of one run keeps.
    pub fn kept_volumes(&self, run: &RunId) -> PathBuf {
        self.all_kept_volumes().join(run.as_str())
    }

    /// What was in volumes that were put back, in a folder for each run.
    pub fn replaced_volumes(&self) -> PathBuf {
        self.directory.join(".pleach/replaced")
    }

    /// All backups, each by the run that made it.
    pub fn backups(&self) -> PathBuf {
        self.directory.join(".pleach/backups")
    }

    /// One backup.
    pub fn backup(&self, backup: &RunId) -> PathBuf {
        self.backups().join(backup.as_str())
    }

    /// What it is: written last, so that a backup that has it is whole.
    pub fn backup_record(&self, backup: &RunId) -> PathBuf {
        self.backup(backup).join("backup.json")
    }

    /// What it keeps of files.
    pub fn backup_files(&self, backup: &RunId) -> PathBuf {
        self.backup(backup).join("files")
    }

    /// What it keeps of volumes.
    pub fn backup_volumes(&self, backup: &RunId) -> PathBuf {
        self.backup(backup).join("volumes")
    }

    /// What runs put back of backups.
    pub fn all_restoring(&self) -> PathBuf {
        self.directory.join(".pleach/restoring")
    }

    /// What one run puts back.
    pub fn restoring(&self, run: &RunId) -> PathBuf {
        self.all_restoring().join(run.as_str())
    }

    /// Of files.
    pub fn restoring_files(&self, run: &RunId) -> PathBuf {
        self.restoring(run).join("files")
    }

    /// Of volumes, by the run once more, as those lie that are kept.
    pub fn restoring_volumes(&self, run: &RunId) -> PathBuf {
        self.restoring(run).join("volumes")
    }

    /// That it has put back all of it: what was seen.
    pub fn restored(&self, run: &RunId) -> PathBuf {
        self.restoring(run).join("done.json")
    }

    /// Where names of images led before runs changed them.
    pub fn all_names(&self) -> PathBuf {
        self.directory.join(".pleach/names")
    }

    /// Where they led before one run.
    pub fn names(&self, run: &RunId) -> PathBuf {
        self.all_names().join(format!("{run}.json"))
    }

    /// What the restore point of one run relies on.
    pub fn pin(&self, run: &RunId) -> PathBuf {
        self.pins().join(format!("{run}.json"))
    }
}

/// A name of the form `NNNN-SHORT` and its number.
pub(crate) fn release_number(release: &str) -> Option<u64> {
    let (number, short) = release.split_once('-')?;
    let is_short = short.len() == 8 && short.bytes().all(|byte| byte.is_ascii_hexdigit());
    (number.len() >= 4 && is_short).then(|| number.parse().ok())?
}

/// Where the link to a shared path lies in a release, where the shared thing lies, and what the link holds. `None` for a
/// path that leaves the release.
pub(crate) struct SharedPath {
    pub(crate) in_release: PathBuf,
    pub(crate) in_shared: PathBuf,
    pub(crate) link: PathBuf,
    pub(crate) is_directory: bool,
}

pub(crate) fn shared_path(layout: &ServiceLayout, release: &ReleaseId, path: &Path) -> Option<SharedPath> {
    let is_directory = path.to_str().is_some_and(|text| text.ends_with('/'));
    let parts: Vec<_> = path.components().filter(|part| *part != Component::CurDir).collect();
    if parts.is_empty() || parts.iter().any(|part| !matches!(part, Component::Normal(_))) {
        return None;
    }
    let clean: PathBuf = parts.iter().collect();
    // Up from the link's folder to the service's directory: the folders inside the release, the release, `releases`.
    let up: PathBuf = std::iter::repeat_n("..", parts.len() + 1).collect();
    Some(SharedPath {
        in_release: layout.release(release).join(&clean),
        in_shared: layout.shared().join(&clean),
        link: up.join("shared").join(&clean),
        is_directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> ReleaseId {
        ReleaseId::new("0007-ab12cd34").expect("a release")
    }

    #[test]
    fn a_link_to_a_shared_path_leads_there_from_any_depth() {
        let layout = ServiceLayout::new("/srv/api");
        let link = |path: &str| shared_path(&layout, &release(), Path::new(path)).map(|shared| shared.link);
        assert_eq!(link("data/"), Some("../../shared/data".into()));
        assert_eq!(link("./var/log/x"), Some("../../../../shared/var/log/x".into()));
        for bad in ["", ".", "/etc", "../x", "a/../../x"] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_release_names_have_numbers() {
        assert_eq!(release_number("0007-ab12cd34"), Some(7));
        assert_eq!(release_number("10000-ab12cd34"), Some(10_000));
        for bad in ["7-ab12cd34", "0007-ab12cd34.partial-1", "0007-xyz", "latest", "0007"] {
            assert_eq!(release_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_link_to_somewhere_else_is_no_release() {
        assert_eq!(ServiceLayout::release_of(&ServiceLayout::current_target(&release())), Some(release()));
        for other in ["/srv/x", "releases/../x", "releases", "x/0007-ab12cd34"] {
            assert_eq!(ServiceLayout::release_of(Path::new(other)), None, "{other}");
        }
    }
}

//! What is kept of volumes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use pleach_core::error::{Failure, Kind, quote_path};
use serde::{Deserialize, Serialize};

use super::tree::Tree;
use crate::docker::Volume;

const FILE: &str = "volumes.json";

/// One volume that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct KeptVolume {
    /// Its name on the engine.
    pub(crate) name: String,
    /// What was there; nothing where there was no such volume.
    pub(crate) before: Option<KeptArchive>,
}

/// A volume that was there, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct KeptArchive {
    pub(crate) volume: Volume,
    /// Its file, beside the record.
    pub(crate) file: String,
    /// SHA-256 of that file.
    pub(crate) sha256: String,
    pub(crate) tree: Tree,
}

impl KeptVolume {
    /// Whether a volume with this in it is as it was; none, or an empty one, is as one that was not there.
    pub(super) fn is(&self, now: Option<&Tree>) -> bool {
        match (&self.before, now) {
            (Some(before), Some(now)) => before.tree.digest == now.digest,
            (Some(_), None) => false,
            (None, now) => now.is_none_or(|now| now.entries == 0),
        }
    }
}

impl std::fmt::Display for KeptVolume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.before {
            None => write!(f, "volume `{}` (not there)", self.name),
            Some(KeptArchive { tree, .. }) => {
                let many = if tree.files == 1 { "" } else { "s" };
                write!(f, "volume `{}` ({} file{many}, {} bytes)", self.name, tree.files, tree.bytes)
            }
        }
    }
}

/// Written last and whole.
pub(super) fn save(place: &Path, kept: &[KeptVolume]) -> io::Result<()> {
    let beside = place.join(format!("{FILE}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.sync_all()?;
    fs::rename(&beside, place.join(FILE))?;
    File::open(place)?.sync_all()
}

pub(super) fn require(place: &Path) -> Result<Vec<KeptVolume>, Failure> {
    let path = place.join(FILE);
    let gone = |because: String| {
        Failure::new(Kind::Conflict, "what is kept of volumes is gone")
            .because(because)
            .next(format!("look with `ls -la {}`", quote_path(place)))
    };
    let bytes = fs::read(&path).map_err(|error| gone(format!("`{}`: {error}", path.display())))?;
    serde_json::from_slice(&bytes).map_err(|error| gone(format!("`{}` cannot be read: {error}", path.display())))
}

/// What became of a file beside the record.
pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let folder = path.parent().unwrap_or(path);
    Failure::new(Kind::Rejected, format!("could not {what}"))
        .because(format!("`{}`: {error}", path.display()))
        .next(format!("look on the target with `df -h {0}; df -i {0}`", quote_path(folder)))
}

//! `snapshot` of a service: what is kept before a deployment besides its releases.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What names a volume in front of its name.
const VOLUME: &str = "volume:";

/// One thing that is kept: a path of the target, or `volume:NAME`, a named volume of its Docker engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum SnapshotSource {
    /// A file or directory.
    Path(PathBuf),
    /// A named volume: as `volumes` of `image` name it, or as the Compose file does.
    Volume(String),
}

impl SnapshotSource {
    /// The path, where it is one.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Path(path) => Some(path),
            Self::Volume(_) => None,
        }
    }

    /// The name of the volume, where it is one.
    pub fn volume(&self) -> Option<&str> {
        match self {
            Self::Volume(name) => Some(name),
            Self::Path(_) => None,
        }
    }
}

impl From<String> for SnapshotSource {
    fn from(text: String) -> Self {
        match text.strip_prefix(VOLUME) {
            Some(name) => Self::Volume(name.to_owned()),
            None => Self::Path(text.into()),
        }
    }
}

impl From<SnapshotSource> for String {
    fn from(source: SnapshotSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for SnapshotSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Volume(name) => write!(f, "{VOLUME}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_it_was_read() {
        for text in ["data/", "/etc/a.conf", "volume:odoo-data", "./volume:x"] {
            assert_eq!(SnapshotSource::from(text.to_owned()).to_string(), text);
        }
        assert_eq!(SnapshotSource::from("volume:a".to_owned()).volume(), Some("a"));
        assert_eq!(SnapshotSource::from("./volume:a".to_owned()).volume(), None);
    }
}

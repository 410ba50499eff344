//! Where in the config: `services.pr-review.after[0]`.

use std::fmt;

use serde::{Serialize, Serializer};

/// One step into a table or a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Into a table, by key.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The way from the top of the file to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(pub Vec<Segment>);

impl KeyPath {
    /// The top of the file.
    pub fn top() -> Self {
        Self::default()
    }

    /// Another key of the same table.
    pub(super) fn sibling(&self, key: &str) -> Self {
        let owner = &self.0[..self.0.len().saturating_sub(1)];
        Self(owner.to_vec()).at(key)
    }

    /// The last key and what follows it: `after[0]`.
    pub(super) fn tail(&self) -> Self {
        let from = self.0.iter().rposition(|segment| matches!(segment, Segment::Key(_))).unwrap_or_default();
        Self(self.0[from..].to_vec())
    }

    /// The keys, one after the other.
    pub(super) fn of<const N: usize>(keys: [&str; N]) -> Self {
        Self(keys.into_iter().map(Segment::from).collect())
    }

    /// One step further.
    #[must_use]
    pub fn at(&self, segment: impl Into<Segment>) -> Self {
        let mut path = self.clone();
        path.0.push(segment.into());
        path
    }
}

/// As it would be written in TOML; keys that need quotes have them.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
                    if bare { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

impl Serialize for KeyPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

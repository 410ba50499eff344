//! A commit's tree as an engine takes it for a build.
//!
//! Files have no time and belong to root, so the same tree is the same context, and the engine finds what it has built before.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, Source, SourceEntry, SourceRef};
use tokio::sync::mpsc;

use super::ignore::Ignore;
use crate::ssh::archive;

/// Files in front of the one that is sent.
const AHEAD: usize = 16;

/// What is sent of a tree.
pub(super) struct Context {
    source: Arc<dyn Source>,
    tree: SourceRef,
    entries: Vec<SourceEntry>,
}

impl Context {
    /// Lists a tree, and leaves out what its `.dockerignore` names; one beside the Dockerfile that bears its name goes before it.
    pub(super) async fn read(source: &Arc<dyn Source>, tree: &SourceRef, dockerfile: &Path) -> Result<Self, Failure> {
        let mut entries = source.list(tree).await?;
        if !entries.iter().any(|entry| entry.path == dockerfile) {
            return Err(Failure::new(Kind::Rejected, format!("there is no `{}` to build from", dockerfile.display()))
                .because(format!("commit `{}` has none below `{}`", tree.commit, tree.path.display()))
                .state("nothing was touched")
                .next("commit one, or name another with `dockerfile`"));
        }
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let (own, common) = (Path::new(&own), Path::new(".dockerignore"));
        let rules = entries.iter().find(|entry| entry.path == own);
        if let Some(rules) = rules.or_else(|| entries.iter().find(|entry| entry.path == common)) {
            let text = source.read(tree, rules).await?;
            let ignore = Ignore::parse(&String::from_utf8_lossy(&text));
            let needed = |path: &Path| path == dockerfile || path == common;
            entries.retain(|entry| needed(&entry.path) || !ignore.keeps_out(&entry.path.to_string_lossy()));
        }
        Ok(Self { source: source.clone(), tree: tree.clone(), entries })
    }

    /// How many files are sent.
    pub(super) fn files(&self) -> usize {
        self.entries.len()
    }

    /// Sends the archive, until nobody takes it any more.
    pub(super) async fn send(&self, sender: &mpsc::Sender<std::io::Result<Bytes>>) -> Result<(), Failure> {
        let (contents, mut read) = mpsc::channel(AHEAD);
        let reading = self.source.read_each(&self.tree, &self.entries, contents);
        let writing = async {
            let mut records = Vec::new();
            for entry in &self.entries {
                let Some(content): Option<Arc<Vec<u8>>> = read.recv().await else { return };
                let follows = archive::front(&mut records, &entry.path, entry.mode, &content);
                let length = follows.len();
                if entry.mode != EntryMode::Symlink {
                    records.extend_from_slice(follows);
                    archive::pad(&mut records, length);
                }
                if sender.send(Ok(std::mem::take(&mut records).into())).await.is_err() {
                    read.close();
                    return;
                }
            }
            archive::end(&mut records);
            let _ = sender.send(Ok(records.into())).await;
        };
        tokio::join!(reading, writing).0
    }
}

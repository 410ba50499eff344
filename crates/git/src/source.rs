//! The repository as the engine's source of files.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, FileDigest, Source, SourceEntry, SourceRef};
use tokio::sync::{OnceCell, mpsc};

use crate::{Mode, Repository, TreeEntry, TreeSource};

/// Trees that are kept open: more than are read at once.
const OPEN: usize = 32;

/// How many trees this process has opened.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// Bytes of contents that are kept for the targets that ask a moment later.
const RECENT: usize = 32 * 1024 * 1024;

/// Reads trees from git for the engine: [`Source`] over a [`Repository`]. Each call runs where blocking is allowed.
#[derive(Clone, Debug)]
pub struct GitSource {
    repository: Repository,
    /// Opening one walks the whole commit for its attributes, which must not happen for each file again.
    open: Arc<Mutex<Vec<Open>>>,
    recent: Arc<Recent>,
}

#[derive(Clone, Debug)]
struct Open {
    /// No other tree of this process has it.
    number: u64,
    tree: SourceRef,
    source: TreeSource,
    /// All targets of a deployment ask for them.
    digests: Arc<OnceCell<Arc<[FileDigest]>>>,
}

/// Contents that were read a moment ago, or are being read. Targets side by side read the same tree at about the same time:
/// unpacking it for each of them would be most of the work, and holding it for each of them most of the memory.
#[derive(Debug, Default)]
struct Recent {
    state: Mutex<RecentState>,
    read: Condvar,
}

#[derive(Debug, Default)]
struct RecentState {
    /// Also those that only somebody else still holds.
    contents: HashMap<RecentKey, Weak<Vec<u8>>>,
    kept: VecDeque<Arc<Vec<u8>>>,
    bytes: usize,
    reading: HashSet<RecentKey>,
}

/// A tree by its number, and a path of it: how a content is converted depends on both.
type RecentKey = (u64, PathBuf);

impl Recent {
    /// The content of `key`, which is read with `read` unless it was just now or somebody does already.
    fn content(&self, key: RecentKey, read: impl FnOnce() -> crate::Result<Vec<u8>>) -> crate::Result<Arc<Vec<u8>>> {
        let mut state = self.state();
        while !state.reading.insert(key.clone()) {
            state = self.read.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let known = state.contents.get(&key).and_then(Weak::upgrade);
        drop(state);
        let _turn = Turn { recent: self, key: &key };
        let content = known.map_or_else(|| read().map(Arc::new), Ok)?;
        self.state().keep(key.clone(), &content);
        Ok(content)
    }

    fn state(&self) -> MutexGuard<'_, RecentState> {
        // It is whole after each statement that changes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to read one content; whoever waits for it goes on however that ends.
struct Turn<'a> {
    recent: &'a Recent,
    key: &'a RecentKey,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.recent.state().reading.remove(self.key);
        self.recent.read.notify_all();
    }
}

impl RecentState {
    fn keep(&mut self, key: RecentKey, content: &Arc<Vec<u8>>) {
        let before = self.contents.insert(key, Arc::downgrade(content));
        if before.is_some_and(|before| before.strong_count() > 0) || cost(content) > RECENT {
            return;
        }
        self.bytes += cost(content);
        self.kept.push_back(content.clone());
        while self.bytes > RECENT {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
        if self.contents.len() > 2 * self.kept.len() + 1024 {
            self.contents.retain(|_, content| content.strong_count() > 0);
        }
    }
}

/// With what a small one takes besides its bytes.
fn cost(content: &[u8]) -> usize {
    content.len() + 256
}

impl GitSource {
    /// Reads from this repository.
    pub fn new(repository: Repository) -> Self {
        Self { repository, open: Arc::default(), recent: Arc::default() }
    }

    /// The tree, as it was opened before or for the first time.
    fn open(&self, tree: &SourceRef) -> crate::Result<Open> {
        let known = |trees: &[Open]| trees.iter().find(|open| open.tree == *tree).cloned();
        let trees = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = known(&trees()) {
            return Ok(open);
        }
        let source = self.repository.source(&tree.commit, &tree.path)?;
        let mut trees = trees();
        // Somebody else may have been faster.
        if let Some(open) = known(&trees) {
            return Ok(open);
        }
        if trees.len() == OPEN {
            trees.remove(0);
        }
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let open = Open { number, tree: tree.clone(), source, digests: Arc::default() };
        trees.push(open.clone());
        Ok(open)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> crate::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let source = self.clone();
        match tokio::task::spawn_blocking(move || work(source)).await {
            Ok(result) => result.map_err(Failure::from),
            Err(error) => Err(Failure::new(Kind::Internal, "could not read the repository").because(error.to_string())),
        }
    }
}

#[async_trait]
impl Source for GitSource {
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let tree = tree.clone();
        let entries = self.blocking(move |source| source.open(&tree)?.source.list()).await?;
        Ok(entries.into_iter().filter_map(source_entry).collect())
    }

    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let (tree, entry) = (tree.clone(), tree_entry(entry));
        self.blocking(move |source| source.open(&tree)?.source.read(&entry)).await
    }

    async fn read_each(
        &self,
        tree: &SourceRef,
        entries: &[SourceEntry],
        contents: mpsc::Sender<Arc<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let (tree, entries) = (tree.clone(), entries.iter().map(tree_entry).collect::<Vec<_>>());
        self.blocking(move |source| {
            let open = source.open(&tree)?;
            let mut reader = open.source.reader();
            for entry in entries {
                let key = (open.number, entry.path.clone());
                let content = source.recent.content(key, || reader.read(&entry))?;
                if contents.blocking_send(content).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    async fn digests(&self, tree: &SourceRef) -> Result<Arc<[FileDigest]>, Failure> {
        let tree = tree.clone();
        let open = self.blocking(move |source| source.open(&tree)).await?;
        let digests = open.digests.clone();
        digests.get_or_try_init(|| self.blocking(move |_| digest_all(&open.source))).await.cloned()
    }

    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure> {
        let (tree, destination) = (tree.clone(), destination.to_owned());
        self.blocking(move |source| source.repository.export(&tree.commit, &tree.path, &destination).map(drop)).await
    }
}

/// On as many threads as there are processors: it is mostly unpacking and hashing.
fn digest_all(source: &TreeSource) -> crate::Result<Arc<[FileDigest]>> {
    let entries = source.list()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let digest = |part: &[TreeEntry]| {
        let mut reader = source.reader();
        part.iter().map(|entry| Ok(FileDigest::of(&reader.read(entry)?))).collect::<crate::Result<Vec<_>>>()
    };
    let parts = std::thread::scope(|scope| {
        let parts = entries.chunks(entries.len().div_ceil(threads).max(1));
        let running: Vec<_> = parts.map(|part| scope.spawn(move || digest(part))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect::<crate::Result<Vec<_>>>()
    })?;
    Ok(parts.concat().into())
}

fn source_entry(entry: TreeEntry) -> Option<SourceEntry> {
    let mode = match entry.mode {
        Mode::File => EntryMode::File,
        Mode::Executable => EntryMode::Executable,
        Mode::Symlink => EntryMode::Symlink,
        Mode::Submodule => return None,
    };
    Some(SourceEntry { path: entry.path, mode, id: entry.id })
}

fn tree_entry(entry: &SourceEntry) -> TreeEntry {
    let mode = match entry.mode {
        EntryMode::File => Mode::File,
        EntryMode::Executable => Mode::Executable,
        EntryMode::Symlink => Mode::Symlink,
    };
    TreeEntry { path: entry.path.clone(), mode, id: entry.id.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_ask_for_at_once_is_read_once_and_a_failure_is_only_its_readers() {
        let (recent, reads) = (Recent::default(), AtomicU64::new(0));
        let all = std::sync::Barrier::new(8);
        let ask = || {
            all.wait();
            let read = || {
                reads.fetch_add(1, Ordering::Relaxed);
                // Larger than what is kept: it is shared for as long as somebody has it.
                Ok(vec![0; RECENT])
            };
            recent.content((0, "large".into()), read).expect("read")
        };
        let held = std::thread::scope(|scope| {
            let running: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(held.iter().all(|content| Arc::ptr_eq(content, &held[0])));
        assert_eq!(reads.into_inner(), 1);
        drop(held);
        let failed = recent.content((0, "large".into()), || Err(crate::Error::NoRemote("x".into())));
        assert!(failed.is_err(), "nobody had it any more");
        assert_eq!(recent.content((0, "large".into()), || Ok(vec![1])).expect("read").as_slice(), [1]);
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let recent = Recent::default();
        for file in 0..5000 {
            let content = recent.content((0, file.to_string().into()), || Ok(vec![0; 100_000]));
            drop(content.expect("read"));
        }
        let state = recent.state();
        let kept: usize = state.kept.iter().map(|content| cost(content)).sum();
        assert!(kept == state.bytes && kept <= RECENT && kept > RECENT / 2, "{kept}");
        assert!(state.contents.len() < 2 * state.kept.len() + 1026, "{}", state.contents.len());
        drop(state);
        let again = recent.content((0, "4999".into()), || panic!("it was read a moment ago"));
        assert_eq!(again.expect("kept").len(), 100_000);
    }
}

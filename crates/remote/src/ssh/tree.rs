//! Sending a tree, but only what the host does not have.
//!
//! ```text
//! clear the way ▶ where there is a base: hash what the source has; for each base: ask for its digests, copy what is the
//! same ▶ send the rest, hashing it ▶ compare the digest of all ▶ rename
//! ```
//!
//! A base is what an earlier try left, or the tree that was put last below the same root. Only names that the source has
//! are looked at in it: what was built or logged there is neither read nor copied. Files are copied and not linked, so
//! that a service that writes into its own release does not write into another one. The digest of all is read back from
//! the host before the rename, so nothing depends on the bases being what they seem.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use pleach_core::error::Failure;
use pleach_core::port::{EntryMode, FencingToken, Source, SourceEntry, SourceRef, TreeDigest};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::archive;
use super::execution::Feed;
use super::files::{Errand, FilesError, SshFiles, bytes};
use super::listing::{CHECK_BATCH, Tree, TreeEntry, digest, read_check};
use crate::local::hex;

/// Bytes of an archive that are sent in one piece.
const PIECE: usize = 256 * 1024;

/// Files that are read ahead; each is whole in memory.
const AHEAD: usize = 4;

pub(super) async fn put_tree(
    files: &SshFiles,
    path: &Path,
    source: Arc<dyn Source>,
    tree: &SourceRef,
    token: Option<FencingToken>,
) -> Result<TreeDigest, Failure> {
    let put = Put { files, path, partial: beside(path, ".partial-new"), old: beside(path, ".partial-old"), token };
    let entries = source.list(tree).await?;
    let bases = put.clear().await?;
    let mut wanted = match bases.as_slice() {
        // All will be sent, and hashed then: nothing has to be read twice.
        [] => Tree::new(),
        _ => hash(source.as_ref(), tree, &entries).await?,
    };
    let mut missing: BTreeMap<Vec<u8>, SourceEntry> =
        entries.into_iter().map(|entry| (bytes(&entry.path).to_vec(), entry)).collect();
    for base in bases {
        let same = put.same(&base, &wanted, &missing).await?;
        if !same.is_empty() {
            put.copy(&base, &same).await?;
            same.iter().for_each(|path| drop(missing.remove(path)));
        }
    }
    if !missing.is_empty() {
        wanted.extend(put.send(source, tree, missing.into_values().collect()).await?);
    }
    let expected = digest(&wanted);
    if files.tree_digest(&put.partial).await? != expected {
        return Err(FilesError::Differs { path: path.to_owned(), host: files.host() }.into());
    }
    put.settle().await?;
    Ok(expected)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.components().collect::<PathBuf>().into_os_string();
    name.push(ending);
    name.into()
}

/// The tree as it has to be.
async fn hash(source: &dyn Source, tree: &SourceRef, entries: &[SourceEntry]) -> Result<Tree, Failure> {
    let mut wanted = Tree::new();
    let mut read = ahead(source, tree, entries);
    while let Some((entry, content)) = read.try_next().await? {
        wanted.insert(bytes(&entry.path).to_vec(), hash_entry(entry.mode, content));
    }
    Ok(wanted)
}

/// The contents in their order, some of them read ahead: each read waits for a thread of its own.
fn ahead<'a>(
    source: &'a dyn Source,
    tree: &'a SourceRef,
    entries: &'a [SourceEntry],
) -> impl Stream<Item = Result<(&'a SourceEntry, Vec<u8>), Failure>> + Unpin {
    let read = move |entry: &'a SourceEntry| async move { Ok((entry, source.read(tree, entry).await?)) };
    Box::pin(stream::iter(entries).map(read).buffered(AHEAD))
}

fn hash_entry(mode: EntryMode, content: Vec<u8>) -> TreeEntry {
    let size = content.len() as u64;
    let sha256 = || hex(&Sha256::digest(&content));
    match mode {
        EntryMode::Symlink => TreeEntry::Link(content),
        EntryMode::File => TreeEntry::File { executable: false, sha256: sha256(), size },
        EntryMode::Executable => TreeEntry::File { executable: true, sha256: sha256(), size },
    }
}

struct Put<'a> {
    files: &'a SshFiles,
    path: &'a Path,
    partial: PathBuf,
    old: PathBuf,
    token: Option<FencingToken>,
}

/// Names, each ended by NUL.
fn names<'a>(paths: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    paths.into_iter().flat_map(|path| [path.as_slice(), &[0]].concat()).collect()
}

impl Put<'_> {
    fn errand<'a>(&'a self, doing: &'static str, variables: &'a [(&'a str, &'a [u8])], script: &'a str) -> Errand<'a> {
        Errand { doing, path: self.path, variables, script }
    }

    /// Makes room beside the place; gives the bases.
    async fn clear(&self) -> Result<Vec<PathBuf>, FilesError> {
        let script = r#"if there "$__a"; then exit 43; fi;
if [ -d "$__new" ]; then rm -rf -- "$__old" && mv -fT -- "$__new" "$__old" || exit 1; fi;
mkdir -p -- "$__new" || exit 1;
if [ -d "$__old" ]; then printf '%s\0' "$__old"; fi;
if [ -f "$__r/.pleach/last-tree" ]; then cat -- "$__r/.pleach/last-tree"; fi; exit 0"#;
        let variables = [("__new", bytes(&self.partial)), ("__old", bytes(&self.old))];
        let errand = self.errand("make room for", &variables, script);
        let answer = self.files.change(&errand, self.token, Feed::Nothing).await?;
        let paths = answer.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths
            .map(|path| PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path)))
            .collect())
    }

    /// Which of the missing files a base has as they have to be.
    async fn same(
        &self,
        base: &Path,
        wanted: &Tree,
        missing: &BTreeMap<Vec<u8>, SourceEntry>,
    ) -> Result<Vec<Vec<u8>>, FilesError> {
        let script = r#"cd -- "$__base" 2>/dev/null || exit 44; xargs -0 -r sh -c "$__check" sh"#;
        let variables = [("__base", bytes(base)), ("__check", CHECK_BATCH.as_bytes())];
        let errand = self.errand("compare", &variables, script);
        let asked = missing.iter().filter(|(_, entry)| entry.mode != EntryMode::Symlink).map(|(path, _)| path);
        // Each behind `./`, so that none looks like an option.
        let asked: Vec<Vec<u8>> = asked.map(|path| [b"./", path.as_slice()].concat()).collect();
        let Some(answer) = self.files.look(&errand, Feed::Bytes(names(&asked))).await? else { return Ok(Vec::new()) };
        let found = read_check(&answer).ok_or_else(|| self.files.nonsense(&errand))?;
        let fits = |(path, (has, can)): (Vec<u8>, (String, bool))| match wanted.get(&path) {
            Some(TreeEntry::File { executable, sha256, .. }) if *sha256 == has && *executable == can => Some(path),
            _ => None,
        };
        Ok(found.into_iter().filter_map(fits).collect())
    }

    async fn copy(&self, base: &Path, paths: &[Vec<u8>]) -> Result<(), FilesError> {
        // Writing beside harms nobody, so the fence is let go: it is passed again for the rename.
        let script = r#"exec 9>&-; tar -C "$__base" --null -T - -cf - | tar -C "$__new" -xof -; exit $?"#;
        let variables = [("__base", bytes(base)), ("__new", bytes(&self.partial))];
        let errand = self.errand("copy what is the same for", &variables, script);
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| [b"./", path.as_slice()].concat()).collect();
        self.files.change(&errand, self.token, Feed::Bytes(names(&paths))).await?;
        Ok(())
    }

    /// Gives what was sent.
    async fn send(
        &self,
        source: Arc<dyn Source>,
        tree: &SourceRef,
        entries: Vec<SourceEntry>,
    ) -> Result<Tree, Failure> {
        let script = r#"exec 9>&-; umask 022; tar -C "$__new" -xmof -; exit $?"#;
        let variables = [("__new", bytes(&self.partial))];
        let errand = self.errand("unpack", &variables, script);
        let (sender, receiver) = mpsc::channel(4);
        let count = entries.len();
        let read = async move {
            let (mut piece, mut sent) = (Vec::new(), Tree::new());
            let mut read = ahead(source.as_ref(), tree, &entries);
            while let Some((entry, content)) = read.try_next().await? {
                piece.extend(archive::entry(&entry.path, entry.mode, &content));
                sent.insert(bytes(&entry.path).to_vec(), hash_entry(entry.mode, content));
                if piece.len() >= PIECE && sender.send(std::mem::take(&mut piece)).await.is_err() {
                    return Ok(sent);
                }
            }
            piece.extend(archive::end());
            // The other side says why it stopped reading.
            let _ = sender.send(piece).await;
            Ok::<Tree, Failure>(sent)
        };
        let (sent, unpacked) = tokio::join!(read, self.files.change(&errand, self.token, Feed::Parts(receiver)));
        let sent = sent?;
        unpacked?;
        // It stopped reading and says that all is well: what it has must not be compared with what it was given.
        if sent.len() != count {
            return Err(FilesError::Differs { path: self.path.to_owned(), host: self.files.host() }.into());
        }
        Ok(sent)
    }

    async fn settle(&self) -> Result<(), FilesError> {
        let script = r#"if there "$__a"; then exit 43; fi;
{ sync -f -- "$__new" 2>/dev/null || sync; } && mv -fT -- "$__new" "$__a" && settle "$__a" || exit 1;
printf '%s\0' "$__a" >"$__r/.pleach/last-tree.new" && mv -fT -- "$__r/.pleach/last-tree.new" "$__r/.pleach/last-tree";
rm -rf -- "$__old"; exit 0"#;
        let variables = [("__new", bytes(&self.partial)), ("__old", bytes(&self.old))];
        self.files.change(&self.errand("put in place", &variables, script), self.token, Feed::Nothing).await?;
        Ok(())
    }
}

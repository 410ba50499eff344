//! Sending a tree, but only what the host does not have.
//!
//! ```text
//! clear the way, learn what is there ▶ copy that, send the rest, read the seal of all back ▶ rename
//! ```
//!
//! What is there is the tree that was put last into the same folder: the host has noted its commit and its names, so what
//! differs follows from the repository, and neither contents nor lists travel for what is the same. Or it is what an
//! earlier try left, which the host hashes. Only names of the tree are copied: what was built or logged beside them is
//! neither read nor copied. Files are copied and not linked, so that a service that writes into its own release does not
//! write into another one.
//!
//! The seal is one digest over all digests, modes, links and names. It is made on the host from what lies there, after
//! all of it was written, so nothing depends on what was noted: where the seal differs, the list it was made from is
//! asked for, and what is not as it has to be is sent as well.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pleach_core::error::Failure;
use pleach_core::port::{EntryMode, FencingToken, FileDigest, Source, SourceEntry, SourceRef, TreeDigest};
use pleach_core::word::CommitId;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::archive;
use super::execution::Feed;
use super::files::{Errand, FilesError, SshFiles, bytes};
use super::listing::{BATCHES, HASH, Tree, TreeEntry, digest, read_tree, seal};
use super::quote::quote;
use crate::local::hex;

/// Bytes of an archive that are sent in one piece.
const PIECE: usize = 256 * 1024;

/// Pieces that wait for the connection.
const PIECES: usize = 2;

/// Files that are read ahead; each is whole in memory.
const AHEAD: usize = 4;

/// Where the last tree of the folder is noted: `base` leads to it, `names` are those of its files, each ended by NUL,
/// `commit` tells which commit and which path of that it is.
const NOTE: &str = r#"__note="$__r/.pleach/tree/$__note";"#;

/// Finds out how to copy: by reference where the file system can. Owners, times and what only a service's own hand has set
/// are not copied.
const WAY: &str = "__copy='cp --parents'; if cp --reflink=auto --version >/dev/null 2>&1; \
    then __copy='cp --parents --reflink=auto'; fi;";

/// Copies the files of the last tree that are still files.
const COPY: &str = r#"if cd -- "$__note/base" 2>/dev/null; then
xargs -0 -r sh -c "$__plain" sh <"$__note/names" | xargs -0 -r $__copy -t "$__new"; fi;"#;

/// Removes what the tree does not have.
const DROP: &str = r#"eval "set -- $__drop"; printf '%s\0' "$@" | xargs -0 rm -f -- || exit 1;
find . -mindepth 1 -depth -type d -exec rmdir -- {} + 2>/dev/null;"#;

/// Takes an archive, sees to the modes of what was copied and prints the seal. `tar` does not always say that there was no room.
const UNPACK: &str = r#"tar -xmof - || { df -P . >&2; exit 1; };
find . -type f -perm -100 ! -perm 755 -exec chmod 755 {} + && find . -type f ! -perm -100 ! -perm 644 -exec chmod 644 {} + &&
find . -type f -print0 >"$__new.names" || exit 1;
eval "$__seal"; exit"#;

pub(super) async fn put_tree(
    files: &SshFiles,
    path: &Path,
    source: Arc<dyn Source>,
    tree: &SourceRef,
    token: Option<FencingToken>,
) -> Result<TreeDigest, Failure> {
    let put = Put::new(files, path, token);
    let entries = source.list(tree).await?;
    let there = put.clear().await?;
    let mut wanted = Tree::new();
    let plain = |entry: &SourceEntry| entry.mode != EntryMode::Symlink;
    let (mut start, mut surplus) = (Start::AsItIs, Vec::new());
    let has = match there {
        There::Nothing => Has::Nothing,
        There::Part(part) => Has::Hashed(part),
        There::Tree(old) => match source.list(&old).await {
            Ok(old) => {
                start = Start::FromBase;
                Has::Listed(old.into_iter().filter(plain).map(|entry| (name(&entry), entry)).collect())
            }
            // It was put there from another repository, or its commit is gone.
            Err(_) => Has::Nothing,
        },
    };
    // What is sent is hashed on its way, so only of what is there it needs to be known.
    if !matches!(has, Has::Nothing) {
        let digests = source.digests(tree).await?;
        let digested = entries.iter().zip(digests.iter()).filter(|(entry, _)| plain(entry));
        wanted.extend(digested.map(|(entry, digest)| (name(entry), file(entry.mode, digest))));
        surplus = has.names().filter(|name| !wanted.contains_key(*name)).cloned().collect();
    }
    let (mut missing, mut rest): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| !plain(entry) || !has.holds(entry, &wanted));
    loop {
        let (sent, read_back) = put.send(source.as_ref(), tree, &missing, start, &surplus).await?;
        wanted.extend(sent);
        if read_back == seal(&wanted) {
            break;
        }
        let found = put.found().await?;
        if found == wanted {
            break;
        }
        start = Start::AsItIs;
        surplus = found.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        (missing, rest) = rest.into_iter().partition(|entry| found.get(&name(entry)) != wanted.get(&name(entry)));
        if missing.is_empty() {
            return Err(FilesError::Differs { path: path.to_owned(), host: files.host() }.into());
        }
    }
    put.settle(tree).await?;
    Ok(digest(&wanted))
}

/// What the host has from before.
enum There {
    Nothing,
    /// What an earlier try left, in the new place already.
    Part(Tree),
    /// Another tree, which can be copied.
    Tree(SourceRef),
}

/// What a tree is made from, besides what is sent.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    /// What lies in the new place.
    AsItIs,
    /// What is noted as the last tree.
    FromBase,
}

/// What is known of that.
enum Has {
    Nothing,
    Hashed(Tree),
    /// By the ids of the repository.
    Listed(BTreeMap<Vec<u8>, SourceEntry>),
}

impl Has {
    fn names(&self) -> Box<dyn Iterator<Item = &Vec<u8>> + '_> {
        match self {
            Self::Nothing => Box::new(std::iter::empty()),
            Self::Hashed(tree) => Box::new(tree.keys()),
            Self::Listed(entries) => Box::new(entries.keys()),
        }
    }

    fn holds(&self, entry: &SourceEntry, wanted: &Tree) -> bool {
        match self {
            Self::Nothing => false,
            Self::Hashed(tree) => tree.get(&name(entry)).is_some_and(|has| wanted.get(&name(entry)) == Some(has)),
            Self::Listed(entries) => entries.get(&name(entry)).is_some_and(|has| has == entry),
        }
    }
}

fn name(entry: &SourceEntry) -> Vec<u8> {
    bytes(&entry.path).to_vec()
}

fn file(mode: EntryMode, digest: &FileDigest) -> TreeEntry {
    TreeEntry::File { executable: mode == EntryMode::Executable, sha256: digest.sha256.clone(), size: digest.bytes }
}

struct Put<'a> {
    files: &'a SshFiles,
    path: &'a Path,
    partial: PathBuf,
    old: PathBuf,
    /// What is noted of the tree that was put last into the same folder: a folder by this name.
    note: String,
    token: Option<FencingToken>,
}

impl<'a> Put<'a> {
    fn new(files: &'a SshFiles, path: &'a Path, token: Option<FencingToken>) -> Self {
        let beside = |ending: &str| {
            let mut name = path.components().collect::<PathBuf>().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let folder = path.parent().map(bytes).unwrap_or_default();
        let note = hex(&Sha256::digest(folder)).chars().take(16).collect();
        Self { files, path, partial: beside(".partial-new"), old: beside(".partial-old"), note, token }
    }

    fn errand<'e>(&'e self, doing: &'static str, variables: &'e [(&'e str, &'e [u8])], script: &'e str) -> Errand<'e> {
        Errand { doing, path: self.path, variables, script }
    }

    /// What every script knows: the places, and what is given.
    fn variables<'e>(&'e self, more: &[(&'e str, &'e [u8])]) -> Vec<(&'e str, &'e [u8])> {
        let places = [("__new", bytes(&self.partial)), ("__old", bytes(&self.old)), ("__note", self.note.as_bytes())];
        [&places, more].concat()
    }

    /// Makes room beside the place; tells what there is to begin with.
    async fn clear(&self) -> Result<There, FilesError> {
        // What an earlier try left may still be written to, by a session whose end nobody saw: it is copied.
        let script = r#"if there "$__a"; then exit 43; fi;
__part=; if [ -d "$__new" ]; then rm -rf -- "$__old" && mv -fT -- "$__new" "$__old" || exit 1; __part=1; fi;
rm -f -- "$__new.names"; mkdir -p -- "$__new" || exit 1;
if [ "$__part" ]; then
exec 9>&-; umask 022; cd -- "$__old" && find . -type f -print0 | xargs -0 -r $__copy -t "$__new";
rm -rf -- "$__old"; cd -- "$__new" || exit 1;
printf 'part\0'; eval "$__tree"; exit; fi;
if [ -d "$__note/base" ] && [ -f "$__note/names" ] && [ -f "$__note/commit" ]; then cat -- "$__note/commit"; fi; exit 0"#;
        let script = [NOTE, HASH, WAY, script].concat();
        let variables = self.variables(&BATCHES);
        let errand = self.errand("make room for", &variables, &script);
        let answer = self.files.change(&errand, self.token, Feed::Nothing).await?;
        match answer.strip_prefix(b"part\0") {
            Some(listed) => read_tree(listed).map(There::Part).ok_or_else(|| self.files.nonsense(&errand)),
            None => Ok(read_note(&answer).map_or(There::Nothing, There::Tree)),
        }
    }

    /// Makes the tree from what is there and what is sent; gives that, and the seal that the host read back of all.
    async fn send(
        &self,
        source: &dyn Source,
        tree: &SourceRef,
        entries: &[SourceEntry],
        start: Start,
        surplus: &[Vec<u8>],
    ) -> Result<(Tree, String), Failure> {
        let script = [
            NOTE,
            HASH,
            WAY,
            // Writing beside harms nobody, so the fence is let go: it is passed again for the rename.
            "exec 9>&-; umask 022;",
            match start {
                Start::AsItIs => "",
                Start::FromBase => COPY,
            },
            r#"cd -- "$__new" || exit 1;"#,
            if surplus.is_empty() { "" } else { DROP },
            UNPACK,
        ]
        .concat();
        let surplus: Vec<u8> = surplus
            .iter()
            .flat_map(|name| [b" ", quote(&[b"./", name.as_slice()].concat()).as_slice()].concat())
            .collect();
        let variables = self.variables(&[BATCHES.as_slice(), &[("__drop", surplus.as_slice())]].concat());
        let errand = self.errand("unpack", &variables, &script);
        let (contents, mut read) = mpsc::channel::<Arc<Vec<u8>>>(AHEAD);
        let (pieces, feed) = mpsc::channel(PIECES);
        let pack = async move {
            let (mut piece, mut sent) = (Vec::with_capacity(PIECE), Tree::new());
            for entry in entries {
                // Without its end the archive is not taken for whole.
                let Some(content) = read.recv().await else { return sent };
                let follows = archive::front(&mut piece, &entry.path, entry.mode, &content);
                for part in follows.chunks(PIECE) {
                    piece.extend_from_slice(part);
                    if piece.len() >= PIECE && pieces.send(std::mem::take(&mut piece)).await.is_err() {
                        return sent;
                    }
                }
                archive::pad(&mut piece, follows.len());
                sent.insert(name(entry), hash(entry.mode, &content));
            }
            archive::end(&mut piece);
            // The other side says why it stopped reading.
            let _ = pieces.send(piece).await;
            sent
        };
        let change = self.files.change(&errand, self.token, Feed::Parts(feed));
        let (read, sent, answer) = tokio::join!(source.read_each(tree, entries, contents), pack, change);
        read?;
        let answer = answer?;
        // It stopped reading and says that all is well: what it has must not be compared with what it was given.
        if sent.len() != entries.len() {
            return Err(FilesError::Differs { path: self.path.to_owned(), host: self.files.host() }.into());
        }
        let seal = answer.get(..64).ok_or_else(|| self.files.nonsense(&errand))?;
        Ok((sent, String::from_utf8_lossy(seal).into_owned()))
    }

    /// What lies in the new place.
    async fn found(&self) -> Result<Tree, FilesError> {
        let script = [HASH, r#"cd -- "$__new" || exit 1; eval "$__tree""#].concat();
        let variables = self.variables(&BATCHES);
        let errand = self.errand("read the tree", &variables, &script);
        let answer = self.files.look(&errand, Feed::Nothing).await?.unwrap_or_default();
        read_tree(&answer).ok_or_else(|| self.files.nonsense(&errand))
    }

    async fn settle(&self, tree: &SourceRef) -> Result<(), FilesError> {
        // The note is only where to begin from: of one that is half written the seal would tell.
        let script = r#"if there "$__a"; then exit 43; fi;
{ sync -f -- "$__new" 2>/dev/null || sync; } && mv -fT -- "$__new" "$__a" && settle "$__a" || exit 1;
mkdir -p -- "$__note" && rm -f -- "$__note/commit" && ln -sfn -- "$__a" "$__note/base" &&
mv -f -- "$__new.names" "$__note/names" && printf '%s\0%s\0' "$__commit" "$__path" >"$__note/commit";
rm -rf -- "$__new.names"; exit 0"#;
        let script = [NOTE, script].concat();
        let variables = self.variables(&[("__commit", tree.commit.as_str().as_bytes()), ("__path", bytes(&tree.path))]);
        self.files.change(&self.errand("put in place", &variables, &script), self.token, Feed::Nothing).await?;
        Ok(())
    }
}

fn hash(mode: EntryMode, content: &[u8]) -> TreeEntry {
    match mode {
        EntryMode::Symlink => TreeEntry::Link(content.to_vec()),
        mode => file(mode, &FileDigest::of(content)),
    }
}

/// What [`Put::settle`] noted of a tree.
fn read_note(note: &[u8]) -> Option<SourceRef> {
    let mut fields = note.split(|byte| *byte == 0);
    let commit = CommitId::new(std::str::from_utf8(fields.next()?).ok()?).ok()?;
    let path = OsStr::from_bytes(fields.next()?).into();
    // Behind the second NUL.
    fields.next()?;
    Some(SourceRef { commit, path })
}

//! Files on a host are whole or absent, and only what changed is sent.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, FencingToken, Files, Permissions, Source, SourceEntry, SourceRef};
use pleach_core::testing::conformance;
use pleach_remote::local::tree_digest;
use pleach_remote::ssh::SshFiles;

use crate::bed::{Bed, kill};

const TOKEN: Option<FencingToken> = Some(FencingToken(1));

/// A tree in memory that counts what is read of it.
#[derive(Default)]
struct Memory {
    files: Mutex<BTreeMap<PathBuf, (EntryMode, Vec<u8>)>>,
    reads: AtomicUsize,
    /// After so many reads it fails.
    fails_after: Option<usize>,
}

impl Memory {
    fn with(files: impl IntoIterator<Item = (&'static str, EntryMode, Vec<u8>)>) -> Arc<Self> {
        let files = files.into_iter().map(|(path, mode, content)| (path.into(), (mode, content))).collect();
        Arc::new(Self { files: Mutex::new(files), ..Self::default() })
    }

    fn put(&self, path: &str, content: &[u8]) {
        self.files.lock().unwrap().insert(path.into(), (EntryMode::File, content.to_vec()));
    }
}

#[async_trait]
impl Source for Memory {
    async fn list(&self, _: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let files = self.files.lock().unwrap();
        let entry = |(path, (mode, _)): (&PathBuf, &(EntryMode, Vec<u8>))| SourceEntry {
            path: path.clone(),
            mode: *mode,
            id: String::new(),
        };
        Ok(files.iter().map(entry).collect())
    }

    async fn read(&self, _: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fails_after.is_some_and(|limit| reads >= limit) {
            return Err(Failure::new(Kind::Rejected, "the source is broken"));
        }
        Ok(self.files.lock().unwrap()[&entry.path].1.clone())
    }

    async fn export(&self, _: &SourceRef, _: &Path) -> Result<(), Failure> {
        panic!("nothing is exported to this machine")
    }
}

fn some_tree() -> SourceRef {
    SourceRef { commit: "0".repeat(40).parse().expect("a commit"), path: PathBuf::new() }
}

fn mixed() -> Arc<Memory> {
    Memory::with([
        ("bin/run", EntryMode::Executable, b"#!/bin/sh\n".to_vec()),
        ("a b/$(x)/'q'", EntryMode::File, b"odd".to_vec()),
        ("-rf", EntryMode::File, b"dash".to_vec()),
        ("line\nbreak\\n", EntryMode::File, b"newline".to_vec()),
        ("link", EntryMode::Symlink, b"bin/run".to_vec()),
        ("large", EntryMode::File, vec![b'x'; 700_000]),
        ("empty", EntryMode::File, Vec::new()),
    ])
}

async fn files(bed: &Bed) -> SshFiles {
    SshFiles::new(bed.shell().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_what_the_port_promises() {
    let bed = Bed::new("");
    std::fs::create_dir(bed.at("scratch")).expect("made");
    conformance::files(&files(&bed).await, &bed.at("scratch"), mixed(), &some_tree()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_that_of_the_same_tree_on_this_machine() {
    let bed = Bed::new("");
    let tree = bed.at("tree");
    std::fs::create_dir_all(tree.join("sub/dir")).expect("made");
    for name in ["sub/plain", "sub/dir/it's", "new\nline", "back\\slash", "-dash", "\u{e4}"] {
        std::fs::write(tree.join(name), name).expect("written");
    }
    std::fs::set_permissions(tree.join("sub/plain"), std::fs::Permissions::from_mode(0o700)).expect("set");
    symlink("no where\n", tree.join("sub/link")).expect("linked");
    let made = std::process::Command::new("mkfifo").arg(tree.join("pipe")).status().expect("mkfifo");
    assert!(made.success());
    let files = files(&bed).await;
    assert_eq!(files.digest(&tree).await.expect("read"), tree_digest(&tree).expect("read"));
    let empty = bed.at("empty-tree");
    std::fs::create_dir(&empty).expect("made");
    assert_eq!(files.digest(&empty).await.expect("read"), tree_digest(&empty).expect("read"));
    assert!(files.digest(&bed.at("absent")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_with_modes_links_and_odd_names() {
    let bed = Bed::new("");
    let files = files(&bed).await;
    let to = bed.at("root/releases/1");
    files.ensure_directory(&bed.at("root/releases"), TOKEN).await.expect("made");
    let told = files.put_tree(&to, mixed(), &some_tree(), TOKEN).await.expect("put");
    assert_eq!(told, tree_digest(&to).expect("read"));
    assert_eq!(std::fs::metadata(to.join("bin/run")).expect("there").permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_link(to.join("link")).expect("a link"), Path::new("bin/run"));
    assert_eq!(std::fs::read(to.join("line\nbreak\\n")).expect("there"), b"newline");
    let left: Vec<_> = std::fs::read_dir(bed.at("root/releases")).expect("there").flatten().collect();
    assert_eq!(left.len(), 1, "nothing lies beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_second_tree_only_what_changed_is_sent() {
    let bed = Bed::new("");
    let files = files(&bed).await;
    files.ensure_directory(&bed.at("root/releases"), TOKEN).await.expect("made");
    let source = mixed();
    files.put_tree(&bed.at("root/releases/1"), source.clone(), &some_tree(), TOKEN).await.expect("put");
    // What was built in the first one, or changed there, does not get into the second.
    std::fs::write(bed.at("root/releases/1/built"), "x").expect("written");
    std::fs::write(bed.at("root/releases/1/empty"), "no longer").expect("written");
    source.put("new", b"new");
    source.reads.store(0, Ordering::Relaxed);
    let told = files.put_tree(&bed.at("root/releases/2"), source.clone(), &some_tree(), TOKEN).await.expect("put");
    assert_eq!(told, tree_digest(&bed.at("root/releases/2")).expect("read"));
    assert_eq!(told.files, 8);
    // Each once to be hashed; once more to be sent: the new one, the one that was changed there, and the link.
    assert_eq!(source.reads.load(Ordering::Relaxed), 8 + 3);
    let same = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(bed.at("root/releases").join(name)).expect("there").ino()
    };
    assert_ne!(same("1/large"), same("2/large"), "releases share no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_broke_off_is_absent_and_the_next_try_goes_on_from_it() {
    let bed = Bed::new("");
    let files = files(&bed).await;
    let to = bed.at("root/releases/1");
    files.ensure_directory(&bed.at("root/releases"), TOKEN).await.expect("made");
    let file = |name: &'static str| (name, EntryMode::File, vec![name.as_bytes()[0]; 400_000]);
    let whole = Memory::with(["a", "b", "c", "d"].map(file));
    let broken = Memory { fails_after: Some(3), ..Memory::default() };
    *broken.files.lock().unwrap() = whole.files.lock().unwrap().clone();
    let failure = files.put_tree(&to, Arc::new(broken), &some_tree(), TOKEN).await.expect_err("it broke");
    assert_eq!(failure.what, "the source is broken");
    assert!(!to.exists());
    let told = files.put_tree(&to, whole.clone(), &some_tree(), TOKEN).await.expect("put");
    assert_eq!(told, tree_digest(&to).expect("read"));
    assert!(whole.reads.load(Ordering::Relaxed) < 4 + 4, "some of it was there already");
    assert_eq!(std::fs::read_dir(bed.at("root/releases")).expect("there").count(), 1, "nothing lies beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_cut_off_leaves_the_old_file() {
    let bed = Bed::new("");
    let files = files(&bed).await;
    let path = bed.at("root/file");
    files.write(&path, b"old", Permissions::Public, TOKEN).await.expect("written");
    let content = vec![b'x'; 64 * 1024 * 1024];
    let write = files.write(&path, &content, Permissions::Public, TOKEN);
    let cut = async {
        let begun = || {
            let entries = std::fs::read_dir(bed.at("root")).expect("there").flatten();
            entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("file.new-"))
        };
        while !begun() {
            tokio::task::yield_now().await;
        }
        for session in bed.server.sessions() {
            kill(session, "KILL");
        }
    };
    let (written, ()) = tokio::join!(write, cut);
    let failure = written.expect_err("it was cut off");
    assert_eq!(failure.kind, Kind::UnknownOutcome, "{failure:?}");
    files.write(&bed.at("root/other"), b"x", Permissions::Public, TOKEN).await.expect("a new connection");
    assert_eq!(files.read(&path).await.expect("read").as_deref(), Some(b"old".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_told_in_the_words_of_the_host() {
    let bed = Bed::new("");
    let files = files(&bed).await;
    std::fs::write(bed.at("file"), "x").expect("written");
    let below = bed.at("file/below");
    let failure = files.write(&below, b"x", Permissions::Public, TOKEN).await.expect_err("no directory");
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(!failure.output.is_empty() && failure.next.is_some(), "{failure:?}");
    assert_eq!(files.stat(&below).await.expect("nothing is there"), None);
    assert!(files.read(&bed.at("root")).await.is_err(), "a directory is not a file");
}

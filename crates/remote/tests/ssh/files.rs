//! Files on a host are whole or absent, and only what changed is sent.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, FencingToken, FileDigest, Files, Permissions, Source, SourceEntry, SourceRef};
use pleach_core::testing::conformance;
use pleach_remote::local::tree_digest;
use pleach_remote::ssh::SshFiles;

use crate::bed::{Bed, Server, kill};

const TOKEN: Option<FencingToken> = Some(FencingToken(1));

type Contents = BTreeMap<PathBuf, (EntryMode, Vec<u8>)>;

/// Trees in memory, one for each commit; counts what is read of them.
#[derive(Default)]
struct Memory {
    trees: Mutex<Vec<Contents>>,
    reads: AtomicUsize,
    /// After so many reads it fails.
    fails_after: Option<usize>,
}

impl Memory {
    fn with(files: impl IntoIterator<Item = (&'static str, EntryMode, Vec<u8>)>) -> Arc<Self> {
        let files = files.into_iter().map(|(path, mode, content)| (path.into(), (mode, content))).collect();
        Arc::new(Self { trees: Mutex::new(vec![files]), ..Self::default() })
    }

    /// The tree after the last one, changed.
    fn next(&self, change: impl FnOnce(&mut Contents)) -> SourceRef {
        let mut trees = self.trees.lock().unwrap();
        let mut next = trees.last().expect("a tree").clone();
        change(&mut next);
        trees.push(next);
        tree(trees.len() - 1)
    }

    fn contents(&self, tree: &SourceRef) -> Result<Contents, Failure> {
        let at = usize::from_str_radix(tree.commit.as_str(), 16).expect("a number");
        let unknown = || Failure::new(Kind::Rejected, "there is no such commit");
        self.trees.lock().unwrap().get(at).cloned().ok_or_else(unknown)
    }

    /// Whether a folder holds a tree, and nothing else.
    fn is(&self, tree: &SourceRef, place: &Path) {
        let wanted = self.contents(tree).expect("a tree");
        let mut found = Contents::new();
        let mut folders = vec![place.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
            assert!(!entries.is_empty() || folder == place, "{} is empty", folder.display());
            for path in entries.iter().map(std::fs::DirEntry::path) {
                let name = path.strip_prefix(place).expect("below").to_owned();
                let mode = std::fs::symlink_metadata(&path).expect("there").permissions().mode() & 0o7777;
                if path.is_symlink() {
                    let to = std::fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes();
                    found.insert(name, (EntryMode::Symlink, to));
                } else if path.is_dir() {
                    folders.push(path);
                } else {
                    assert!([0o644, 0o755].contains(&mode), "{} has {mode:o}", path.display());
                    let kind = if mode == 0o755 { EntryMode::Executable } else { EntryMode::File };
                    found.insert(name, (kind, std::fs::read(&path).expect("readable")));
                }
            }
        }
        assert!(found == wanted, "{:?} instead of {:?}", found.keys(), wanted.keys());
    }

    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl Source for Memory {
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let entry = |(path, (mode, content)): (PathBuf, (EntryMode, Vec<u8>))| SourceEntry {
            path,
            mode,
            id: FileDigest::of(&content).sha256,
        };
        Ok(self.contents(tree)?.into_iter().map(entry).collect())
    }

    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fails_after.is_some_and(|limit| reads >= limit) {
            return Err(Failure::new(Kind::Rejected, "the source is broken"));
        }
        Ok(self.contents(tree)?[&entry.path].1.clone())
    }

    async fn export(&self, _: &SourceRef, _: &Path) -> Result<(), Failure> {
        panic!("nothing is exported to this machine")
    }
}

fn tree(number: usize) -> SourceRef {
    SourceRef { commit: format!("{number:040x}").parse().expect("a commit"), path: PathBuf::new() }
}

fn some_tree() -> SourceRef {
    tree(0)
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

/// Puts the first tree, spoils it as a running service would, and puts changed ones after it.
async fn require_only_changes_are_sent(files: &SshFiles, releases: &Path) {
    let release = |number: usize| releases.join(number.to_string());
    files.ensure_directory(releases, TOKEN).await.expect("made");
    let source = mixed();
    files.put_tree(&release(1), source.clone(), &some_tree(), TOKEN).await.expect("put");
    assert_eq!(source.reads(), 7, "all of it is sent and hashed in one pass");
    // What was built in the first one, or changed there, does not get into the second.
    std::fs::write(release(1).join("built"), "x").expect("written");
    std::fs::write(release(1).join("empty"), "no longer").expect("written");
    std::fs::remove_file(release(1).join("-rf")).expect("removed");
    let mode = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(release(1).join(name), mode).expect("set");
    };
    mode("large", 0o4640);
    mode("bin/run", 0o700);
    // A shared path: what lies there now is not the release's.
    let (kept, odd) = (releases.with_file_name("kept"), release(1).join("a b"));
    std::fs::rename(&odd, &kept).expect("renamed");
    symlink(&kept, &odd).expect("linked");
    let grown = kept.join("$(x)/'q'");
    std::fs::write(&grown, vec![b'x'; 1_000_000]).expect("written");
    let accessed = || std::fs::metadata(&grown).expect("there").accessed().expect("known");
    let before = accessed();
    let second = source.next(|files| drop(files.insert("new".into(), (EntryMode::File, b"new".to_vec()))));
    let told = files.put_tree(&release(2), source.clone(), &second, TOKEN).await.expect("put");
    assert_eq!(told, tree_digest(&release(2)).expect("read"));
    source.is(&second, &release(2));
    assert_eq!(accessed(), before, "nobody has read what the service keeps");
    // Each once to be hashed; to be sent the new one and the link, and then what was changed, removed and shared.
    assert_eq!(source.reads(), 8 + 2 + 3);
    let inode = |number: usize| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(release(number).join("large")).expect("there").ino()
    };
    assert_ne!(inode(1), inode(2), "releases share no file");

    // A file in place of a folder, a folder in place of a file, a link in place of each; a mode; an odd name that goes.
    let third = source.next(|files| {
        files.retain(|path, _| !path.starts_with("a b") && path != Path::new("line\nbreak\\n"));
        files.insert("a b".into(), (EntryMode::File, b"a file now".to_vec()));
        files.remove(Path::new("empty"));
        files.insert("empty/no/longer".into(), (EntryMode::Executable, b"x".to_vec()));
        files.remove(Path::new("bin/run"));
        files.insert("bin".into(), (EntryMode::Symlink, b"empty/no".to_vec()));
        files.insert("new".into(), (EntryMode::Executable, b"new".to_vec()));
        files.insert("large".into(), (EntryMode::Symlink, b"new".to_vec()));
    });
    files.put_tree(&release(3), source.clone(), &third, TOKEN).await.expect("put");
    source.is(&third, &release(3));
    assert_eq!(source.reads(), 7 + 6, "only `-rf` is as it was");

    // Nothing but links is sent where nothing has changed; all of it where the last tree is gone.
    files.put_tree(&release(4), source.clone(), &third, TOKEN).await.expect("put");
    source.is(&third, &release(4));
    assert_eq!(source.reads(), 7 + 3);
    files.remove(&release(4), TOKEN).await.expect("removed");
    files.put_tree(&release(5), source.clone(), &third, TOKEN).await.expect("put");
    source.is(&third, &release(5));
    assert_eq!(source.reads(), 7);
    assert_eq!(std::fs::read_dir(releases).expect("there").count(), 4, "nothing lies beside them");

    // And all of it where its commit is not known here.
    let other = mixed();
    files.put_tree(&release(6), other.clone(), &some_tree(), TOKEN).await.expect("put");
    other.is(&some_tree(), &release(6));
    assert_eq!(other.reads(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_second_tree_only_what_changed_is_sent() {
    let bed = Bed::new("");
    require_only_changes_are_sent(&files(&bed).await, &bed.at("root/releases")).await;
}

/// A server whose users have BusyBox, and `flock`, which not every BusyBox has.
fn busybox_bed() -> (Bed, Server) {
    let bed = Bed::new("");
    let bin = bed.at("bin");
    std::fs::create_dir(&bin).expect("made");
    let run = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).status().expect("installed");
        assert!(done.success(), "{program} {arguments:?}");
    };
    run("busybox", &["--install", "-s", bin.to_str().expect("text")]);
    for name in ["openssl", "flock"] {
        let _ = std::fs::remove_file(bin.join(name));
    }
    run("sh", &["-c", &format!("ln -s \"$(command -v flock)\" '{}'", bin.join("flock").display())]);
    let login = format!(
        "#!/bin/sh\nPATH={bin}; export PATH\nline=${{SSH_ORIGINAL_COMMAND#exec /bin/sh }}\neval \"exec sh $line\"\n",
        bin = bin.display()
    );
    let server = bed.second(&format!("ForceCommand {}", bed.script("login", &login).display()));
    bed.configure(&format!("Port {}", server.port));
    (bed, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_only_busybox_is_sent_trees_as_well() {
    let (bed, _server) = busybox_bed();
    require_only_changes_are_sent(&files(&bed).await, &bed.at("root/releases")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_broke_off_is_absent_and_the_next_try_goes_on_from_it() {
    let bed = Bed::new("");
    let files = files(&bed).await;
    let to = bed.at("root/releases/1");
    files.ensure_directory(&bed.at("root/releases"), TOKEN).await.expect("made");
    let file = |name: &'static str| (name, EntryMode::File, vec![name.as_bytes()[0]; 400_000]);
    let whole = Memory::with(["a", "b", "c", "d"].map(file));
    let trees = Mutex::new(whole.trees.lock().unwrap().clone());
    let broken = Memory { fails_after: Some(3), trees, ..Memory::default() };
    let failure = files.put_tree(&to, Arc::new(broken), &some_tree(), TOKEN).await.expect_err("it broke");
    assert_eq!(failure.what, "the source is broken");
    assert!(!to.exists());
    // What nobody sent is not kept.
    std::fs::write(bed.at("root/releases/1.partial-new/stray"), "x").expect("written");
    files.put_tree(&to, whole.clone(), &some_tree(), TOKEN).await.expect("put");
    whole.is(&some_tree(), &to);
    assert!(whole.reads() < 4 + 4, "some of it was there already");
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

//! What files of every target must do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::port::{EntryMode, FencingToken, FileDigest, FileKind, Files, HeldFile, Permissions, Source, SourceRef};

const TOKEN: Option<FencingToken> = Some(FencingToken(1));

/// Runs the suite. `scratch` is an existing empty directory of the target; `tree` names a tree in `source` with at least
/// one file.
pub async fn files(files: &dyn Files, scratch: &Path, source: Arc<dyn Source>, tree: &SourceRef) {
    let case = Case { files, scratch };
    case.what_is_not_there_is_told().await;
    case.what_is_written_reads_back().await;
    case.links_are_replaced_and_not_followed().await;
    case.renames_replace_files_and_no_directories().await;
    case.removal_takes_all_below_and_nothing_else().await;
    case.digests_tell_trees_apart().await;
    case.held_files_tell_what_each_file_holds().await;
    case.relative_paths_are_refused().await;
    case.a_tree_is_put_whole(source, tree).await;
}

struct Case<'a> {
    files: &'a dyn Files,
    scratch: &'a Path,
}

impl Case<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    async fn write(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.at(name);
        let written = self.files.write(&path, contents, Permissions::Public, TOKEN).await;
        written.unwrap_or_else(|failure| panic!("could not write `{name}`: {failure:?}"));
        path
    }

    async fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.files.read(path).await.unwrap_or_else(|failure| panic!("could not read {path:?}: {failure:?}"))
    }

    async fn directory(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        self.files.ensure_directory(&path, TOKEN).await.unwrap();
        path
    }

    async fn kind(&self, path: &Path) -> Option<FileKind> {
        self.files.stat(path).await.unwrap().map(|stat| stat.kind)
    }

    async fn what_is_not_there_is_told(&self) {
        let path = self.at("absent");
        assert_eq!(self.files.stat(&path).await.unwrap(), None);
        assert_eq!(self.read(&path).await, None);
        assert_eq!(self.files.list(&path).await.unwrap(), []);
        self.files.remove(&path, TOKEN).await.expect("removing what is not there is fine");
        assert!(self.files.list(self.scratch).await.unwrap().is_empty(), "looking leaves nothing behind");
    }

    async fn what_is_written_reads_back(&self) {
        for contents in [b"".as_slice(), b"one\n", b"\xff\x00\r\n", &[b'x'; 200_000]] {
            let path = self.write("file with spaces ä", contents).await;
            assert_eq!(self.read(&path).await.as_deref(), Some(contents), "a file is replaced whole");
        }
        for (permissions, mode) in
            [(Permissions::Public, 0o644), (Permissions::Executable, 0o755), (Permissions::Private, 0o600)]
        {
            let path = self.at("modes");
            self.files.write(&path, b"x", permissions, TOKEN).await.unwrap();
            let stat = self.files.stat(&path).await.unwrap().expect("it was written");
            assert_eq!((stat.mode & 0o777, stat.size, stat.kind), (mode, 1, FileKind::File), "{permissions:?}");
            assert_eq!(stat.name, "modes");
        }
        let deep = self.directory("deep/er/and/deeper").await;
        self.directory("deep/er/and/deeper").await;
        assert_eq!(self.kind(&deep).await, Some(FileKind::Directory));
        for name in ["b", "a", "c"] {
            self.write(&format!("deep/{name}"), b"").await;
        }
        let names: Vec<String> =
            self.files.list(&self.at("deep")).await.unwrap().into_iter().map(|stat| stat.name).collect();
        assert_eq!(names, ["a", "b", "c", "er"], "a list is sorted, and nothing of the writing is left in it");
    }

    async fn links_are_replaced_and_not_followed(&self) {
        let one = self.write("one", b"1").await;
        let two = self.write("two", b"2").await;
        let link = self.at("link");
        for to in [&one, &two, &one] {
            self.files.link(&link, to, TOKEN).await.expect("a link is replaced in one step");
            assert_eq!(self.kind(&link).await, Some(FileKind::Symlink(to.clone())), "stat does not follow it");
        }
        self.files.link(&link, Path::new("two"), TOKEN).await.expect("where a link points may be relative");
        assert_eq!(self.kind(&link).await, Some(FileKind::Symlink("two".into())));
        self.write("link", b"mine").await;
        assert_eq!(self.kind(&link).await, Some(FileKind::File), "writing replaces a link");
        assert_eq!(self.read(&two).await.as_deref(), Some(b"2".as_slice()), "and not what it points to");
    }

    async fn renames_replace_files_and_no_directories(&self) {
        let (from, to) = (self.write("from", b"new").await, self.write("to", b"old").await);
        self.files.rename(&from, &to, TOKEN).await.expect("a file is replaced");
        assert_eq!((self.read(&to).await.as_deref(), self.read(&from).await), (Some(b"new".as_slice()), None));
        let directory = self.directory("kept").await;
        self.write("kept/inside", b"x").await;
        assert!(self.files.rename(&to, &directory, TOKEN).await.is_err(), "a directory is not replaced by a file");
        let other = self.directory("other").await;
        assert!(self.files.rename(&other, &directory, TOKEN).await.is_err(), "nor by a directory");
        assert_eq!(self.read(&directory.join("inside")).await.as_deref(), Some(b"x".as_slice()));
        let moved = self.at("moved");
        self.files.rename(&directory, &moved, TOKEN).await.expect("a directory can be renamed");
        assert_eq!(self.read(&moved.join("inside")).await.as_deref(), Some(b"x".as_slice()));
        assert!(self.files.rename(&self.at("absent"), &moved, TOKEN).await.is_err(), "nothing cannot be renamed");
    }

    async fn removal_takes_all_below_and_nothing_else(&self) {
        let outside = self.directory("outside").await;
        self.write("outside/precious", b"x").await;
        let inside = self.directory("inside/deep").await;
        self.write("inside/deep/file", b"x").await;
        self.files.link(&inside.join("way-out"), &outside, TOKEN).await.unwrap();
        let link = self.at("to-outside");
        self.files.link(&link, &outside, TOKEN).await.unwrap();
        for path in [self.at("inside"), link] {
            self.files.remove(&path, TOKEN).await.unwrap();
            assert_eq!(self.kind(&path).await, None);
        }
        let precious = self.read(&outside.join("precious")).await;
        assert_eq!(precious.as_deref(), Some(b"x".as_slice()), "a link is not followed");
    }

    async fn digests_tell_trees_apart(&self) {
        for name in ["tree-a", "tree-b"] {
            self.directory(&format!("{name}/below")).await;
            self.write(&format!("{name}/below/file"), b"same").await;
            self.files.link(&self.at(&format!("{name}/link")), Path::new("below/file"), TOKEN).await.unwrap();
        }
        let digest = async |name: &str| self.files.digest(&self.at(name)).await.unwrap();
        let first = digest("tree-a").await;
        assert_eq!(first, digest("tree-b").await, "equal trees have equal digests wherever they lie");
        assert_eq!((first.files, first.bytes), (2, 4), "files and links are counted, bytes are those of files");
        self.write("tree-b/below/file", b"Same").await;
        let content = digest("tree-b").await;
        self.files.write(&self.at("tree-b/below/file"), b"same", Permissions::Executable, TOKEN).await.unwrap();
        let mode = digest("tree-b").await;
        self.write("tree-b/below/file", b"same").await;
        self.files.link(&self.at("tree-b/link"), Path::new("elsewhere"), TOKEN).await.unwrap();
        let link = digest("tree-b").await;
        for (what, other) in [("content", &content), ("mode", &mode), ("where a link points", &link)] {
            assert_ne!(first.sha256, other.sha256, "the digest does not see a change of {what}");
        }
    }

    async fn held_files_tell_what_each_file_holds(&self) {
        self.directory("held/below").await;
        self.write("held/below/file", b"same").await;
        self.write("held/below-file", b"").await;
        let run = self.at("held/run");
        self.files.write(&run, b"run", Permissions::Executable, TOKEN).await.unwrap();
        self.files.link(&self.at("held/link"), Path::new("below"), TOKEN).await.unwrap();
        let held = |path: &str, mode: EntryMode, content: &[u8]| HeldFile {
            path: path.into(),
            mode: Some(mode),
            digest: FileDigest::of(content),
        };
        let wanted = [
            held("below-file", EntryMode::File, b""),
            held("below/file", EntryMode::File, b"same"),
            held("link", EntryMode::Symlink, b"below"),
            held("run", EntryMode::Executable, b"run"),
        ];
        assert_eq!(self.files.held_files(&self.at("held")).await.unwrap(), wanted, "a link is not followed");
        assert!(self.files.held_files(&self.at("not-there")).await.is_err());
    }

    async fn relative_paths_are_refused(&self) {
        let path = Path::new("relative-to-nothing");
        assert!(self.files.write(path, b"x", Permissions::Public, TOKEN).await.is_err());
        assert!(self.files.read(path).await.is_err());
        assert!(self.files.remove(path, TOKEN).await.is_err());
        assert!(self.files.ensure_directory(path, TOKEN).await.is_err());
    }

    async fn a_tree_is_put_whole(&self, source: Arc<dyn Source>, tree: &SourceRef) {
        let entries = source.list(tree).await.expect("the source has the tree");
        let path = self.at("put");
        let put = self.files.put_tree(&path, source.clone(), tree, TOKEN).await.expect("a tree can be put");
        assert_eq!(put.files, u64::try_from(entries.len()).unwrap_or_default(), "every file and link is there");
        assert_eq!(put, self.files.digest(&path).await.unwrap(), "what it tells is what lies there");
        for entry in entries.iter().filter(|entry| entry.mode != EntryMode::Symlink) {
            let wanted = source.read(tree, entry).await.expect("the source has its files");
            assert_eq!(self.read(&path.join(&entry.path)).await, Some(wanted), "{:?}", entry.path);
        }
        let again = self.files.put_tree(&path, source, tree, TOKEN).await;
        assert!(again.is_err(), "a tree is not put over something else");
        assert_eq!(put, self.files.digest(&path).await.unwrap(), "and what was there stays");
    }
}

//! What the ports of core promise, kept by this machine's shell, files, HTTP client and directory.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod given_up;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{EntryMode, FencingToken, Source, SourceEntry, SourceRef};
use pleach_core::testing::conformance;
use pleach_core::word::{CommitId, EnvironmentName, TargetName};
use pleach_remote::http::HttpClient;
use pleach_remote::local::{DirectorySettings, DirectoryTarget, Fence, LocalFiles, LocalShell};

/// An open fence beside an empty directory, in a folder whose name needs care.
fn place() -> (tempfile::TempDir, Fence, PathBuf) {
    let folder = tempfile::Builder::new().prefix("pleach pörts ").tempdir().unwrap();
    let scratch = folder.path().join("scratch 'x'");
    std::fs::create_dir(&scratch).unwrap();
    let plain = folder.path().join("scratch");
    std::fs::create_dir(&plain).unwrap();
    let fence = Fence::new(folder.path().join("fenced"));
    fence.raise(FencingToken(1)).unwrap();
    (folder, fence, scratch)
}

#[tokio::test]
async fn the_shell_keeps_what_shells_promise() {
    let (folder, fence, _) = place();
    // The suite quotes its place for `sh` with single quotes.
    conformance::shell(&LocalShell::new(fence), &folder.path().join("scratch")).await;
}

#[tokio::test]
async fn files_keep_what_files_promise() {
    let (_folder, fence, scratch) = place();
    let tree = SourceRef { commit: CommitId::new("a".repeat(40)).unwrap(), path: PathBuf::new() };
    conformance::files(&LocalFiles::new(fence), &scratch, Arc::new(Tree), &tree).await;
}

#[tokio::test]
async fn the_http_client_keeps_what_http_clients_promise() {
    let places = server::start();
    conformance::http(&HttpClient::new(), &places).await;
}

#[tokio::test]
async fn a_directory_refuses_whoever_comes_with_an_older_token() {
    let (folder, _, scratch) = place();
    let settings = DirectorySettings {
        path: folder.path().join("live"),
        keep: 5,
        host: "127.0.0.1".into(),
        port_offset: 0,
        docker_socket: None,
        program: PathBuf::from(env!("CARGO_BIN_EXE_pleach-remote-probe")),
    };
    let (environment, name) = (EnvironmentName::new("local").unwrap(), TargetName::new("here").unwrap());
    conformance::fencing(&DirectoryTarget::new(environment, name, settings), &scratch).await;
}

/// A small tree with all that git can hold.
struct Tree;

const FILES: &[(&str, EntryMode, &[u8])] = &[
    ("README with spaces", EntryMode::File, b"text\n"),
    ("bin/run", EntryMode::Executable, b"#!/bin/sh\n"),
    ("empty", EntryMode::File, b""),
    ("link", EntryMode::Symlink, b"bin/run"),
    ("nowhere", EntryMode::Symlink, b"../../not/there"),
    ("ünïcode/日本/\u{1f33f}.bin", EntryMode::File, b"\x00\xff"),
];

#[async_trait]
impl Source for Tree {
    async fn list(&self, _: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let entry = |(path, mode, _): &(&str, EntryMode, &[u8])| SourceEntry {
            path: path.into(),
            mode: *mode,
            id: (*path).to_owned(),
        };
        Ok(FILES.iter().map(entry).collect())
    }

    async fn read(&self, _: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let found = FILES.iter().find(|(path, ..)| Path::new(path) == entry.path).unwrap();
        Ok(found.2.to_vec())
    }

    async fn export(&self, _: &SourceRef, destination: &Path) -> Result<(), Failure> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::PermissionsExt;
        for (path, mode, content) in FILES {
            let path = destination.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if *mode == EntryMode::Symlink {
                std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(content), &path).unwrap();
                continue;
            }
            std::fs::write(&path, content).unwrap();
            let bits = if *mode == EntryMode::Executable { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
        }
        Ok(())
    }
}

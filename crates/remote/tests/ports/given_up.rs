//! A change that was given up does not come after the one that takes it back.

use std::fs::File;

use pleach_core::port::{FencingToken, Files, Permissions};
use pleach_core::testing::cut_after;
use pleach_remote::local::{Fence, LocalFiles};

#[tokio::test]
async fn a_removal_comes_after_a_write_that_was_dropped_halfway() {
    let folder = tempfile::tempdir().unwrap();
    let fence = Fence::new(folder.path());
    fence.raise(FencingToken(1)).unwrap();
    let (files, token) = (LocalFiles::new(fence), Some(FencingToken(1)));
    let path = folder.path().join("record");
    for _ in 0..50 {
        // Whoever holds this keeps every change waiting on its thread.
        let lock = File::open(folder.path().join(".pleach/fence.lock")).unwrap();
        lock.lock().unwrap();
        let dropped = cut_after(0, files.write(&path, b"late", Permissions::Public, token)).await;
        assert!(dropped.is_none());
        let (removed, ()) = tokio::join!(files.remove(&path, token), async { drop(lock) });
        removed.unwrap();
        assert_eq!(files.read(&path).await.unwrap(), None);
    }
}

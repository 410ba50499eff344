//! Concurrent appends are durable, whole and in order, and share their flushes.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod support;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pleach_core::error::Kind;
use pleach_core::port::Journal;
use pleach_store::{FileJournal, Sync, read_records};
use support::{number, record};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_writers_share_flushes_and_keep_their_order() {
    const WRITERS: u64 = 50;
    const EACH: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let flushes = Arc::new(AtomicU64::new(0));
    let counted = flushes.clone();
    let sync: Sync = Arc::new(move |file: &File| {
        counted.fetch_add(1, Ordering::Relaxed);
        // As slow as a real disk: while it runs, others queue up.
        std::thread::sleep(std::time::Duration::from_millis(1));
        file.sync_data()
    });
    let journal = Arc::new(FileJournal::create_with(&path, sync).unwrap());
    let writers = (0..WRITERS).map(|writer| {
        let journal = journal.clone();
        tokio::spawn(async move {
            for at in 0..EACH {
                let first = writer * 1000 + at * 2;
                journal.append(vec![record(first), record(first + 1)]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let numbers: Vec<u64> = read_records(&path).unwrap().0.iter().map(number).collect();
    assert_eq!(numbers.len() as u64, WRITERS * EACH * 2);
    for writer in 0..WRITERS {
        let own: Vec<u64> = numbers.iter().copied().filter(|number| number / 1000 == writer).collect();
        assert!(own.is_sorted(), "writer {writer}");
    }
    for pair in numbers.chunks(2) {
        assert_eq!(pair[0] + 1, pair[1], "one call's records stay together");
    }
    let flushes = flushes.load(Ordering::Relaxed);
    assert!(flushes * 4 < WRITERS * EACH, "{flushes} flushes for {} appends", WRITERS * EACH);
}

#[tokio::test]
async fn a_failed_flush_ends_the_journal_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let calls = Arc::new(AtomicU64::new(0));
    let sync: Sync = Arc::new(move |file: &File| match calls.fetch_add(1, Ordering::Relaxed) {
        1 => Err(std::io::Error::from_raw_os_error(5)),
        _ => file.sync_data(),
    });
    let journal = FileJournal::create_with(&path, sync).unwrap();
    journal.append(vec![record(1)]).await.unwrap();
    let failure = journal.append(vec![record(2)]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.next.unwrap().contains("pleach resume"));
    assert!(journal.append(vec![record(3)]).await.is_err(), "the kernel may have dropped pages: no second try");
    drop(journal);
    let (records, torn) = read_records(&path).unwrap();
    assert_eq!((records.iter().map(number).collect::<Vec<_>>(), torn), (vec![1], None));
}

#[tokio::test]
async fn a_full_disk_leaves_a_journal_that_can_be_read_and_gone_on_with() {
    // A write behind the limit of a file's size fails like one on a full disk: part of it is written first.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let limit = 2000;
    let sync: Sync = Arc::new(move |file: &File| {
        if file.metadata()?.len() > limit {
            return Err(std::io::Error::from_raw_os_error(28));
        }
        file.sync_data()
    });
    let journal = FileJournal::create_with(&path, sync).unwrap();
    let mut written = 0;
    while journal.append(vec![record(written + 1)]).await.is_ok() {
        written += 1;
    }
    drop(journal);
    let (records, torn) = read_records(&path).unwrap();
    assert_eq!((records.len() as u64, torn), (written, None));
    let journal = FileJournal::open(&path).unwrap();
    journal.append(vec![record(500)]).await.unwrap();
}

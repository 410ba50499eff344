//! Concurrent appends are durable, whole and in order, and share their flushes.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use pleach_core::port::Journal;
use pleach_store::{FileJournal, Flush, read_records};

use crate::support::{folder, numbers, record};

const WRITERS: u64 = 50;
const EACH: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_writers_share_flushes_and_keep_their_order() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let flushes = Arc::new(AtomicU64::new(0));
    let counted = flushes.clone();
    // A disk whose flush takes as long as it takes all others to queue up, said by the writers and not by a clock.
    let (waiting, working) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(WRITERS)));
    let (seen_waiting, seen_working) = (waiting.clone(), working.clone());
    let flush: Flush = Arc::new(move |file: &File| {
        counted.fetch_add(1, Ordering::SeqCst);
        while seen_waiting.load(Ordering::SeqCst) < seen_working.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        file.sync_data()
    });
    let journal = Arc::new(FileJournal::create_with(&path, flush).unwrap());
    let writers = (0..WRITERS).map(|writer| {
        let (journal, path, waiting, working) = (journal.clone(), path.clone(), waiting.clone(), working.clone());
        tokio::spawn(async move {
            for at in 0..EACH {
                let first = writer * 1000 + at * 2;
                waiting.fetch_add(1, Ordering::SeqCst);
                journal.append(vec![record(first), record(first + 1)]).await.unwrap();
                waiting.fetch_sub(1, Ordering::SeqCst);
                if at % 16 == 0 {
                    let there = numbers(&read_records(&path).unwrap().0);
                    assert!(there.contains(&(first + 1)), "what is acknowledged is in the file");
                }
            }
            working.fetch_sub(1, Ordering::SeqCst);
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let numbers = numbers(&read_records(&path).unwrap().0);
    assert_eq!(numbers.len() as u64, WRITERS * EACH * 2);
    for writer in 0..WRITERS {
        let own: Vec<u64> = numbers.iter().copied().filter(|number| number / 1000 == writer).collect();
        assert!(own.is_sorted(), "writer {writer}");
    }
    for pair in numbers.chunks(2) {
        assert_eq!(pair[0] + 1, pair[1], "one call's records stay together");
    }
    let flushes = flushes.load(Ordering::SeqCst);
    assert!(flushes * 4 < WRITERS * EACH, "{flushes} flushes for {} appends", WRITERS * EACH);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_flushed() {
    let folder = folder();
    let (begin, begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let flush: Flush = Arc::new(move |file: &File| {
        begin.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        file.sync_data()
    });
    let journal = Arc::new(FileJournal::create_with(&folder.path().join("journal.jsonl"), flush).unwrap());
    let append = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(vec![record(1)]).await }
    });
    tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!append.is_finished(), "its flush has not ended");
    assert_eq!(journal.replay().await.unwrap().records, [], "and nothing that is not durable is told");
    go_on.send(()).unwrap();
    append.await.unwrap().unwrap();
    assert_eq!(numbers(&journal.replay().await.unwrap().records), [1]);
}

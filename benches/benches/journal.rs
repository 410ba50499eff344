//! Appends a second against what the disk itself can flush, with 1, 5 and 50 writers.
//!
//! `cargo bench -p pleach-bench --bench journal`; `PLEACH_BENCH_DIR` names the disk.

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pleach_bench::{Table, describe_machine, median, scratch};
use pleach_core::journal::{Entry, Record};
use pleach_core::phase::Applied;
use pleach_core::port::Journal;
use pleach_store::FileJournal;

const APPENDS: usize = 2_000;
const ROUNDS: usize = 5;

fn main() {
    println!("{}", describe_machine());
    let folder = scratch("journal");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut table = Table::new(
        format!("Journal: durable appends of one entry, median of {ROUNDS} rounds of {APPENDS}"),
        &["writers", "appends a second", "the disk's own flushes a second", "ratio"],
    );
    for writers in [1, 5, 50] {
        let (mut ours, mut disk) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let path = folder.path().join(format!("{writers}-{round}.jsonl"));
            let begin = Instant::now();
            runtime.block_on(append(&path, writers));
            let own = begin.elapsed();
            let raw = flush(&folder.path().join("raw"), &std::fs::read(&path).expect("the journal"));
            if round > 0 {
                ours.push(own);
                disk.push(raw);
            }
        }
        let rate = |elapsed: Duration| APPENDS as f64 / elapsed.as_secs_f64();
        let (ours, disk) = (rate(median(&ours)), rate(median(&disk)));
        table.row(vec![writers.to_string(), format!("{ours:.0}"), format!("{disk:.0}"), format!("{:.2}", ours / disk)]);
    }
    table.print();
}

async fn append(path: &Path, writers: usize) {
    let journal = Arc::new(FileJournal::create(path).expect("a journal"));
    let writers: Vec<_> = (0..writers)
        .map(|writer| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for _ in 0..APPENDS / writers {
                    journal.append(vec![record(writer)]).await.expect("a durable append");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("it ends");
    }
}

fn record(lane: usize) -> Record {
    let entry = Entry::StepFinished {
        lane: format!("deploy/service-{lane}@here").parse().expect("an id"),
        step: "health".parse().expect("a name"),
        applied: Applied::changed("`/health` answered 200 twice in a row"),
    };
    Record { at: Timestamp::UNIX_EPOCH, entry }
}

/// The same lines, each flushed on its own.
fn flush(path: &Path, journal: &[u8]) -> Duration {
    let mut file = File::create(path).expect("a file");
    let begin = Instant::now();
    for line in journal.split_inclusive(|byte| *byte == b'\n').skip(1) {
        file.write_all(line).and_then(|()| file.sync_data()).expect("a flush");
    }
    begin.elapsed()
}

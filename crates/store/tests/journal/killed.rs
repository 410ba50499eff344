//! Whatever was acknowledged before a kill is there afterwards.

use std::path::Path;

use pleach_core::port::Journal;
use pleach_store::FileJournal;

use crate::support::{Part, block_on, numbers, part_argument, record};

/// The killed half of the test below.
#[test]
fn part_append_until_killed() {
    let Some(path) = part_argument() else { return };
    block_on(async {
        let journal = FileJournal::open(&path).unwrap();
        let last = journal.replay().await.unwrap().records.len() as u64;
        for at in last + 1.. {
            journal.append(vec![record(at)]).await.unwrap();
            println!("acknowledged {at}");
        }
    });
}

async fn kill_after(path: &Path, wanted: u64) -> u64 {
    let mut part = Part::start("killed::part_append_until_killed", path);
    let mut acknowledged = 0;
    for _ in 0..wanted {
        acknowledged = part.told("acknowledged ").expect("it appends until it is killed");
    }
    part.kill();
    // What it said before the kill reached it.
    while let Some(later) = part.told("acknowledged ") {
        acknowledged = later;
    }
    acknowledged
}

#[tokio::test]
async fn all_that_was_acknowledged_survives_kill_after_kill() {
    // On the disk, not in memory.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    drop(FileJournal::create(&path).unwrap());
    for wanted in [1, 7, 40, 2, 1] {
        let acknowledged = kill_after(&path, wanted).await;
        let replay = FileJournal::open(&path).unwrap().replay().await.unwrap();
        let there = replay.records.len() as u64;
        assert!(there >= acknowledged, "{there} of {acknowledged}");
        assert_eq!(numbers(&replay.records), (1..=there).collect::<Vec<_>>());
    }
}

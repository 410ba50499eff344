//! Two processes never append to the same journal.

use std::io::Write;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::Journal;
use pleach_store::{FileJournal, JournalError};

use crate::support::{Part, block_on, folder, part_argument, record};

/// The half of the test below that holds the journal.
#[test]
fn part_hold_until_told() {
    let Some(path) = part_argument() else { return };
    block_on(async {
        let journal = FileJournal::create(&path).unwrap();
        journal.append(vec![record(1)]).await.unwrap();
        println!("process {}", std::process::id());
        let _ = std::io::stdin().read_line(&mut String::new());
    });
}

#[test]
fn a_second_process_is_refused_and_told_who_writes() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let mut part = Part::start("one_writer::part_hold_until_told", &path);
    let process = part.told("process ").expect("it holds the journal");
    let failure = Failure::from(FileJournal::open(&path).err().unwrap());
    assert_eq!(failure.kind, Kind::Conflict);
    assert!(failure.what.ends_with(&format!("is being written by process {process}")), "{failure}");
    assert!(failure.next.unwrap().contains("`pleach status --watch`"));
    part.child.stdin.take().unwrap().write_all(b"\n").unwrap();
    part.child.wait().unwrap();
    FileJournal::open(&path).unwrap();
}

#[test]
fn a_journal_that_was_dropped_is_free_at_once() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let mut journal = FileJournal::create(&path).unwrap();
    for _ in 0..20 {
        assert!(matches!(FileJournal::open(&path).err().unwrap(), JournalError::Busy { .. }));
        drop(journal);
        journal = FileJournal::open(&path).unwrap();
    }
}

#[test]
fn a_journal_is_not_made_over_another() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    drop(FileJournal::create(&path).unwrap());
    assert!(matches!(FileJournal::create(&path).err().unwrap(), JournalError::File(_)));
}

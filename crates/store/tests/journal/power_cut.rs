//! A power cut may let any blocks of an interrupted flush through: those are cut. Zeros in what was durable are damage.

use std::fs;
use std::path::Path;

use pleach_core::port::Journal;
use pleach_store::{FileJournal, JournalError, read_records};

use super::cut_points::write;
use crate::support::{folder, numbers};

async fn recovered(path: &Path, bytes: &[u8]) -> (Vec<u64>, u64) {
    fs::write(path, bytes).unwrap();
    let replay = FileJournal::open(path).unwrap().replay().await.unwrap();
    (numbers(&replay.records), replay.torn.unwrap().bytes)
}

#[test]
fn unwritten_blocks_at_the_end_are_cut() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[2]);
    for kept in [ends[0] - 3, ends[0], ends[1], ends[1] + 30, ends[2]] {
        let torn = [&bytes[..kept], &[0; 4096]].concat();
        let whole = ends.iter().filter(|end| **end <= kept).count();
        let intact = whole.checked_sub(1).map_or(0, |last| ends[last]);
        let (numbers, cut) = crate::support::block_on(recovered(&path, &torn));
        assert_eq!((numbers.len(), cut), (whole.saturating_sub(1), (torn.len() - intact) as u64), "{kept}");
    }
}

#[test]
fn a_hole_in_the_last_flush_is_cut_with_all_behind_it() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[2, 6]);
    for hole in [ends[2]..ends[3], ends[3] - 20..ends[5] + 20, ends[4]..ends[5] - 1] {
        let mut torn = bytes.clone();
        torn[hole.clone()].fill(0);
        let first = ends.iter().filter(|end| **end <= hole.start).count() - 1;
        let (numbers, cut) = crate::support::block_on(recovered(&path, &torn));
        assert_eq!(numbers, (1..=first as u64).collect::<Vec<_>>(), "{hole:?}");
        assert_eq!(cut, (bytes.len() - ends[first]) as u64, "{hole:?}");
    }
}

#[test]
fn a_hole_before_the_last_flush_is_damage() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[2, 3, 2]);
    let mut damaged = bytes.clone();
    damaged[ends[3]..ends[4]].fill(0);
    fs::write(&path, &damaged).unwrap();
    for error in [read_records(&path).err(), FileJournal::open(&path).err()] {
        let Some(JournalError::Damaged { offset, line: 5, .. }) = error else { panic!("{error:?}") };
        assert_eq!(offset, ends[3] as u64);
    }
    assert_eq!(fs::read(&path).unwrap(), damaged);
}

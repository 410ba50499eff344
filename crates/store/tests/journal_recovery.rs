//! Whatever cut or damaged a journal: acknowledged records are there, or the damage is named. Nothing is lost silently.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod support;

use std::fs;
use std::path::Path;

use pleach_core::port::Journal;
use pleach_store::{FileJournal, JournalError, JournalReader, read_records};
use support::{number, part_argument, record, start_part};

async fn write(path: &Path, records: u64) {
    let journal = FileJournal::create(path).unwrap();
    for at in 1..=records {
        journal.append(vec![record(at)]).await.unwrap();
    }
}

#[tokio::test]
async fn every_cut_recovers_to_a_prefix_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.jsonl");
    write(&whole, 4).await;
    let bytes = fs::read(&whole).unwrap();
    let line_ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    for cut in 0..=bytes.len() {
        let path = folder.path().join("cut.jsonl");
        fs::write(&path, &bytes[..cut]).unwrap();
        let whole_lines = line_ends.iter().filter(|end| **end <= cut).count();
        let kept = u64::try_from(whole_lines.saturating_sub(1)).unwrap();
        let journal = FileJournal::open(&path).unwrap();
        let replay = journal.replay().await.unwrap();
        assert_eq!(
            replay.records.iter().map(number).collect::<Vec<_>>(),
            (1..=kept).collect::<Vec<_>>(),
            "cut at {cut}"
        );
        let end = if whole_lines == 0 { 0 } else { line_ends[whole_lines - 1] };
        assert_eq!(replay.torn.is_some(), cut > end, "cut at {cut}");
        if let Some(torn) = replay.torn {
            let beside = folder.path().join(format!("cut.jsonl.torn-{}", torn.offset));
            assert_eq!(fs::read(&beside).unwrap(), &bytes[end..cut], "what was cut is kept");
        }
        journal.append(vec![record(99)]).await.unwrap();
        drop(journal);
        let (records, torn) = read_records(&path).unwrap();
        assert_eq!((records.len() as u64, torn), (kept + 1, None), "cut at {cut}");
    }
}

#[tokio::test]
async fn every_flipped_bit_before_the_last_record_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    write(&path, 3).await;
    let bytes = fs::read(&path).unwrap();
    let last = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for bit in 0..last * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        match read_records(&path) {
            Err(JournalError::Damaged { offset, .. }) => {
                let begin = bytes[..bit / 8].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                assert!(offset as usize <= begin.max(1) || begin == 0, "bit {bit}: {offset} of {begin}");
            }
            Err(JournalError::Foreign(_) | JournalError::Newer { .. }) => assert!(bit / 8 < 22, "bit {bit}"),
            Err(other) => panic!("bit {bit}: {other}"),
            // The version's digit may become a smaller one, which is read.
            Ok((records, torn)) => {
                assert!(bit / 8 < 22 && records.len() == 3 && torn.is_none(), "bit {bit} went unseen");
            }
        }
        assert_eq!(fs::read(&path).unwrap(), damaged, "reading changes nothing");
    }
}

#[tokio::test]
async fn unwritten_blocks_at_the_end_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    write(&path, 2).await;
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0; 4096]);
    fs::write(&path, &bytes).unwrap();
    let replay = FileJournal::open(&path).unwrap().replay().await.unwrap();
    assert_eq!((replay.records.len(), replay.torn.unwrap().bytes), (2, 4096));
}

#[test]
fn a_newer_format_is_refused_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    fs::write(&path, "{\"pleach-journal\":99}\n{\"unknown\":true}\n").unwrap();
    let error = FileJournal::open(&path).err().unwrap();
    assert!(matches!(error, JournalError::Newer { found: 99, .. }), "{error}");
    let failure = pleach_core::error::Failure::from(error);
    assert!(failure.next.unwrap().contains("pleach --version"));
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    fs::write(&path, "[project]\nname = 1\n").unwrap();
    assert!(matches!(FileJournal::open(&path).err().unwrap(), JournalError::Foreign(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "[project]\nname = 1\n");
}

#[tokio::test]
async fn a_second_writer_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let _first = FileJournal::create(&path).unwrap();
    let error = FileJournal::open(&path).err().unwrap();
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_reader_follows_a_growing_journal_without_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = FileJournal::create(&path).unwrap();
    let mut reader = JournalReader::open(&path).unwrap();
    assert!(reader.read_new().unwrap().is_empty());
    for at in 1..5 {
        journal.append(vec![record(at)]).await.unwrap();
        assert_eq!(reader.read_new().unwrap().iter().map(number).collect::<Vec<_>>(), [at]);
    }
}

/// The killed half of the test below.
#[test]
fn part_append_until_killed() {
    let Some(path) = part_argument() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let journal = FileJournal::create(&path).unwrap();
        for at in 1.. {
            journal.append(vec![record(at)]).await.unwrap();
            println!("acknowledged {at}");
        }
    });
}

#[tokio::test]
async fn all_that_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for wanted in [1_u64, 7, 40] {
        let path = folder.path().join(format!("{wanted}.jsonl"));
        let (mut child, mut lines) = start_part("part_append_until_killed", &path);
        let mut acknowledged = 0;
        while acknowledged < wanted {
            let line = lines.next().expect("the child appends until it is killed");
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = number.trim().parse().unwrap();
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = lines.filter_map(|line| line.split_once("acknowledged ")?.1.trim().parse().ok()).last();
        let acknowledged = last.unwrap_or(acknowledged);
        let replay = FileJournal::open(&path).unwrap().replay().await.unwrap();
        assert!(replay.records.len() as u64 >= acknowledged, "{} of {acknowledged}", replay.records.len());
    }
}

#[test]
fn a_journal_of_format_1_is_read_by_every_later_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal-1.jsonl");
    let (records, torn) = read_records(&path).unwrap();
    assert_eq!(records.iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(torn, None);
}

//! A journal can be read while it is written, without its lock and without changing it.

use std::fs::{self, OpenOptions};
use std::io::Write;

use pleach_core::port::Journal;
use pleach_store::{FileJournal, JournalError, JournalReader, read_records};

use super::cut_points::write;
use crate::support::{folder, numbers, record};

#[tokio::test]
async fn a_reader_is_told_each_record_once() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let journal = FileJournal::create(&path).unwrap();
    let mut reader = JournalReader::open(&path).unwrap();
    assert!(reader.read_new().unwrap().is_empty());
    for at in 1..5 {
        journal.append(vec![record(2 * at), record(2 * at + 1)]).await.unwrap();
        assert_eq!(numbers(&reader.read_new().unwrap()), [2 * at, 2 * at + 1]);
        assert!(reader.read_new().unwrap().is_empty());
        assert_eq!(read_records(&path).unwrap().0.len() as u64, 2 * at);
    }
}

#[test]
fn a_record_is_told_when_it_is_whole_wherever_its_write_stands() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[1, 2]);
    let growing = folder.path().join("growing.jsonl");
    let mut file = OpenOptions::new().create_new(true).append(true).open(&growing).unwrap();
    let mut reader = JournalReader::open(&growing).unwrap();
    let mut told = 0;
    for (at, byte) in bytes.iter().enumerate() {
        file.write_all(&[*byte]).unwrap();
        told += reader.read_new().unwrap().len();
        assert_eq!(told, ends.iter().filter(|end| **end <= at + 1).count().saturating_sub(1), "at {at}");
    }
}

#[test]
fn what_was_taken_back_behind_a_reader_is_told() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[1, 1]);
    let mut reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.read_new().unwrap().len(), 2);
    fs::write(&path, &bytes[..ends[1]]).unwrap();
    assert!(matches!(reader.read_new().unwrap_err(), JournalError::Cut { .. }));
    // Grown again behind the reader's place, by other records.
    let again = [&bytes[..ends[1]], &bytes[ends[1]..], &bytes[ends[1]..]].concat();
    fs::write(&path, again).unwrap();
    assert!(matches!(reader.read_new().unwrap_err(), JournalError::Damaged { line: 4, .. }));
}

#[test]
fn a_reader_names_damage_and_other_files() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (mut bytes, ends) = write(&path, &[1, 1]);
    bytes[ends[0] + 30] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let error = JournalReader::open(&path).unwrap().read_new().unwrap_err();
    assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error:?}");
    fs::write(&path, "[project]\n").unwrap();
    let error = JournalReader::open(&path).unwrap().read_new().unwrap_err();
    assert!(matches!(error, JournalError::Foreign(_)), "{error:?}");
}

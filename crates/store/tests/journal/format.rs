//! Old journals are read for ever; what is newer, or no journal at all, is refused and left as it is.

use std::fs;
use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_store::{FileJournal, JournalError, JournalReader, read_records};

use crate::support::{folder, numbers};

/// Opens a file by each way in, which must leave it as it is.
fn refused(text: &str, is_wanted: impl Fn(&JournalError) -> bool) -> Failure {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    fs::write(&path, text).unwrap();
    let follow = JournalReader::open(&path).unwrap().read_new().err();
    let mut failures = Vec::new();
    for error in [read_records(&path).err(), FileJournal::open(&path).err(), follow] {
        let error = error.unwrap_or_else(|| panic!("{text:?} was read"));
        assert!(is_wanted(&error), "{text:?}: {error:?}");
        failures.push(Failure::from(error));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "the file is untouched");
    failures.remove(0)
}

fn read_back(name: &str) -> Vec<u64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let (records, torn) = read_records(&path).unwrap();
    assert_eq!(torn, None);
    assert_eq!(JournalReader::open(&path).unwrap().read_new().unwrap(), records);
    numbers(&records)
}

#[test]
fn journals_of_format_1_are_read_by_every_later_version() {
    assert_eq!(read_back("journal-1.jsonl"), [1, 2, 3]);
    assert_eq!(read_back("journal-1-flushes.jsonl"), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_newer_format_is_refused_and_says_what_to_do() {
    for text in ["{\"pleach-journal\":99}\n{\"unknown\":true}\n", "{\"pleach-journal\":2}\n"] {
        let failure = refused(text, |error| matches!(error, JournalError::Newer { .. }));
        assert_eq!(failure.kind, Kind::Unsupported);
        assert!(failure.next.unwrap().contains("newer one: this is `pleach --version`"));
    }
}

#[test]
fn an_entry_of_a_newer_pleach_is_refused_and_never_cut() {
    let covered = r#""seq":1,"record":{"at":"1970-01-01T00:00:00Z","entry":"beamed-up"}}"#;
    let crc = crc32fast::hash(covered.as_bytes());
    let text = format!("{{\"pleach-journal\":1}}\n{{\"crc\":\"{crc:08x}\",{covered}\n");
    let failure = refused(&text, |error| matches!(error, JournalError::Unread { offset: 21, line: 2, .. }));
    assert_eq!(failure.kind, Kind::Unsupported);
    assert!(failure.because[0].contains("beamed-up"), "{failure:?}");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    for text in ["[project]\nname = 1\n", "hello\n", "{\"pleach\":1}\n", "{\"pleach-journal\":0}\n"] {
        let failure = refused(text, |error| matches!(error, JournalError::Foreign(_)));
        assert!(failure.next.unwrap().contains("head -1"));
    }
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    fs::write(&path, "hello").unwrap();
    assert!(matches!(FileJournal::open(&path).err().unwrap(), JournalError::Foreign(_)), "also without a line's end");
}

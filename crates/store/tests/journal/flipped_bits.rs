//! A bit that changed before the last record is an error that names the line, and nothing is cut.

use std::fs;
use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_store::{FileJournal, JournalError, read_records};
use proptest::prelude::*;

use super::cut_points::write;
use crate::support::folder;

/// The header names the version in one digit, which may become another digit; then the journal is of another version.
const VERSION_AT: usize = "{\"pleach-journal\":".len();

fn check_flip(path: &Path, bytes: &[u8], ends: &[usize], bit: usize) {
    let at = bit / 8;
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1 << (bit % 8);
    fs::write(path, &damaged).unwrap();
    let line = ends.iter().filter(|end| **end <= at).count();
    let begin = line.checked_sub(1).map_or(0, |before| ends[before]);
    for error in [read_records(path).err(), FileJournal::open(path).err()] {
        match error {
            Some(JournalError::Damaged { offset, line: named, .. }) => {
                assert_eq!((offset, named), (begin as u64, line as u64 + 1), "bit {bit}");
            }
            Some(JournalError::Newer { .. }) => assert_eq!(at, VERSION_AT, "bit {bit}"),
            other => panic!("bit {bit} of `{}`: {other:?}", char::from(bytes[at])),
        }
    }
    assert_eq!(fs::read(path).unwrap(), damaged, "the file is untouched");
}

#[test]
fn every_flipped_bit_before_the_last_record_is_named_with_its_place() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[1, 2, 1]);
    let last = ends[ends.len() - 2];
    for bit in 0..last * 8 {
        check_flip(&path, &bytes, &ends, bit);
    }
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("torn")), "{names:?}");
}

#[test]
fn a_flipped_bit_in_the_last_record_is_cut_and_kept() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[1, 1]);
    let last = ends[ends.len() - 2];
    for bit in last * 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        let (records, torn) = read_records(&path).unwrap();
        assert_eq!((records.len(), torn.map(|torn| torn.offset)), (1, Some(last as u64)), "bit {bit}");
    }
}

#[test]
fn damage_is_told_in_four_parts() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (mut bytes, ends) = write(&path, &[1, 1]);
    bytes[ends[0] + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let failure = Failure::from(read_records(&path).unwrap_err());
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.what.ends_with(&format!("is damaged at byte {}, line 2", ends[0])), "{failure}");
    assert_eq!(failure.because, ["the line does not match its checksum"]);
    assert_eq!(failure.state.as_deref(), Some("the file is untouched"));
    assert!(failure.next.unwrap().contains(&format!("`sed -n 2p '{}'`", path.display())));
}

#[test]
fn a_line_that_is_missing_or_stands_twice_is_damage_also_at_the_end() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[1, 1, 1]);
    let missing = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
    let twice = [&bytes[..], &bytes[ends[2]..]].concat();
    for (damaged, line) in [(missing, 3), (twice, 5)] {
        fs::write(&path, &damaged).unwrap();
        let error = FileJournal::open(&path).err().unwrap();
        assert!(matches!(error, JournalError::Damaged { line: named, .. } if named == line), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_flipped_bit_of_any_journal_is_named(
        portions in proptest::collection::vec(1..20_u64, 2..12),
        place in any::<proptest::sample::Index>(),
    ) {
        let folder = folder();
        let path = folder.path().join("journal.jsonl");
        let (bytes, ends) = write(&path, &portions);
        check_flip(&path, &bytes, &ends, place.index(ends[ends.len() - 2] * 8));
    }
}

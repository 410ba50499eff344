//! Wherever the end of a journal is cut off, the whole records before are there, what was cut is kept, and it goes on.

use std::fs;
use std::path::Path;

use pleach_core::port::Journal;
use pleach_store::{FileJournal, read_records};
use proptest::prelude::*;

use crate::support::{block_on, folder, numbers, record};

/// Appends records in the given portions, numbered from 1; gives the file's bytes and where its lines end.
pub(crate) fn write(path: &Path, portions: &[u64]) -> (Vec<u8>, Vec<usize>) {
    block_on(async {
        let journal = FileJournal::create(path).unwrap();
        let mut next = 1;
        for portion in portions {
            journal.append((next..next + portion).map(record).collect()).await.unwrap();
            next += portion;
        }
    });
    let bytes = fs::read(path).unwrap();
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    (bytes, ends)
}

fn check_cut(folder: &Path, bytes: &[u8], ends: &[usize], cut: usize) {
    let path = folder.join(format!("{cut}.jsonl"));
    fs::write(&path, &bytes[..cut]).unwrap();
    let whole = ends.iter().filter(|end| **end <= cut).count();
    let kept: Vec<u64> = (1..whole as u64).collect();
    let end = whole.checked_sub(1).map_or(0, |last| ends[last]);

    let (records, torn) = read_records(&path).unwrap();
    assert_eq!((numbers(&records), torn.is_some()), (kept.clone(), cut > end), "read at {cut}");
    assert_eq!(fs::read(&path).unwrap(), &bytes[..cut], "reading cuts nothing");
    block_on(async {
        let journal = FileJournal::open(&path).unwrap();
        let replay = journal.replay().await.unwrap();
        assert_eq!(numbers(&replay.records), kept, "cut at {cut}");
        assert_eq!(replay.torn, torn);
        if let Some(torn) = torn {
            assert_eq!((torn.offset, torn.bytes), (end as u64, (cut - end) as u64));
            let beside = folder.join(format!("{cut}.jsonl.torn-{end}"));
            assert_eq!(fs::read(&beside).unwrap(), &bytes[end..cut], "what was cut is kept");
        }
        journal.append(vec![record(99)]).await.unwrap();
    });
    let (records, torn) = read_records(&path).unwrap();
    assert_eq!((numbers(&records), torn), ([kept, vec![99]].concat(), None), "cut at {cut}");
}

#[test]
fn every_cut_recovers_to_a_prefix_and_goes_on() {
    let folder = folder();
    let (bytes, ends) = write(&folder.path().join("whole.jsonl"), &[1, 3]);
    for cut in 0..=bytes.len() {
        check_cut(folder.path(), &bytes, &ends, cut);
    }
}

#[test]
fn two_ends_cut_at_the_same_place_are_both_kept() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, ends) = write(&path, &[1]);
    for torn in ["{\"crc\"", "{\"crc\":\"0000", "{\"crc\""] {
        fs::write(&path, [&bytes[..], torn.as_bytes()].concat()).unwrap();
        FileJournal::open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let kept = |ending| fs::read_to_string(folder.path().join(format!("journal.jsonl.torn-{}{ending}", ends[1])));
    assert_eq!((kept("").unwrap(), kept(".2").unwrap()), ("{\"crc\"".into(), "{\"crc\":\"0000".into()));
    assert!(kept(".3").is_err(), "the same end is kept once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_journal_cut_anywhere_recovers_to_a_prefix(
        portions in proptest::collection::vec(1..6_u64, 1..6),
        place in any::<proptest::sample::Index>(),
    ) {
        let folder = folder();
        let (bytes, ends) = write(&folder.path().join("whole.jsonl"), &portions);
        check_cut(folder.path(), &bytes, &ends, place.index(bytes.len() + 1));
    }
}

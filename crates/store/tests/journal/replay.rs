//! A replay tells what is durable at that moment, and a torn end once.

use std::fs;

use pleach_core::port::Journal;
use pleach_store::FileJournal;

use super::cut_points::write;
use crate::support::{folder, numbers, record};

#[tokio::test]
async fn a_replay_tells_what_was_appended_since_it_was_opened() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let journal = FileJournal::create(&path).unwrap();
    journal.append(vec![record(1)]).await.unwrap();
    assert_eq!(numbers(&journal.replay().await.unwrap().records), [1], "also if it is the first replay");
    journal.append(Vec::new()).await.unwrap();
    journal.append(vec![record(2)]).await.unwrap();
    assert_eq!(numbers(&journal.replay().await.unwrap().records), [1, 2]);
}

#[test]
fn a_torn_end_is_told_once() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let (bytes, _) = write(&path, &[2]);
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    crate::support::block_on(async {
        let journal = FileJournal::open(&path).unwrap();
        assert!(journal.replay().await.unwrap().torn.is_some());
        let again = journal.replay().await.unwrap();
        assert_eq!((numbers(&again.records), again.torn), (vec![1], None));
    });
}

#[tokio::test]
async fn ordinary_tools_read_it() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let journal = FileJournal::create(&path).unwrap();
    journal.append(vec![record(1), record(2)]).await.unwrap();
    for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if at > 0 {
            assert_eq!((&line["seq"], &line["record"]["entry"]), (&at.into(), &"batch-released".into()));
        }
    }
}

//! What cannot be written ends the journal at once and for good, and leaves it readable.

use std::fs::{self, File};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pleach_core::error::Kind;
use pleach_core::port::Journal;
use pleach_store::{FileJournal, Flush, read_records};

use crate::support::{Part, block_on, folder, numbers, part_argument, record};

/// A disk whose flushes fail from a certain one on with a certain error, and then no more.
fn failing(first: u64, error: i32) -> Flush {
    let calls = AtomicU64::new(0);
    Arc::new(move |file: &File| match calls.fetch_add(1, Ordering::SeqCst) {
        call if call == first => Err(std::io::Error::from_raw_os_error(error)),
        _ => file.sync_data(),
    })
}

#[tokio::test]
async fn a_failed_flush_ends_the_journal_for_good() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    for (error, words) in [(5, "Input/output error"), (28, "No space left on device")] {
        let _ = fs::remove_file(&path);
        let journal = FileJournal::create_with(&path, failing(1, error)).unwrap();
        journal.append(vec![record(1)]).await.unwrap();
        for number in [2, 3] {
            // The second time the flush would succeed: the kernel may have dropped the pages, so it is not tried.
            let failure = journal.append(vec![record(number)]).await.unwrap_err();
            assert_eq!(failure.kind, Kind::Rejected);
            assert!(failure.what.ends_with("takes no more entries"), "{failure}");
            assert!(failure.because[0].contains(words), "{failure:?}");
            assert!(failure.state.unwrap().contains("acknowledged before is durable"));
            assert!(failure.next.unwrap().contains("`pleach resume "));
        }
        assert_eq!(numbers(&journal.replay().await.unwrap().records), [1], "what was acknowledged can be read");
        drop(journal);
        let (records, torn) = read_records(&path).unwrap();
        assert_eq!((numbers(&records), torn), (vec![1], None), "what nobody was told is taken back");
    }
}

#[tokio::test]
async fn all_that_wait_for_a_failed_flush_are_told() {
    let folder = folder();
    let journal = FileJournal::create_with(&folder.path().join("journal.jsonl"), failing(0, 5)).unwrap();
    let appends = [1, 2, 3].map(|number| journal.append(vec![record(number)]));
    let [one, two, three] = appends;
    let (one, two, three) = tokio::join!(one, two, three);
    assert!(one.is_err() && two.is_err() && three.is_err());
}

#[tokio::test]
async fn after_the_disk_is_mended_the_journal_goes_on() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let journal = FileJournal::create_with(&path, failing(1, 28)).unwrap();
    journal.append(vec![record(1)]).await.unwrap();
    journal.append(vec![record(2)]).await.unwrap_err();
    drop(journal);
    let journal = FileJournal::open(&path).unwrap();
    journal.append(vec![record(3)]).await.unwrap();
    assert_eq!(numbers(&read_records(&path).unwrap().0), [1, 3]);
}

/// The half of the test below that has a small disk.
#[test]
fn part_append_until_full() {
    let Some(path) = part_argument() else { return };
    block_on(async {
        let journal = FileJournal::create(&path).unwrap();
        let mut appended = 0;
        while journal.append(vec![record(appended + 1), record(appended + 2)]).await.is_ok() {
            appended += 2;
        }
        assert!(journal.append(vec![record(1)]).await.is_err());
        println!("appended {appended}");
    });
}

#[tokio::test]
async fn a_full_disk_leaves_a_journal_that_can_be_read_and_gone_on_with() {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    // A file behind the limit of its size fails like one on a full disk: a part is written first. The limit's signal
    // is ignored, as an error is wanted.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let mut part = Part::start_by(limited, "failed_write::part_append_until_full", &path);
    let appended = part.told("appended ").expect("it tells how much it appended");
    assert!(part.child.wait().unwrap().success());
    let length = fs::metadata(&path).unwrap().len();
    assert!(appended >= 10 && length <= 8 * 1024, "{appended} records in {length} bytes");
    let (records, torn) = read_records(&path).unwrap();
    assert_eq!((numbers(&records), torn), ((1..=appended).collect(), None));
    let journal = FileJournal::open(&path).unwrap();
    journal.append(vec![record(500)]).await.unwrap();
}

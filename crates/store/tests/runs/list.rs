//! A list tells every run that began, the newest first, and never an end that is not proven.

use std::fs;
use std::path::Path;
use std::time::Instant;

use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::port::{RunEntry, Runs};
use pleach_store::FileRuns;

use crate::support::{begun, ended, folder, plan, record, run};

/// A run of so many lanes whose records are appended one by one; gives its journal's bytes.
async fn write(folder: &Path, name: &str, lanes: usize, outcome: Option<Outcome>) -> Vec<u8> {
    let runs = FileRuns::open(folder).unwrap();
    let (approved, id) = plan(lanes);
    let journal = runs.create(&run(name), &id).await.unwrap();
    journal.append(vec![begun(&run(name), approved, lanes as i64)]).await.unwrap();
    for number in 0..3 {
        journal.append(vec![record(number)]).await.unwrap();
    }
    journal.append(outcome.into_iter().map(ended).collect()).await.unwrap();
    fs::read(runs.journal_path(&run(name))).unwrap()
}

fn only(folder: &Path) -> Option<RunEntry> {
    let mut entries = FileRuns::open(folder).unwrap().entries().unwrap();
    assert!(entries.len() < 2);
    entries.pop()
}

/// Their clocks tell another order.
#[tokio::test]
async fn runs_are_told_with_plan_time_and_outcome_the_newest_first() {
    let folder = folder();
    write(folder.path(), "a", 3, Some(Outcome::Succeeded)).await;
    write(folder.path(), "b", 1, None).await;
    write(folder.path(), "c", 2, Some(Outcome::Stuck)).await;
    fs::write(folder.path().join("runs/notes"), "not a run").unwrap();
    fs::create_dir(folder.path().join("runs/empty")).unwrap();
    let entries = FileRuns::open(folder.path()).unwrap().list().await.unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.run.as_str(), entry.outcome)).collect();
    assert_eq!(told, [("c", Some(Outcome::Stuck)), ("b", None), ("a", Some(Outcome::Succeeded))]);
    let (approved, id) = plan(3);
    assert_eq!(entries[2].plan, id);
    assert_eq!(entries[2].environment, approved.plan().environment);
    let started: Vec<i64> = entries.iter().map(|entry| entry.started.as_second()).collect();
    assert_eq!(started, [2, 1, 3]);
}

#[tokio::test]
async fn wherever_it_is_cut_a_run_is_not_at_its_end_before_its_last_record_is_whole() {
    let folder = folder();
    let bytes = write(folder.path(), "a", 1, Some(Outcome::Succeeded)).await;
    let path = folder.path().join("runs/a/journal.jsonl");
    let began = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let entry = only(folder.path());
        assert_eq!(entry.is_some(), cut >= began, "cut at {cut}");
        assert_eq!(entry.and_then(|entry| entry.outcome), None, "cut at {cut}");
    }
    fs::write(&path, [&bytes[..], &[0; 600]].concat()).unwrap();
    assert_eq!(only(folder.path()).unwrap().outcome, Some(Outcome::Succeeded), "zeros behind it are no record");
}

#[tokio::test]
async fn an_end_that_was_torn_is_no_end_and_the_record_before_it_counts() {
    let folder = folder();
    let bytes = write(folder.path(), "a", 1, Some(Outcome::Held)).await;
    let path = folder.path().join("runs/a/journal.jsonl");
    let torn = [&bytes[..], b"{\"crc\":\"00000000\",\"seq\":6,\"record\":{}}\n"].concat();
    fs::write(&path, torn).unwrap();
    assert_eq!(only(folder.path()).unwrap().outcome, Some(Outcome::Held), "a torn line behind an end is cut");

    let runs = FileRuns::open(folder.path()).unwrap();
    let journal = runs.open(&run("a")).await.unwrap();
    journal.append(vec![record(7), record(8), ended(Outcome::Succeeded)]).await.unwrap();
    drop(journal);
    assert_eq!(only(folder.path()).unwrap().outcome, Some(Outcome::Succeeded));
    // A power cut kept the end of the last flush and not its begin.
    let mut torn = fs::read(&path).unwrap();
    torn[bytes.len() + 20..bytes.len() + 60].fill(0);
    fs::write(&path, torn).unwrap();
    assert_eq!(only(folder.path()).unwrap().outcome, Some(Outcome::Held), "as it is when it is opened");
    let replay = runs.open(&run("a")).await.unwrap().replay().await.unwrap();
    assert_eq!(replay.records.last(), Some(&ended(Outcome::Held)));
}

#[tokio::test]
async fn a_run_whose_begin_cannot_be_read_is_an_error_and_not_left_out() {
    let folder = folder();
    let bytes = write(folder.path(), "a", 1, Some(Outcome::Succeeded)).await;
    let path = folder.path().join("runs/a/journal.jsonl");
    let mut damaged = bytes.clone();
    damaged[200] ^= 1;
    let newer = b"{\"pleach-journal\":9}\n".to_vec();
    for (bytes, kind) in [(damaged, Kind::Rejected), (newer, Kind::Unsupported)] {
        fs::write(&path, bytes).unwrap();
        let failure = Failure::from(FileRuns::open(folder.path()).unwrap().entries().unwrap_err());
        assert_eq!(failure.kind, kind);
        assert!(failure.what.contains("runs/a/journal.jsonl") && failure.next.is_some(), "{failure:?}");
    }
}

#[tokio::test]
async fn a_list_reads_no_more_than_the_begin_and_the_end() {
    let folder = folder();
    let bytes = write(folder.path(), "a", 1, None).await;
    let path = folder.path().join("runs/a/journal.jsonl");
    // A gigabyte between the two that was never written: read whole, this would take seconds and the memory.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[last..], 1 << 30).unwrap();
    let begin = Instant::now();
    assert_eq!(only(folder.path()).unwrap().outcome, None);
    assert!(begin.elapsed().as_millis() < 500, "{:?}", begin.elapsed());
}

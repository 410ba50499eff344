//! Journals that older versions wrote are read by every later one.

use std::collections::BTreeSet;

use pleach_core::engine::LaneStatus;
use pleach_core::journal::{Entry, Outcome, Record};
use pleach_core::report::{Cause, Report};
use serde_json::Value;

/// Several runs, one after the other, as version 1 wrote them. Never changed: a later version adds a file of its own.
const VERSION_1: &str = include_str!("data/journal-v1.jsonl");

fn runs(text: &str) -> Vec<Vec<Record>> {
    let mut runs: Vec<Vec<Record>> = Vec::new();
    for line in text.lines() {
        let record: Record = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if matches!(record.entry, Entry::RunStarted { .. }) {
            runs.push(Vec::new());
        }
        runs.last_mut().expect("a journal begins with its run").push(record);
    }
    runs
}

#[test]
fn a_journal_of_version_1_tells_what_it_told_when_it_was_written() {
    let told: Vec<(Option<Outcome>, Cause, Vec<LaneStatus>)> = runs(VERSION_1)
        .iter()
        .map(|records| Report::fold(records).expect("it can be folded"))
        .map(|report| (report.outcome, report.cause, report.lanes.iter().map(|lane| lane.status).collect()))
        .collect();
    use LaneStatus::{Done, Skipped, Stuck, TakenBack};
    assert_eq!(
        told,
        [
            (Some(Outcome::RolledBack), Cause::Request, vec![TakenBack, TakenBack]),
            (Some(Outcome::RolledBack), Cause::Failure, vec![Skipped]),
            (Some(Outcome::Stuck), Cause::Request, vec![Done, Stuck]),
            (Some(Outcome::RolledBack), Cause::Interrupt, vec![TakenBack, TakenBack]),
        ]
    );
}

#[test]
fn version_1_has_every_entry_and_is_written_as_it_was_read() {
    let mut seen = BTreeSet::new();
    for line in VERSION_1.lines() {
        let before: Value = serde_json::from_str(line).expect("JSON");
        let record: Record = serde_json::from_str(line).expect("a record");
        assert_eq!(serde_json::to_value(&record).expect("JSON"), before);
        seen.insert(before["entry"].as_str().unwrap_or_default().to_owned());
    }
    let all = [
        "batch-paused",
        "batch-released",
        "cancelled",
        "capture-started",
        "captured",
        "discard-started",
        "discarded",
        "inspect-failed",
        "inspect-started",
        "inspected",
        "lease-taken",
        "proven",
        "resumed",
        "rollback-requested",
        "run-finished",
        "run-started",
        "snapshot-failed",
        "step-failed",
        "step-finished",
        "step-started",
        "step-unknown",
        "step-withdrawn",
        "undo-failed",
        "undo-finished",
        "undo-started",
    ];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn fields_that_a_newer_writer_adds_are_passed_over() {
    let line = VERSION_1.lines().find(|line| line.contains("\"step-started\"")).expect("there is one");
    let newer = line.replacen('{', "{\"of-a-newer-version\":[1],", 1);
    let (old, new): (Record, Record) = (serde_json::from_str(line).unwrap(), serde_json::from_str(&newer).unwrap());
    assert_eq!(old, new);
}

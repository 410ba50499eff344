//! What several promises share.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "each promise uses its own part")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use pleach_core::journal::{Entry, Record};
use pleach_core::port::{Clock, LeaseRequest};

/// A record that names `number`.
pub(crate) fn record(number: u64) -> Record {
    let batch = u32::try_from(number).expect("small");
    Record { at: Timestamp::UNIX_EPOCH, entry: Entry::BatchReleased { stage: "deploy".parse().unwrap(), batch } }
}

/// The number that a record names.
pub(crate) fn number(record: &Record) -> u64 {
    match &record.entry {
        Entry::BatchReleased { batch, .. } => u64::from(*batch),
        other => panic!("{other:?}"),
    }
}

pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(WallClock)
}

pub(crate) fn request(run: &str) -> LeaseRequest {
    LeaseRequest {
        environment: "local".parse().unwrap(),
        target: "here".parse().unwrap(),
        run: run.parse().unwrap(),
        reason: "tests".into(),
        lifetime: std::time::Duration::from_secs(60),
    }
}

/// Starts this test program again, in the part named `part`, with one argument; gives the child and its output lines.
/// The part itself is a test that does nothing unless it is started this way.
pub(crate) fn start_part(part: &str, argument: &std::path::Path) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([part, "--exact", "--nocapture", "--test-threads=1"])
        .env("PLEACH_TEST_PART", argument)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

/// The argument, if this process was started by [`start_part`].
pub(crate) fn part_argument() -> Option<std::path::PathBuf> {
    std::env::var_os("PLEACH_TEST_PART").map(Into::into)
}

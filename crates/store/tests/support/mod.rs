//! What several promises share.
#![allow(dead_code, reason = "each promise uses its own part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use pleach_core::journal::{Entry, FORMAT, Outcome, Record};
use pleach_core::plan::ApprovedPlan;
use pleach_core::port::{Clock, LeaseRequest};
use pleach_core::testing::PlanShape;
use pleach_core::word::{PlanId, RunId};
use tempfile::TempDir;

/// A scratch directory; in memory where there is such a place, since thousands of flushes are waited for here.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

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

pub(crate) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(number).collect()
}

/// The first record of a run.
pub(crate) fn begun(run: &RunId, plan: ApprovedPlan, second: i64) -> Record {
    let at = Timestamp::from_second(second).unwrap();
    Record { at, entry: Entry::RunStarted { format: FORMAT, run: run.clone(), plan: Arc::new(plan) } }
}

/// The last record of a run.
pub(crate) fn ended(outcome: Outcome) -> Record {
    Record { at: Timestamp::UNIX_EPOCH, entry: Entry::RunFinished { outcome } }
}

pub(crate) fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

/// A plan of so many lanes.
pub(crate) fn plan(lanes: usize) -> (ApprovedPlan, PlanId) {
    let approved = PlanShape::wide(lanes, 2).approved();
    let id = approved.id().clone();
    (approved, id)
}

struct WallClock;

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

/// A part of this test program that runs as a process of its own; killed when it is dropped.
pub(crate) struct Part {
    pub(crate) child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Part {
    /// Starts the test named `part` again, with one argument. It does nothing unless it is started this way.
    pub(crate) fn start(part: &str, argument: &Path) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), part, argument)
    }

    /// The same by a command that ends in this test program.
    pub(crate) fn start_by(mut command: Command, part: &str, argument: &Path) -> Self {
        let mut child = command
            .args([part, "--exact", "--nocapture", "--test-threads=1"])
            .env("PLEACH_TEST_PART", argument)
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        Self { child, lines: Box::new(lines) }
    }

    /// The number that the part tells next behind `word`; `None` when it has ended.
    pub(crate) fn told(&mut self, word: &str) -> Option<u64> {
        self.lines.find_map(|line| line.split_once(word)?.1.trim().parse().ok())
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The argument, if this process is a [`Part`].
pub(crate) fn part_argument() -> Option<PathBuf> {
    std::env::var_os("PLEACH_TEST_PART").map(Into::into)
}

/// Runs a part's work.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

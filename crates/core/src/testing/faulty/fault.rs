//! Which call goes wrong, and how.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Failure, Kind};
use crate::testing::cut_after;

/// How one call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and fails.
    Fail(Kind),
    /// It does nothing and never returns.
    Hang,
    /// It is done, and then a time-out is reported.
    DoneThenTimeOut,
    /// It is cut at its first await, and a time-out is reported. A call that never waits is done.
    Partial,
    /// It is done after this long.
    Slow(Duration),
    /// It is done twice, as by a proxy that repeats a request. Appends to a journal are not repeated.
    Twice,
}

impl Fault {
    /// One of each, for tests that try them all.
    pub const ALL: [Self; 7] = [
        Self::Fail(Kind::Transient),
        Self::Fail(Kind::Rejected),
        Self::Hang,
        Self::DoneThenTimeOut,
        Self::Partial,
        Self::Slow(Duration::from_secs(3)),
        Self::Twice,
    ];
}

/// Which calls go wrong; all others are passed on.
#[derive(Debug, Default)]
pub struct FaultPlan {
    faults: BTreeMap<usize, Fault>,
    every: Option<Fault>,
    calls: Mutex<Vec<String>>,
}

impl FaultPlan {
    /// No call goes wrong: counts what is called.
    pub fn none() -> Self {
        Self::default()
    }

    /// The calls of these numbers, from 0, go wrong.
    pub fn at(faults: impl IntoIterator<Item = (usize, Fault)>) -> Self {
        Self { faults: faults.into_iter().collect(), ..Self::default() }
    }

    /// Every call goes wrong.
    pub fn every(fault: Fault) -> Self {
        Self { every: Some(fault), ..Self::default() }
    }

    /// What was called so far, in order: `shell.run`, `files.write`.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn next(&self, call: &str) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap();
        let at = calls.len();
        calls.push(call.to_owned());
        self.faults.get(&at).copied().or(self.every)
    }

    /// Makes a call as planned. `make` begins it, and may be called twice.
    pub async fn around<T, F>(&self, call: &str, make: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let timed_out = || Failure::new(Kind::UnknownOutcome, format!("`{call}` gave no answer in time"));
        match self.next(call) {
            None => make().await,
            Some(Fault::Fail(kind)) => Err(Failure::new(kind, format!("`{call}` failed")).because("it was planned to")),
            Some(Fault::Hang) => pending().await,
            Some(Fault::DoneThenTimeOut) => {
                make().await?;
                Err(timed_out())
            }
            Some(Fault::Partial) => match cut_after(0, make()).await {
                Some(done) => done,
                None => Err(timed_out()),
            },
            Some(Fault::Slow(time)) => {
                sleep(time).await;
                make().await
            }
            Some(Fault::Twice) => {
                make().await?;
                make().await
            }
        }
    }
}

//! What scripted targets do, call by call.

use std::collections::BTreeMap;

use crate::error::Kind;
use crate::word::{LaneId, SnapshotId, StepName};

/// What happens at each call in turn, and from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns<T> {
    /// At the first calls, one each.
    pub first: Vec<T>,
    /// At all later ones.
    pub then: T,
}

impl<T: Clone> Turns<T> {
    /// The same at every call.
    pub fn always(then: T) -> Self {
        Self { first: Vec::new(), then }
    }

    /// `act` at the first `times` calls, then `then`.
    pub fn times(times: usize, act: T, then: T) -> Self {
        Self { first: vec![act; times], then }
    }

    /// What happens at a call, counted from 0.
    pub fn at(&self, call: usize) -> T {
        self.first.get(call).unwrap_or(&self.then).clone()
    }
}

/// What applying a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Does it.
    Change,
    /// Does it and warns.
    Warn,
    /// Does nothing and fails.
    Fail(Kind),
    /// Does half and fails.
    Half(Kind),
    /// Does it all and then says that it failed: with [`Kind::UnknownOutcome`], a time-out after the fact.
    DoneThen(Kind),
    /// Does nothing and never answers.
    Hang,
    /// Does it and never answers.
    DoneThenHang,
    /// Does half and panics.
    Panic,
    /// Does it and names nothing that it read back.
    Silent,
}

/// What looking at a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookAct {
    /// Tells what is there.
    Truth,
    /// Fails.
    Fail(Kind),
    /// Never answers.
    Hang,
    /// Panics.
    Panic,
    /// Claims that all is settled where it is, and names nothing that it read back.
    Silent,
}

/// What undoing a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoAct {
    /// Takes it back.
    Undo,
    /// Leaves it and fails.
    Fail(Kind),
    /// Takes half back and fails.
    Half(Kind),
    /// Takes it back and then says that it failed.
    DoneThen(Kind),
    /// Leaves it and never answers.
    Hang,
    /// Panics in the middle.
    Panic,
    /// Takes it back and names nothing that it read back.
    Silent,
}

/// What a call to a snapshot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureAct {
    /// Succeeds.
    Succeed,
    /// Fails.
    Fail(Kind),
    /// Never answers.
    Hang,
    /// Panics.
    Panic,
    /// Succeeds and names nothing that it read back.
    Silent,
}

/// How long a call takes, in milliseconds of the test's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Before anything is done.
    pub before: u64,
    /// Between the first half and the second.
    pub between: u64,
    /// After all is done, before the answer comes.
    pub after: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { before: 1, between: 2, after: 1 }
    }
}

/// What one step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepScript {
    /// Applying it.
    pub apply: Turns<Act>,
    /// Looking at it.
    pub look: Turns<LookAct>,
    /// Undoing it, or restoring its snapshots.
    pub undo: Turns<UndoAct>,
    /// How long each call takes.
    pub pace: Pace,
    /// The target is as wanted before the run: a good apply answers "unchanged".
    pub already_there: bool,
    /// Whether it stops half-way when it is asked to.
    pub heeds_cancel: bool,
}

impl Default for StepScript {
    fn default() -> Self {
        Self {
            apply: Turns::always(Act::Change),
            look: Turns::always(LookAct::Truth),
            undo: Turns::always(UndoAct::Undo),
            pace: Pace::default(),
            already_there: false,
            heeds_cancel: false,
        }
    }
}

impl StepScript {
    /// Whether every call succeeds.
    pub fn is_smooth(&self) -> bool {
        Self { pace: self.pace, already_there: self.already_there, heeds_cancel: self.heeds_cancel, ..Self::default() }
            == *self
    }

    /// Applying does these in turn, then succeeds.
    pub fn applying(first: impl IntoIterator<Item = Act>) -> Self {
        Self { apply: Turns { first: first.into_iter().collect(), then: Act::Change }, ..Self::default() }
    }

    /// Looking does these in turn, then tells the truth.
    #[must_use]
    pub fn looking(mut self, first: impl IntoIterator<Item = LookAct>) -> Self {
        self.look = Turns { first: first.into_iter().collect(), then: LookAct::Truth };
        self
    }

    /// Undoing does these in turn, then succeeds.
    #[must_use]
    pub fn undoing(mut self, first: impl IntoIterator<Item = UndoAct>) -> Self {
        self.undo = Turns { first: first.into_iter().collect(), then: UndoAct::Undo };
        self
    }

    /// Undoing does this each time.
    #[must_use]
    pub fn always_undoing(mut self, act: UndoAct) -> Self {
        self.undo = Turns::always(act);
        self
    }
}

/// What one snapshot does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotScript {
    /// Capturing it.
    pub capture: Turns<CaptureAct>,
    /// Proving it.
    pub prove: Turns<CaptureAct>,
    /// Discarding it.
    pub discard: Turns<CaptureAct>,
    /// How long each call takes.
    pub pace: Pace,
}

impl Default for SnapshotScript {
    fn default() -> Self {
        let succeed = Turns::always(CaptureAct::Succeed);
        Self { capture: succeed.clone(), prove: succeed.clone(), discard: succeed, pace: Pace::default() }
    }
}

impl SnapshotScript {
    /// Whether every call succeeds.
    pub fn is_smooth(&self) -> bool {
        Self { pace: self.pace, ..Self::default() } == *self
    }
}

/// What the whole world does. Steps and snapshots that are not named succeed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// By lane and step.
    pub steps: BTreeMap<(LaneId, StepName), StepScript>,
    /// By snapshot.
    pub snapshots: BTreeMap<SnapshotId, SnapshotScript>,
}

impl Script {
    /// Everything succeeds.
    pub fn smooth() -> Self {
        Self::default()
    }

    /// Scripts one step.
    #[must_use]
    pub fn step(mut self, lane: &str, step: &str, script: StepScript) -> Self {
        let key = (LaneId::new(lane).expect("a lane id"), StepName::new(step).expect("a step name"));
        self.steps.insert(key, script);
        self
    }

    /// Scripts one snapshot.
    #[must_use]
    pub fn snapshot(mut self, id: &str, script: SnapshotScript) -> Self {
        self.snapshots.insert(SnapshotId::new(id).expect("a snapshot id"), script);
        self
    }
}

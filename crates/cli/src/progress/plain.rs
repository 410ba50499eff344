//! Events as lines, where no block can be drawn.

use pleach_core::engine::State;
use pleach_core::event::Event;
use pleach_core::journal::{Cancel, Entry, Outcome};
use pleach_core::word::{LaneId, StepName};

use super::face::Voice;
use crate::print::{between, clean, duration_text};

/// The lines that an event is worth.
pub(super) fn lines(event: &Event, state: &State, voice: Voice) -> Vec<String> {
    match event {
        Event::Entry { record, .. } if voice != Voice::Quiet => entry_line(&record.entry, state).into_iter().collect(),
        Event::Line { lane, line, .. } if voice == Voice::Output => {
            vec![format!("{} | {}", name(state, lane), clean(line))]
        }
        Event::SnapshotLine { snapshot, line } if voice == Voice::Output => {
            vec![format!("{snapshot} | {}", clean(line))]
        }
        Event::LeaseAtRisk { target, failure } => {
            vec![format!("warning: the lease of target `{target}` is at risk: {failure}")]
        }
        Event::TornTail { offset, bytes } => {
            vec![format!("warning: the journal's last {bytes} bytes, from {offset}, were torn and have been set aside")]
        }
        _ => Vec::new(),
    }
}

/// An entry in one line; nothing for those that only the engine needs.
pub(crate) fn entry_line(entry: &Entry, state: &State) -> Option<String> {
    let told = |lane: &LaneId, what: String| Some(format!("{}: {what}", name(state, lane)));
    match entry {
        Entry::RunStarted { run, .. } => Some(format!("run {run} started")),
        Entry::Resumed => Some(format!("run {} goes on", state.run())),
        Entry::CaptureStarted { snapshot } => Some(format!("{snapshot}: capturing")),
        Entry::ProofStarted { snapshot } => Some(format!("{snapshot}: proving again")),
        Entry::Proven { snapshot, evidence } => Some(format!("{snapshot}: proven: {evidence}")),
        Entry::SnapshotFailed { snapshot, failure } => Some(format!("{snapshot}: failed: {failure}")),
        Entry::StepStarted { lane, step, attempt: 1, .. } => told(lane, format!("{step}")),
        Entry::StepStarted { lane, step, attempt, .. } => told(lane, format!("{step}, attempt {attempt}")),
        Entry::StepFinished { lane, step, applied } => {
            told(lane, format!("{step} done{}: {}", took(state, lane, step), applied.evidence))
        }
        Entry::StepFailed { lane, step, failure } => {
            told(lane, format!("{step} failed{}: {failure}", took(state, lane, step)))
        }
        Entry::StepUnknown { lane, step, failure } => told(lane, format!("{step} has an unknown outcome: {failure}")),
        Entry::InspectStarted { lane, step, .. } => told(lane, format!("looking what became of {step}")),
        Entry::InspectFailed { lane, step, failure } => told(lane, format!("could not look at {step}: {failure}")),
        Entry::UndoStarted { lane, step, attempt: 1, .. } => told(lane, format!("taking {step} back")),
        Entry::UndoStarted { lane, step, attempt, .. } => told(lane, format!("taking {step} back, attempt {attempt}")),
        Entry::UndoFinished { lane, step, evidence } => told(lane, format!("{step} taken back: {evidence}")),
        Entry::UndoFailed { lane, step, failure } => told(lane, format!("{step} was not taken back: {failure}")),
        Entry::BatchPaused { stage, batch, pause_ms } => {
            Some(format!("{stage}: waits {pause_ms} ms before batch {}", batch + 1))
        }
        Entry::Cancelled { how: Cancel::Gently, by } => Some(format!("stopping at a safe point ({by})")),
        Entry::Cancelled { how: Cancel::AtOnce, by } => Some(format!("ending what runs ({by})")),
        Entry::RollbackRequested { by, .. } => Some(format!("taking back, as {by} asked")),
        Entry::RunFinished { outcome } => Some(format!("run {} {}", state.run(), outcome_word(*outcome))),
        Entry::LeaseTaken { .. }
        | Entry::Captured { .. }
        | Entry::Inspected { .. }
        | Entry::BatchReleased { .. }
        | Entry::StepWithdrawn { .. }
        | Entry::DiscardStarted { .. }
        | Entry::Discarded { .. } => None,
    }
}

/// An outcome in words.
pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::RolledBack => "was taken back",
        Outcome::Held => "is held",
        Outcome::Stuck => "could not be taken back as a whole",
    }
}

fn name(state: &State, lane: &LaneId) -> String {
    let planned = state.plan().lanes().find(|planned| planned.id == *lane);
    planned.map_or_else(|| lane.to_string(), |planned| format!("{}@{}", planned.service, planned.target))
}

fn took(state: &State, lane: &LaneId, step: &StepName) -> String {
    let (planned, lane) = match state.lanes().find(|(planned, _)| planned.id == *lane) {
        Some(found) => found,
        None => return String::new(),
    };
    let at = planned.steps.iter().position(|planned| planned.name == *step);
    let times = at.and_then(|at| lane.steps.get(at)).and_then(|step| Some((step.started?, step.ended?)));
    times.map_or_else(String::new, |(started, ended)| format!(" in {}", duration_text(between(started, ended))))
}

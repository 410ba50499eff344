//! What came of a run: a table with what was read back on each target, then every failure in its four parts.

use std::time::Duration;

use jiff::Timestamp;
use pleach_core::engine::{LaneStatus, State};
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::plan::Operation;
use pleach_core::report::{Cause, LaneReport, Report, StepReport};

use super::{Cell, Paint, Style, Table, between, duration_text};
use crate::board::{Row, rows, status_word};

/// Where a command stands among those that finish what was not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    BeforeOthers,
    Last,
}

/// The answer of a run: its headline and its table.
pub(crate) fn report_text(state: &State, now: Timestamp, paint: Paint, columns: Option<usize>) -> String {
    let report = Report::of(state);
    let rows = rows(state);
    let mut table = Table::new(["SERVICE", "TARGET", "RESULT", "RELEASE", "TIME", "READ BACK"]);
    for row in &rows {
        let release = row.release.as_ref().map_or("-", |release| release.as_str());
        let time = took(row, now).map_or("-".to_owned(), duration_text);
        table.row([
            Cell::styled(Style::Bold, row.service.as_str()),
            row.target.as_str().into(),
            Cell::styled(style_of(row.status), status_word(row.status)),
            release.into(),
            time.into(),
            row.told().and_then(|told| told.lines().next()).unwrap_or("-").into(),
        ]);
    }
    let mut text = headline(&report, &rows, now, paint);
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table.text(paint, columns));
    }
    for row in &rows {
        for warning in &row.warnings {
            text.push_str(&format!("{} {}: {warning}\n", paint.paint(Style::Busy, "warning:"), row.name()));
        }
    }
    text
}

/// Every failure of a run, ready for the printer: what failed, and what could not be taken back with the command that
/// finishes it.
///
/// Left out are steps that were ended only because another one failed or somebody interrupted the run, and, of a run that was taken back on request, what
/// it had told before.
pub(crate) fn report_failures(state: &State) -> Vec<Failure> {
    let report = Report::of(state);
    let rows = rows(state);
    let told_before = report.cause == Cause::Request && report.outcome == Some(Outcome::RolledBack);
    let mut causes: Vec<Failure> = report.unproven.iter().map(|snapshot| snapshot.failure.clone()).collect();
    causes.extend(rows.iter().filter_map(|row| Some(explain(row.failure.clone()?, row, &report))));
    if report.cause == Cause::Interrupt {
        // Whoever does not let a step end on its own leaves its outcome unknown; it was looked at, and taken back.
        let expected = |kind| {
            kind == Kind::Cancelled || kind == Kind::UnknownOutcome && report.outcome == Some(Outcome::RolledBack)
        };
        causes.retain(|failure| !expected(failure.kind));
    } else if causes.iter().any(|failure| failure.kind != Kind::Cancelled) {
        causes.retain(|failure| failure.kind != Kind::Cancelled);
    }
    if told_before {
        causes.clear();
    }
    // What was done last is taken back first.
    let left =
        report.lanes.iter().rev().flat_map(|lane| lane.all_left().map(move |(step, failure)| (lane, step, failure)));
    let left: Vec<Failure> = left.map(|(lane, step, failure)| not_taken_back(failure, lane, step)).collect();
    let count = left.len();
    causes.extend(left.into_iter().enumerate().map(|(at, failure)| {
        with_next(failure, if at + 1 == count { Order::Last } else { Order::BeforeOthers }, &report)
    }));
    causes
}

fn explain(mut failure: Failure, row: &Row, report: &Report) -> Failure {
    if !failure.what.contains(row.service.as_str()) {
        failure.what = format!("`{}` on `{}`: {}", row.service, row.target, failure.what);
    }
    let state = match row.status {
        LaneStatus::TakenBack => Some(match &row.evidence {
            Some(evidence) => format!("taken back: {evidence}"),
            None => "taken back".to_owned(),
        }),
        LaneStatus::Failed => Some("kept as it is, and waits for a person".to_owned()),
        _ => None,
    };
    failure.state = state.or(failure.state);
    // A release that was taken back took its own log with it; what it said last stands in the run's.
    let gone =
        row.status == LaneStatus::TakenBack && failure.next.as_ref().is_some_and(|next| !next.contains("`pleach "));
    let after = next_after(report, row);
    let anew = format!(", then `pleach deploy {}`", report.environment);
    failure.next = Some(match failure.next.filter(|_| !gone) {
        // It is still there to be looked at, and waits for an answer.
        Some(look) if report.outcome == Some(Outcome::Held) => {
            // Nothing is deployed beside a run that is held.
            format!("{}, then {after}", look.strip_suffix(&anew).unwrap_or(&look))
        }
        Some(next) => next,
        None => after,
    });
    failure
}

fn next_after(report: &Report, row: &Row) -> String {
    match report.outcome {
        Some(Outcome::Held) => {
            format!(
                "`pleach resume {}` to try again, or `pleach rollback {}` to take all back",
                report.run, report.environment
            )
        }
        None => format!("`pleach resume {}`", report.run),
        _ => format!("read `pleach logs {}`, mend it, then `pleach deploy {}`", row.service, report.environment),
    }
}

fn not_taken_back(failure: &Failure, lane: &LaneReport, step: &StepReport) -> Failure {
    let what = format!("step `{}` of `{}` on `{}` was not taken back", step.name, lane.service, lane.target);
    let mut left = Failure::new(Kind::Rejected, what);
    left.because = failure.causes();
    left.state = failure.state.clone().or_else(|| Some("between the old state and the new one".to_owned()));
    left.output = failure.output.clone();
    left.next = failure.next.clone();
    left
}

/// The command that finishes it; the run is gone on with after the last of them.
fn with_next(mut failure: Failure, order: Order, report: &Report) -> Failure {
    let resume = format!("`pleach resume {}`", report.run);
    failure.next = Some(match (failure.next.filter(|next| *next != resume), order) {
        (Some(command), Order::Last) => format!("{command}, then {resume}"),
        (Some(command), Order::BeforeOthers) => command,
        (None, _) => format!("mend the cause, then {resume}"),
    });
    failure
}

/// How a run ended, in one line.
pub(super) fn headline_of(state: &State, now: Timestamp, paint: Paint) -> String {
    headline(&Report::of(state), &rows(state), now, paint)
}

fn headline(report: &Report, rows: &[Row], now: Timestamp, paint: Paint) -> String {
    let any_done = rows.iter().any(|row| row.status == LaneStatus::Done);
    let operation = match &report.operation {
        Operation::Deploy => "deployment".to_owned(),
        Operation::Switch { release } => format!("switch to `{release}`"),
        Operation::Stop => "stop".to_owned(),
        Operation::Restart { .. } => "restart".to_owned(),
        Operation::Backup => "backup".to_owned(),
        Operation::Restore { backup } => format!("restoring backup {backup}"),
        Operation::Forget { backup } => format!("removing backup {backup}"),
    };
    let (style, words) = match (report.outcome, report.cause) {
        (Some(Outcome::Succeeded), _) => (Style::Good, "done, and seen to be done"),
        (Some(Outcome::RolledBack), Cause::Request) => (Style::Good, "taken back, as asked"),
        (Some(Outcome::RolledBack), Cause::Interrupt) => (Style::Busy, "interrupted, and taken back"),
        (Some(Outcome::RolledBack), _) if any_done => (Style::Bad, "failed in part, and that part is taken back"),
        (Some(Outcome::RolledBack), _) => (Style::Bad, "failed, and taken back"),
        (Some(Outcome::Held), _) => (Style::Bad, "failed, and held as it is"),
        (Some(Outcome::Stuck), _) => (Style::Bad, "failed, and not all could be taken back"),
        (None, _) => (Style::Busy, "not at its end"),
    };
    // Between a run and its rollback may lie days, in which nothing was done.
    let took = match report.cause {
        Cause::Request => String::new(),
        _ => format!("{}, ", duration_text(between(report.started, report.ended.unwrap_or(now)))),
    };
    format!("{operation} in `{}`: {} ({took}run {})\n", report.environment, paint.paint(style, words), report.run)
}

/// The style of a status.
pub(crate) fn style_of(status: LaneStatus) -> Style {
    match status {
        LaneStatus::Done => Style::Good,
        LaneStatus::Failed | LaneStatus::Stuck => Style::Bad,
        LaneStatus::Waiting | LaneStatus::Skipped => Style::Dim,
        LaneStatus::Ready
        | LaneStatus::Working
        | LaneStatus::GoingBack
        | LaneStatus::Returning
        | LaneStatus::TakenBack => Style::Busy,
    }
}

fn took(row: &Row, now: Timestamp) -> Option<Duration> {
    Some(between(row.started?, row.ended.unwrap_or(now)))
}

//! What happened, as a Markdown file for those who were not there: written where a run waits for a person.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::engine::{SnapshotStatus, State};
use pleach_core::error::Failure;
use pleach_core::journal::Outcome;
use pleach_core::report::Report;

use super::report::headline_of;
use super::{Paint, report_failures};
use crate::board::{rows, status_word};

/// The file of a run.
pub(crate) fn incident_file(run_dir: &Path) -> PathBuf {
    run_dir.join("incident.md")
}

/// What is written of a run that waits for a person; `None` of every other one.
pub(crate) fn incident_text(state: &State, logs: &[PathBuf], now: Timestamp) -> Option<String> {
    let outcome = state.outcome().filter(|outcome| matches!(outcome, Outcome::Held | Outcome::Stuck))?;
    let report = Report::of(state);
    let plan = state.plan();
    let mut text = format!("# Incident in `{}` of {}: run `{}`\n\n", report.environment, plan.project, report.run);
    let _ = writeln!(text, "{}\n", headline_of(state, now, Paint::Plain).trim_end());
    table(
        &mut text,
        ["what", "when, who, how"],
        [
            ["started".to_owned(), moment(report.started)],
            ["ended".to_owned(), report.ended.map_or_else(|| "-".to_owned(), moment)],
            ["plan".to_owned(), format!("`{}`", report.plan)],
            ["consent".to_owned(), format!("{}, {}, {}", report.by, moment(report.agreed), report.how)],
        ],
    );
    for (question, said) in &report.answers {
        let _ = writeln!(text, "* {question}: {}", cell(said));
    }
    text.push_str("\n## What failed\n");
    report_failures(state).iter().for_each(|failure| told(&mut text, failure));
    text.push_str("\n## Where it stands\n\n");
    table(
        &mut text,
        ["service", "target", "result", "release", "seen last"],
        rows(state).iter().map(|row| {
            let release = row.release.as_ref().map_or_else(|| "-".to_owned(), |release| format!("`{release}`"));
            let seen = row.told().unwrap_or("-").to_owned();
            [row.service.to_string(), row.target.to_string(), status_word(row.status).to_owned(), release, seen]
        }),
    );
    text.push_str("\n## What it was, and what can be gone back to\n\n");
    table(
        &mut text,
        ["service", "commit", "subject"],
        plan.services.iter().map(|service| {
            [service.name.to_string(), format!("`{}`", service.commit.short()), service.subject.clone()]
        }),
    );
    text.push('\n');
    for (snapshot, status, _) in state.snapshots() {
        let proven = if status == SnapshotStatus::Proven { "proven before the first change" } else { "not there" };
        let _ = writeln!(text, "* snapshot `{}`: {proven}", snapshot.id);
    }
    text.push_str("\n## Logs\n\n");
    for log in logs {
        let _ = writeln!(text, "* `{}`", log.display());
    }
    text.push_str("\n## To decide\n\n");
    let (run, environment) = (&report.run, &report.environment);
    if outcome == Outcome::Held {
        let _ = writeln!(text, "* try again what failed: `pleach resume {run}`");
    } else {
        let _ = writeln!(text, "* go on taking back, once the cause is mended: `pleach resume {run}`");
    }
    let _ = writeln!(text, "* take all of it back: `pleach rollback {environment}`");
    let _ = writeln!(text, "* see what runs now: `pleach status {environment}`");
    text.push_str(
        "\n## For those who look back\n\n* What did users notice, from when to when?\n* Why did it happen?\n",
    );
    text.push_str("* What would have shown it earlier, and what keeps it from happening again?\n");
    Some(text)
}

/// One failure in its four parts, with what was printed last.
fn told(text: &mut String, failure: &Failure) {
    let _ = writeln!(text, "\n**{}**\n", line(&failure.what));
    let parts = failure.because.iter().map(|because| ("because", because));
    let parts = parts.chain(failure.state.as_ref().map(|state| ("state", state)));
    for (part, words) in parts.chain(failure.next.as_ref().map(|next| ("next", next))) {
        let _ = writeln!(text, "* {part}: {}", line(words));
    }
    if !failure.output.is_empty() {
        // Longer than any fence that what was printed may hold.
        let fence = "`".repeat(failure.output.iter().map(|line| backticks(line)).max().unwrap_or(0).max(2) + 1);
        let _ = writeln!(text, "\n{fence}text\n{}\n{fence}", failure.output.join("\n"));
    }
}

/// The most backticks in a row.
fn backticks(line: &str) -> usize {
    line.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn table<const N: usize>(text: &mut String, heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let _ = writeln!(text, "| {} |\n|{}", heading.join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.map(|text| cell(&text)).join(" | "));
    }
}

fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn moment(time: Timestamp) -> String {
    time.strftime("%F %TZ").to_string()
}

#[cfg(test)]
mod tests {
    use pleach_core::error::Kind;

    use super::*;

    #[test]
    fn what_was_printed_stands_in_a_fence_that_it_cannot_leave_and_cells_stay_cells() {
        let mut text = String::new();
        let output = vec!["before".to_owned(), "````".to_owned(), "# no heading".to_owned()];
        told(&mut text, &Failure::new(Kind::Rejected, "it\nfailed").because("of that").output(output));
        assert_eq!(text, "\n**it failed**\n\n* because: of that\n\n`````text\nbefore\n````\n# no heading\n`````\n");
        let mut text = String::new();
        table(&mut text, ["a", "b"], [["x|y".to_owned(), "1\n2".to_owned()]]);
        assert_eq!(text, "| a | b |\n|---|---|\n| x\\|y | 1 2 |\n");
    }
}

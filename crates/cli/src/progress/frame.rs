//! One frame of live progress: a pure function of the rows, the terminal's size and the time.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pleach_core::engine::LaneStatus;

use super::UsualTimes;
use crate::board::{Row, status_word};
use crate::print::{Paint, between, cut, duration_text, fit, style_of, width};

/// The widest that a row's name may get, in columns.
const NAME_LIMIT: usize = 32;
/// The columns of the phase.
const PHASE_COLUMNS: usize = 14;
/// The columns of the time: `12.3s of ~12.4s`.
const TIME_COLUMNS: usize = 15;

/// All that a frame is made from.
pub(crate) struct Picture<'a> {
    pub(crate) rows: &'a [Row],
    /// The last line that each row's commands printed, by the row's name.
    pub(crate) last_lines: &'a BTreeMap<String, String>,
    pub(crate) usual: &'a UsualTimes,
    pub(crate) now: Timestamp,
    /// Columns and lines of the terminal.
    pub(crate) size: (usize, usize),
    pub(crate) paint: Paint,
}

/// The lines of a frame. Each is narrower than the terminal, and together they are lower than it.
pub(crate) fn frame(picture: &Picture<'_>) -> Vec<String> {
    let room = picture.size.1.saturating_sub(2).max(1);
    let shown = if picture.rows.len() <= room { picture.rows.len() } else { room.saturating_sub(1) };
    let mut order: Vec<&Row> = picture.rows.iter().collect();
    if shown < order.len() {
        // Those at work first; the order within stays the plan's, so that lines do not jump about.
        order.sort_by_key(|row| interest(row.status));
    }
    let name_columns = order.iter().take(shown).map(|row| width(&row.name())).max().unwrap_or(0).min(NAME_LIMIT);
    let mut lines: Vec<String> = order.iter().take(shown).map(|row| line(picture, row, name_columns)).collect();
    if shown < order.len() {
        lines.push(cut(&summary(&order[shown..]), picture.size.0.saturating_sub(1)));
    }
    lines
}

fn interest(status: LaneStatus) -> u8 {
    match status {
        LaneStatus::Stuck | LaneStatus::Failed => 0,
        LaneStatus::Working | LaneStatus::Returning => 1,
        LaneStatus::GoingBack | LaneStatus::TakenBack => 2,
        LaneStatus::Ready => 3,
        LaneStatus::Waiting => 4,
        LaneStatus::Done | LaneStatus::Skipped => 5,
    }
}

fn line(picture: &Picture<'_>, row: &Row, name_columns: usize) -> String {
    let columns = picture.size.0.saturating_sub(1);
    let style = style_of(row.status);
    let cells = [
        (mark(row.status, picture.now), 1),
        (row.name(), name_columns),
        (phase(row), PHASE_COLUMNS),
        (time(picture, row), TIME_COLUMNS),
    ];
    let mut line = String::new();
    let mut taken = 0;
    for (at, (text, wanted)) in cells.into_iter().enumerate() {
        let fitted = fit(&text, wanted.min(columns.saturating_sub(taken)));
        taken += width(&fitted);
        line.push_str(&if at == 1 { fitted } else { picture.paint.paint(style, fitted) });
        if taken < columns {
            line.push(' ');
            taken += 1;
        }
    }
    let said = match row.status {
        LaneStatus::Done | LaneStatus::TakenBack => row.evidence.as_ref(),
        LaneStatus::Failed | LaneStatus::Stuck => row.failure.as_ref().map(|failure| &failure.what),
        _ => picture.last_lines.get(&row.name()),
    };
    line.push_str(&cut(said.map_or("", String::as_str), columns.saturating_sub(taken)));
    line
}

fn mark(status: LaneStatus, now: Timestamp) -> String {
    const SPINNER: [&str; 4] = ["◐", "◓", "◑", "◒"];
    let turn = usize::try_from(now.as_millisecond().rem_euclid(800) / 200).unwrap_or(0);
    match status {
        LaneStatus::Done => "✔",
        LaneStatus::Failed | LaneStatus::Stuck => "✘",
        LaneStatus::TakenBack => "↩",
        LaneStatus::Working | LaneStatus::Returning => SPINNER[turn],
        LaneStatus::Waiting | LaneStatus::Ready | LaneStatus::GoingBack => "·",
        LaneStatus::Skipped => " ",
    }
    .to_owned()
}

fn phase(row: &Row) -> String {
    match (&row.step, row.status) {
        (Some(step), LaneStatus::Working) => step.clone(),
        (Some(step), LaneStatus::Returning) => format!("undo {step}"),
        _ => status_word(row.status).to_owned(),
    }
}

fn time(picture: &Picture<'_>, row: &Row) -> String {
    let Some(started) = row.started else { return String::new() };
    let taken = between(started, row.ended.unwrap_or(picture.now));
    let forward = matches!(row.status, LaneStatus::Working | LaneStatus::Done);
    match picture.usual.of(&row.service, &row.target).filter(|_| forward) {
        Some(usual) => format!("{} of ~{}", duration_text(taken), short(usual)),
        None => duration_text(taken),
    }
}

fn short(duration: Duration) -> String {
    if duration < Duration::from_secs(60) { format!("{:.0}s", duration.as_secs_f64()) } else { duration_text(duration) }
}

fn summary(rest: &[&Row]) -> String {
    let mut counts: BTreeMap<u8, (&'static str, usize)> = BTreeMap::new();
    for row in rest {
        counts.entry(interest(row.status)).or_insert((status_word(row.status), 0)).1 += 1;
    }
    let told: Vec<String> = counts.values().map(|(word, count)| format!("{count} {word}")).collect();
    format!("  and {} more: {}", rest.len(), told.join(", "))
}

#[cfg(test)]
mod tests {
    use pleach_core::error::{Failure, Kind};

    use super::*;

    fn row(service: &str, status: LaneStatus) -> Row {
        let at = |second| Some(Timestamp::from_second(second).expect("in range"));
        Row {
            service: service.parse().expect("a name"),
            target: "here".parse().expect("a name"),
            release: None,
            status,
            step: Some("build".to_owned()),
            started: if status == LaneStatus::Waiting { None } else { at(100) },
            ended: if status == LaneStatus::Done { at(103) } else { None },
            evidence: Some("GET /health answered 200".to_owned()),
            warnings: Vec::new(),
            failure: (status == LaneStatus::Failed)
                .then(|| Failure::new(Kind::Rejected, "`make` ended with exit code 2")),
            stuck: None,
        }
    }

    fn drawn(rows: &[Row], size: (usize, usize)) -> Vec<String> {
        let said =
            "Compiling 日本語サービス v0.1.0 with a very long list of features that no terminal can hold in one line";
        let last_lines = rows.iter().map(|row| (row.name(), said.to_owned())).collect();
        let mut usual = UsualTimes::default();
        usual.note(&"nl-sql".parse().expect("a name"), &"here".parse().expect("a name"), Duration::from_millis(12_400));
        let now = Timestamp::from_second(105).expect("in range");
        frame(&Picture { rows, last_lines: &last_lines, usual: &usual, now, size, paint: Paint::Plain })
    }

    fn mixed() -> Vec<Row> {
        vec![
            row("pr-review", LaneStatus::Done),
            row("nl-sql", LaneStatus::Working),
            row("odoo-rpc", LaneStatus::Failed),
            row("visual-diff", LaneStatus::Waiting),
            row("design-tokens", LaneStatus::Returning),
        ]
    }

    #[test]
    fn a_frame_at_80_columns() {
        insta::assert_snapshot!(drawn(&mixed(), (80, 24)).join("\n"));
    }

    #[test]
    fn a_frame_at_200_columns() {
        insta::assert_snapshot!(drawn(&mixed(), (200, 50)).join("\n"));
    }

    #[test]
    fn no_line_reaches_the_edge_and_no_frame_the_height() {
        for columns in [1, 2, 10, 20, 40, 79, 80, 200] {
            for height in [1, 3, 5, 24] {
                let lines = drawn(&mixed(), (columns, height));
                assert!(lines.iter().all(|line| width(line) < columns.max(1)), "{columns}: {lines:?}");
                assert!(lines.len() < height.max(2), "{height}: {lines:?}");
            }
        }
    }

    #[test]
    fn of_a_hundred_lanes_those_at_work_are_shown_and_the_rest_counted() {
        let mut rows: Vec<Row> = (0..100).map(|at| row(&format!("s{at}"), LaneStatus::Waiting)).collect();
        rows[90].status = LaneStatus::Working;
        rows[95].status = LaneStatus::Failed;
        let lines = drawn(&rows, (80, 10));
        assert_eq!(lines.len(), 8);
        assert!(lines[0].contains("s95@here") && lines[1].contains("s90@here"), "{lines:?}");
        assert_eq!(lines[7], "  and 93 more: 93 waiting");
    }
}

//! A screen as a picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState};

use super::screen::{Following, Screen, View};
use crate::print::{ago_text, clean};
use crate::standing::{Health, ServiceStanding, life_style, life_word};

const KEYS: &str = "j/k select  enter log  f follow  r refresh  ? help  q quit";

/// Draws the screen into a frame of any size.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let notes = notes(screen);
    let note_lines = u16::try_from(notes.len()).unwrap_or(u16::MAX).min(frame.area().height / 3);
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(note_lines),
        Constraint::Length(1),
    ])
    .split(frame.area());
    frame.render_widget(Paragraph::new(title(screen)), areas[0]);
    match screen.view {
        View::Log => draw_log(frame, screen, areas[1]),
        View::Table | View::Help => draw_table(frame, screen, areas[1]),
    }
    frame.render_widget(Paragraph::new(notes), areas[2]);
    frame.render_widget(Paragraph::new(Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM))), areas[3]);
    if screen.view == View::Help {
        draw_help(frame);
    }
}

fn title(screen: &Screen) -> Line<'static> {
    let well = screen.rows.values().filter(|row| row.health == Health::Healthy).count();
    let bad = screen.rows.values().filter(|row| row.health == Health::Unhealthy).count();
    let reading = if screen.reading > 0 { format!("  reading {}…", screen.reading) } else { String::new() };
    Line::from(vec![
        Span::styled("pleach status", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {} services on targets, {well} healthy, {bad} unhealthy{reading}", screen.rows.len())),
    ])
}

fn notes(screen: &Screen) -> Vec<Line<'static>> {
    // What to type comes early: a narrow terminal cuts the end.
    let runs = screen.runs.iter().map(|run| {
        let what = match (run.outcome, run.working) {
            (None, true) => format!("{}: run {} is at work", run.environment, run.run),
            (None, false) => format!("{}: a run stopped; next: pleach resume {}", run.environment, run.run),
            (Some(outcome), _) => {
                let word = crate::progress::outcome_word(outcome);
                format!("{}: a run {word}; next: pleach report {}", run.environment, run.run)
            }
        };
        Line::styled(what, Style::new().fg(Color::Yellow))
    });
    let leases = screen
        .leases
        .iter()
        .map(|lease| Line::raw(format!("lease of {} in {}: {}", lease.target, lease.environment, lease.holder)));
    runs.chain(leases).collect()
}

fn draw_table(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let heading = Row::new(["SERVICE", "TARGET", "STATE", "HEALTH", "RELEASE", "SINCE", "ADDRESS"])
        .style(Style::new().add_modifier(Modifier::DIM));
    let rows = screen.rows.values().map(|service| row(screen, service));
    let widest = |of: &dyn Fn(&ServiceStanding) -> usize, least: usize| {
        let widest = screen.rows.values().map(of).max().unwrap_or(0).clamp(least, 24);
        Constraint::Length(u16::try_from(widest).unwrap_or(24))
    };
    let widths = [
        widest(&|row| row.service.as_str().len(), 7),
        widest(&|row| row.target.as_str().len(), 6),
        widest(&|row| life_word(row.state).len(), 7),
        widest(&|row| if row.health == Health::Unhealthy { 9 } else { 7 }, 7),
        widest(&|row| row.release.as_ref().map_or(0, |release| release.as_str().len()), 7),
        widest(&|row| row.since.map_or(0, |since| ago_text(since, screen.now).len()), 5),
        Constraint::Fill(1),
    ];
    let table =
        Table::new(rows, widths).header(heading).row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected((!screen.rows.is_empty()).then_some(screen.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(screen: &Screen, service: &ServiceStanding) -> Row<'static> {
    let health = match service.health {
        Health::Healthy => Span::styled("healthy", Style::new().fg(Color::Green)),
        Health::Unhealthy => Span::styled("unhealthy", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)),
        Health::Unchecked => Span::raw("-"),
    };
    let address = service.address.clone().or_else(|| service.note.clone()).unwrap_or_else(|| "-".to_owned());
    Row::new([
        Cell::from(service.service.to_string()),
        Cell::from(service.target.to_string()),
        Cell::from(Span::styled(life_word(service.state), style(life_style(service.state)))),
        Cell::from(health),
        Cell::from(service.release.as_ref().map_or("-".to_owned(), ToString::to_string)),
        Cell::from(service.since.map_or("-".to_owned(), |since| ago_text(since, screen.now))),
        Cell::from(address),
    ])
}

fn style(style: crate::print::Style) -> Style {
    use crate::print::Style as Kind;
    match style {
        Kind::Bold => Style::new().add_modifier(Modifier::BOLD),
        Kind::Dim => Style::new().add_modifier(Modifier::DIM),
        Kind::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Kind::Busy => Style::new().fg(Color::Yellow),
        Kind::Good => Style::new().fg(Color::Green),
    }
}

fn draw_log(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let name = screen.selected_key().map_or(String::new(), |(_, service, target)| format!("{service}@{target}"));
    let (end, how) = match screen.following {
        Following::End => (screen.log.len(), "following"),
        Following::Still(above) => (screen.log.len().saturating_sub(above), "f to follow"),
    };
    let block = Block::bordered().title(format!(" log of {name}: {how} "));
    let room = usize::from(block.inner(area).height);
    let lines: Vec<Line<'_>> = match &screen.log_path {
        None => vec![Line::raw("no run has a log of it yet")],
        Some(_) => screen.log[end.saturating_sub(room)..end].iter().map(|line| Line::raw(clean(line))).collect(),
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines = [
        "j, k, arrows   select a row; in a log, scroll",
        "g, G           the first, the last",
        "enter          the log of the last run of the row",
        "f              follow the log, or stop following",
        "r              read all targets now",
        "q, esc         back; from the table, leave",
        "",
        "Nothing here changes anything. Any key goes back.",
    ];
    let area = frame.area();
    let (width, height) = (54.min(area.width), 10.min(area.height));
    let area = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines.map(Line::raw).to_vec()).block(Block::bordered().title(" keys ")), area);
}

#[cfg(test)]
pub(super) fn sample() -> Screen {
    use crate::standing::{Life, RunStanding};
    use jiff::Timestamp;
    let now = Timestamp::from_second(1000).expect("in range");
    let mut screen = Screen::new(now);
    let row = |service: &str, target: &str, state, health| ServiceStanding {
        environment: "local".parse().expect("a name"),
        service: service.parse().expect("a name"),
        target: target.parse().expect("a name"),
        release: (state == Life::Running).then(|| "0007-ab12cd34".parse().expect("a name")),
        commit: None,
        state,
        health,
        address: (state == Life::Running).then(|| "http://127.0.0.1:8101".to_owned()),
        since: (state == Life::Running).then(|| Timestamp::from_second(700).expect("in range")),
        note: (state == Life::Unknown).then(|| "it gave no answer within 5 s".to_owned()),
    };
    screen.take(vec![
        row("pr-review", "here", Life::Running, Health::Healthy),
        row("nl-sql", "here", Life::Down, Health::Unhealthy),
        row("odoo-rpc", "there", Life::Unknown, Health::Unchecked),
    ]);
    screen.runs.push(RunStanding {
        run: "20261121-072804-ab12cd34ef56".parse().expect("a name"),
        environment: "local".parse().expect("a name"),
        started: now,
        outcome: None,
        working: false,
    });
    screen
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn picture(screen: &Screen, columns: u16, lines: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal in memory");
        terminal.draw(|frame| draw(frame, screen)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn the_table_at_80_by_24() {
        insta::assert_snapshot!(picture(&sample(), 80, 24));
    }

    #[test]
    fn a_log_and_the_help() {
        let mut screen = sample();
        screen.view = View::Log;
        screen.log_path = Some("x.log".into());
        screen.log = (0..100).map(|line| format!("line {line}\u{1b}[31m")).collect();
        insta::assert_snapshot!("log", picture(&screen, 60, 12));
        screen.view = View::Help;
        insta::assert_snapshot!("help", picture(&screen, 80, 16));
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        for (columns, lines) in [(1, 1), (3, 2), (20, 5), (200, 60)] {
            for view in [View::Table, View::Log, View::Help] {
                picture(&Screen { view, ..sample() }, columns, lines);
            }
        }
    }
}

//! A table in columns that are as wide as their widest cell; the last one takes what is left of the line, and what there is no
//! room for stands below, further in.

use pleach_core::word::{EnvironmentName, TargetName};

use super::text::{cut, fit, width, wrap};
use super::{Paint, Style};

/// How far in the last cell of a row stands where it has lines of its own.
const INDENT: usize = 4;

/// One cell: its text and how it stands out.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Option<Style>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: None }
    }
}

impl Cell {
    /// A text in a style.
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Some(style) }
    }
}

/// A target: with its environment, unless only that one was asked for.
pub(crate) fn place_text(
    asked: Option<&EnvironmentName>,
    environment: &EnvironmentName,
    target: &TargetName,
) -> String {
    if asked.is_some() { target.to_string() } else { format!("{environment}/{target}") }
}

/// Rows below a heading.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one with these columns.
    pub(crate) fn new(heading: impl IntoIterator<Item = &'static str>) -> Self {
        Self { heading: heading.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row; as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Lines of at most `columns`, or as long as they get where that is `None`.
    pub(crate) fn text(&self, paint: Paint, columns: Option<usize>) -> String {
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.text));
                cells.chain([width(self.heading[at])]).max().unwrap_or(0)
            })
            .collect();
        let heading: Vec<Cell> = self.heading.iter().map(|name| Cell::styled(Style::Dim, *name)).collect();
        let mut text = String::new();
        let room = |columns| line(&heading, &widths, Paint::Plain, None).chars().count() <= columns;
        let fits = columns.is_none_or(room);
        // Its last word says nothing where all below it stands elsewhere.
        let heading = if fits { &heading[..] } else { &heading[..heading.len().saturating_sub(1)] };
        text.push_str(&line(heading, &widths, paint, columns));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&lines(row, &widths, paint, columns));
            text.push('\n');
        }
        text
    }
}

/// A row in one line, or with its last cell in lines of its own.
fn lines(row: &[Cell], widths: &[usize], paint: Paint, columns: Option<usize>) -> String {
    let before: usize = widths.iter().take(row.len().saturating_sub(1)).map(|width| width + 2).sum();
    let (Some(columns), Some((last, rest))) = (columns, row.split_last()) else {
        return line(row, widths, paint, columns);
    };
    if before + width(&last.text) <= columns {
        return line(row, widths, paint, Some(columns));
    }
    let indent = INDENT.min(columns / 2);
    let mut text = line(rest, widths, paint, Some(columns));
    for piece in wrap(&last.text, columns - indent) {
        let piece = last.style.map_or_else(|| piece.clone(), |style| paint.paint(style, &piece));
        text.push_str(&format!("\n{:indent$}{piece}", ""));
    }
    text
}

fn line(row: &[Cell], widths: &[usize], paint: Paint, columns: Option<usize>) -> String {
    let mut line = String::new();
    let mut taken = 0;
    for (at, cell) in row.iter().enumerate() {
        let last = at + 1 == row.len();
        let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(taken));
        let fitted = if last { cut(&cell.text, room) } else { fit(&cell.text, widths[at].min(room)) };
        taken += width(&fitted) + 2;
        line.push_str(&cell.style.map_or_else(|| fitted.clone(), |style| paint.paint(style, &fitted)));
        if !last && columns.is_none_or(|columns| taken < columns) {
            line.push_str("  ");
        }
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_what_has_no_room_stands_below() {
        let mut table = Table::new(["SERVICE", "STATE", "WHY"]);
        table.row(["a".into(), "ready".into(), "日本語日本語日本語".into()]);
        table.row(["pr-review".into(), "down".into(), "x".into()]);
        assert_eq!(
            table.text(Paint::Plain, None),
            "SERVICE    STATE  WHY\na          ready  日本語日本語日本語\npr-review  down   x\n"
        );
        assert_eq!(
            table.text(Paint::Plain, Some(28)),
            "SERVICE    STATE  WHY\na          ready\n    日本語日本語日本語\npr-review  down   x\n"
        );
        for columns in 1..40 {
            let text = table.text(Paint::Plain, Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
        }
    }
}

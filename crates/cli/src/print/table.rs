//! A table in columns that are as wide as their widest cell; the last one takes what is left of the line. What there is no room
//! for stands below, further in: a last cell alone, or every column that does not fit, with its heading.

use pleach_core::word::{EnvironmentName, TargetName};

use super::text::{cut, fit, width, wrap};
use super::{Paint, Style};

/// How far in stands what has lines of its own.
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
        let shown = fitting(&widths, columns);
        let room = |columns| line(&heading, &widths, Paint::Plain, None).chars().count() <= columns;
        let headed = match columns {
            _ if shown < widths.len() => shown,
            // The last word says nothing where all below it stands elsewhere.
            Some(columns) if !room(columns) => shown.saturating_sub(1),
            _ => shown,
        };
        let mut text = line(&heading[..headed], &widths, paint, columns);
        text.push('\n');
        for row in &self.rows {
            let lines = match columns {
                Some(columns) if shown < widths.len() => self.folded(row, &widths, shown, paint, columns),
                _ => lines(row, &widths, paint, columns),
            };
            text.push_str(&lines);
            text.push('\n');
        }
        text
    }

    /// A row with its first columns in a line, and below it what the others say.
    fn folded(&self, row: &[Cell], widths: &[usize], shown: usize, paint: Paint, columns: usize) -> String {
        let mut text = line(&row[..shown], widths, paint, Some(columns));
        let indent = INDENT.min(columns / 2);
        let mut left = 0;
        for (heading, cell) in self.heading.iter().zip(row).skip(shown).filter(|(_, cell)| says_something(cell)) {
            let words = format!("{heading} {}", cell.text);
            let pieces = wrap(words.trim_start(), columns - indent);
            let whole = pieces.len() == 1;
            for (at, piece) in pieces.into_iter().enumerate() {
                let taken = width(&piece);
                if whole && taken + 2 <= left {
                    text.push_str("  ");
                    left -= 2;
                } else {
                    text.push_str(&format!("\n{:indent$}", ""));
                    left = if whole { columns - indent } else { taken };
                }
                left -= taken;
                text.push_str(&match (piece.strip_prefix(heading), cell.style) {
                    (Some(rest), style) if at == 0 => {
                        let rest = style.map_or_else(|| rest.to_owned(), |style| paint.paint(style, rest));
                        format!("{}{rest}", paint.paint(Style::Dim, heading))
                    }
                    (_, Some(style)) => paint.paint(style, &piece),
                    _ => piece,
                });
            }
        }
        text
    }
}

fn says_something(cell: &Cell) -> bool {
    !matches!(cell.text.as_str(), "" | "-")
}

/// How many columns stand in a line of so many: all where those before the last have room.
fn fitting(widths: &[usize], columns: Option<usize>) -> usize {
    let mut taken = 0;
    let fits = |width: &usize| {
        taken += width + 2;
        columns.is_none_or(|columns| taken - 2 <= columns)
    };
    let before = widths.len().saturating_sub(1);
    match widths.iter().take(before).map(fits).take_while(|fits| *fits).count() {
        fitting if fitting == before => widths.len(),
        fitting => fitting.max(1),
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

    #[test]
    fn columns_without_room_stand_below_with_their_headings_and_none_is_lost() {
        let mut table = Table::new(["SERVICE", "RELEASE", "PORT", "MEMORY", "NOTE"]);
        table.row([
            "shop".into(),
            "0001-ab12cd34".into(),
            "8069".into(),
            "12 MiB".into(),
            "not the current one".into(),
        ]);
        table.row(["api".into(), "0002-ab12cd34".into(), "-".into(), "7 MiB".into(), "".into()]);
        assert_eq!(
            table.text(Paint::Plain, Some(32)),
            "SERVICE  RELEASE        PORT\n\
             shop     0001-ab12cd34  8069\n    MEMORY 12 MiB\n    NOTE not the current one\n\
             api      0002-ab12cd34  -\n    MEMORY 7 MiB\n"
        );
        assert!(table.text(Paint::Plain, Some(24)).contains("\n    PORT 8069\n    MEMORY 12 MiB\n"));
        assert!(table.text(Paint::Plain, Some(28)).contains("\n    MEMORY 12 MiB\n"));
        for columns in 24..60 {
            let text = table.text(Paint::Plain, Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
            let words: Vec<&str> = text.split_whitespace().collect();
            for word in ["shop", "0001-ab12cd34", "8069", "12", "MiB", "not", "current", "api", "7"] {
                assert!(words.contains(&word), "{word} in {columns}: {text}");
            }
        }
    }
}

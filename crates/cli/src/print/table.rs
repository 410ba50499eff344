//! A table in columns that are as wide as their widest cell; the last one takes what is left of the line.

use super::text::{cut, fit, width};
use super::{Paint, Style};

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
        let heading = self.heading.iter().map(|name| Cell::styled(Style::Dim, *name)).collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            text.push_str(&line(row, &widths, paint, columns));
            text.push('\n');
        }
        text
    }
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
    fn columns_line_up_and_lines_end_at_the_edge() {
        let mut table = Table::new(["SERVICE", "STATE", "WHY"]);
        table.row(["a".into(), "ready".into(), "日本語日本語日本語".into()]);
        table.row(["pr-review".into(), "down".into(), "x".into()]);
        assert_eq!(
            table.text(Paint::Plain, None),
            "SERVICE    STATE  WHY\na          ready  日本語日本語日本語\npr-review  down   x\n"
        );
        for columns in 1..40 {
            let text = table.text(Paint::Plain, Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
        }
    }
}

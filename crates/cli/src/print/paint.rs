//! Colours, or none.

use std::io::IsTerminal as _;

use crate::args::ColorChoice;

/// Whether colours are written to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// ANSI sequences.
    Colors,
    /// Text alone.
    Plain,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Stands out.
    Bold,
    /// Steps back.
    Dim,
    /// Went wrong.
    Bad,
    /// Is under way, or needs a look.
    Busy,
    /// Is as wanted.
    Good,
}

impl Paint {
    /// For standard error.
    pub(crate) fn of_stderr(choice: ColorChoice) -> Self {
        Self::of(choice, std::io::stderr().is_terminal())
    }

    /// For standard output.
    pub(crate) fn of_stdout(choice: ColorChoice) -> Self {
        Self::of(choice, std::io::stdout().is_terminal())
    }

    fn of(choice: ColorChoice, terminal: bool) -> Self {
        // https://no-color.org: set and not empty means none.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match choice {
            ColorChoice::Always => Self::Colors,
            ColorChoice::Auto if terminal && !refused => Self::Colors,
            ColorChoice::Auto | ColorChoice::Never => Self::Plain,
        }
    }

    /// The text in that style.
    pub(crate) fn paint(self, style: Style, text: impl std::fmt::Display) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Bad => "1;31",
            Style::Busy => "33",
            Style::Good => "32",
        };
        match self {
            Self::Colors => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text.to_string(),
        }
    }
}

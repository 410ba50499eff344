//! What is wrong with a config, and where.

use serde::Serialize;

use super::path::KeyPath;
use crate::error::{Explain, Kind, OUTPUT_LINES};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1; one behind the last character for what is missing at a line's end.
    pub column: usize,
    /// How many characters of the line are meant; at least 1.
    pub width: usize,
    /// The key, as far as it is known.
    pub key: KeyPath,
    /// What is wrong: "unknown key `helth`".
    pub what: String,
    /// What would be right: "expected one of `after`, `branch`".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The valid name that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// The line. What may be a secret is masked.
    pub source: String,
    /// Where in `source` the meant characters are, from 0: not `column - 1` if something before them is masked.
    pub caret: usize,
}

/// All that is wrong with a config, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("`{file}` has {}", count(.problems.len()))]
pub struct ConfigErrors {
    /// The file, as the caller named it.
    pub file: String,
    /// By line and column.
    pub problems: Vec<Problem>,
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 problem".to_owned(),
        problems => format!("{problems} problems"),
    }
}

impl Explain for ConfigErrors {
    fn kind(&self) -> Kind {
        Kind::Rejected
    }

    fn state(&self) -> Option<String> {
        Some("nothing was touched".into())
    }

    fn next(&self) -> Option<String> {
        Some(format!("edit `{}`, then look with `pleach doctor`", self.file))
    }

    /// One line a problem, the first ones if there are many.
    fn output(&self) -> Vec<String> {
        let line = |problem: &Problem| {
            let hint = problem.nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            format!("{}:{}:{}: {}{hint}", self.file, problem.line, problem.column, problem.what)
        };
        let mut lines: Vec<String> = self.problems.iter().map(line).collect();
        if lines.len() > OUTPUT_LINES {
            let rest = lines.len() - (OUTPUT_LINES - 1);
            lines.truncate(OUTPUT_LINES - 1);
            lines.push(format!("and {rest} more"));
        }
        lines
    }
}

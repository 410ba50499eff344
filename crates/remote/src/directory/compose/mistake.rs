//! Where a mistake in the Compose files is.

use std::path::PathBuf;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::CommandOutput;

use super::project::{Project, last_word};

impl Project<'_> {
    /// What is wrong with the Compose files, and where.
    pub(super) async fn mistaken(&self, output: &CommandOutput, files: &[PathBuf]) -> Failure {
        let folder = format!("{}/", self.folder().display());
        let lines: Vec<String> = output.last_lines().into_iter().map(|line| line.replace(&folder, "")).collect();
        let because = last_word(output).replace(&folder, "");
        let because = match self.place_of(&because, files).await {
            Some(place) => format!("{place}: {because}"),
            None => because,
        };
        Failure::new(Kind::Rejected, format!("Compose project `{}` cannot be resolved", self.name()))
            .because(because)
            .next(self.again("mend it on its branch"))
            .output(lines)
    }

    async fn place_of(&self, said: &str, files: &[PathBuf]) -> Option<String> {
        let named = said.strip_prefix("validating ").and_then(|rest| rest.split_once(": "));
        let [only] = files else {
            let (file, rest) = named?;
            return self.line_in(file, rest).await;
        };
        let only = only.to_string_lossy().into_owned();
        match (named, said.strip_prefix("yaml: line ").and_then(|rest| rest.split_once(':'))) {
            (Some((file, rest)), _) => self.line_in(file, rest).await,
            (None, Some((line, _))) => Some(format!("`{only}`, line {line}")),
            _ => None,
        }
    }

    async fn line_in(&self, file: &str, said: &str) -> Option<String> {
        let text = self.site.files.read(&self.folder().join(file)).await.ok()??;
        let line = line_of(&String::from_utf8_lossy(&text), said)?;
        Some(format!("`{file}`, line {line}"))
    }
}

/// The line of a YAML text that a message like `services.web Additional property x is not allowed` is about.
fn line_of(text: &str, said: &str) -> Option<usize> {
    let path = said.split_whitespace().next()?;
    let property = said.strip_prefix(path)?.trim().strip_prefix("Additional property ");
    let keys = path.split('.').chain(property.and_then(|rest| rest.split_whitespace().next()));
    let mut lines = text.lines().enumerate();
    let mut found = None;
    for key in keys {
        let is_key = |line: &str| {
            line.trim()
                .trim_start_matches(['"', '\''])
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
        };
        match lines.find(|(_, line)| is_key(line)) {
            Some((at, _)) => found = Some(at + 1),
            None => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_mistake_is_found_by_its_key() {
        let text = "services:\n  web:\n    image: x\n  db:\n    image: y\n    comand: z\n";
        assert_eq!(line_of(text, "services.db Additional property comand is not allowed"), Some(6));
        assert_eq!(line_of(text, "services.db.image must be a string"), Some(5));
        assert_eq!(line_of(text, "volumes must be a mapping"), None);
    }
}

//! Where a mistake in the Compose files is.

use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{CommandOutput, Effect};

use super::line::{compose_line, files_words};
use super::project::{Project, last_word};

impl Project<'_> {
    /// What is wrong with the Compose files, and where.
    pub(super) async fn mistaken(&self, output: &CommandOutput, files: &[PathBuf]) -> Failure {
        let folder = format!("{}/", self.folder().display());
        let lines: Vec<String> = output.last_lines().into_iter().map(|line| line.replace(&folder, "")).collect();
        let said = said(&String::from_utf8_lossy(&output.stderr).replace(&folder, ""));
        let because = said.clone().unwrap_or_else(|| last_word(output).replace(&folder, ""));
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
        match About::of(said)? {
            About::Line(line) => {
                let file = self.first_unread(said, files).await?;
                Some(format!("`{}`, line {line}", file.display()))
            }
            About::Keys { file: Some(file), keys, word } => {
                let text = self.text(Path::new(file)).await?;
                Some(format!("`{file}`, line {}", line_of(&text, keys, word)?.line))
            }
            About::Keys { file: None, keys, word } => {
                let mut best: Option<(&PathBuf, Found)> = None;
                for file in files {
                    let Some(found) = self.text(file).await.and_then(|text| line_of(&text, keys, word)) else {
                        continue;
                    };
                    if best.as_ref().is_none_or(|(_, other)| found.rank() > other.rank()) {
                        best = Some((file, found));
                    }
                }
                best.map(|(file, found)| format!("`{}`, line {}", file.display(), found.line))
            }
        }
    }

    async fn text(&self, file: &Path) -> Option<String> {
        let text = self.site.files.read(&self.folder().join(file)).await.ok()??;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Which of the files is no YAML, as it was said of all of them together.
    async fn first_unread<'f>(&self, words: &str, files: &'f [PathBuf]) -> Option<&'f PathBuf> {
        if let [only] = files {
            return Some(only);
        }
        for file in files {
            let line = compose_line(None, self.name(), &files_words(std::slice::from_ref(file)), "config --quiet");
            let output = self.ask(line, Effect::Read).await.ok()?;
            if said(&String::from_utf8_lossy(&output.stderr)).as_deref() == Some(words) {
                return Some(file);
            }
        }
        None
    }
}

/// What `docker compose` has said besides its warnings, in one line.
fn said(text: &str) -> Option<String> {
    let is_warning = |line: &&str| line.starts_with("time=") || line.starts_with("WARN");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_warning(line)).collect();
    if let [front @ .., template] = lines.as_slice()
        && let Some(at) = front.iter().position(|line| line.starts_with("invalid interpolation format"))
    {
        // The template stands last, behind advice.
        let (what, advice) = (front[at].trim_end_matches('.'), front[at + 1..].join(" "));
        return Some(format!("{what}: `{template}` ({})", advice.trim_end_matches('.')));
    }
    let from = lines.iter().rposition(|line| line.ends_with("errors:")).unwrap_or(lines.len().saturating_sub(1));
    Some(lines[from..].join(" ")).filter(|said| !said.is_empty())
}

/// What a message is about.
#[derive(Debug, PartialEq)]
enum About<'a> {
    /// A line of a file that it does not name.
    Line(&'a str),
    /// A place below these keys, with a word in it where one is known.
    Keys { file: Option<&'a str>, keys: &'a str, word: Option<&'a str> },
}

impl<'a> About<'a> {
    fn of(said: &'a str) -> Option<Self> {
        if let Some(rest) = said.strip_prefix("yaml: ") {
            let line = rest.split_once("line ")?.1;
            return Some(Self::Line(&line[..line.find(|c: char| !c.is_ascii_digit())?]));
        }
        if let Some((file, rest)) = said.strip_prefix("validating ").and_then(|rest| rest.split_once(": ")) {
            let (keys, why) = rest.split_once(' ')?;
            let word = why.strip_prefix("Additional property ").and_then(|rest| rest.split(' ').next());
            return Some(Self::Keys { file: Some(file), keys, word });
        }
        if let Some(rest) = said.strip_prefix("invalid interpolation format for ") {
            let (keys, rest) = rest.split_once(": ")?;
            return Some(Self::Keys { file: None, keys, word: rest.split('`').nth(1) });
        }
        if let Some(rest) = said.strip_prefix("error while interpolating ") {
            let (keys, rest) = rest.split_once(": ")?;
            let word = rest.strip_prefix("required variable ").and_then(|rest| rest.split(' ').next());
            return Some(Self::Keys { file: None, keys, word });
        }
        // `service "web" refers to undefined network nowhere: …`
        let (keys, rest) = said.strip_prefix("service \"")?.split_once("\" ")?;
        let word = rest.split_once("undefined ")?.1.split(' ').nth(1)?;
        Some(Self::Keys { file: None, keys, word: Some(word.trim_matches([':', '"'])) })
    }
}

/// A line, and how much of what was looked for is there.
#[derive(Debug, PartialEq)]
struct Found {
    line: usize,
    keys: usize,
    word: bool,
}

impl Found {
    fn rank(&self) -> (bool, usize) {
        (self.word, self.keys)
    }
}

/// The line of a YAML text that `services.web.ports` is at, or of what of it is there; below that, the one that has the word. What
/// begins with no `services` is a service.
fn line_of(text: &str, keys: &str, word: Option<&str>) -> Option<Found> {
    let lines: Vec<&str> = text.lines().collect();
    let top = ["services", "networks", "volumes", "secrets", "configs", "name", "version", "include"];
    let keys: Vec<&str> = keys.trim_end_matches('.').split('.').collect();
    let is_service = !keys.first().is_some_and(|first| top.contains(first));
    let keys: Vec<&str> = is_service.then_some("services").into_iter().chain(keys).collect();
    let (mut block, mut found, mut at) = (0..lines.len(), None, 0);
    while at < keys.len() {
        // Names of services may have dots.
        let step =
            (at + 1..=keys.len()).find_map(|end| Some((end, child(&lines, block.clone(), &keys[at..end].join("."))?)));
        let Some((end, line)) = step else { break };
        block = line + 1..end_of(&lines, line, block.end);
        (found, at) = (Some(line), end);
    }
    let found = found?;
    let of_word = word.and_then(|word| (found..block.end).find(|line| has_word(lines[*line], word)));
    Some(Found { line: of_word.unwrap_or(found) + 1, keys: at, word: of_word.is_some() })
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_text(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

/// Where a key is among those of a block, not in what is below them.
fn child(lines: &[&str], block: std::ops::Range<usize>, key: &str) -> Option<usize> {
    let level = block.clone().find(|line| is_text(lines[*line])).map(|line| indent(lines[line]))?;
    let is_key = |line: &str| {
        let rest = line.trim().trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    block.into_iter().find(|line| is_text(lines[*line]) && indent(lines[*line]) == level && is_key(lines[*line]))
}

/// The first line that is not below this one. A list may stand as far left as its key.
fn end_of(lines: &[&str], line: usize, most: usize) -> usize {
    let level = indent(lines[line]);
    let is_outside = |other: &&str| {
        let left = indent(other);
        is_text(other) && (left < level || left == level && !other.trim_start().starts_with("- "))
    };
    (line + 1..most).find(|other| is_outside(&lines[*other])).unwrap_or(most)
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    is_text(line)
        && line
            .match_indices(word)
            .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Compose 2.26.1 has said of files such as these, and the line that it is about.
    #[test]
    fn the_line_of_a_mistake_is_found_by_its_keys_and_its_word() {
        let text = "services:\n  web:\n    depends_on: {db: {}}\n    ports: [\"1:1\"]\n    networks:\n    - front\n    - nowhere\n  \
                    # db:\n  db:\n    image: y:${TAG:?}\n    ports: 3\n    comand: z\n    command: \"${X!}\"\n  a.b:\n    \
                    depends_on: [nowhere-else, q]\n";
        let of = |words: &str| {
            let said = said(words).expect("words");
            let Some(About::Keys { keys, word, .. }) = About::of(&said) else { panic!("{said}") };
            line_of(text, keys, word).map(|found| found.line)
        };
        for (words, line) in [
            ("validating compose.yml: services.db.ports must be a list\n", 11),
            ("validating compose.yml: services.db Additional property comand is not allowed\n", 12),
            ("validating compose.yml: services.a.b.image must be a string\n", 14),
            ("error while interpolating services.db.image: required variable TAG is missing a value\n", 10),
            (INTERPOLATION, 13),
            ("service \"web\" refers to undefined network nowhere: invalid compose project\n", 7),
            ("service \"a.b\" depends on undefined service \"q\": invalid compose project\n", 15),
        ] {
            assert_eq!(of(words), Some(line), "{words}");
        }
        assert_eq!(of("validating compose.yml: volumes must be a mapping\n"), None);
    }

    const INTERPOLATION: &str = "time=\"2026-11-22T10:00:00Z\" level=warning msg=\"the attribute `version` is obsolete\"\n\
                                 invalid interpolation format for services.db.command.\n\
                                 You may need to escape any $ with another $.\n${X!}\n";

    #[test]
    fn what_is_said_in_several_lines_is_told_whole() {
        let told = "invalid interpolation format for services.db.command: `${X!}` (You may need to escape any $ with another $)";
        assert_eq!(said(INTERPOLATION).as_deref(), Some(told));
        let twice = said("yaml: unmarshal errors:\n  line 4: mapping key \"image\" already defined at line 3\n");
        let twice = twice.expect("words");
        assert_eq!(twice, "yaml: unmarshal errors: line 4: mapping key \"image\" already defined at line 3");
        assert_eq!(About::of(&twice), Some(About::Line("4")));
        assert_eq!(About::of("yaml: line 2: found character that cannot start any token"), Some(About::Line("2")));
        assert_eq!(About::of("Invalid containerPort: x"), None);
        assert_eq!(said("\n"), None);
    }

    #[test]
    fn of_several_files_the_one_that_has_the_word_is_meant() {
        let web = "services:\n  web:\n    image: x\n";
        let rank = |text: &str| line_of(text, "services.web.networks", Some("nowhere")).map(|found| found.rank());
        assert!(rank(&format!("{web}    networks: [nowhere]\n")) > rank(web));
        assert!(rank(web) > rank("services: {}\n"));
    }
}

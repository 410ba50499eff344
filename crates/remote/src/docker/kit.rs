//! What BuildKit tells while it builds.
//!
//! An engine answers with one line of JSON after another, as it does for its older builder; but in some of them lies a message
//! of BuildKit's own, in base64 (`api/services/control/control.proto` there).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pleach_core::port::ImageId;
use prost::Message;
use serde::Deserialize;
use serde_json::Value;

use super::build::Words;

/// Steps that are the same for each build.
const INTERNAL: &str = "[internal]";

/// One line of an answer.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    id: String,
    aux: Option<Value>,
    #[serde(rename = "errorDetail")]
    wrong: Option<Wrong>,
}

#[derive(Deserialize)]
struct Wrong {
    #[serde(default)]
    message: String,
}

/// `StatusResponse`, as far as it is read.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "1")]
    steps: Vec<Step>,
    #[prost(message, repeated, tag = "3")]
    logs: Vec<Log>,
}

/// `Vertex`.
#[derive(Clone, PartialEq, Message)]
struct Step {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(message, optional, tag = "5")]
    started: Option<Time>,
}

/// `google.protobuf.Timestamp`, of which only its presence matters.
#[derive(Clone, PartialEq, Message)]
struct Time {}

/// `VertexLog`: a part of what a step prints, cut anywhere.
#[derive(Clone, PartialEq, Message)]
struct Log {
    #[prost(string, tag = "1")]
    step: String,
    #[prost(int64, tag = "3")]
    stream: i64,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
}

/// What has been told so far.
pub(super) struct Told {
    words: Words,
    begun: BTreeSet<String>,
    /// Lines that have no end yet, by step and stream: a secret must be found in them wherever they are cut.
    open: BTreeMap<(String, i64), Vec<u8>>,
    image: Option<ImageId>,
}

impl Told {
    pub(super) fn new(words: Words) -> Self {
        Self { words, begun: BTreeSet::new(), open: BTreeMap::new(), image: None }
    }

    /// Reads one line of the answer; gives why the build failed, where it says so.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Option<String>, serde_json::Error> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let part: Part = serde_json::from_slice(line)?;
        match part.aux {
            Some(Value::String(trace)) if part.id == "moby.buildkit.trace" => {
                // Words are lost where it is none, not the build.
                let status = STANDARD.decode(trace).ok().and_then(|trace| Status::decode(&*trace).ok());
                status.into_iter().for_each(|status| self.note(status));
            }
            Some(aux) => {
                let id = aux.get("ID").and_then(Value::as_str).and_then(|id| ImageId::new(id).ok());
                self.image = id.or(self.image.take());
            }
            None => {}
        }
        Ok(part.wrong.map(|wrong| self.words.masked(&wrong.message)))
    }

    fn note(&mut self, status: Status) {
        for step in status.steps.into_iter().filter(|step| step.started.is_some()) {
            if self.begun.insert(step.digest) && !step.name.starts_with(INTERNAL) {
                self.words.say(&step.name);
            }
        }
        for log in status.logs {
            let open = self.open.entry((log.step, log.stream)).or_default();
            open.extend_from_slice(&log.text);
            if let Some(end) = memchr::memrchr(b'\n', open) {
                let rest = open.split_off(end + 1);
                let whole = std::mem::replace(open, rest);
                self.words.say(&String::from_utf8_lossy(&whole));
            }
        }
    }

    /// What was built, and the last words; also of lines that were never ended.
    pub(super) fn end(mut self) -> (Option<ImageId>, Vec<String>) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.words.say(&String::from_utf8_lossy(&open));
        }
        (self.image, self.words.into_lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;

    fn trace(status: &Status) -> Vec<u8> {
        let aux = STANDARD.encode(status.encode_to_vec());
        serde_json::json!({ "id": "moby.buildkit.trace", "aux": aux }).to_string().into_bytes()
    }

    fn step(digest: &str, name: &str, started: bool) -> Step {
        Step { digest: digest.into(), name: name.into(), started: started.then_some(Time {}) }
    }

    fn log(step: &str, text: &str) -> Log {
        Log { step: step.into(), stream: 1, text: text.as_bytes().to_vec() }
    }

    fn told(answer: &[Vec<u8>]) -> (Option<ImageId>, Vec<String>, Vec<String>) {
        let mut told = Told::new(Words::new(Mask::of(["hunter2"])));
        let wrong = answer.iter().filter_map(|line| told.read(line).expect("JSON")).collect();
        let (image, lines) = told.end();
        (image, lines, wrong)
    }

    #[test]
    fn steps_are_told_once_when_they_begin_with_the_lines_that_they_print() {
        let first = Status {
            steps: vec![
                step("a", "[internal] load", true),
                step("b", "[1/2] RUN x", true),
                step("c", "[2/2] Y", false),
            ],
            logs: vec![log("b", "one\ntw")],
        };
        let second = Status {
            steps: vec![step("b", "[1/2] RUN x", true), step("c", "[2/2] Y", true)],
            logs: vec![log("b", "o\n\n"), log("c", "no end")],
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = serde_json::json!({ "id": "moby.image.id", "aux": { "ID": digest } }).to_string().into_bytes();
        let (image, lines, wrong) = told(&[trace(&first), b"\r".to_vec(), trace(&second), image]);
        assert_eq!(image.expect("built").as_str(), digest);
        assert_eq!(lines, ["[1/2] RUN x", "one", "[2/2] Y", "two", "no end"]);
        assert!(wrong.is_empty());
    }

    #[test]
    fn a_secret_is_masked_wherever_its_line_is_cut_and_in_what_is_wrong() {
        let parts = ["it is hun", "ter2, yes\nhunter", "2"];
        let mut answer: Vec<Vec<u8>> =
            parts.map(|part| trace(&Status { steps: Vec::new(), logs: vec![log("b", part)] })).to_vec();
        answer.push(br#"{"errorDetail":{"message":"exit code: 3 of hunter2"},"error":"x"}"#.to_vec());
        let (image, lines, wrong) = told(&answer);
        assert_eq!((image, lines), (None, vec!["it is [secret], yes".to_owned(), "[secret]".to_owned()]));
        assert_eq!(wrong, ["exit code: 3 of [secret]"]);
    }

    #[test]
    fn what_cannot_be_read_costs_words_but_not_the_build() {
        let unread = br#"{"id":"moby.buildkit.trace","aux":"????"}"#.to_vec();
        let newer = serde_json::json!({ "id": "moby.buildkit.trace", "aux": STANDARD.encode([0xff; 9]) }).to_string();
        assert_eq!(told(&[unread, newer.into_bytes(), b"{}".to_vec()]), (None, Vec::new(), Vec::new()));
        Told::new(Words::new(Mask::default())).read(b"<html>").expect_err("no engine answers so");
    }
}

//! `[[services.NAME.scripts]]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::EnvironmentValue;
use crate::period::Period;
use crate::word::ScriptName;

/// A script of the project that is run on the target while a commit is deployed: what `ssh HOST 'bash -s' < FILE` does, as
/// a step of its own.
///
/// It runs in the new release's directory with the service's variables, `PLEACH_RUN` and its own, reads nothing from
/// standard input, and must exit with 0. One that was interrupted before it came to its end is run again, so it bears being
/// run twice; one that ended with 0 is not run again. `rollback --to` runs none: it switches to what was deployed before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScriptConfig {
    /// Its name; the step is called `script-NAME`.
    pub name: ScriptName,
    /// The script, from the repository's root. What runs is what the deployed commit has there.
    #[schemars(length(min = 1), example = &"scripts/migrate.sh")]
    pub file: PathBuf,
    /// Its place among the steps of a deployment. Those with the same place run in the order of the file.
    #[serde(default)]
    #[schemars(example = &"before-switch")]
    pub when: ScriptPlace,
    /// What reads it from standard input: a POSIX shell, `bash`, `zsh`, `python3`, `perl`, `ruby`, `node`, by name or path.
    /// What the script's `#!` line names if absent, or else `sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"bash")]
    pub interpreter: Option<String>,
    /// Its arguments; no shell reads them. They can be seen on the target while it runs, so secrets go into `environment`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["--all"])]
    pub arguments: Vec<String>,
    /// Variables of its own, on top of the service's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({ "LEVEL": "2", "TOKEN": { "secret": "env:TOKEN" } }))]
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// The longest that it may take; then it is ended with all that it started.
    #[serde(default = "default_limit")]
    #[schemars(example = &"10m")]
    pub limit: Period,
    /// The script that takes it back, from the repository's root, run likewise. It is run whenever this one was begun, so
    /// it bears being run where that one did nothing or half. Without it `reversal` says why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"scripts/migrate-back.sh")]
    pub undo: Option<PathBuf>,
    /// What going back means where there is no `undo`: `nothing` goes back past it and leaves what it did; `forward-only`
    /// goes back to it and no further, and leaves the rest to a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"nothing")]
    pub reversal: Option<ScriptReversal>,
    /// The user that it and its `undo` run as, by `sudo`, which must allow that user `/bin/sh`. What it asks for is the
    /// target's `sudo-password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"postgres")]
    pub sudo: Option<String>,
    /// The service of the Compose project in whose image it and its `undo` run, each in a container of its own (`docker compose run
    /// --rm --no-deps`). They see what the Compose files give that service, `PLEACH_RUN`, and the variables of their own. Nothing else is
    /// started: what they ask for must run already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"odoo")]
    pub container: Option<String>,
    /// Prints each command before it is run (`set -x`), secrets masked. For shells only.
    #[serde(default)]
    #[schemars(example = true)]
    pub trace: bool,
}

fn default_limit() -> Period {
    Period::seconds(600)
}

impl ScriptConfig {
    /// The files that it needs of the repository.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(self.file.as_path()), self.undo.as_deref()].into_iter().flatten()
    }
}

/// Where among the steps of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptPlace {
    /// Once the release is built, before anything of it runs.
    #[default]
    AfterBuild,
    /// Right before the release becomes the current one; with `run` its process is healthy by then.
    BeforeSwitch,
    /// Once the release is the current one and was seen to be healthy.
    AfterSwitch,
}

/// What going back past a script means that no other takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptReversal {
    /// What it did may stay.
    Nothing,
    /// What it did cannot be taken back, and what was before it does not work with it.
    ForwardOnly,
}

/// A program that reads a script from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// Understands `-c`, `eval` and `set -x`.
    Shell,
    /// Takes `-` for standard input.
    Program,
}

impl Interpreter {
    /// What a name or path stands for; `None` for a program that is not known to read scripts.
    pub fn of(program: &str) -> Option<Self> {
        let name = program.rsplit('/').next().unwrap_or(program);
        // `python3.12`, `ksh93`
        match name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" => Some(Self::Shell),
            "python" | "perl" | "ruby" | "node" => Some(Self::Program),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_known_by_its_name_wherever_it_lies() {
        for shell in ["sh", "/bin/bash", "/usr/local/bin/ksh93", "zsh"] {
            assert_eq!(Interpreter::of(shell), Some(Interpreter::Shell), "{shell}");
        }
        for program in ["python3", "/opt/venv/bin/python3.12", "perl", "node"] {
            assert_eq!(Interpreter::of(program), Some(Interpreter::Program), "{program}");
        }
        for other in ["", "fish", "make", "/bin/", "bash -e"] {
            assert_eq!(Interpreter::of(other), None, "{other}");
        }
    }
}

//! Scripts of the project: how one is read, run, and known to have come to its end. Pure.
//!
//! The text comes from the commit and stands in the plan, so a run that is resumed or taken back elsewhere has it. On the
//! target it goes to its interpreter over standard input, behind the variables:
//!
//! ```text
//! sh -c RUNNER … bash -c READ_SHELL scripts/migrate.sh --all     a shell reads all of it first, then runs it with an
//!                                                                empty standard input: no command in it eats the rest
//! sh -c RUNNER … python3 - --all                                 others read what `-` stands for
//! ```
//!
//! # What is known of it
//!
//! What a script does cannot be seen from outside, so it is written down in a note below the release that it belongs to:
//! by Pleach before it is run, then by the runner on the target itself. A lost link or a killed deployer does not lose it.
//!
//! | the note says | the script of this run | `apply` | `undo` |
//! |---|---|---|---|
//! | nothing | was not begun | runs it | does nothing |
//! | no process | may have been begun | runs it | runs the `undo` script |
//! | a process that lives | is at work: the link was lost | waits for it | ends it, runs the `undo` script |
//! | a process that is gone | was killed | runs it | runs the `undo` script |
//! | ended with 0 | is done | does nothing | runs the `undo` script |
//! | ended with another code | has failed | runs it | runs the `undo` script |
//! | the `undo` script, however far | is being taken back | runs it | runs what did not end with 0 |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::config::{EnvironmentValue, Interpreter, ScriptConfig, ScriptPlace, ScriptReversal};
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::phase::Reversal;
use pleach_core::plan::DraftRequest;
use pleach_core::word::{ReleaseId, RunId, ScriptName};
use serde::{Deserialize, Serialize};

use super::compose::{OneOff, project};
use super::parameter::Place;
use crate::process::Identity;
use crate::ssh::{quote_text, quote_words};

/// Notes itself and how the script ended. Both streams are one, so that a log has them in their order. The script's own end
/// is waited for also when the group is asked to end, so that it can clean up behind itself.
const RUNNER: &str = r#"__pleach_note=$1 __pleach_run=$2 __pleach_part=$3; shift 3
__pleach_who() { set -- $1; __pleach_group=$3; shift 19; __pleach_start=$1; }
__pleach_say() {
printf '{"run":"%s","part":"%s","process":{"pid":%s,"start":%s,"boot":"%s","group":%s},"ended":%s}\n' \
"$__pleach_run" "$__pleach_part" $$ "$__pleach_start" "$__pleach_boot" "$__pleach_group" "$1" >"$__pleach_note.new" &&
mv -f -- "$__pleach_note.new" "$__pleach_note"
}
IFS= read -r __pleach_line </proc/$$/stat && __pleach_who "${__pleach_line##*) }" &&
IFS= read -r __pleach_boot </proc/sys/kernel/random/boot_id && __pleach_say null || exit 125
trap : HUP INT TERM
"$@" 2>&1
__pleach_code=$?
__pleach_say "$__pleach_code"
exit "$__pleach_code"
"#;

/// The first words of the line that is read are on the script's own first line, so that its lines keep their numbers.
const READ_SHELL: &str = r#"__pleach=$(cat); exec </dev/null; eval "unset __pleach; $__pleach""#;
const READ_SHELL_TRACED: &str = r#"__pleach=$(cat); exec </dev/null; eval "unset __pleach; set -x; $__pleach""#;

/// Of `script`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ScriptParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    #[serde(flatten)]
    pub(super) script: PlannedScript,
}

/// One script, as a plan carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PlannedScript {
    pub(super) script: ScriptName,
    pub(super) apply: ScriptText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undo: Option<ScriptText>,
    /// Whom both are run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sudo: Option<String>,
    /// The service of the Compose project in whose image both run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<String>,
    /// On top of the service's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) variables: BTreeMap<String, EnvironmentValue>,
    pub(super) limit: Period,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ScriptText {
    /// In the repository.
    pub(super) file: PathBuf,
    /// The interpreter with all that it is told, the script's arguments last.
    pub(super) argv: Vec<String>,
    /// What it reads from standard input.
    pub(super) text: String,
}

/// The whole command; `note` is where it tells of itself.
pub(super) fn noted(argv: Vec<String>, note: &Path, run: &RunId, part: Part) -> Vec<String> {
    let note = note.to_string_lossy().into_owned();
    let front = ["sh", "-c", RUNNER, "pleach-script", &note, run.as_str(), part.word()];
    front.into_iter().map(str::to_owned).chain(argv).collect()
}

/// Which of a step's two scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    Apply,
    Undo,
}

impl Part {
    const fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Undo => "undo",
        }
    }
}

/// How far a script has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ScriptNote {
    pub(super) run: RunId,
    pub(super) part: Part,
    /// What waits for it on the target.
    pub(super) process: Option<ScriptProcess>,
    /// The code that it exited with.
    pub(super) ended: Option<i32>,
}

/// The runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ScriptProcess {
    #[serde(flatten)]
    pub(super) identity: Identity,
    pub(super) group: u32,
}

impl ScriptProcess {
    /// Shell text that ends it with all that it started, and fails if it is still there.
    pub(super) fn ending(&self) -> String {
        let (pid, start, group) = (self.identity.pid, self.identity.start, self.group);
        format!(
            "lives() {{ IFS= read -r l </proc/{pid}/stat || return 1; set -- ${{l##*) }}; [ \"$1\" != Z ] || return 1\n\
             shift 19; [ \"$1\" = {start} ]; }} 2>/dev/null\n\
             ends() {{ n=0; while lives; do [ $n -lt 50 ] || return 1; n=$((n+1)); sleep 0.1; done; }}\n\
             lives || exit 0\nkill -s TERM -- -{group}; ends\nkill -s KILL -- -{group} 2>/dev/null; ends\n"
        )
    }
}

/// A script with what its step says of it.
pub(super) struct ScriptDraft {
    pub(super) place: ScriptPlace,
    pub(super) script: PlannedScript,
    pub(super) summary: String,
    pub(super) reversal: Reversal,
    config: ScriptConfig,
}

impl ScriptDraft {
    /// The command that takes it back by hand, without its variables.
    pub(super) fn by_hand(&self, request: &DraftRequest<'_>, place: &Place, release: &ReleaseId) -> Option<String> {
        let undo = self.script.undo.as_ref()?;
        let config = request.service_config;
        let compose = project(config, request.service);
        let one_off = self.script.container.as_deref().zip(compose.as_ref()).map(|(service, compose)| OneOff {
            socket: place.docker_socket.as_deref(),
            compose,
            service,
            release,
            script: &self.script.script,
        });
        let mut argv = interpreter(&self.config, &undo.text).unwrap_or_default();
        let dash: &[&str] = if is_shell(&argv) { &["-s", "--"] } else { &["-"] };
        argv.extend(dash.iter().map(|&word| word.to_owned()).chain(self.config.arguments.iter().cloned()));
        let line = match &one_off {
            Some(one_off) => one_off.line(&argv),
            None => quote_words(&argv),
        };
        let user = self.script.sudo.as_ref().or(config.sudo.as_ref().filter(|_| one_off.is_some()));
        let sudo = user.map(|user| format!("sudo -u {user} ")).unwrap_or_default();
        let release = quote_text(&place.layout().release(release).to_string_lossy());
        let there = format!("cd {release} && {sudo}{line}");
        let there = if place.reach.is_some() { place.typed(there) } else { format!("({there})") };
        let file = format!("{}:{}", request.commit, undo.file.display());
        Some(format!("git show {} | {there}", quote_text(&file)))
    }
}

/// The scripts of a service, or all that is wrong with them.
pub(super) fn draft_scripts(request: &DraftRequest<'_>) -> Result<Vec<ScriptDraft>, Vec<Failure>> {
    let (mut drafts, mut failures) = (Vec::new(), Vec::new());
    for config in &request.service_config.scripts {
        let apply = read(request, config, &config.file);
        let undo = config.undo.as_ref().map(|file| read(request, config, file)).transpose();
        match (apply, undo) {
            (Ok(apply), Ok(undo)) => drafts.push(ScriptDraft {
                place: config.when,
                summary: summary(config, &apply),
                reversal: match (config.reversal, &undo) {
                    (Some(ScriptReversal::ForwardOnly), None) => Reversal::ForwardOnly,
                    (_, Some(_)) => Reversal::Undo,
                    (_, None) => Reversal::Nothing,
                },
                script: PlannedScript {
                    script: config.name.clone(),
                    apply,
                    undo,
                    sudo: config.sudo.clone(),
                    container: config.container.clone(),
                    variables: config.environment.clone(),
                    limit: config.limit,
                },
                config: config.clone(),
            }),
            (apply, undo) => failures.extend([apply.err(), undo.err()].into_iter().flatten()),
        }
    }
    if failures.is_empty() { Ok(drafts) } else { Err(failures) }
}

fn summary(config: &ScriptConfig, apply: &ScriptText) -> String {
    let told = interpreter(config, &apply.text).unwrap_or_default().join(" ");
    let arguments: String = config.arguments.iter().map(|word| format!(" {}", quote_text(word))).collect();
    let mut summary = format!("run `{}{arguments}` with `{told}`", config.file.display());
    if let Some(user) = &config.sudo {
        summary.push_str(&format!(" as `{user}`"));
    }
    if let Some(container) = &config.container {
        summary.push_str(&format!(" in a container of `{container}`"));
    }
    if config.trace {
        summary.push_str(", traced");
    }
    if let Some(undo) = &config.undo {
        summary.push_str(&format!(", undone by `{}`", undo.display()));
    }
    summary
}

/// The file as it is run, from what was read of the commit.
fn read(request: &DraftRequest<'_>, config: &ScriptConfig, file: &Path) -> Result<ScriptText, Failure> {
    let (service, name, commit) = (request.service, &config.name, request.commit.short());
    let text = request.scripts.get(file).ok_or_else(|| {
        Failure::new(Kind::Rejected, format!("script `{name}` of service `{service}` is not there"))
            .because(format!("{commit} has no file `{}`", file.display()))
            .state("nothing was touched")
            .next(format!(
                "look with `git ls-tree -r --name-only {commit}`, then name one in `services.{service}.scripts`"
            ))
    })?;
    let unreadable = |because: String| {
        Failure::new(Kind::Rejected, format!("script `{name}` of service `{service}` cannot be run"))
            .because(because)
            .state("nothing was touched")
    };
    let told = interpreter(config, text).map_err(|program| {
        unreadable(format!("its first line names `{program}`, which is not known to read scripts"))
            .next(format!("give it an `interpreter` in `services.{service}.scripts`"))
    })?;
    let traces = config.trace && !is_shell(&told);
    if traces {
        return Err(unreadable(format!("`{}` does not trace what it runs", told.join(" ")))
            .next(format!("take `trace` away from it in `services.{service}.scripts`")));
    }
    let mut argv = told;
    if is_shell(&argv) {
        let reading = if config.trace { READ_SHELL_TRACED } else { READ_SHELL };
        argv.extend(["-c".to_owned(), reading.to_owned(), file.to_string_lossy().into_owned()]);
    } else {
        argv.push("-".to_owned());
    }
    argv.extend(config.arguments.iter().cloned());
    Ok(ScriptText { file: file.to_owned(), argv, text: text.clone() })
}

fn is_shell(told: &[String]) -> bool {
    told.first().and_then(|program| Interpreter::of(program)) == Some(Interpreter::Shell)
}

/// The program that reads it and its options: the configured one, or that of the `#!` line, or `sh`. The error is a program
/// that is not known to read scripts.
fn interpreter(config: &ScriptConfig, text: &str) -> Result<Vec<String>, String> {
    if let Some(program) = &config.interpreter {
        return Ok(vec![program.clone()]);
    }
    let first = text.strip_prefix("#!").and_then(|rest| rest.lines().next()).unwrap_or("sh");
    let mut words: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
    if words.first().is_some_and(|word| word == "env" || word.ends_with("/env")) {
        words.remove(0);
        words.retain(|word| word != "-S");
    }
    match words.first() {
        None => Ok(vec!["sh".to_owned()]),
        Some(program) if Interpreter::of(program).is_some() => Ok(words),
        Some(program) => Err(program.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    use super::*;

    fn config(lines: &str) -> ScriptConfig {
        let text = format!(
            "[project]\nname = \"p\"\n[services.a]\nbranch = \"a\"\n[[services.a.scripts]]\nname = \"x\"\n\
             file = \"x.sh\"\nreversal = \"nothing\"\n{lines}\n"
        );
        let config = pleach_core::config::parse("pleach.toml", &text).unwrap_or_else(|errors| panic!("{errors:?}"));
        config.services.into_values().next().expect("a service").scripts.remove(0)
    }

    #[test]
    fn a_script_is_read_by_what_its_first_line_names_unless_the_config_says_otherwise() {
        let of = |lines: &str, text: &str| interpreter(&config(lines), text).map(|words| words.join(" "));
        assert_eq!(of("", "echo x\n"), Ok("sh".into()));
        assert_eq!(of("", "#!/bin/bash -eu\necho\n"), Ok("/bin/bash -eu".into()));
        assert_eq!(of("", "#! /usr/bin/env bash"), Ok("bash".into()));
        assert_eq!(of("", "#!/usr/bin/env -S python3 -u\n"), Ok("python3 -u".into()));
        assert_eq!(of("", "#!\n"), Ok("sh".into()));
        assert_eq!(of("", "#!/usr/bin/fish\n"), Err("/usr/bin/fish".into()));
        assert_eq!(of("interpreter = \"dash\"", "#!/usr/bin/fish\n"), Ok("dash".into()));
    }

    /// What a shell does with a text that comes as one of the project's scripts does.
    fn run(shell: &str, reading: &str, text: &str) -> Output {
        let mut command = Command::new(shell);
        command.args(["-c", reading, "scripts/x.sh", "one", "two words"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    }

    #[test]
    fn a_script_has_its_name_and_arguments_and_no_command_in_it_eats_the_rest() {
        for shell in ["sh", "bash"] {
            let text = "#!/bin/sh\nset -e\ncat\necho \"$0 $# $2\"\ncat <<END\nhere $1\nEND\nexit 3\n";
            let output = run(shell, READ_SHELL, text);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(said, "scripts/x.sh 2 two words\nhere one\n", "{shell}");
            assert_eq!(output.status.code(), Some(3), "{shell}");
            let stopped = run(shell, READ_SHELL, "set -e\nfalse\necho no\n");
            assert!(!stopped.status.success() && stopped.stdout.is_empty(), "{shell}");
            let broken = run(shell, READ_SHELL, "echo begun\nif true; then\n");
            assert!(!broken.status.success(), "{shell}");
        }
    }

    #[test]
    fn a_trace_tells_the_commands_of_the_script_and_nothing_of_how_it_is_read() {
        for shell in ["sh", "bash"] {
            let output = run(shell, READ_SHELL_TRACED, "#!/bin/sh\necho \"$1\"\n");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(said.trim_start_matches('+'), " echo one\n", "{shell}");
        }
    }

    #[test]
    fn a_runner_tells_who_it_is_and_how_the_script_ended() {
        let home = tempfile::tempdir().expect("a directory");
        let note = home.path().join("a note");
        let script = ["sh", "-c", "cat \"$1\"; exit 7", "x.sh", &note.display().to_string()].map(str::to_owned);
        let run = RunId::new("run-1").expect("a name");
        let argv = noted(script.to_vec(), &note, &run, Part::Undo);
        let output = Command::new(&argv[0]).args(&argv[1..]).stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let during: ScriptNote = serde_json::from_slice(&output.stdout).expect("a note while it ran");
        let after: ScriptNote = serde_json::from_slice(&std::fs::read(&note).expect("there")).expect("a note");
        assert_eq!((during.ended, after.ended), (None, Some(7)));
        assert_eq!((&after.run, after.part), (&run, Part::Undo));
        assert_eq!(during.process, after.process);
        assert!(!after.process.expect("told").identity.is_alive());
        // Where it cannot tell, it does not begin.
        let argv = noted(script.to_vec(), Path::new("/proc/none"), &run, Part::Apply);
        let output = Command::new(&argv[0]).args(&argv[1..]).stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(125), "{output:?}");
    }
}

//! The script on the target, and how it is called.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use pleach_core::error::Failure;
use pleach_core::port::{Call, Command, CommandOutput, ExitStatus, FencingToken, NoLines, Shell};
use pleach_core::word::{EnvironmentName, TargetName};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::error::GuardError;
use super::state::{LeaseState, StateError};
use crate::local::hex;

const SCRIPT: &str = concat!(include_str!("base.sh"), include_str!("chain.sh"), include_str!("guard.sh"));

// In one step, so that nobody runs half of it. The last line tells a whole one from one that was cut off on its way.
const INSTALL: &str = r#"
mkdir -p "$1" || exit 1
new=$1/new.$$
trap 'rm -f "$new"' EXIT
cat >"$new" || exit 1
if [ "$(tail -n 1 "$new")" != '# This line is the last.' ]; then
    echo 'the script arrived only in part' >&2
    exit 1
fi
{ sync "$new" 2>/dev/null || sync; } && mv -f "$new" "$1/$2""#;

// Exit 96: there is no script yet. Nothing of a command has run then.
const LAUNCH: &str =
    r#"guard=$1; shift; [ -r "$guard" ] || { echo 'pleach-guard: not installed' >&2; exit 96; }; exec "$@""#;

/// The guard of one folder on a target. A value: whoever calls it brings the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    folder: PathBuf,
    interpreter: Vec<String>,
}

impl Guard {
    /// The guard in `folder` on the target, an absolute path.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), interpreter: vec!["sh".into()] }
    }

    /// The guard of the target whose directory is `root`.
    pub fn below(root: &Path) -> Self {
        Self::new(root.join(".pleach"))
    }

    /// Runs the script with `interpreter` instead of `sh`: a program and its arguments, such as `busybox sh`.
    #[must_use]
    pub fn interpreter<S: Into<String>>(mut self, interpreter: impl IntoIterator<Item = S>) -> Self {
        self.interpreter = interpreter.into_iter().map(Into::into).collect();
        self
    }

    /// The text of the script.
    pub fn script() -> &'static str {
        SCRIPT
    }

    /// Where it all lies on the target.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the script lies on the target. Its name holds its digest: another version is another file, and both work on
    /// the same leases.
    pub fn path(&self) -> PathBuf {
        self.folder.join(Script { kind: "guard", text: SCRIPT }.name())
    }

    /// Where the lease of one target lies.
    pub fn place(&self, environment: &EnvironmentName, target: &TargetName) -> PathBuf {
        self.leases().join(environment.as_str()).join(target.as_str())
    }

    pub(super) fn leases(&self) -> PathBuf {
        self.folder.join("lease")
    }

    /// Puts the script on the target, if it is not there.
    ///
    /// # Errors
    /// The target cannot be reached, or its file system refuses.
    pub async fn ensure_installed(&self, shell: &dyn Shell) -> Result<(), Failure> {
        let answer = self.ask(shell, "check", &self.leases(), &["0"], None).await;
        // Whatever it says of a place that is none, it is there and says it.
        match answer {
            Ok(_) | Err(GuardError::Write { .. } | GuardError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `command` as it is run under `token`: refused with 97 before it starts if the target has seen a newer one.
    pub fn guarded(&self, place: &Path, token: FencingToken, command: &Command) -> Command {
        let mut argv = self.interpreter.clone();
        argv.extend([text(&self.path()), "run".into(), text(place), token.to_string()]);
        argv.extend(command.argv.iter().cloned());
        Command { argv, ..command.clone() }
    }

    /// What a guarded command's output says if the guard refused it.
    pub fn refusal(output: &CommandOutput) -> Option<GuardError> {
        if output.status != ExitStatus::Code(97) {
            return None;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let (given, seen) = said.lines().find_map(|line| {
            let (given, seen) = line.strip_prefix("pleach-guard: refused ")?.split_once(" seen ")?;
            Some((FencingToken(given.parse().ok()?), FencingToken(seen.parse().ok()?)))
        })?;
        Some(GuardError::Passed { given, seen })
    }

    /// Raises what the target has seen to `token`: older ones are refused from now on.
    ///
    /// # Errors
    /// [`Kind::Conflict`](pleach_core::error::Kind::Conflict) if the target has seen a newer one.
    pub async fn raise(&self, shell: &dyn Shell, place: &Path, token: FencingToken) -> Result<(), Failure> {
        self.ask(shell, "raise", place, &[&token.to_string()], None).await?;
        Ok(())
    }

    /// Calls one operation, after putting the script there if need be. Gives code and standard output of those that the
    /// caller has to tell apart: 0, 75 and 98.
    pub(super) async fn ask(
        &self,
        shell: &dyn Shell,
        operation: &str,
        place: &Path,
        arguments: &[&str],
        request: Option<String>,
    ) -> Result<(i32, String), GuardError> {
        let script = Script { kind: "guard", text: SCRIPT };
        let output = self.call(shell, &script, operation, place, arguments, request).await?;
        let lines = || output.last_lines();
        let place = || text(place);
        match output.status {
            ExitStatus::Code(code @ (0 | 75 | 98)) => {
                let printed = String::from_utf8(output.stdout.clone());
                printed
                    .map(|printed| (code, printed))
                    .map_err(|_| GuardError::Damaged { place: place(), output: lines() })
            }
            ExitStatus::Code(65) => Err(GuardError::Damaged { place: place(), output: lines() }),
            ExitStatus::Code(74) => Err(GuardError::Write { place: place(), output: lines() }),
            _ => {
                Err(Self::refusal(&output).unwrap_or_else(|| GuardError::NoAnswer { place: place(), output: lines() }))
            }
        }
    }

    /// Calls one operation of a script of this folder, after putting it there if need be.
    pub(crate) async fn call(
        &self,
        shell: &dyn Shell,
        script: &Script,
        operation: &str,
        place: &Path,
        arguments: &[&str],
        request: Option<String>,
    ) -> Result<CommandOutput, GuardError> {
        let path = text(&self.folder.join(script.name()));
        let mut argv = vec!["sh".into(), "-c".into(), LAUNCH.into(), "pleach".into(), path.clone()];
        argv.extend(self.interpreter.iter().cloned());
        argv.extend([path, operation.into(), text(place)]);
        argv.extend(arguments.iter().map(|&argument| argument.to_owned()));
        // A read, though it writes in the guard's own folder: there is no token yet that could go with it.
        let mut command = Command::read(argv).alone();
        command.stdin = request.map(Bytes::from);
        let what = || format!("`{operation}` of its {}", script.kind);
        let output = run(shell, &command, what).await?;
        if output.status != ExitStatus::Code(96) {
            return Ok(output);
        }
        install(shell, &self.folder, script).await?;
        run(shell, &command, what).await
    }
}

/// A script that is put on the target.
pub(crate) struct Script {
    /// What it is.
    pub(crate) kind: &'static str,
    /// Its text.
    pub(crate) text: &'static str,
}

impl Script {
    /// The name of its file: its kind and the beginning of its SHA-256.
    pub(crate) fn name(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        format!("{}-{}", self.kind, hex(&digest[..6]))
    }
}

/// Reads the last state that was printed.
pub(super) fn read_state(place: &Path, printed: &str) -> Result<LeaseState, GuardError> {
    LeaseState::parse(printed).map_err(|source| unreadable(place, source))
}

pub(super) fn unreadable(place: &Path, source: StateError) -> GuardError {
    GuardError::Answer { place: text(place), source }
}

/// Puts a script into `folder`, whole or not at all.
async fn install(shell: &dyn Shell, folder: &Path, script: &Script) -> Result<(), GuardError> {
    let name = script.name();
    let mut command = Command::read(["sh", "-c", INSTALL, "pleach", &text(folder), &name]);
    command.stdin = Some(Bytes::from_static(script.text.as_bytes()));
    let output = run(shell, &command, || format!("room for the script `{name}`")).await?;
    if output.succeeded() {
        Ok(())
    } else {
        Err(GuardError::Install { folder: text(folder), output: output.last_lines() })
    }
}

async fn run(shell: &dyn Shell, command: &Command, what: impl Fn() -> String) -> Result<CommandOutput, GuardError> {
    let call = Call { token: None, lines: &NoLines, cancel: &CancellationToken::new() };
    let ran = shell.run(command, call).await;
    ran.map_err(|source| GuardError::Shell { what: what(), source: Box::new(source) })
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

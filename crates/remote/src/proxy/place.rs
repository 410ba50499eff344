//! Where HAProxy is, and the commands that are its operator's.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::ProxyError;

/// The HAProxy of a target, as its operator has set it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProxyPlace {
    /// Its admin socket, `stats socket PATH level admin`.
    pub socket: PathBuf,
    /// The file that is Pleach's alone and that HAProxy loads last.
    pub file: PathBuf,
    /// The command that says whether HAProxy would start with a file; `{file}` in its words is where that lies.
    pub check: Vec<String>,
    /// The command that lets HAProxy read its files again.
    pub reload: Vec<String>,
}

/// How long `check` and `reload` may take.
const LIMIT: Duration = Duration::from_secs(60);

impl ProxyPlace {
    /// Refuses what could not be carried out, before anything is begun.
    pub(super) fn require_complete(&self) -> Result<(), ProxyError> {
        if self.reload.is_empty() {
            return Err(ProxyError::Settings("`reload` has no words".into()));
        }
        if !self.check.iter().any(|word| word.contains(FILE)) {
            return Err(ProxyError::Settings("`check` has no word `{file}`".into()));
        }
        Ok(())
    }

    /// Whether HAProxy would start with `candidate` in the place of the file.
    pub(super) fn check(&self, candidate: &Path) -> Result<(), ProxyError> {
        run(&self.check_words(candidate)).map_err(|(ended, output)| ProxyError::Check {
            file: self.file.clone(),
            command: self.check_command(),
            ended,
            // The person knows the file by its own name.
            output: output.iter().map(|line| line.replace(&text(candidate), &text(&self.file))).collect(),
        })
    }

    /// Lets HAProxy read its files again.
    pub(super) fn reload(&self) -> Result<(), ProxyError> {
        run(&self.reload).map_err(|(ended, output)| ProxyError::Reload {
            command: self.reload_command(),
            ended,
            output,
        })
    }

    /// The command that checks what HAProxy reads now, to be pasted.
    pub(super) fn check_command(&self) -> String {
        paste(&self.check_words(&self.file))
    }

    /// The command that reloads, to be pasted.
    pub(super) fn reload_command(&self) -> String {
        paste(&self.reload)
    }

    fn check_words(&self, file: &Path) -> Vec<String> {
        self.check.iter().map(|word| word.replace(FILE, &text(file))).collect()
    }
}

const FILE: &str = "{file}";

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn paste(words: &[String]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@+".contains(&byte);
    let word = |word: &String| {
        if !word.is_empty() && word.bytes().all(plain) {
            word.clone()
        } else {
            pleach_core::error::quote_path(Path::new(word))
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; else how it ended and what it said. What it says goes to a file: a command that leaves a process
/// behind, as a reload may, would hold a pipe open.
fn run(words: &[String]) -> Result<(), (String, Vec<String>)> {
    let failed = |error: std::io::Error| (format!("could not be started: {error}"), Vec::new());
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut said = tempfile::tempfile().map_err(failed)?;
    let (stdout, stderr) = (said.try_clone().map_err(failed)?, said.try_clone().map_err(failed)?);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).current_dir("/");
    let mut child = command.spawn().map_err(failed)?;
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => break format!("ended with {status}"),
            None if begun.elapsed() > LIMIT => {
                // It is this one's own child, and not waited for yet: its id is still its own.
                let _ = child.kill().and_then(|()| child.wait());
                break format!("did not end within {} seconds", LIMIT.as_secs());
            }
            None => sleep(Duration::from_millis(5)),
        }
    };
    let mut output = Vec::new();
    let _ = said.rewind().and_then(|()| said.read_to_end(&mut output));
    Err((ended, String::from_utf8_lossy(&output).lines().map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_would_not_look_at_the_new_file_is_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut place = ProxyPlace {
            socket: "/run/s".into(),
            file: "/etc/haproxy/it's.cfg".into(),
            check: words("haproxy -c -f /etc/haproxy/haproxy.cfg"),
            reload: words("systemctl reload haproxy"),
        };
        assert!(matches!(place.require_complete(), Err(ProxyError::Settings(_))));
        place.check.extend(words("-f {file}"));
        assert!(place.require_complete().is_ok());
        assert_eq!(place.check_command(), r"haproxy -c -f /etc/haproxy/haproxy.cfg -f '/etc/haproxy/it'\''s.cfg'");
    }

    #[test]
    fn a_command_that_fails_tells_how_and_what_it_said() {
        let words = ["sh", "-c", "echo one; echo two >&2; exit 3"].map(str::to_owned);
        let (ended, output) = run(&words).expect_err("it fails");
        assert_eq!(ended, "ended with exit status: 3");
        assert_eq!(output, ["one", "two"]);
    }
}

//! What became of a command, and its end.
//!
//! A process id alone says nothing: it may be another's by now. A leader is told by its process id, the moment it started
//! in ticks since boot, and the id of that boot; where `/proc` tells none of these, by its process group alone.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use pleach_core::port::{ExitStatus, Stream};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::execution::{Execution, Feed, Finish, Session, Sink, Twice};
use super::link::Link;
use super::shell::ShellError;
use super::wrapper::{Pass, own_line};
use crate::local::hex;

/// The identity of a command on its target: 32 hexadecimal digits. A later process can ask for it by this text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(String);

/// Why a text is not the identity of a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the identity of a command: these have 32 hexadecimal digits")]
pub struct CommandIdError(String);

impl CommandId {
    /// One that no other command has.
    #[expect(clippy::new_without_default, reason = "two of them are never equal")]
    pub fn new() -> Self {
        let mut digest = Sha256::new();
        // Each of these hashers starts from the system's random numbers.
        for _ in 0..4 {
            digest.update(RandomState::new().build_hasher().finish().to_le_bytes());
        }
        digest.update(std::process::id().to_le_bytes());
        digest.update(format!("{:?}", std::time::SystemTime::now()));
        Self(hex(&digest.finalize()[..16]))
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CommandId {
    type Err = CommandIdError;

    fn from_str(text: &str) -> Result<Self, CommandIdError> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits { Ok(Self(text.to_owned())) } else { Err(CommandIdError(text.to_owned())) }
    }
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never started, and never will.
    NeverStarted,
    /// It runs.
    Running,
    /// It ended like this.
    Ended(ExitStatus),
    /// It ended, and nobody knows how: the machine was booted since, or it was killed together with what watched it.
    Gone,
}

/// The process that leads a command's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    process: u32,
    group: u32,
    start: String,
    boot: String,
}

/// From what the wrapper says behind `go`.
impl FromStr for Leader {
    type Err = ();

    fn from_str(words: &str) -> Result<Self, ()> {
        let mut words = words.split(' ');
        let mut word = || words.next().ok_or(());
        let number = |text: &str| text.parse().ok().filter(|number| *number > 1).ok_or(());
        let plain = |text: &str| {
            let fine = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if fine { Ok(text.to_owned()) } else { Err(()) }
        };
        let (process, group) = (number(word()?)?, number(word()?)?);
        Ok(Self { process, group, start: plain(word()?)?, boot: plain(word()?)? })
    }
}

/// How a command is found.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// By its registration below a root.
    Registered { root: PathBuf, id: CommandId },
    /// By its leader.
    Leader(Leader),
}

/// How a command is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    /// It may put its things in order.
    Ask,
    /// At once.
    Kill,
}

/// Whether the group of `$__P $__G $__S $__B` (process, group, start, boot) has a process that is not a zombie. A group's
/// number is given to no other process while the group has members.
const LIVES: &str = r#"
member() { [ "$3" = "$__G" ] && [ "$1" != Z ]; };
start() { shift 19; [ "$1" = "$__S" ]; };
lives() {
if [ "$__b" = - ]; then kill -s 0 -- "-$__G" 2>/dev/null; return; fi;
[ "$__B" = "$__b" ] || return 1;
if { IFS= read -r __l </proc/$__P/stat; } 2>/dev/null; then start ${__l##*) } || return 1; fi;
for __f in /proc/[0-9]*/stat; do
if { IFS= read -r __l <"$__f"; } 2>/dev/null && member ${__l##*) }; then return 0; fi;
done;
return 1;
};
"#;

/// Reads the registration `$__i`, after making sure that there is one.
const READ: &str = r#"
if [ -d "$__c" ] || mkdir -p -- "$__c"; then :; fi;
set -C; if { printf 'never\n' >"$__i"; } 2>/dev/null; then :; fi; set +C;
look() { __w=never; if [ -e "$__i" ]; then __w=; IFS=' ' read -r __w __P __G __S __B <"$__i"; fi; };
look;
if [ -z "$__w" ]; then : >"$__i.stop"; look; __w=${__w:-never}; fi;
"#;

/// Tells what became of it.
const TELL: &str = r#"
if [ "$__w" = running ]; then if lives; then :; else look; if [ "$__w" = running ]; then __w=gone; fi; fi; fi;
case $__w in ended) printf 'ended %s %s\n' "$__P" "$__G";; *) printf '%s\n' "$__w";; esac;
"#;

/// Ends the group; after a kill, waits for its end and notes it.
fn ending(force: Force) -> String {
    match force {
        Force::Ask => "if lives; then kill -s TERM -- \"-$__G\"; fi;".into(),
        Force::Kill => r#"
if lives; then kill -s KILL -- "-$__G"; fi;
__k=0; while [ $__k -lt 100 ] && lives; do __k=$((__k+1)); sleep 0.02 2>/dev/null || sleep 1; done;
if [ -n "$__i" ] && ! lives; then
look; if [ "$__w" = running ]; then printf 'ended signal 9\n' 1<>"$__i"; fi;
fi;
"#
        .into(),
    }
}

/// What became of a write.
pub(super) async fn fate(link: &Arc<Link>, root: &std::path::Path, id: &CommandId) -> Result<Fate, ShellError> {
    let text = format!("__i=\"$__c/{id}\"; {LIVES} {READ} {TELL}");
    let answer = ask(link, Some(root), &text, Session::Shared(Twice::Allowed)).await?;
    read_fate(&answer).ok_or_else(|| ShellError::Answer { host: link.host().to_owned(), text: answer })
}

fn read_fate(answer: &str) -> Option<Fate> {
    let mut words = answer.split_whitespace();
    Some(match (words.next()?, words.next(), words.next()) {
        ("never", ..) => Fate::NeverStarted,
        ("running", ..) => Fate::Running,
        ("gone", ..) => Fate::Gone,
        ("ended", Some("code"), Some(code)) => Fate::Ended(ExitStatus::Code(code.parse().ok()?)),
        ("ended", Some("signal"), Some(signal)) => Fate::Ended(ExitStatus::Signal(signal.parse().ok()?)),
        _ => return None,
    })
}

/// Ends a command with all that it started.
pub(super) async fn end(link: &Arc<Link>, whom: &Whom, force: Force) -> Result<(), ShellError> {
    let ending = ending(force);
    match whom {
        Whom::Registered { root, id } => {
            let text =
                format!("__i=\"$__c/{id}\"; {LIVES} {READ} if [ \"$__w\" = running ]; then {ending} fi; echo done");
            ask(link, Some(root), &text, Session::Urgent).await?;
        }
        Whom::Leader(Leader { process, group, start, boot }) => {
            let text = format!("__i=; __P={process}; __G={group}; __S={start}; __B={boot}; {LIVES} {ending} echo done");
            ask(link, None, &text, Session::Urgent).await?;
        }
    }
    Ok(())
}

/// Ends every registered command that still runs: whoever started it has lost the target to another.
pub(super) async fn end_all(link: &Arc<Link>, root: &std::path::Path) -> Result<(), ShellError> {
    let ending = ending(Force::Kill);
    let text = format!(
        "{LIVES} look() {{ __w=; IFS=' ' read -r __w __P __G __S __B <\"$__i\"; }};
for __i in \"$__c\"/*; do
case $__i in *.n|*.stop|*'/*') continue;; esac;
if look && [ \"$__w\" = running ] && lives; then {ending} fi;
done; echo done"
    );
    ask(link, Some(root), &text, Session::Urgent).await?;
    Ok(())
}

struct Answer(Vec<u8>);

impl Sink for Answer {
    fn take(&mut self, stream: Stream, chunk: &[u8]) {
        if stream == Stream::Stdout && self.0.len() < 64 * 1024 {
            self.0.extend_from_slice(chunk);
        }
    }
}

/// Runs a line of the wrapper's own and gives what it prints.
pub(super) async fn ask(
    link: &Arc<Link>,
    root: Option<&std::path::Path>,
    text: &str,
    session: Session,
) -> Result<String, ShellError> {
    let marker = CommandId::new().to_string();
    let line = own_line(root, Pass::Free, &[], text, &marker);
    let host = link.host().to_owned();
    // Without identity: what it does, it does in an instant, and doing it twice is doing it once.
    let started = Box::pin(Execution::start(link, line, marker, Feed::Nothing, None, session)).await;
    let execution = started.map_err(|source| ShellError::Link { host: host.clone(), source })?;
    let mut answer = Answer(Vec::new());
    match execution.finish(&mut answer, &CancellationToken::new()).await {
        Finish::Exited(_) => Ok(String::from_utf8_lossy(&answer.0).trim().to_owned()),
        Finish::NoWrapper(noise) => Err(ShellError::no_wrapper(host, &noise)),
        Finish::Refused(word) => Err(ShellError::Answer { host, text: word }),
        Finish::Lost | Finish::Cancelled => Err(ShellError::AskLost { host }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_never_the_same_and_read_back() {
        let (one, two) = (CommandId::new(), CommandId::new());
        assert_ne!(one, two);
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!("../../etc/passwd".parse::<CommandId>().is_err());
    }

    #[test]
    fn a_leader_that_could_mean_everybody_is_not_believed() {
        assert!("100 100 5 -".parse::<Leader>().is_ok());
        for wrong in ["1 1 5 -", "0 0 5 -", "-1 -1 5 -", "100 100 5", "100 100 $(x) -", ""] {
            assert!(wrong.parse::<Leader>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_none() {
        assert_eq!(read_fate("ended code 3"), Some(Fate::Ended(ExitStatus::Code(3))));
        assert_eq!(read_fate("ended signal 9"), Some(Fate::Ended(ExitStatus::Signal(9))));
        for wrong in ["", "ended", "ended code x", "over"] {
            assert_eq!(read_fate(wrong), None, "{wrong}");
        }
    }
}

//! The shell text that runs a command on the target. Pure.
//!
//! The login shell is given [`BOOTSTRAP`], the same for every command: a POSIX `sh` reads one line from standard input and
//! does what it says. All that belongs to the command (program, arguments, variables, directory) stands in that line, and
//! what follows it is the command's own standard input; nothing of it ever is an argument of a process.
//!
//! ```text
//! read     cd · variables · say `go` · exec the program
//! write    cd · take the fence's lock, compare the token, register, let go · variables · say `go` ·
//!          run the program and wait · note how it ended · end the same way
//! ```
//!
//! What the wrapper says stands behind a word that nobody can guess, once on each stream; whatever the login shell printed
//! before is cut off there.
//!
//! What both ways of running a line need first is [`session_line`]'s or [`resident_line`]'s to add.
//!
//! # Registration
//!
//! A write has a file `.pleach/command/ID` below the target's root. It is made before the command starts, so it tells for
//! ever after what became of the command, whoever asks:
//!
//! | first line | meaning |
//! |---|---|
//! | `running PID GROUP START BOOT` | started, or about to |
//! | `ended code N`, `ended signal N` | over |
//! | `never` | will never start: somebody asked first, or it was refused |
//!
//! The file is made with `O_EXCL`, by the command or by whoever asks: the first one settles it, so an answer "never
//! started" stays true even if the command arrives later. `ID.n` gets what the shell says when a signal ends the command,
//! the only way for a POSIX shell to tell signal 9 from exit code 137.
//!
//! The command's process group is that of its session, which `sshd` makes for every command; the wrapper leads it.

use std::path::Path;

use pleach_core::port::{Command, FencingToken, Value};

use super::quote::quote;

/// What the login shell is told. No quotes inside the quotes, no `!`, no backslash, no line end: also `csh` and `fish`
/// read it. In the locale `C`, because in others bash loses bytes of what is no text.
pub(super) const BOOTSTRAP: &str =
    "exec /bin/sh -c '__lc=${LC_ALL-unset}; LC_ALL=C; IFS= read -r __p && eval \"$__p\"'";

/// The login's own locale again.
const LOCALE: &str = "if [ \"$__lc\" = unset ]; then unset LC_ALL; else LC_ALL=$__lc; fi;";

/// Folder of registrations, below the target's root.
const FOLDER: &str = ".pleach/command";

/// What stands in front where a word has a line end. It costs a process, so only there.
const LINE_END: &[u8] = br"__n=$(printf '\nx'); __n=${__n%x}; ";

/// The two ways to answer, and who we are. Stands in front of the first line of a session.
const PROLOGUE: &str = r#"unset __p CDPATH;
exec 8>&2;
say() { printf '%s %s\n' "$__m" "$*"; printf '%s\n' "$__m" >&8; };
no() { if [ -n "$__i" ]; then printf 'never\n' 1<>"$__i"; fi; say no "$@"; exit 0; };
__i=; __g=$$; __s=-; __b=-;
who() { set -- $1; __g=$3; shift 19; __s=$1; };
if [ -r /proc/$$/stat ]; then
IFS= read -r __l </proc/$$/stat; who "${__l##*) }"; IFS= read -r __b </proc/sys/kernel/random/boot_id;
fi;
"#;

/// Opens a group in which the fence is locked and has let us through.
const GUARD: &str = r#"__c="$__r/.pleach/command";
[ -d "$__c" ] || mkdir -p -- "$__c" || no folder;
command -v flock >/dev/null || no flock;
{
flock -s 9 || no lock;
__f=0; if [ -e "$__r/.pleach/fence" ]; then IFS= read -r __f <"$__r/.pleach/fence" || no fence; fi;
case $__f in ''|*[!0-9]*) no damaged "$__f";; esac;
[ "$__f" -le "$__t" ] || no passed "$__f";
"#;

/// Registers, and closes that group.
const REGISTER: &str = r#"set -C; printf 'running %s %s %s %s\n' $$ "$__g" "$__s" "$__b" >"$__c/$__d" || { set +C; if [ -s "$__c/$__d" ]; then no withdrawn; fi; rm -f -- "$__c/$__d"; no space; }; set +C;
} 9>>"$__r/.pleach/fence.lock" || no lock;
__i="$__c/$__d";
if [ -e "$__i.stop" ]; then no withdrawn; fi;
"#;

/// As a POSIX shell bash says nothing of signals, so it must not be one where they matter.
const TELLING: &str = r#"if [ -n "${BASH_VERSION-}" ] && (set +o posix) 2>/dev/null; then set +o posix; fi;"#;

/// Runs each line in a subshell. Exit code 137 and signal 9 look the same to a shell, but of a signal it says something
/// (of two of them it does not), to a pipe whose other end it has itself. Where that cannot be had, all are codes.
const RESIDENT: &str = r#"
exec 7>&1 5<&0;
: | {
if (: >/proc/self/fd/0) 2>/dev/null; then exec 9<&0 6>/proc/self/fd/0; else exec 9</dev/null 6>/dev/null; fi;
exec <&5 5<&- 2>&6;
while IFS= read -r __p; do
(eval "$__p") </dev/null >&7 2>&8 6>&- 7>&- 9<&-; __e=$?; __k=code; __x=;
printf '%s\n' "$__z" >&6; while IFS= read -r __y <&9 && [ "$__y" != "$__z" ]; do __x=x; done;
if [ "$__e" -gt 128 ] && { [ "$__x" ] || [ "$__e" = 130 ] || [ "$__e" = 141 ]; }; then __k=signal; __e=$((__e-128)); fi;
printf '%s %s %s\n' "$__z" "$__k" "$__e" >&7; printf '%s\n' "$__z" >&8;
done;
}
"#;

/// Runs the program and waits for it.
const RUN: &str = r#"
__e=; ulimit -c 0; trap : HUP INT TERM;
{ say go $$ "$__g" "$__s" "$__b"; (exec 2>&8 8>&-; exec "$@"); __e=$?; } 2>"$__i.n";
[ -n "$__e" ] || no space;
trap - HUP INT TERM;
if [ "$__e" -gt 128 ] && { [ -s "$__i.n" ] || [ "$__e" = 130 ] || [ "$__e" = 141 ]; }; then
__k=$((__e-128)); printf 'ended signal %s\n' "$__k" 1<>"$__i"; kill -$__k $$;
else printf 'ended code %s\n' "$__e" 1<>"$__i"; fi;
exit "$__e";
"#;

/// What the wrapper needs besides the command.
pub(super) struct Passage<'a> {
    /// The target's root.
    pub(super) root: &'a Path,
    /// The lease's token.
    pub(super) token: FencingToken,
    /// The command's identity.
    pub(super) id: &'a str,
    /// Identities whose end has been seen, to be cleared away.
    pub(super) seen: &'a [String],
}

/// The wrapper's line for a command. `marker` is a word without blanks that nobody can guess.
pub(super) fn command_line(command: &Command, passage: Option<&Passage<'_>>, marker: &str) -> Vec<u8> {
    let mut line = Line::new(marker);
    if let Some(directory) = &command.directory {
        line.text("cd -- ");
        // `cd -` would be another place.
        if directory.is_relative() {
            line.text("./");
        }
        line.path(directory);
        line.text(" || no directory;");
    }
    if let Some(passage) = passage {
        line.variable("__r", passage.root);
        line.text(&format!("__t={}; __d={};", passage.token, passage.id));
        line.text(GUARD);
        line.text(REGISTER);
        if !passage.seen.is_empty() {
            // Beside the command, so that nobody waits for it.
            line.text("(cd -- \"$__c\" && exec rm -f --");
            for id in passage.seen {
                line.text(&format!(" {id} {id}.n"));
            }
            line.text(") </dev/null >/dev/null 2>&1 8>&- &\n");
        }
    }
    line.text("set --");
    for argument in &command.argv {
        line.text(" ");
        line.word(argument.as_bytes());
    }
    line.text(";");
    line.text(LOCALE);
    for (name, value) in &command.environment {
        line.text(&format!("export {name}="));
        line.word(match value {
            Value::Plain(text) => text.as_bytes(),
            Value::Secret(secret) => secret.expose().as_bytes(),
        });
        line.text(";");
    }
    line.text("command -v -- \"$1\" >/dev/null || no program;");
    match passage {
        Some(_) => {
            line.text(TELLING);
            line.text(RUN);
        }
        None => line.text("say go $$ \"$__g\" \"$__s\" \"$__b\"; exec 8>&-; exec \"$@\""),
    }
    line.end()
}

/// The only line of a session of its own.
pub(super) fn session_line(line: &[u8]) -> Vec<u8> {
    let mut whole = Line(Vec::new());
    whole.text(PROLOGUE);
    whole.0.extend_from_slice(line);
    whole.0
}

/// The line that makes a session a resident, which runs one line after the other and says `word` behind each on both
/// streams: on standard output with how it ended.
pub(super) fn resident_line(word: &str) -> Vec<u8> {
    let mut whole = Line(Vec::new());
    whole.text(PROLOGUE);
    whole.text(&format!("__z={word}; {TELLING}"));
    whole.text(RESIDENT);
    whole.0.push(b'\n');
    whole.0
}

/// Whether a line of the wrapper's own changes something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pass {
    /// It passes the fence with this token, and holds newer ones off while it runs. It must end with `exit`.
    Fence(FencingToken),
    /// It does not ask the fence.
    Free,
}

/// A line of the wrapper's own, without a command: it answers on standard output. `$__c` is the folder of registrations;
/// the other variables are the caller's.
pub(super) fn own_line(
    root: Option<&Path>,
    pass: Pass,
    variables: &[(&str, &[u8])],
    text: &str,
    marker: &str,
) -> Vec<u8> {
    let mut line = Line::new(marker);
    if let Some(root) = root {
        line.variable("__r", root);
        line.text(&format!("__c=\"$__r/{FOLDER}\";"));
    }
    for (name, value) in variables {
        line.text(&format!("{name}="));
        line.word(value);
        line.text("; ");
    }
    if let Pass::Fence(token) = pass {
        line.text(&format!("__t={token};"));
        line.text(GUARD);
    }
    line.text("say go $$ \"$__g\" \"$__s\" \"$__b\";");
    line.text(text);
    if let Pass::Fence(_) = pass {
        line.text("; } 9>>\"$__r/.pleach/fence.lock\" || no lock");
    }
    line.end()
}

/// Builds one line.
struct Line(Vec<u8>);

impl Line {
    fn new(marker: &str) -> Self {
        Self(format!("__m={marker}; ").into_bytes())
    }

    /// Shell text whose lines may as well be one.
    fn text(&mut self, text: &str) {
        self.0.extend(text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    }

    fn word(&mut self, bytes: &[u8]) {
        self.0.extend(quote(bytes));
    }

    fn path(&mut self, path: &Path) {
        use std::os::unix::ffi::OsStrExt;
        self.word(path.as_os_str().as_bytes());
    }

    fn variable(&mut self, name: &str, path: &Path) {
        self.text(&format!("{name}="));
        self.path(path);
        self.text("; ");
    }

    fn end(self) -> Vec<u8> {
        let word = b"\"$__n\"";
        let front = if self.0.windows(word.len()).any(|part| part == word) { LINE_END } else { b"" };
        [front, self.0.as_slice(), b"\n"].concat()
    }
}

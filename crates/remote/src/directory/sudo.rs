//! Running a command as another user of the target. Pure.
//!
//! `sudo` closes what it is given but for the three streams and forgets all variables, and what it has started cannot be
//! ended by whoever asked for it. So everything goes over standard input, and what runs there looks after itself:
//!
//! ```text
//! sh -c ASKING          as who logged in: starts a lifeline, which dies with its group
//!   sudo … sh -c ACTING as the other one: reads up to MARK, sets the variables, runs the command in a session of its own,
//!                       and ends it when the lifeline is gone
//! standard input        PASSWORD, two empty lines for further questions · MARK · variables · what the command reads
//! ```
//!
//! Where processes of others are hidden (`hidepid`) the other user cannot see the lifeline: there the command ends by itself.
//! The password is a line that is skipped where `sudo` does not ask; what it was asked for before does not count.

use pleach_core::port::{Command, Secret, Value};

use crate::ssh::quote_bytes;

/// No password is this.
const MARK: &str = "-- what follows is for sh --";

const ASKING: &str = r#"__pleach_user=$1 __pleach_mode=$2 __pleach_mark=$3 __pleach_acting=$4; shift 4
exec 3<&0
sleep 2147483647 </dev/null >/dev/null 2>&1 3<&- &
__pleach_line=$!
trap : HUP INT TERM
sudo "$__pleach_mode" -k -p '' -u "$__pleach_user" -- /bin/sh -c "$__pleach_acting" pleach-sudo \
"$__pleach_line" "$__pleach_mark" "$PWD" "$@" <&3 3<&-
__pleach_code=$?
kill -s KILL "$__pleach_line" 2>/dev/null
exit "$__pleach_code"
"#;

/// `sudo` may hand on what it is asked to end by; the end of the command is waited for all the same.
const ACTING: &str = r#"__pleach_line=$1 __pleach_mark=$2 __pleach_home=$3; shift 3
while IFS= read -r __pleach_word && [ "$__pleach_word" != "$__pleach_mark" ]; do :; done
IFS= read -r __pleach_word; eval "$__pleach_word"; unset __pleach_word
cd -- "$__pleach_home" || exit 126
__pleach_lives() { IFS= read -r __pleach_stat <"/proc/$1/stat" || return 1; case ${__pleach_stat##*) } in Z*) return 1;; esac; } 2>/dev/null
__pleach_sees=; [ ! -d /proc/1 ] || __pleach_sees=yes
[ -z "$__pleach_sees" ] || __pleach_lives "$__pleach_line" || exit 143
trap : HUP INT TERM
exec 3<&0
setsid "$@" <&3 3<&- &
__pleach_child=$!
exec 3<&-
if [ -n "$__pleach_sees" ]; then
( while __pleach_lives "$__pleach_line" && __pleach_lives "$__pleach_child"; do sleep 0.1; done
if __pleach_lives "$__pleach_child"; then
kill -s TERM -- "-$__pleach_child"; n=0
while [ $n -lt 30 ] && __pleach_lives "$__pleach_child"; do n=$((n+1)); sleep 0.1; done
kill -s KILL -- "-$__pleach_child"
fi ) </dev/null >/dev/null 2>&1 &
__pleach_watcher=$!
fi
while :; do wait "$__pleach_child"; __pleach_code=$?; __pleach_lives "$__pleach_child" || break; done
[ -z "$__pleach_sees" ] || __pleach_lives "$__pleach_line" || wait "$__pleach_watcher"
exit "$__pleach_code"
"#;

/// The same command as another user.
pub(super) fn elevated(mut command: Command, user: &str, password: Option<&Secret>) -> Command {
    let mut stdin = Vec::new();
    if let Some(password) = password {
        stdin.extend(password.expose().bytes());
        stdin.extend(b"\n\n\n");
    }
    stdin.extend(format!("{MARK}\n").bytes());
    let mut line = Vec::new();
    for (name, value) in &command.environment {
        let value = match value {
            Value::Plain(text) => text.as_str(),
            Value::Secret(secret) => secret.expose(),
        };
        line.extend(format!("export {name}=").bytes());
        line.extend(quote_bytes(value.as_bytes()));
        line.extend(b"; ");
    }
    stdin.extend(br"__n=$(printf '\nx'); __n=${__n%x}; ");
    stdin.extend(line);
    stdin.extend(b"unset __n\n");
    stdin.extend(command.stdin.take().unwrap_or_default());
    command.stdin = Some(stdin.into());
    let mode = if password.is_some() { "-S" } else { "-n" };
    let front = ["sh", "-c", ASKING, "pleach-sudo", user, mode, MARK, ACTING];
    command.argv = front.into_iter().map(str::to_owned).chain(command.argv).collect();
    command
}

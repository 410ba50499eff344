//! Clocks that are set wrong.
//!
//! `faketime` leaves a file behind in the shared memory for each process that is killed, named by the process's id, and gives up
//! where it finds one: in a space of process ids that begins anew, ids come again. So whatever runs by a wrong clock has a
//! shared memory of its own, as each [`Machine`](crate::machine::Machine) has one.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::path::PathBuf;

/// What counts time from the start of the machine is the same for all clocks.
const MONOTONIC: &str = "FAKETIME_DONT_FAKE_MONOTONIC=1";

/// The words in front of a command that run it by a clock that is so much ahead or, with `-`, behind: `+1h`, `-3d`.
pub fn by(shift: &str) -> Vec<String> {
    let own = format!("mount -t tmpfs none /dev/shm && exec env {MONOTONIC} faketime -f \"$@\"");
    ["unshare", "--mount", "--map-root-user", "sh", "-c", &own, "sh", shift].map(str::to_owned).to_vec()
}

/// The variables that set the clock of what is started with them, on a machine of its own.
pub fn variables(shift: &str) -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("libraries").flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let library: Option<PathBuf> = libraries.into_iter().find(|library| library.exists());
    let library = library.expect("`cargo testbed` installs `faketime`");
    format!("LD_PRELOAD={} FAKETIME={shift} {MONOTONIC}", library.display())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::machine::Machine;

    /// How many seconds the clock of `date` is ahead.
    fn ahead(date: &mut Command) -> i64 {
        let output = date.arg("+%s").output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let clock: i64 = text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        clock
            - i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()).expect("small")
    }

    #[test]
    fn a_clock_is_ahead_or_behind_for_a_command_and_for_a_machine() {
        for (shift, wanted) in [("+1h", 3600), ("-3d", -259_200)] {
            let words = by(shift);
            let command = ahead(Command::new(&words[0]).args(&words[1..]).arg("date"));
            assert!((command - wanted).abs() < 60, "{shift}: {command}");
            let Some(machine) = Machine::new() else { continue };
            let there = variables(shift);
            let machine = ahead(machine.command("env").args(there.split(' ')).arg("date"));
            assert!((machine - wanted).abs() < 60, "{shift}: {machine}");
        }
    }
}

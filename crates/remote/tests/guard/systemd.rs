//! With a real systemd, which has a timer watch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use pleach_remote::guard::Guard;
use pleach_remote::watchdog::{BootEntry, Instruction, Watchdog, WatchdogPhase};
use pleach_testbed::machine::Machine;

use crate::bench::{Bench, LONG, shell_on};
use crate::site::Site;

/// A site on a machine, whose own system goes on with its watchdog.
async fn on(machine: &Machine) -> Site {
    let mut site = Site::on(Bench::on(machine)).await;
    site.watchdog = Watchdog::new(site.bench.guard.clone());
    site
}

/// Runs something there; what it says, if it says that it went well.
fn ask(machine: &Machine, words: &[&str]) -> Option<String> {
    let output = machine.command(words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect("nsenter runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!error.contains("nsenter"), "{error}");
    output.status.success().then(|| format!("{out}{error}").trim().to_owned())
}

/// The names of all that systemd has been given for watchdogs there.
fn units(machine: &Machine) -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["/etc/systemd/system", "/etc/systemd/system/timers.target.wants"] {
        let entries = fs::read_dir(machine.see(Path::new(folder))).into_iter().flatten();
        names.extend(entries.map(|entry| entry.expect("entry").file_name().to_str().expect("text").to_owned()));
    }
    names.retain(|name| name.starts_with("pleach"));
    names.sort();
    names
}

/// The process that watches, by the machine's own count.
fn watcher(site: &Site) -> String {
    let record = fs::read_to_string(site.place().join("watcher")).expect("a watch");
    record.split(' ').next().expect("a word").to_owned()
}

#[tokio::test]
async fn systemd_has_a_timer_watch_begins_it_again_after_a_kill_and_after_a_boot_and_forgets_it_when_all_is_back() {
    let Some(mut machine) = Machine::with_systemd() else { return };
    let mut site = on(&machine).await;
    let before = site.manifest();
    let armed = site.arm(LONG).await;
    assert_eq!(armed.boot_entry, BootEntry::Systemd);
    let names = units(&machine);
    let [service, timer, wanted] = names.as_slice() else { panic!("{names:?}") };
    assert_eq!((timer, wanted), (wanted, timer), "it is enabled");
    let path = |name: &str| PathBuf::from("/etc/systemd/system").join(name).display().to_string();
    let verified = ask(&machine, &["systemd-analyze", "verify", &path(service), &path(timer)]);
    assert_eq!(verified.as_deref(), Some(""), "nothing is said against them");
    let said = |unit: &str, what: &str| ask(&machine, &["systemctl", "show", "--value", "-p", what, unit]);
    assert_eq!(said(timer, "ActiveState").as_deref(), Some("active"));
    let first = watcher(&site);
    assert_eq!(said(service, "MainPID"), Some(first.clone()), "systemd started who watches");
    assert_eq!(said(service, "NeedDaemonReload").as_deref(), Some("no"));
    ask(&machine, &["kill", "-s", "KILL", &first]).expect("it ran");

    // Meanwhile, another one whose deadline comes while it runs.
    let other = on(&machine).await;
    let all = other.manifest();
    let line = "test \"$HOME\" = ~root && setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $! >../daemon";
    let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
    let daemon = Instruction::Command { directory: other.root.clone(), limit: LONG, argv };
    let instructions = [other.instructions(), vec![daemon]].concat();
    let soon = other.watchdog.arm(&other.shell, &other.lease, Duration::from_millis(700), &instructions).await;
    assert_eq!(soon.expect("armed").boot_entry, BootEntry::Systemd);
    other.change();
    other.until_phase(WatchdogPhase::Restored).await;
    assert_eq!((other.manifest(), other.restarts()), (all, 1));
    let left = units(&machine);
    assert_eq!(left, names, "nothing is left of its units");
    let begun = Instant::now();
    while ask(&machine, &["systemctl", "list-units", "--plain", "--no-legend", "pleach-*.service"])
        .is_some_and(|listed| listed.lines().any(|line| !line.contains(service.as_str())))
    {
        assert!(begun.elapsed() < Duration::from_secs(60), "the watch does not end");
        tokio::task::yield_now().await;
    }
    let daemon = fs::read_to_string(other.bench.folder.path().join("daemon")).expect("it ran");
    ask(&machine, &["kill", "-0", daemon.trim()]).expect("what a command has started outlives the watch");

    site.until(|status| status.watched && watcher(&site) != first).await;
    site.change();
    let state = fs::read_to_string(site.place().join("state.1")).expect("there");
    let expires = state.lines().find(|line| line.starts_with("expires ")).expect("a deadline");
    fs::write(site.place().join("state.2"), state.replace(expires, "expires 1")).expect("written");
    machine.reboot();
    // Nobody asks for anything until the units are gone.
    let begun = Instant::now();
    while !units(&machine).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", ask(&machine, &["systemctl", "status", "*.timer"]));
        tokio::task::yield_now().await;
    }
    let guard: Guard = site.bench.guard.clone().interpreter(shell_on(&machine));
    site.watchdog = Watchdog::new(guard);
    site.until_phase(WatchdogPhase::Restored).await;
    assert_eq!((site.manifest(), site.restarts()), (before, 1));
    assert_eq!(ask(&machine, &["systemctl", "is-system-running"]).as_deref(), Some("running"), "no unit has failed");
}

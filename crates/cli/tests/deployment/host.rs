//! The same life on a host over SSH: a real sshd, its keys, leases that lie there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pleach_testbed::sshd::{SshBed, new_key};
use rustix::process::Signal;
use serde_json::Value;

use crate::scene::{Said, Scene, told_in_four_parts};

/// A project whose environment `uat` is a directory on a host.
pub(crate) struct Host {
    pub(crate) scene: Scene,
    pub(crate) bed: SshBed,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// `lines` stand in the table of the target.
    pub(crate) fn with(lines: &str) -> Self {
        let host = Self { scene: Scene::new(), bed: SshBed::new("") };
        let file = host.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        let program = if lines.contains("program") { "" } else { &format!("program = \"{PLEACH}\"\n") };
        let uat = format!(
            "{config}[environments.uat.targets.vm]\nkind = \"ssh\"\nhost = \"target\"\npath = \"{}\"\n\
             ssh-config = \"{}\"\n{program}{lines}\n",
            host.live().display(),
            host.bed.at("config").display()
        );
        std::fs::write(file, uat.replace("program = \"\"\n", "")).expect("written");
        host.scene.git(&["commit", "-qam", "A host"]);
        host
    }

    /// `lines` stand in the table of the environment.
    pub(crate) fn environment(&self, lines: &str) {
        let file = self.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        std::fs::write(&file, format!("{config}[environments.uat]\n{lines}\n")).expect("written");
        self.scene.git(&["commit", "-qam", "Its policy"]);
    }

    /// From now on `beta` has a directory that its builds write to, and that is put back; gives a file in it.
    pub(crate) fn keep_data(&self) -> PathBuf {
        let file = self.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        let config = config.replace("echo building", "test -d data && echo $PLEACH_RELEASE > data/by; echo building");
        let kept = "[services.beta]\nshared = [\"data/\"]\nsnapshot = [\"data/\"]\n";
        std::fs::write(&file, config.replace("[services.beta]\n", kept)).expect("written");
        self.scene.git(&["commit", "-qam", "Data"]);
        self.live().join("beta/shared/data/by")
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.bed.at("root/live")
    }

    /// What services, their supervisors and routers on the host have as standard error now.
    pub(crate) fn running(&self) -> BTreeSet<PathBuf> {
        let processes = std::fs::read_dir("/proc").expect("proc").flatten();
        let files = processes.filter_map(|process| std::fs::read_link(process.path().join("fd/2")).ok());
        files.filter(|file| file.starts_with(self.live())).collect()
    }

    /// Another person's clone, with a state directory of its own.
    pub(crate) fn elsewhere(&self) -> PathBuf {
        self.scene.cloned_to(&self.bed.at("elsewhere"))
    }

    pub(crate) fn pleach_in(&self, place: &Path, arguments: &[&str]) -> Said {
        self.scene.pleach_in(place, arguments)
    }

    pub(crate) fn both_answer(&self, version: &str) {
        for service in ["alpha", "beta"] {
            assert_eq!(self.scene.answers(service).as_deref(), Some(version), "{service}");
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let resumed = self.scene.pleach(&["resume"]);
        let stopped = self.scene.pleach(&["stop", "uat", "--yes"]);
        let left = self.running();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("{left:?} are left running\n{}{}{}", resumed.stderr, stopped.stdout, stopped.stderr);
        }
    }
}

const PLEACH: &str = env!("CARGO_BIN_EXE_pleach");

#[test]
fn a_service_lives_on_a_host_as_it_does_here() {
    let host = Host::new();
    let scene = &host.scene;
    let plan = scene.ends(0, &["plan", "uat"]);
    assert!(plan.stdout.contains("upload · build · start"), "{}", plan.stdout);
    assert!(!host.live().exists(), "planning touches nothing");
    let first = scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(first.stdout.contains("done, and seen to be done"), "{}", first.stdout);
    host.both_answer("1.0.0");
    let status = scene.ends(0, &["status", "uat"]);
    assert_eq!(status.stdout.matches("healthy").count(), 2, "{}", status.stdout);
    assert!(scene.ends(0, &["deploy", "uat", "--yes"]).stdout.starts_with("nothing to do"));

    let printed = scene.ends(0, &["logs", "alpha", "--service", "-n", "1"]);
    assert_eq!(printed.stdout.lines().count(), 1, "the last that it printed there: {}", printed.stdout);

    scene.version("alpha", 2);
    scene.break_service("beta");
    let clients = scene.clients();
    let broken = scene.ends(110, &["deploy", "uat", "--yes"]);
    assert!(broken.stderr.contains("No such file"), "the service's own last lines: {}", broken.stderr);
    host.both_answer("1.0.0");
    scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
    scene.ends(0, &["rollback", "uat", "--yes"]);
    host.both_answer("1.0.0");
    clients.all_were_answered();
    scene.ends(0, &["stop", "uat", "--yes"]);
    assert_eq!(host.running(), BTreeSet::new());
}

#[test]
fn a_host_without_pleach_is_given_this_one_and_one_that_is_named_must_be_there() {
    let host = Host::with("program = \"\"");
    let scene = &host.scene;
    let plan = scene.ends(0, &["plan", "uat", "--only", "alpha"]);
    assert!(plan.stdout.contains("install · upload"), "{}", plan.stdout);
    let done = scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    assert!(done.stderr.contains("runs there: pleach "), "{}", done.stderr);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    let again = scene.ends(0, &["plan", "uat", "--only", "beta"]);
    assert!(!again.stdout.contains("install"), "it is there now: {}", again.stdout);

    let other = Host::with("program = \"/nowhere/pleach\"");
    let refused = other.scene.ends(100, &["plan", "uat"]);
    assert!(refused.stderr.contains("there is no `/nowhere/pleach`"), "{}", refused.stderr);
    told_in_four_parts(&refused);
}

#[test]
fn a_host_that_takes_one_session_at_a_time_is_deployed_to_all_the_same() {
    let host = Host::with("limits = { connections = 1, sessions = 1, sessions-per-second = 200.0 }");
    host.scene.ends(0, &["deploy", "uat", "--yes"]);
    host.both_answer("1.0.0");
    host.scene.ends(0, &["stop", "uat", "--yes"]);
}

#[test]
fn a_host_that_cannot_be_trusted_or_reached_is_refused_before_anything_is_touched() {
    let mut host = Host::new();
    let known = std::fs::read_to_string(host.bed.at("known_hosts")).expect("known");
    let other = new_key(&host.bed.at("other"), "ed25519");
    for (lines, words) in
        [(String::new(), "is not known"), (format!("[127.0.0.1]:{} {other}\n", host.bed.server.port), "SHA256:")]
    {
        host.bed.write("known_hosts", &lines);
        let refused = host.scene.ends(100, &["deploy", "uat", "--yes"]);
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        told_in_four_parts(&refused);
        let doctor = host.scene.pleach(&["doctor", "uat"]);
        assert!(doctor.code > 0 && doctor.stdout.contains("FAIL  vm of uat"), "{}", doctor.stdout);
    }
    host.bed.write("known_hosts", &known);
    let doctor = host.scene.ends(0, &["doctor", "uat"]);
    assert!(doctor.stdout.contains("ok    vm of uat"), "{}", doctor.stdout);
    host.bed.server.end();
    let refused = host.scene.ends(100, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&refused);
    assert!(!host.live().exists());
    let down = host.scene.pleach(&["status", "uat"]);
    assert_eq!(down.stdout.matches("unknown").count(), 2, "{}{}", down.stdout, down.stderr);
    host.bed.restart("");
}

#[test]
fn a_run_that_is_killed_or_loses_its_host_goes_on_to_all_new_or_all_old() {
    let mut host = Host::new();
    host.scene.ends(0, &["deploy", "uat", "--yes"]);
    let (mut live, mut version) = (1, 1);
    for (records, back) in [(4, "resume"), (9, "rollback"), (14, "resume"), (19, "rollback"), (26, "resume")] {
        version += 1;
        host.scene.version("alpha", version);
        host.scene.version("beta", version);
        let (clients, earlier) = (host.scene.clients(), host.scene.runs());
        let mut working = host.scene.start(&["deploy", "uat", "--yes"]);
        working.reaches(&host.scene, &earlier, records);
        working.signal_if_alive(Signal::KILL);
        working.ends();
        match back {
            "resume" => {
                host.scene.ends(0, &["resume"]);
                live = version;
            }
            _ => drop(host.scene.ends(0, &["rollback", "uat", "--yes"])),
        }
        host.both_answer(&format!("{live}.0.0"));
        clients.all_were_answered();
    }
    host.scene.slow_down("alpha");
    let clients = host.scene.clients();
    let mut working = host.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm | building");
    host.bed.server.end();
    let lost = working.ends();
    assert!(matches!(lost.code, 112 | 113), "{}: {}", lost.code, lost.stderr);
    assert!(lost.stderr.contains("pleach resume"), "{}", lost.stderr);
    host.bed.restart("");
    let resumed = host.scene.pleach(&["resume"]);
    assert!(matches!(resumed.code, 110), "{}: {}{}", resumed.code, resumed.stdout, resumed.stderr);
    host.both_answer(&format!("{live}.0.0"));
    clients.all_were_answered();
}

#[test]
fn of_two_machines_one_deploys_and_the_other_is_told_who() {
    let host = Host::new();
    host.scene.ends(0, &["deploy", "uat", "--yes"]);
    let elsewhere = host.elsewhere();
    host.scene.slow_down("alpha");
    let mut working = host.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm | building");
    let refused = host.pleach_in(&elsewhere, &["exec", "uat", "--", "true"]);
    assert_eq!(refused.code, 103, "{}", refused.stderr);
    told_in_four_parts(&refused);
    let held = host.pleach_in(&elsewhere, &["lease", "list"]);
    assert!(held.stdout.contains(&format!("(process {})", working.id())), "{}", held.stdout);
    assert!(held.stdout.contains("deploys run"), "{}", held.stdout);
    let looked = host.pleach_in(&elsewhere, &["exec", "uat", "--look", "--", "echo", "up"]);
    assert_eq!((looked.code, looked.stdout.as_str()), (0, "vm\n  up\n"), "looking needs no lease");
    working.signal(Signal::INT);
    assert_eq!(working.ends().code, 130);
    assert_eq!(host.pleach_in(&elsewhere, &["exec", "uat", "--", "sh", "-c", "exit 7"]).code, 1);
    assert_eq!(host.pleach_in(&elsewhere, &["lease", "list"]).stdout, "no lease is held\n");
    host.both_answer("1.0.0");
}

#[test]
fn what_another_machine_has_deployed_since_is_neither_taken_back_nor_gone_over() {
    let host = Host::new();
    host.scene.ends(0, &["deploy", "uat", "--yes"]);
    host.scene.version("alpha", 2);
    host.scene.ends(0, &["deploy", "uat", "--yes"]);
    let elsewhere = host.elsewhere();
    let deploys_there = |version: u32| {
        host.scene.version("alpha", version);
        host.scene.fetch_to(&elsewhere);
        let deployed = host.pleach_in(&elsewhere, &["deploy", "uat", "--yes", "--only", "alpha"]);
        assert_eq!(deployed.code, 0, "{}", deployed.stderr);
    };
    let refused = |arguments: &[&str], answers: &str| {
        let listed = || {
            let json = host.scene.ends(0, &["--json", "ps", "uat"]).stdout;
            let listed: Value = serde_json::from_str(&json).expect("JSON");
            let pids = listed["processes"].as_array().expect("a list").iter().map(|row| row["pid"].clone());
            pids.collect::<Vec<Value>>()
        };
        let before = listed();
        let said = host.scene.ends(102, arguments);
        told_in_four_parts(&said);
        assert!(said.stderr.contains("`alpha` on `vm` is no longer its own"), "{}", said.stderr);
        assert_eq!(host.scene.answers("alpha").as_deref(), Some(answers));
        assert_eq!((listed(), before.len()), (before, 2), "nothing was started or ended");
    };
    deploys_there(3);
    refused(&["rollback", "uat", "--yes"], "3.0.0");

    host.scene.version("alpha", 4);
    let mut working = host.scene.start(&["deploy", "uat", "--yes", "-v", "--only", "alpha"]);
    working.says("alpha@vm: verify");
    working.signal(Signal::KILL);
    drop(working.ends());
    let _ = host.pleach_in(&elsewhere, &["lease", "break", "uat", "vm", "--yes"]);
    deploys_there(5);
    refused(&["resume"], "5.0.0");

    let back = host.pleach_in(&elsewhere, &["rollback", "uat", "--yes"]);
    assert_eq!(back.code, 0, "{}", back.stderr);
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("4.0.0"));
    assert_eq!(host.scene.pleach(&["resume"]).code, 0, "what is live is its own again");
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("4.0.0"));

    // What nobody may go on with any more stands in nobody's way.
    host.scene.version("alpha", 6);
    let mut working = host.scene.start(&["deploy", "uat", "--yes", "-v", "--only", "alpha"]);
    working.says("alpha@vm: start");
    working.signal(Signal::KILL);
    drop(working.ends());
    assert!(host.scene.ends(102, &["stop", "uat", "--yes"]).stderr.contains("stopped before its end"), "not yet");
    let _ = host.pleach_in(&elsewhere, &["lease", "break", "uat", "vm", "--yes"]);
    deploys_there(7);
    refused(&["resume"], "7.0.0");
    host.scene.version("alpha", 8);
    let deployed = host.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(deployed.stderr.contains("is left as it is: its current release is "), "{}", deployed.stderr);
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("8.0.0"));
    assert!(host.scene.ends(0, &["resume"]).stdout.contains("nothing to resume"));

    // A restart has captured nothing that could be asked, and starts nothing of what is not live any more.
    host.scene.file("alpha", "stubborn");
    host.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    let mut working = host.scene.start(&["restart", "uat", "alpha", "--yes", "-v"]);
    working.says("alpha@vm: renew");
    working.signal(Signal::KILL);
    drop(working.ends());
    let _ = host.pleach_in(&elsewhere, &["lease", "break", "uat", "vm", "--yes"]);
    deploys_there(9);
    let resumed = host.scene.pleach(&["resume"]);
    println!("{}{}", resumed.stdout, resumed.stderr);
    assert!(resumed.stderr.contains("somebody has deployed since") && resumed.code == 110, "{}", resumed.stderr);
    told_in_four_parts(&resumed);
    let listed = host.scene.ends(0, &["ps", "uat", "alpha"]).stdout;
    assert!(listed.matches("alpha ").count() == 1 && listed.contains("0009-"), "{listed}");
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("9.0.0"));
}

#[test]
fn a_deployer_that_slept_while_its_lease_was_taken_away_changes_nothing_when_it_wakes() {
    let host = Host::new();
    host.scene.ends(0, &["deploy", "uat", "--yes"]);
    host.scene.version("beta", 2);
    let elsewhere = host.elsewhere();
    host.scene.slow_down("alpha");
    let mut working = host.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm | building");
    working.signal(Signal::STOP);
    let asked = host.pleach_in(&elsewhere, &["lease", "break", "uat", "vm"]);
    assert_eq!(asked.code, 102, "nobody said yes: {}", asked.stderr);
    let broken = host.pleach_in(&elsewhere, &["lease", "break", "uat", "vm", "--yes"]);
    assert!(broken.stdout.contains(&format!("(process {})", working.id())), "whose: {}", broken.stdout);
    let taken = host.pleach_in(&elsewhere, &["deploy", "uat", "--yes"]);
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    let after = host.pleach_in(&elsewhere, &["status", "uat"]);
    working.signal(Signal::CONT);
    working.signal(Signal::INT);
    let woken = working.ends();
    assert!(woken.code >= 103, "{}: {}{}", woken.code, woken.stdout, woken.stderr);
    let still = host.pleach_in(&elsewhere, &["status", "uat"]);
    let releases = |said: &Said| -> Vec<String> {
        let words = said.stdout.split_whitespace().filter(|word| word.starts_with("000"));
        words.map(str::to_owned).collect()
    };
    assert_eq!(releases(&still), releases(&after), "{}", woken.stderr);
    assert_eq!(host.scene.answers("beta").as_deref(), Some("2.0.0"));
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("1.0.0"));
}

#[test]
fn data_on_a_host_comes_back_with_the_release_that_worked_on_it() {
    let host = Host::new();
    let (scene, data) = (&host.scene, host.keep_data());
    let plan = scene.ends(0, &["plan", "uat"]);
    assert!(plan.stdout.contains("files · upload · build"), "{}", plan.stdout);
    scene.ends(0, &["deploy", "uat", "--yes"]);
    std::fs::write(&data, "mine").expect("written");
    scene.break_service("beta");
    let failed = scene.ends(110, &["deploy", "uat", "--yes", "-v"]);
    let kept = format!("equal copies are kept of `{}`", data.parent().expect("above").display());
    assert!(failed.stderr.contains(&kept), "{}", failed.stderr);
    assert!(failed.stderr.contains("as before the run; what was there lies in `"), "{}", failed.stderr);
    assert_eq!(std::fs::read_to_string(&data).expect("it is back"), "mine");
    host.both_answer("1.0.0");
}

#[test]
fn secrets_go_to_the_host_over_standard_input_and_nowhere_else() {
    let host = Host::new();
    let secret = format!("canary-{}-canary", std::process::id());
    host.bed.write("secret", &secret);
    let file = host.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let source = format!("\"file:{}\"", host.bed.at("secret").display());
    let named = config.replace(
        "branch = \"skill/alpha\"\n",
        &format!("branch = \"skill/alpha\"\nenvironment = {{ TOKEN = {{ secret = {source} }} }}\n"),
    );
    std::fs::write(&file, named).expect("written");
    // It reaches the build and the service; both show that they have it by its length alone.
    let working = host.scene.start(&["deploy", "uat", "--yes", "-v"]);
    let (begun, mut seen) = (Instant::now(), 0);
    while host.scene.answers("alpha").is_none() && begun.elapsed() < Duration::from_secs(30) {
        for process in std::fs::read_dir("/proc").expect("proc").flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            assert!(!contains(&line, &secret), "in the arguments of {}", process.path().display());
            seen += 1;
        }
    }
    let said = working.ends();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(seen > 100);
    assert!(!said.stderr.contains(&secret) && !said.stdout.contains(&secret));
    let served = host.running();
    assert!(!served.is_empty());
    for place in [host.scene.root(), host.live()] {
        require_nowhere(&place, &secret);
    }
}

pub(crate) fn contains(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// No file below holds it, written as it is, in hexadecimal or in base64.
pub(crate) fn require_nowhere(place: &Path, secret: &str) {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    for entry in std::fs::read_dir(place).expect("there").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            require_nowhere(&entry.path(), secret);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).expect("read");
            for form in [secret, &hex] {
                assert!(!contains(&bytes, form), "in {}", entry.path().display());
            }
        }
    }
}

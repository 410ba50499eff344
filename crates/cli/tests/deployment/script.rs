//! Scripts of the project on a host: what `ssh HOST 'bash -s' < script` does, with a way back and nothing to be seen of its
//! secrets.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pleach_testbed::sshd::kill;
use rustix::process::Signal;

use crate::host::{Host, contains, require_nowhere};
use crate::scene::told_in_four_parts;

const MIGRATE: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "args $# $1 $2"
echo "$PLEACH_RELEASE" >>../../migrated
while ! [ -e ../../go ]; do sleep 0.02; done
echo "token $TOKEN, level $LEVEL"
[ ! -e fail ] || { echo "cannot go on with $TOKEN" >&2; exit 3; }
"#;

const BACK: &str = "echo \"back $PLEACH_RELEASE $1\" >>../../migrated\n";

/// A host with a script for `alpha`; `more` stands in its table.
fn host(more: &str, script: &str) -> Host {
    let host = Host::new();
    host.scene.commit("alpha", "migrate.sh", Some(script));
    host.scene.commit("alpha", "back.sh", Some(BACK));
    let file = host.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let scripts = format!(
        "branch = \"skill/alpha\"\nscripts = [{{ name = \"migrate\", file = \"migrate.sh\", undo = \"back.sh\", {more} }}]\n"
    );
    std::fs::write(&file, config.replace("branch = \"skill/alpha\"\n", &scripts)).expect("written");
    host.scene.git(&["commit", "-qam", "Scripts"]);
    host
}

fn alpha(host: &Host, name: &str) -> PathBuf {
    host.live().join("alpha").join(name)
}

fn migrated(host: &Host) -> Vec<String> {
    let text = std::fs::read_to_string(alpha(host, "migrated")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a file is there.
fn wait_for(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no `{}`", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names_of_scripts(host: &Host) -> Vec<String> {
    let run = std::fs::read_dir(alpha(host, "run")).into_iter().flatten().flatten();
    let names = run.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".script-")).collect()
}

#[test]
fn a_script_gets_arguments_variables_and_secrets_and_is_taken_back_by_its_own_when_it_fails() {
    let secret = format!("canary it's {}", std::process::id());
    let host = host("", MIGRATE);
    host.bed.write("secret", &secret);
    let more = format!(
        "arguments = [\"--all\", \"a 'b' $c\"], trace = true, \
         environment = {{ LEVEL = \"2\", TOKEN = {{ secret = \"file:{}\" }} }}",
        host.bed.at("secret").display()
    );
    let file = host.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    std::fs::write(&file, config.replace("\"back.sh\", ", &format!("\"back.sh\", {more}"))).expect("written");
    host.scene.git(&["commit", "-qam", "More"]);
    let plan = host.scene.ends(0, &["plan", "uat", "--only", "alpha", "--long"]);
    let told = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("with `bash`, traced, undone by `back.sh`"), "{}", plan.stdout);

    let working = host.scene.start(&["deploy", "uat", "--yes", "-v"]);
    wait_for(&alpha(&host, "migrated"));
    let mut seen = 0;
    for process in std::fs::read_dir("/proc").expect("proc").flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!contains(&line, "canary"), "in the arguments of {}", process.path().display());
        seen += usize::from(contains(&line, "migrate.sh"));
    }
    assert!(seen >= 2, "it was at work: {seen}");
    std::fs::write(alpha(&host, "go"), "").expect("written");
    let mut heard = vec![working.ends()];
    assert_eq!(heard[0].code, 0, "{}", heard[0].stderr);
    for words in ["args 2 --all a 'b' $c", "token [secret], level 2", "+ echo 'token [secret], level 2'"] {
        assert!(heard[0].stderr.contains(words), "{words}: {}", heard[0].stderr);
    }
    let first = migrated(&host);
    assert_eq!(first.len(), 1, "{first:?}");
    let log = std::fs::read_to_string(alpha(&host, &format!("run/{}.script-migrate.log", first[0]))).expect("a log");
    assert!(log.contains("token [secret], level 2\n"), "{log}");

    host.scene.commit("alpha", "fail", Some("fail"));
    let failed = host.scene.ends(110, &["deploy", "uat", "--yes", "-v"]);
    assert!(failed.stderr.contains("could not run script `migrate` of service `alpha`"), "{}", failed.stderr);
    assert!(failed.stderr.contains("| cannot go on with [secret]"), "{}", failed.stderr);
    told_in_four_parts(&failed);
    heard.push(failed);
    let all = migrated(&host);
    assert_eq!((all.len(), &all[2]), (3, &format!("back {} --all", all[1])), "{all:?}");
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert!(names_of_scripts(&host).iter().all(|name| name.starts_with(&first[0])), "nothing of the other one is left");

    heard.push(host.scene.ends(0, &["--json", "report"]));
    heard.push(host.scene.ends(0, &["logs", "alpha"]));
    for said in &heard {
        assert!(!said.stdout.contains("canary") && !said.stderr.contains("canary"), "{}{}", said.stdout, said.stderr);
    }
    for place in [host.scene.root(), host.live()] {
        require_nowhere(&place, &secret);
    }
}

#[test]
fn a_script_whose_link_is_lost_is_waited_for_and_one_whose_deployer_dies_is_run_again() {
    // It says nothing more once the link is cut, and ends after that.
    let text = "#!/bin/sh\necho $PLEACH_RELEASE >>../../migrated\n\
                while ! [ -e go ] && ! [ -e ../../go ]; do sleep 0.02; done\n";
    let host = host("", text);
    let working = host.scene.start(&["deploy", "uat", "--yes", "--only", "alpha"]);
    wait_for(&alpha(&host, "migrated"));
    host.bed.server.sessions().into_iter().for_each(|session| kill(session, "KILL"));
    // Another connection is made only to ask what became of it.
    let begun = Instant::now();
    while host.bed.server.sessions().is_empty() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(alpha(&host, "go"), "").expect("written");
    let done = working.ends();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(migrated(&host).len(), 1, "it was run once");
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("1.0.0"));

    std::fs::remove_file(alpha(&host, "go")).expect("removed");
    host.scene.version("alpha", 2);
    let mut working = host.scene.start(&["deploy", "uat", "--yes", "--only", "alpha"]);
    let begun = Instant::now();
    while migrated(&host).len() < 2 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    working.signal_if_alive(Signal::KILL);
    working.ends();
    let resuming = host.scene.start(&["resume"]);
    let begun = Instant::now();
    while migrated(&host).len() < 3 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(alpha(&host, "go"), "").expect("written");
    let resumed = resuming.ends();
    assert_eq!(resumed.code, 0, "{}{}", resumed.stdout, resumed.stderr);
    let all = migrated(&host);
    assert_eq!((all.len(), &all[1]), (3, &all[2]), "the second one was run again: {all:?}");
    assert_eq!(host.scene.answers("alpha").as_deref(), Some("2.0.0"));
}

#[test]
fn a_script_that_takes_too_long_is_ended_on_the_host_with_all_that_it_started() {
    let text = "sleep 300 &\necho $! $$ >../../ids\nwait\n";
    let host = host("limit = \"1s\", arguments = [\"x\"]", text);
    let failed = host.scene.ends(110, &["deploy", "uat", "--yes"]);
    assert!(failed.stderr.contains("was not done within its limit of 1s, and was ended"), "{}", failed.stderr);
    let ids = std::fs::read_to_string(alpha(&host, "ids")).expect("it was begun");
    for process in ids.split_whitespace() {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

//! Two deployers, each on a machine of its own, and one host whose services are containers.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::dock::Dock;
use crate::scene::{SERVICES, Said, Working, told_in_four_parts};

#[test]
fn while_one_deploys_containers_another_changes_nothing_and_goes_on_only_over_what_nobody_holds() {
    let Some(dock) = Dock::new() else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let elsewhere = dock.scene.cloned_to(&dock.bed.at("elsewhere"));
    let there = |arguments: &[&str]| {
        // As of another machine's processes, the host knows of those of another namespace no more than what they tell.
        let mut command = Command::new("unshare");
        command.args(["--pid", "--kill-child", env!("CARGO_BIN_EXE_pleach")]).args(arguments).current_dir(&elsewhere);
        command.envs(dock.scene.variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    };
    let ends_there = |arguments: &[&str]| Said::of(there(arguments).output().expect("it runs"));
    dock.version(2);
    dock.scene.fetch_to(&elsewhere);
    dock.without_a_lost_request(|| {
        let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says("alpha@vm: start");
        working.signal(Signal::STOP);
        let refused = ends_there(&["deploy", "uat", "--yes"]);
        let id = working.id();
        working.signal(Signal::CONT);
        assert_eq!(refused.code, 103, "{}{}", refused.stdout, refused.stderr);
        told_in_four_parts(&refused);
        assert!(refused.stderr.contains(&format!("(process {id})")), "{}", refused.stderr);
        let said = working.ends();
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    });
    require_alone(&dock, 2);
    let nothing = ends_there(&["deploy", "uat", "--yes"]);
    assert!(nothing.stdout.starts_with("nothing to do"), "{}{}", nothing.stdout, nothing.stderr);

    // The other one is killed: what it holds is held until it expires, or somebody here says that it is gone.
    dock.version(3);
    dock.scene.fetch_to(&elsewhere);
    dock.without_a_lost_request(|| {
        let mut working = Working::of(&mut there(&["deploy", "uat", "--yes", "-v"]));
        working.says("beta@vm: start");
        working.signal(Signal::KILL);
        working.ends();
        let refused = dock.scene.ends(103, &["deploy", "uat", "--yes"]);
        told_in_four_parts(&refused);
        assert!(refused.stderr.contains("pleach lease break uat vm"), "{}", refused.stderr);
        dock.scene.ends(0, &["lease", "break", "uat", "vm", "--yes"]);
        dock.scene.ends(0, &["deploy", "uat", "--yes"])
    });
    assert_eq!(dock.answers(), Some(3));
    dock.require_settled(2);
    let before = dock.seen();
    // Done there as it is advised, since the namespace is gone for good.
    std::fs::remove_file(elsewhere.join(".git/pleach/leases/uat/vm.json")).expect("it was there");
    let overtaken = ends_there(&["resume"]);
    assert_eq!(overtaken.code, 102, "{}{}", overtaken.stdout, overtaken.stderr);
    told_in_four_parts(&overtaken);
    assert!(overtaken.stderr.contains("is no longer its own"), "{}", overtaken.stderr);
    assert_eq!(dock.seen(), before);
}

/// As if nobody else had been there: the release before, which has ended, and this one.
fn require_alone(dock: &Dock, version: u32) {
    assert_eq!(dock.answers(), Some(version));
    for service in SERVICES {
        let states: Vec<String> = dock.containers(service).into_iter().map(|seen| seen.state).collect();
        assert_eq!((states, dock.image_names(service).len()), (vec!["exited".to_owned(), "running".to_owned()], 2));
    }
    dock.require_settled(2);
}

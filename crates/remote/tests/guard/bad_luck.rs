//! Full disks, places that may not be written, requests that arrive in part.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pleach_core::error::Kind;
use pleach_core::port::{Call, Command, Leases, NoLines, Shell};
use pleach_remote::guard::{Guard, GuardedShell};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, LONG, SHELLS, elsewhere, guard, request, request_text, run};

/// No file may grow: what a full disk is to a process.
const FULL: &str = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";

#[tokio::test]
async fn on_a_full_disk_nothing_is_given_nothing_is_lost_and_the_way_back_still_runs() {
    for shell in SHELLS {
        let bench = Bench::with(shell);
        let mut full = vec!["sh", "-c", FULL, "sh"];
        full.extend(shell);
        let full = bench.guard.clone().interpreter(full);
        let (ann, ann_full) = (bench.leases(elsewhere("ann")), bench.leases_with(full.clone(), elsewhere("ann")));
        bench.guard.ensure_installed(&bench.shell()).await.expect("installed");
        let refused = ann_full.acquire(&request("run-1", LONG)).await.expect_err("full");
        assert_eq!(refused.kind, Kind::Rejected, "{refused:?}");
        assert!(refused.next.is_some_and(|next| next.contains("df ")));
        let left = fs::read_dir(bench.place()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing is left behind");

        let lease = ann.acquire(&request("run-1", LONG)).await.expect("there is room again");
        assert_eq!(ann_full.renew(&lease).await.expect_err("full").kind, Kind::Rejected);
        assert_eq!(ann_full.release(&lease).await.expect_err("full").kind, Kind::Rejected);
        assert_eq!(ann_full.list().await.expect("listed").len(), 1, "it is still held");
        let garbage = bench.folder.path().join("garbage");
        fs::write(&garbage, "x").expect("written");
        let shell = GuardedShell::new(bench.shell(), full, bench.place());
        let call = Call { token: Some(lease.token), lines: &NoLines, cancel: &CancellationToken::new() };
        let remove = Command::write(["rm", garbage.to_str().expect("text")]);
        assert!(shell.run(&remove, call).await.expect("ran").succeeded());
        ann.renew(&lease).await.expect("there is room again");
        ann.release(&lease).await.expect("there is room again");
    }
}

#[tokio::test]
async fn where_nothing_can_be_written_the_guard_is_not_installed_and_says_so() {
    let bench = Bench::new();
    let nowhere = bench.leases_with(Guard::new("/proc/pleach"), elsewhere("ann"));
    let refused = nowhere.acquire(&request("run-1", LONG)).await.expect_err("nowhere");
    assert_eq!(refused.kind, Kind::Rejected);
    assert_eq!(refused.what, "could not put the guard into `/proc/pleach` on the target");
    assert!(!refused.output.is_empty(), "it shows what the target said");
}

#[tokio::test]
async fn a_place_that_may_only_be_read_shows_its_lease_and_gives_none() {
    let bench = Bench::new();
    let open = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    open(bench.folder.path(), 0o755);
    let ann = bench.leases(elsewhere("ann"));
    let lease = ann.acquire(&request("run-1", LONG)).await.expect("given");
    // Permissions do not bind root, so that somebody else asks then.
    let other = if rustix::process::geteuid().is_root() {
        bench.guard.clone().interpreter(["setpriv", "--reuid=65534", "--clear-groups", "sh"])
    } else {
        bench.guard.clone()
    };
    open(&bench.place(), 0o555);
    let bob = bench.leases_with(other, elsewhere("bob"));
    assert_eq!(bob.list().await.expect("listed").as_slice(), std::slice::from_ref(&lease));
    let refused = bob.renew(&lease).await.expect_err("read-only");
    assert_eq!(refused.kind, Kind::Rejected);
    assert_eq!(bob.acquire(&request("run-2", LONG)).await.expect_err("held").kind, Kind::Conflict);
    open(&bench.place(), 0o311);
    let mut hidden = bob;
    if !rustix::process::geteuid().is_root() {
        hidden = ann.clone();
    }
    assert_eq!(hidden.renew(&lease).await.expect_err("what cannot be read is not free").kind, Kind::Rejected);
    open(&bench.place(), 0o755);
    ann.release(&lease).await.expect("given back");
}

#[test]
fn a_request_that_arrives_in_part_is_none() {
    let bench = Bench::new();
    let (script, place) = (bench.script(), bench.place());
    let place = place.to_str().expect("text");
    let whole = request_text("r1", "");
    for cut in [0, 5, 40, whole.len() - 5, whole.len() - 4] {
        let (code, _) = guard(&script, &["take", place], &whole[..cut]);
        assert_eq!(code, Some(64), "cut at {cut}");
    }
    let (_, printed) = guard(&script, &["show", place], "");
    assert!(printed.contains("token 0"), "{printed}");
}

#[test]
fn a_damaged_state_is_told_and_not_taken_for_a_free_place() {
    let bench = Bench::new();
    let (script, place) = (bench.script(), bench.place());
    let text = place.to_str().expect("text");
    assert_eq!(guard(&script, &["take", text], &request_text("r1", "")).0, Some(0));
    for damage in ["", "token 1\n", "token x\ngiven 1\nseen 1\nend\n"] {
        fs::write(place.join("state.2"), damage).expect("written");
        let taken = guard(&script, &["take", text], &request_text("r2", ""));
        assert_eq!(taken.0, Some(65), "{damage:?}");
        assert_eq!(guard(&script, &["run", text, "9", "true"], "").0, Some(65), "{damage:?}");
    }
}

#[tokio::test]
async fn a_script_that_arrives_in_part_is_not_installed() {
    let bench = Bench::new();
    let folder = bench.guard.folder().to_owned();
    bench.guard.ensure_installed(&bench.shell()).await.expect("installed");
    let installed = fs::read_to_string(bench.guard.path()).expect("there");
    assert_eq!(installed, Guard::script());
    let names: Vec<_> = fs::read_dir(&folder).expect("there").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    // Two at once leave one whole script.
    let (one, two) = (Bench::new(), run(&["true"], ""));
    assert_eq!(two.0, Some(0));
    let (shell, again) = (one.shell(), one.shell());
    let (first, second) = tokio::join!(one.guard.ensure_installed(&shell), one.guard.ensure_installed(&again));
    first.and(second).expect("installed");
    assert_eq!(fs::read_to_string(one.guard.path()).expect("there"), Guard::script());
}

//! When the target takes itself back, and when not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pleach_core::error::Kind;
use pleach_core::port::{Call, Command, Leases, NoLines, Shell};
use pleach_remote::guard::GuardedShell;
use pleach_remote::watchdog::{BootEntry, Change, Instruction, Watchdog, WatchdogPhase};
use tokio_util::sync::CancellationToken;

use crate::bench::{LONG, SHELLS, elsewhere, request, run};
use crate::site::Site;

const SOON: Duration = Duration::from_millis(700);

/// A site that is changed under a watchdog that will bite soon: on a busy machine it may have bitten before.
async fn changed_in_time(shell: &[&str]) -> (Site, BTreeMap<PathBuf, String>) {
    let mut deadline = SOON;
    loop {
        let site = Site::with(shell).await;
        let before = site.manifest();
        site.arm(deadline).await;
        site.change();
        let changed = site.manifest();
        if site.status().await.phase == WatchdogPhase::Armed {
            assert_ne!(changed, before);
            return (site, before);
        }
        deadline *= 2;
    }
}

#[tokio::test]
async fn nobody_confirms_and_the_target_is_as_it_was_and_says_so() {
    let programs = tempfile::tempdir().expect("a folder");
    // As on a host that has busybox and nothing else.
    assert_eq!(run(&["busybox", "--install", "-s", programs.path().to_str().expect("text")], "").0, Some(0));
    let path = format!("PATH={}", programs.path().display());
    let alone: &[&str] = &["/usr/bin/env", &path, "sh"];
    for shell in SHELLS.into_iter().chain([alone]) {
        let (site, before) = changed_in_time(shell).await;
        let status = site.until_phase(WatchdogPhase::Restored).await;
        assert_eq!(site.manifest(), before);
        assert_eq!(site.restarts(), 1);
        let told = status.journal.join("\n");
        assert!(told.contains("nobody confirmed in time") && told.contains("restored"), "{told}");
        assert!(told.contains("put aside:"), "it says where what was in the way lies: {told}");
        // The deployer wakes up.
        let guarded = GuardedShell::new(site.bench.shell(), site.bench.guard.clone(), site.bench.place());
        let call = Call { token: Some(site.lease.token), lines: &NoLines, cancel: &CancellationToken::new() };
        let refused = guarded.run(&Command::write(["true"]), call).await.expect_err("its lease has passed on");
        assert_eq!(refused.kind, Kind::Conflict);
        site.leases.renew(&site.lease).await.expect_err("passed on");
        for late in [
            site.watchdog.renew(&site.shell, &site.run, site.lease.token).await,
            site.watchdog.confirm(&site.shell, &site.run).await,
        ] {
            let late = late.expect_err("too late");
            assert_eq!(late.kind, Kind::Conflict);
            assert!(late.state.is_some_and(|state| state.contains("took itself back")));
        }
        // The next one gets a free target, and clears up.
        site.bench.leases(elsewhere("bob")).acquire(&request("run-2", LONG)).await.expect("free");
        site.watchdog.discard(&site.shell, &site.run).await.expect("nothing left to do");
        assert_eq!(site.watchdog.statuses(&site.shell).await.expect("told"), []);
    }
}

#[tokio::test]
async fn what_is_confirmed_in_time_stays() {
    let site = Site::new().await;
    site.arm(LONG).await;
    site.change();
    let changed = site.manifest();
    site.watchdog.discard(&site.shell, &site.run).await.expect_err("it is armed");
    for _ in 0..2 {
        let status = site.watchdog.confirm(&site.shell, &site.run).await.expect("in time");
        assert_eq!(status.phase, WatchdogPhase::Confirmed);
    }
    site.until_phase(WatchdogPhase::Confirmed).await;
    assert_eq!((site.manifest(), site.restarts()), (changed, 0));
    site.watchdog.disarm(&site.shell, &site.run).await.expect_err("it was confirmed");
    site.leases.renew(&site.lease).await.expect("the lease was not touched");
}

#[tokio::test]
async fn renewing_moves_the_deadline_on() {
    let site = Site::new().await;
    let armed = site.arm(Duration::from_secs(2)).await;
    loop {
        let status = site.watchdog.renew(&site.shell, &site.run, site.lease.token).await.expect("in time");
        if status.now > armed.expires {
            assert_eq!(status.phase, WatchdogPhase::Armed);
            break;
        }
        tokio::task::yield_now().await;
    }
    site.watchdog.disarm(&site.shell, &site.run).await.expect("armed");
    site.until_phase(WatchdogPhase::Disarmed).await;
    assert_eq!(site.restarts(), 0);
}

#[tokio::test]
async fn a_renewal_starts_a_watch_again_that_was_killed() {
    let site = Site::new().await;
    site.arm(LONG).await;
    site.kill_watch();
    site.until(|status| !status.watched).await;
    assert!(site.watchdog.renew(&site.shell, &site.run, site.lease.token).await.expect("in time").watched);
}

#[tokio::test]
async fn it_stands_aside_for_a_newer_lease_and_not_for_a_broken_one() {
    let site = Site::new().await;
    let before = site.manifest();
    site.arm(3 * SOON).await;
    site.leases.break_lease(&site.lease).await.expect("broken");
    site.change();
    site.until_phase(WatchdogPhase::Restored).await;
    assert_eq!(site.manifest(), before, "broken, and nobody after: still its own to put back");

    let site = Site::new().await;
    site.arm(3 * SOON).await;
    site.change();
    let changed = site.manifest();
    let broken = site.leases.break_lease(&site.lease).await;
    broken.expect("broken");
    let bob = site.bench.leases(elsewhere("bob"));
    let lease = bob.acquire(&request("run-2", LONG)).await.expect("free");
    let status = site.until_phase(WatchdogPhase::Aside).await;
    assert!(status.journal.join("\n").contains("stood aside"), "{status:?}");
    assert_eq!((site.manifest(), site.restarts()), (changed, 0));
    bob.renew(&lease).await.expect("untouched");
}

#[tokio::test]
async fn what_cannot_be_kept_and_proven_is_not_armed() {
    let site = Site::new().await;
    let fifo = site.root.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    let keep = |path: &std::path::Path| vec![Instruction::Keep { path: path.to_owned(), change: Change::InPlace }];
    for instructions in [keep(&fifo), keep(site.bench.folder.path())] {
        let refused = site.watchdog.arm(&site.shell, &site.lease, LONG, &instructions).await.expect_err("unproven");
        assert_eq!(refused.kind, Kind::Rejected);
        assert!(refused.output.join("\n").contains("could not keep and prove"), "{refused:?}");
    }
    for path in ["relative", "/a/"] {
        let refused = site.watchdog.arm(&site.shell, &site.lease, LONG, &keep(path.as_ref())).await;
        assert_eq!(refused.expect_err("no path").kind, Kind::Internal);
    }
    assert_eq!(site.watchdog.statuses(&site.shell).await.expect("told"), []);
    let unknown = site.watchdog.confirm(&site.shell, &site.run).await.expect_err("there is none");
    assert_eq!(unknown.what, "there is no watchdog for run `run-1` on the target");
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_armed_and_nothing_is_left() {
    let site = Site::new().await;
    site.arm(LONG).await;
    site.watchdog.confirm(&site.shell, &site.run).await.expect("in time");
    site.watchdog.discard(&site.shell, &site.run).await.expect("nothing left to do");
    let full = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", "sh"];
    let watchdog = Watchdog::new(site.bench.guard.clone().interpreter(full));
    let refused = watchdog.arm(&site.shell, &site.lease, LONG, &site.instructions()).await.expect_err("full");
    assert_eq!(refused.kind, Kind::Rejected, "{refused:?}");
    let left = std::fs::read_dir(site.place().parent().expect("a folder")).expect("there").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn arming_twice_is_arming_once() {
    let site = Site::new().await;
    let before = site.manifest();
    let first = site.arm(3 * SOON).await;
    assert_eq!(first.boot_entry, BootEntry::None, "{first:?}");
    site.change();
    let _ = site.watchdog.arm(&site.shell, &site.lease, 3 * SOON, &site.instructions()).await;
    site.until_phase(WatchdogPhase::Restored).await;
    assert_eq!(site.manifest(), before, "what it kept the first time counts");
}

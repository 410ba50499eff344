//! A target with a bit of everything on it, and a watchdog that is to put it back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pleach_core::port::{Lease, Leases};
use pleach_core::word::RunId;
use pleach_remote::guard::TargetLeases;
use pleach_remote::local::LocalShell;
use pleach_remote::watchdog::{Change, Instruction, Watchdog, WatchdogPhase, WatchdogStatus};

use crate::bench::{Bench, LONG, elsewhere, request, signal};

pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) root: PathBuf,
    pub(crate) watchdog: Watchdog,
    pub(crate) shell: LocalShell,
    pub(crate) leases: TargetLeases,
    pub(crate) lease: Lease,
    pub(crate) run: RunId,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(&["sh"]).await
    }

    pub(crate) async fn with(interpreter: &[&str]) -> Self {
        Self::on(Bench::with(interpreter)).await
    }

    pub(crate) async fn on(bench: Bench) -> Self {
        // Below the bench's own odd name, another one.
        let root = bench.folder.path().join("-o\nd\\0101d 'site' \"$(x)\"");
        fs::create_dir_all(root.join("releases/1/bin")).expect("made");
        fs::create_dir_all(root.join("shared/deep\ner")).expect("made");
        fs::write(root.join("releases/1/bin/run"), "one").expect("written");
        fs::set_permissions(root.join("releases/1/bin/run"), fs::Permissions::from_mode(0o750)).expect("set");
        symlink("bin/run", root.join("releases/1/link")).expect("linked");
        symlink("releases/1\n", root.join("current")).expect("linked");
        fs::write(root.join("shared/deep\ner/-rf"), "data").expect("written");
        fs::write(root.join("unit.service"), "unit").expect("written");
        let leases = bench.leases(elsewhere("ann"));
        let lease = leases.acquire(&request("run-1", LONG)).await.expect("given");
        // In a memory of its own: an entry at boot is none of the machine's that runs the tests.
        let system = bench.folder.path().join("system");
        fs::create_dir(&system).expect("made");
        let watchdog = Watchdog::new(bench.guard.clone()).system_root(system);
        let run = RunId::new("run-1").expect("a name");
        Self { root, watchdog, shell: bench.shell(), leases, lease, run, bench }
    }

    /// What the run is about to change, and a restart that can be counted.
    pub(crate) fn instructions(&self) -> Vec<Instruction> {
        let keep = |name: &str, change| Instruction::Keep { path: self.root.join(name), change };
        vec![
            keep("releases/1", Change::Replaced),
            keep("shared", Change::InPlace),
            keep("unit.service", Change::InPlace),
            keep("new", Change::InPlace),
            keep("current", Change::InPlace),
            self.restart(),
        ]
    }

    pub(crate) fn restart(&self) -> Instruction {
        let argv = ["sh", "-c", "echo \"$1\" >>../restarts", "sh", "$(it's)\n"].map(str::to_owned).to_vec();
        Instruction::Command { directory: self.root.clone(), limit: Duration::from_secs(10), argv }
    }

    pub(crate) fn restarts(&self) -> usize {
        let text = fs::read_to_string(self.bench.folder.path().join("restarts")).unwrap_or_default();
        assert_eq!(text.replace("$(it's)\n\n", ""), "", "its words came as they were given");
        text.matches("$(it's)").count()
    }

    /// Does to the site what a deployment might, and worse.
    pub(crate) fn change(&self) {
        fs::remove_dir_all(self.root.join("releases/1")).expect("removed");
        fs::write(self.root.join("releases/1"), "in the way").expect("written");
        fs::write(self.root.join("shared/deep\ner/-rf"), "spoilt").expect("written");
        fs::write(self.root.join("shared/more"), "more").expect("written");
        fs::set_permissions(self.root.join("unit.service"), fs::Permissions::from_mode(0o600)).expect("set");
        fs::write(self.root.join("new"), "new").expect("written");
        fs::remove_file(self.root.join("current")).expect("removed");
        fs::create_dir_all(self.root.join("current/x")).expect("made");
    }

    pub(crate) async fn arm(&self, deadline: Duration) -> WatchdogStatus {
        let armed = self.watchdog.arm(&self.shell, &self.lease, deadline, &self.instructions()).await;
        let armed = armed.expect("armed");
        assert_eq!((armed.phase, armed.watched), (WatchdogPhase::Armed, true));
        armed
    }

    pub(crate) async fn status(&self) -> WatchdogStatus {
        let statuses = self.watchdog.statuses(&self.shell).await.expect("told");
        assert_eq!(statuses.len(), 1);
        statuses.into_iter().next().expect("one")
    }

    /// Asks until it is so.
    pub(crate) async fn until(&self, holds: impl Fn(&WatchdogStatus) -> bool) -> WatchdogStatus {
        let begin = std::time::Instant::now();
        loop {
            let status = self.status().await;
            if holds(&status) {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(120), "{status:#?}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn until_phase(&self, phase: WatchdogPhase) -> WatchdogStatus {
        self.until(|status| status.phase == phase && !status.watched).await
    }

    /// What counts: not what was put aside.
    pub(crate) fn manifest(&self) -> BTreeMap<PathBuf, String> {
        let mut manifest = BTreeMap::new();
        walk(&self.root, &mut manifest);
        manifest
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.watchdog.place(&self.run)
    }

    pub(crate) fn kill_watch(&self) {
        let watcher = fs::read_to_string(self.place().join("watcher")).expect("a watch");
        let process = watcher.split(' ').next().expect("a word").parse().expect("a number");
        signal(process, "-KILL");
        let stat = format!("/proc/{process}/stat");
        // Gone, or only remembered by its parent.
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
    }
}

/// Nothing is left running when a test ends, also when it fails.
impl Drop for Site {
    fn drop(&mut self) {
        let state = "phase disarmed\ntoken 0\nlifetime 0\nexpires 0\nuntil 0\nclock \nsince 0\nend\n";
        let _ = fs::write(self.place().join("state.999999"), state);
    }
}

fn walk(path: &Path, manifest: &mut BTreeMap<PathBuf, String>) {
    let text = path.to_string_lossy();
    if text.contains(".pleach-replaced.") {
        return;
    }
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let mut said = format!("{:o} {} {}", metadata.mode(), metadata.uid(), metadata.gid());
    if metadata.is_symlink() {
        said.push_str(&format!(" -> {:?}", fs::read_link(path).expect("a link")));
    } else if metadata.is_file() {
        said.push_str(&format!(" {:?}", fs::read_to_string(path).expect("readable")));
    } else {
        for entry in fs::read_dir(path).expect("readable") {
            walk(&entry.expect("an entry").path(), manifest);
        }
    }
    manifest.insert(path.to_owned(), said);
}

//! A host with an engine that loses its power and boots anew. What was flushed to its disk is there, and runs again as far as
//! the engine and HAProxy start it; a deployment that was under way ends all new or all old.

use std::time::{Duration, Instant};

use pleach_testbed::docker::DockerBed;
use rustix::process::Signal;

use crate::canaried::{begin_with_a_tenth, file, shared};
use crate::composed::{COMPOSE, members, project};
use crate::dock::Dock;
use crate::proxied::{Haproxy, used, with_haproxy_down};
use crate::scene::{SERVICES, Working, told_in_four_parts};
use crate::volumes::{LATER, content, with_data};

/// The longest that anything takes that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of a deployment whose host is gone.
#[derive(Clone, Copy, PartialEq)]
enum Deployer {
    /// It is at work when the host is back.
    Waits,
    /// It has ended before the host is back.
    GivesUp,
    /// It is killed in the same moment, and somebody goes on with it.
    Dies,
    /// The same, and first before the engine runs.
    DiesAndHurries,
}

use Deployer::{Dies, DiesAndHurries, GivesUp, Waits};

/// A host with what its first process starts.
struct Host {
    /// Before its machine: it ends first.
    haproxy: Option<Haproxy>,
    dock: Dock,
}

impl Host {
    fn boot(&mut self) {
        self.dock.begin_to_boot();
        self.start();
    }

    fn start(&mut self) {
        let Self { haproxy, dock } = self;
        dock.restart_engine();
        if let Some(haproxy) = haproxy {
            *haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
            until("all are answered as its file says", || dock.answers_any());
        }
    }

    fn reboot(&mut self) {
        self.dock.lose_power();
        self.boot();
    }

    /// Deploys, takes the power away when this is said, and goes on where that is left to do: how it ended, and what was said.
    fn deploy_over_a_boot(&mut self, place: &str, deployer: Deployer) -> (i32, String) {
        let begun = Instant::now();
        let mut working = self.dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place);
        let at = begun.elapsed();
        let goes_on = match deployer {
            Waits => {
                self.reboot();
                self.ended(working)
            }
            GivesUp => {
                self.dock.lose_power();
                // What is off is as silent as a cut cable, and takes as long: here it refuses at once.
                self.dock.machine().mend();
                let goes_on = self.ended(working);
                self.boot();
                assert!(goes_on.is_none(), "{place}: {goes_on:?}");
                None
            }
            Dies | DiesAndHurries => {
                working.signal(Signal::KILL);
                self.dock.lose_power();
                working.ends();
                self.dock.begin_to_boot();
                if deployer == DiesAndHurries {
                    let early = self.dock.scene.pleach(&["resume"]);
                    assert!(early.code > 100, "{place}: {}{}", early.stdout, early.stderr);
                    told_in_four_parts(&early);
                }
                self.start();
                None
            }
        };
        let (code, told) = goes_on.unwrap_or_else(|| {
            let said = self.dock.scene.pleach(&["resume"]);
            (said.code, format!("{}{}", said.stdout, said.stderr))
        });
        println!("{place} after {at:.1?}: {code} after {:.1?}", begun.elapsed());
        (code, format!("{place}: {code}\n{told}"))
    }

    /// How it ended; nothing where that is open.
    fn ended(&self, working: Working) -> Option<(i32, String)> {
        let said = working.ends();
        let told = format!("{}{}", said.stdout, said.stderr);
        assert!(!told.contains("{\"done\""), "what only Pleach understands: {told}");
        match said.code {
            0 | 110 => return Some((said.code, told)),
            112 | 113 => told_in_four_parts(&said),
            code => panic!("{code}: {told}"),
        }
        None
    }

    /// All is new, or all is what it was, and nothing is left to do.
    fn require_new_or_old<T: PartialEq + std::fmt::Debug>(
        &self,
        (code, told): (i32, String),
        new: u32,
        old: &T,
        seen: impl Fn(&Dock) -> T,
        services: &[&str],
    ) {
        match code {
            0 => assert!(services.iter().all(|name| self.dock.answer(name) == Some(new)), "{told}"),
            110 => assert_eq!(seen(&self.dock), *old, "{told}"),
            _ => panic!("{told}"),
        }
        self.dock.require_settled(services.len());
        let checked = self.dock.scene.pleach(&["check", "uat"]);
        assert_eq!(checked.stdout, "no difference was found\n", "{}{told}", checked.stderr);
    }
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many containers of each service run.
fn running(dock: &Dock) -> [usize; 2] {
    SERVICES.map(|service| dock.containers(service).iter().filter(|seen| seen.state == "running").count())
}

#[test]
fn containers_run_again_after_a_boot_and_a_deployment_in_its_midst_is_all_new_or_all_old() {
    let Some((builder, mut dock)) = DockerBed::new().zip(Dock::new()) else { return };
    // Where images are built, the power stays.
    dock.scene.variables = vec![("DOCKER_HOST".into(), format!("unix://{}", builder.engine.socket().display()))];
    dock.use_honest_disk();
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let ids = SERVICES.map(|service| dock.running(service));
    let mut host = Host { haproxy: None, dock };
    host.reboot();
    let dock = &host.dock;
    assert_eq!(SERVICES.map(|service| dock.running(service)), ids);
    // The routers were processes of Pleach's own.
    let status = dock.scene.ends(0, &["status", "uat"]);
    assert_eq!(status.stdout.matches("nobody leads to its port: deploy it again").count(), 2, "{}", status.stdout);
    dock.scene.ends(0, &["restart", "uat", "--yes"]);
    assert_eq!((dock.answers(), SERVICES.map(|service| dock.running(service))), (Some(1), ids));
    dock.require_settled(2);
    assert!(dock.scene.ends(0, &["deploy", "uat", "--yes"]).stdout.starts_with("nothing to do"));

    // So that it is still coming when the power goes.
    dock.scene.commit("alpha", "large", Some(&"large ".repeat(2 << 20)));
    for (version, (place, deployer)) in (2..).zip([
        ("alpha@vm: image", Waits),
        ("alpha@vm: start", DiesAndHurries),
        ("beta@vm: switch", GivesUp),
        ("alpha@vm: retire", Dies),
    ]) {
        let old = host.dock.seen();
        host.dock.version(version);
        let ended = host.deploy_over_a_boot(place, deployer);
        host.require_new_or_old(ended, version, &old, Dock::seen, &SERVICES);
        assert_eq!(running(&host.dock), [1, 1], "{place}: {:#?}", host.dock.seen());
    }
}

#[test]
fn behind_haproxy_all_is_answered_after_a_boot_and_a_host_that_nobody_comes_back_to_takes_itself_back() {
    let Some(mut dock) = with_haproxy_down() else { return };
    dock.use_honest_disk();
    dock.machine().keep_local(&dock.bed.at("root/local.d"));
    let haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    begin_with_a_tenth(&mut dock, "2s");
    let all = |dock: &Dock| (dock.seen(), used(dock));
    let (before, held) = (all(&dock), file(&dock));
    let mut host = Host { haproxy: Some(haproxy), dock };
    host.reboot();
    assert_eq!((all(&host.dock), file(&host.dock)), (before, held));
    host.dock.require_settled(2);
    assert!(host.dock.scene.ends(0, &["deploy", "uat", "--yes"]).stdout.starts_with("nothing to do"));
    for (version, (place, deployer)) in (2..).zip([("alpha@vm: analysis-10", Dies), ("beta@vm: lead", Waits)]) {
        let old = all(&host.dock);
        host.dock.version(version);
        let ended = host.deploy_over_a_boot(place, deployer);
        host.require_new_or_old(ended, version, &old, all, &SERVICES);
    }

    // Nobody comes back.
    let settings = host.dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&settings).expect("a config");
    let watched = "[environments.uat]\nlease = \"8s\"\nwatchdog = \"10s\"\n";
    std::fs::write(&settings, config.replace("[environments.uat]\n", watched)).expect("written");
    host.dock.scene.git(&["commit", "-qam", "A watchdog"]);
    let old = all(&host.dock);
    host.dock.version(4);
    let working = shared(&host.dock);
    working.signal(Signal::KILL);
    host.dock.lose_power();
    working.ends();
    host.boot();
    host.dock.machine().start_local();
    let dock = &host.dock;
    let status = || dock.scene.ends(0, &["status", "uat"]).stdout;
    until("it takes itself back", || status().contains("`vm` in `uat` took itself back"));
    assert_eq!(used(dock), old.1, "{}", status());
    assert!(SERVICES.iter().all(|service| dock.answer(service) == old.0[0].2), "{:?}", dock.seen());
    let kept = dock.machine().see(&dock.bed.at("root/local.d"));
    until("its entry is gone", || std::fs::read_dir(&kept).expect("there").next().is_none());
    let resumed = dock.scene.ends(110, &["resume"]);
    assert!(resumed.stderr.contains("the target took itself back"), "{}", resumed.stderr);
    assert_eq!(all(dock), old);
    dock.require_settled(2);
}

#[test]
fn a_volume_that_was_put_back_is_there_also_after_a_loss_of_power() {
    let Some(mut dock) = with_data("") else { return };
    dock.use_honest_disk_for_volumes();
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let before = content(&dock, "alpha-data");
    let mut host = Host { haproxy: None, dock };
    let dock = &host.dock;
    // What it writes, a service flushes by itself.
    dock.scene.commit("alpha", "migrate", Some(&format!("{LATER}/bin/busybox sync\n")));
    dock.scene.commit("alpha", "health", None);
    dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    assert_eq!(content(dock, "alpha-data"), before);
    host.reboot();
    assert_eq!(content(&host.dock, "alpha-data"), before);
    host.dock.scene.ends(0, &["restart", "uat", "--yes"]);
    assert_eq!(host.dock.answer("alpha"), Some(1));
}

#[test]
fn a_project_stands_again_after_a_boot_and_one_that_was_being_changed_is_all_new_or_all_old() {
    let Some(mut dock) = project(COMPOSE) else { return };
    dock.use_honest_disk();
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let before = members(&dock);
    let mut host = Host { haproxy: None, dock };
    host.reboot();
    let dock = &host.dock;
    until("it answers", || dock.answer("alpha") == Some(1));
    assert_eq!(members(dock), before);
    dock.require_settled(1);
    // Its database is asked by the engine every second.
    until("it is as wanted", || dock.scene.ends(0, &["plan", "uat"]).stdout.contains("nothing to do"));
    let all = |dock: &Dock| {
        let stand: Vec<(String, bool)> = members(dock).into_iter().map(|(name, _, runs)| (name, runs)).collect();
        (stand, dock.image_names("alpha"), dock.answer("alpha"))
    };
    for (version, (place, deployer)) in
        (2..).zip([("Container alpha-web-1  Recreate", Dies), ("alpha@vm: wait", GivesUp)])
    {
        let old = all(&host.dock);
        host.dock.version_of("alpha", version);
        let ended = host.deploy_over_a_boot(place, deployer);
        host.require_new_or_old(ended, version, &old, all, &SERVICES[..1]);
    }
}

//! Releases that prove themselves behind a real HAProxy with a part of the requests first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pleach_testbed::meanwhile::meanwhile;
use rustix::process::Signal;

use crate::dock::Dock;
use crate::proxied::{Haproxy, addresses, proxied};
use crate::scene::{SERVICES, Working, told_in_four_parts};

/// A proxy that leads to the first releases. Later ones go live with a tenth of the requests first.
fn canaried(wait: &str) -> Option<(Haproxy, Dock)> {
    let (haproxy, mut dock) = proxied()?;
    begin_with_a_tenth(&mut dock, wait);
    Some((haproxy, dock))
}

pub(crate) fn begin_with_a_tenth(dock: &mut Dock, wait: &str) {
    dock.target(&format!("[environments.uat.canary]\nsteps = [\"10%\"]\nwait = \"{wait}\"\nrequests = 10\n"));
}

pub(crate) fn file(dock: &Dock) -> String {
    std::fs::read_to_string(dock.bed.at("proxy/pleach.cfg")).expect("there")
}

/// The weights of all servers in the file that are used.
fn weights(dock: &Dock) -> Vec<u16> {
    let file = file(dock);
    let used = file.lines().filter(|line| line.trim_start().starts_with("server ") && !line.contains("disabled"));
    let mut weights: Vec<u16> = used.filter_map(|line| line.split_whitespace().nth(4)?.parse().ok()).collect();
    weights.sort_unstable();
    weights
}

/// What a service answers to so many questions, by version.
fn counted(dock: &Dock, service: &str, questions: usize) -> BTreeMap<Option<u32>, usize> {
    let mut counted = BTreeMap::new();
    for _ in 0..questions {
        *counted.entry(dock.answer(service)).or_default() += 1;
    }
    counted
}

const ASKS: &str = "X-Canary: always";

/// The versions that all services give those who ask for the new release, and everybody else; each the same all the time.
fn asked_and_not(dock: &Dock) -> (u32, u32) {
    let seen = SERVICES.iter().flat_map(|service| {
        (0..10).map(|_| (dock.answer_with(service, ASKS).expect("an answer"), dock.answer(service).expect("an answer")))
    });
    let seen: std::collections::BTreeSet<_> = seen.collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.into_iter().next().expect("one")
}

/// A deployment under way, all of whose releases have their part.
pub(crate) fn shared(dock: &Dock) -> Working {
    shared_by(dock, &["deploy", "uat", "--yes", "-v"], "canary-10 done")
}

fn shared_by(dock: &Dock, command: &[&str], words: &str) -> Working {
    let mut working = dock.scene.start(command);
    SERVICES.iter().for_each(|_| working.says(words));
    working
}

#[test]
fn a_good_release_has_a_tenth_of_the_requests_and_then_all_of_them_and_none_is_lost() {
    let Some((_haproxy, mut dock)) = canaried("2s") else { return };
    // All is looked at for as long as that takes.
    dock.target("pause = \"120s\"\n");
    dock.version(2);
    let plan = dock.scene.ends(0, &["plan", "uat", "--long"]);
    assert!(plan.stdout.contains("watch it for 2s: healthy, at most 1% of its requests fail"), "{}", plan.stdout);
    let (said, seen) = dock.without_a_lost_request(|| {
        let working = shared(&dock);
        let seen = counted(&dock, "alpha", 100);
        let status = dock.scene.ends(0, &["status", "uat"]);
        assert_eq!(status.stdout.matches("10% of its requests go to `0002-").count(), 2, "{}", status.stdout);
        assert_eq!(status.stdout.matches("healthy").count(), 2, "{}", status.stdout);
        let listed = dock.scene.ends(0, &["ps", "uat"]);
        for part in ["has 10% of the requests", "has 90% of the requests"] {
            assert_eq!(listed.stdout.matches(part).count(), 2, "{}", listed.stdout);
        }
        let confirm = || drop(dock.scene.pleach(&["confirm", "uat"]));
        (meanwhile(confirm, || working.ends()), seen)
    });
    assert_eq!((said.code, dock.answers()), (0, Some(2)), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("health · canary-10 · analysis-10 · switch · lead"), "{}", said.stderr);
    let new = seen.get(&Some(2)).copied().unwrap_or_default();
    assert!((5..=15).contains(&new), "{seen:?}");
    assert!(said.stderr.contains("10% for 2s: "), "{}", said.stderr);
    assert!(said.stderr.contains(" requests, 0 failed, answered in about "), "{}", said.stderr);
    dock.require_settled(2);
    assert_eq!(weights(&dock), [256, 256]);

    dock.scene.ends(0, &["stop", "uat", "--yes"]);
    let refused = dock.scene.pleach(&["deploy", "uat", "--yes", "--canary", "10%"]);
    assert_eq!(refused.code, 100, "{}{}", refused.stdout, refused.stderr);
    assert_eq!(refused.stderr.matches("on `vm` cannot share its requests").count(), 2, "{}", refused.stderr);
    told_in_four_parts(&refused);
    let plan = dock.scene.ends(0, &["plan", "uat", "--long"]);
    assert_eq!(plan.stdout.matches("without a canary: the proxy does not lead to it").count(), 2, "{}", plan.stdout);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(2));
}

/// Its file `part` is a script that answers.
const DOCKERFILE: &str = "FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /www\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cd /www && busybox mkdir cgi-bin && busybox mv part cgi-bin && busybox chmod 755 cgi-bin/part\"]\n";

#[test]
fn a_release_that_fails_some_requests_is_given_none_at_once_whether_it_is_taken_back_or_held() {
    let Some((_haproxy, mut dock)) = proxied() else { return };
    let script = |status: &str| format!("#!/bin/busybox sh\nprintf 'Status: {status}\\r\\n\\r\\n'\n");
    dock.scene.commit("alpha", "Dockerfile", Some(DOCKERFILE));
    dock.scene.commit("alpha", "part", Some(&script("200 OK")));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    begin_with_a_tenth(&mut dock, "120s");
    let before = file(&dock);
    dock.scene.commit("alpha", "part", Some(&script("500 No")));
    let port = dock.scene.port("alpha");
    let is_well = || dock.machine().get(port, "/cgi-bin/part").is_some();
    assert!(is_well());
    for (policy, code) in [("hold", 111), ("unwind-run", 110)] {
        let begun = Instant::now();
        let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v", "--on-failure", policy]);
        working.says("canary-10 done");
        let mut failed = 0;
        while failed < 3 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the new release is given no requests");
            failed += usize::from(!is_well());
        }
        let said = working.ends();
        assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not wait for all of its time");
        assert_eq!((0..100).filter(|_| !is_well()).count(), 0, "nothing goes to it any more");
        told_in_four_parts(&said);
        println!("{}", said.stderr);
        assert!(said.stderr.contains("is worse than its canary may be"), "{}", said.stderr);
        assert!(said.stderr.contains("with 10% of the requests for "), "{}", said.stderr);
        if policy == "hold" {
            assert!(said.stderr.contains("it is given no more requests"), "{}", said.stderr);
            // Whoever goes on with it as it is tries it once more, with the same part of the requests.
            let again = dock.scene.start(&["resume"]);
            let begun = Instant::now();
            while is_well() {
                assert!(begun.elapsed() < Duration::from_secs(60), "it is not given its part again");
            }
            while weights(&dock).first() == Some(&10) {
                is_well();
                assert!(begun.elapsed() < Duration::from_secs(60), "it keeps its part");
            }
            assert_eq!(again.ends().code, 111);
            assert_eq!((0..50).filter(|_| !is_well()).count(), 0, "nothing goes to it any more");
            dock.scene.ends(0, &["rollback", "uat", "--yes"]);
        }
        assert_eq!(addresses(&file(&dock)), addresses(&before));
        dock.require_settled(2);
    }
}

#[test]
fn a_deployer_that_is_killed_amid_a_canary_leaves_the_part_also_over_a_restart_and_ends_all_new_or_all_old() {
    let Some((mut haproxy, dock)) = canaried("2s") else { return };
    let kill = || {
        let working = shared(&dock);
        working.signal(Signal::KILL);
        working.ends();
        assert_eq!(weights(&dock), [10, 10, 90, 90]);
    };
    dock.version(2);
    kill();
    haproxy.end();
    haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    while !dock.answers_any() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let seen = counted(&dock, "beta", 50);
    assert_eq!((seen.get(&Some(1)), seen.get(&Some(2))), (Some(&45), Some(&5)), "as its file says: {seen:?}");
    let stopped = dock.scene.pleach(&["stop", "uat", "--yes"]);
    assert_ne!(stopped.code, 0, "{}", stopped.stdout);
    assert!(stopped.stderr.contains("pleach resume"), "{}", stopped.stderr);
    let resumed = dock.without_a_lost_request(|| dock.scene.ends(0, &["resume"]));
    assert_eq!(dock.answers(), Some(2), "{}", resumed.stderr);
    dock.require_settled(2);
    assert_eq!(weights(&dock), [256, 256]);

    let before = file(&dock);
    dock.version(3);
    kill();
    let back = dock.without_a_lost_request(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
    assert_eq!(dock.answers(), Some(2), "{}", back.stderr);
    assert_eq!(addresses(&file(&dock)), addresses(&before));
    assert_eq!(counted(&dock, "alpha", 50), BTreeMap::from([(Some(2), 50)]));
    dock.require_settled(2);

    // The proxy is restarted while it is watched.
    let command = ["deploy", "uat", "--yes", "-v", "--canary", "30%,60%"];
    let working = shared_by(&dock, &command, "canary-30 done");
    haproxy.end();
    haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    let said = working.ends();
    assert_eq!((said.code, dock.answers()), (0, Some(3)), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("60% for 2s"), "{}", said.stderr);
    drop(haproxy);
}

#[test]
fn a_release_that_is_too_slow_or_ill_or_that_the_own_command_does_not_agree_to_is_taken_back() {
    let Some((_haproxy, mut dock)) = proxied() else { return };
    let script = |work: &str| format!("#!/bin/busybox sh\n{work}\nprintf 'Status: 200 OK\\r\\n\\r\\n'\n");
    dock.scene.commit("alpha", "Dockerfile", Some(DOCKERFILE));
    dock.scene.commit("alpha", "part", Some(&script("")));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let agrees = dock.bed.at("agrees");
    dock.target(&format!(
        "[environments.uat.canary]\nsteps = [\"50%\"]\nwait = \"3s\"\nrequests = 5\nlatency = \"200ms\"\n\
         command = \"test $PLEACH_PERCENT = 50 && test $PLEACH_PREVIOUS != $PLEACH_RELEASE && test -e {}\"\n",
        agrees.display()
    ));
    let before = file(&dock);
    let port = dock.scene.port("alpha");
    let deployed = |work: &str| {
        dock.scene.commit("alpha", "part", Some(&script(work)));
        let ask = || assert!(dock.machine().get(port, "/cgi-bin/part").is_some(), "a request is lost");
        meanwhile(ask, || dock.scene.pleach(&["deploy", "uat", "--yes", "-v"]))
    };
    let slow = deployed("/bin/busybox sleep 0.5");
    assert_eq!(slow.code, 110, "{}{}", slow.stdout, slow.stderr);
    assert!(slow.stderr.contains("at most 200ms on average are allowed"), "{}", slow.stderr);
    told_in_four_parts(&slow);
    assert_eq!(addresses(&file(&dock)), addresses(&before));

    // Well until somebody asks it; to those who ask, it answers rightly all the same.
    let ill = deployed("/bin/busybox rm -f /www/health");
    assert_eq!(ill.code, 110, "{}{}", ill.stdout, ill.stderr);
    assert!(ill.stderr.contains("is not healthy") && ill.stderr.contains("GET /health answered 404"), "{}", ill.stderr);
    assert!(ill.stderr.contains("it is given no more requests"), "{}", ill.stderr);
    told_in_four_parts(&ill);
    assert_eq!(addresses(&file(&dock)), addresses(&before));

    let disagreed = deployed("# as fast as before");
    assert_eq!(disagreed.code, 110, "{}{}", disagreed.stdout, disagreed.stderr);
    assert!(disagreed.stderr.contains("because: it exited with 1"), "{}", disagreed.stderr);
    told_in_four_parts(&disagreed);
    assert_eq!(addresses(&file(&dock)), addresses(&before));

    std::fs::write(&agrees, "").expect("written");
    let agreed = deployed("# as fast as ever");
    assert_eq!(agreed.code, 0, "{}{}", agreed.stdout, agreed.stderr);
    assert!(agreed.stderr.contains("50% for 3s: ") && agreed.stderr.contains("exited with 0"), "{}", agreed.stderr);
    assert_ne!(addresses(&file(&dock)), addresses(&before));
}

#[test]
fn a_host_whose_deployer_died_amid_a_canary_gives_all_requests_back_by_itself_and_so_does_an_interrupted_one() {
    let Some((_haproxy, mut dock)) = canaried("120s") else { return };
    dock.target("match = { header = \"X-Canary\" }\n");
    let settings = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&settings).expect("a config");
    let watched = "[environments.uat]\nlease = \"8s\"\nwatchdog = \"10s\"\n";
    std::fs::write(&settings, config.replace("[environments.uat]\n", watched)).expect("written");
    dock.scene.git(&["commit", "-qam", "A watchdog"]);
    let before = file(&dock);
    dock.version(2);
    let said = dock.without_a_lost_request(|| {
        let working = shared(&dock);
        working.signal(Signal::INT);
        working.ends()
    });
    assert_eq!(said.code, 130, "{}{}", said.stdout, said.stderr);
    assert_eq!((dock.answers(), addresses(&file(&dock))), (Some(1), addresses(&before)), "{}", said.stderr);

    dock.without_a_lost_request(|| {
        let working = shared(&dock);
        assert_eq!(dock.answer_with("alpha", ASKS), Some(2));
        working.signal(Signal::KILL);
        working.ends();
        let begun = Instant::now();
        while !dock.scene.pleach(&["status", "uat"]).stdout.contains("took itself back") {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not go back: {}", file(&dock));
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    assert_eq!(asked_and_not(&dock), (1, 1));
    let resumed = dock.scene.ends(110, &["resume"]);
    assert!(resumed.stderr.contains("the target took itself back"), "{}", resumed.stderr);
    assert_eq!((dock.answers(), addresses(&file(&dock))), (Some(1), addresses(&before)));
    dock.require_settled(2);
}

#[test]
fn a_canary_that_waits_for_a_person_goes_on_once_one_has_answered_also_where_its_deployer_was_killed() {
    let Some((_haproxy, mut dock)) = canaried("1s") else { return };
    dock.target("pause = \"4s\"\n");
    let before = file(&dock);
    dock.version(2);
    // Nobody answers.
    let said = dock.scene.pleach(&["deploy", "uat", "--yes", "-v"]);
    assert_eq!(said.code, 110, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("nobody let release `0002-"), "{}", said.stderr);
    told_in_four_parts(&said);
    assert_eq!((dock.answers(), addresses(&file(&dock))), (Some(1), addresses(&before)));
    let nobody = dock.scene.ends(0, &["confirm", "uat"]);
    assert!(nobody.stdout.contains("waits for a confirmation"), "{}", nobody.stdout);

    let settings = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&settings).expect("a config");
    std::fs::write(&settings, config.replace("pause = \"4s\"", "pause = \"60s\"")).expect("written");
    dock.scene.git(&["commit", "-qam", "More time"]);
    let wait = || {
        let begun = Instant::now();
        loop {
            let status = dock.scene.ends(0, &["status", "uat"]);
            if status.stdout.matches("which waits for `pleach confirm`").count() == 2 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", status.stdout);
        }
    };
    let answer = || {
        let answered = dock.scene.ends(0, &["confirm", "uat"]);
        assert_eq!(answered.stdout.matches(" on `vm` may go on: release `000").count(), 2, "{}", answered.stdout);
    };
    let said = dock.without_a_lost_request(|| {
        let working = shared(&dock);
        wait();
        assert_eq!(dock.scene.ends(0, &["confirm", "uat", "--target", "vm"]).stdout.lines().count(), 2);
        working.ends()
    });
    assert_eq!((said.code, dock.answers()), (0, Some(2)), "{}", said.stderr);
    assert!(said.stderr.contains("let it go on"), "{}", said.stderr);

    dock.version(3);
    let working = shared(&dock);
    wait();
    working.signal(Signal::KILL);
    working.ends();
    answer();
    dock.scene.ends(0, &["resume"]);
    assert_eq!(dock.answers(), Some(3));
    dock.require_settled(2);
}

#[test]
fn who_asks_has_the_new_release_before_everybody_else_and_the_way_back_leads_all_to_the_old_one_that_stands_by() {
    let Some((mut haproxy, mut dock)) = proxied() else { return };
    let settings = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&settings).expect("a config");
    std::fs::write(&settings, config.replace("[environments.uat]\n", "[environments.uat]\nstandby = true\n"))
        .expect("written");
    dock.target(
        "[environments.uat.canary]\nsteps = [\"0%\", \"10%\"]\nmatch = { header = \"X-Canary\", value = \"always\" }\n\
         wait = \"1s\"\npause = \"120s\"\n",
    );
    dock.version(2);
    let plan = dock.scene.ends(0, &["plan", "uat", "--long"]);
    let told = "HAProxy leads 0% of the requests and all with header `X-Canary: always` to `0002-";
    assert_eq!(plan.stdout.matches(told).count(), 2, "{}", plan.stdout);
    let said = dock.without_a_lost_request(|| {
        let mut working = shared_by(&dock, &["deploy", "uat", "--yes", "-v"], "canary-0 done");
        assert_eq!(asked_and_not(&dock), (2, 1));
        let status = dock.scene.ends(0, &["status", "uat"]);
        let told = "and all with header `X-Canary: always`";
        assert_eq!(status.stdout.matches("0% of its requests go to `0002-").count(), 2, "{}", status.stdout);
        assert_eq!(status.stdout.matches(told).count(), 2, "{}", status.stdout);
        let listed = dock.scene.ends(0, &["ps", "uat"]);
        assert_eq!(listed.stdout.matches("has 0% of the requests and all with header").count(), 2, "{}", listed.stdout);
        let mut answered = String::new();
        // It is refused while nobody asks.
        let confirm = || answered += &dock.scene.pleach(&["confirm", "uat"]).stdout;
        let said = meanwhile(confirm, || {
            SERVICES.iter().for_each(|_| working.says("canary-10 done"));
            let asked: Vec<_> = (0..20).map(|_| dock.answer_with("beta", ASKS)).collect();
            assert!(asked.iter().all(|version| *version == Some(2)), "whatever its part is: {asked:?}");
            working.ends()
        });
        let told = "had 0% of the requests and all with header `X-Canary: always` (run";
        assert_eq!(answered.matches(told).count(), 2, "{answered}");
        said
    });
    assert_eq!((said.code, asked_and_not(&dock)), (0, (2, 2)), "{}", said.stderr);
    dock.require_settled(2);
    assert_eq!(weights(&dock), [256, 256]);

    // Blue and green: both run, and the way back starts nothing.
    let states = || {
        let of = |service: &&str| dock.containers(service).into_iter().map(|seen| seen.state).collect::<Vec<_>>();
        SERVICES.iter().map(of).collect::<Vec<_>>()
    };
    let started = || {
        let of = |service: &&str| {
            let first = dock.containers(service).swap_remove(0).name;
            dock.ask(&format!("/containers/{first}/json"))["State"]["StartedAt"].clone()
        };
        SERVICES.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(states(), [["running", "running"], ["running", "running"]]);
    let since = started();
    let back = dock.without_a_lost_request(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
    assert_eq!((asked_and_not(&dock), started()), ((1, 1), since), "{}", back.stderr);
    dock.require_settled(2);
    assert_eq!(weights(&dock), [256, 256]);

    // The deployer is killed while people test, and the proxy restarts.
    let before = file(&dock);
    dock.version(3);
    let working = shared_by(&dock, &["deploy", "uat", "--yes", "-v"], "canary-0 done");
    working.signal(Signal::KILL);
    working.ends();
    haproxy.end();
    haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    while !dock.answers_any() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(asked_and_not(&dock), (3, 1), "as its file says");
    let back = dock.without_a_lost_request(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
    assert_eq!(asked_and_not(&dock), (1, 1), "{}", back.stderr);
    assert_eq!(file(&dock), before);
    dock.require_settled(2);
    drop(haproxy);
}

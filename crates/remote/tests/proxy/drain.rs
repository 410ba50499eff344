//! What a server has begun, it ends.

use std::thread;
use std::time::{Duration, Instant};

use pleach_core::error::Kind;
use pleach_remote::proxy::{Server, Slot};

use crate::bed::Bed;
use crate::load::{Client, version};
use crate::service::Service;

const SLOW: &str = "/slow/2000";

#[test]
fn a_slow_request_on_a_drained_server_is_answered_and_waited_for() {
    let bed = Bed::new();
    let old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let port = bed.port;
    let slow = thread::spawn(move || Client::new(port, false, "GET").ask(SLOW).expect("an answer"));
    bed.until("the slow request is in flight", || old.begun() == 1);
    let begun = Instant::now();
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), bed.used(Slot::Green, 256))).expect("ensured");

    let short = bed.drain(Slot::Blue, Duration::ZERO).expect("looked");
    assert!(!short.drained, "{}", short.evidence);
    assert_eq!(short.sessions, 1);
    assert_eq!(version(bed.port), 2, "new requests go to the other");
    let drained = bed.drain(Slot::Blue, Duration::from_secs(20)).expect("drained");
    assert!(drained.drained, "{}", drained.evidence);
    assert!(begun.elapsed() > Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(slow.join().expect("no panic"), (200, "1".into()));
    assert_eq!(drained.changes, Vec::<String>::new(), "the first drain did it");
    bed.require(&bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256)));
}

#[test]
fn a_slow_request_that_a_worker_from_before_a_reload_has_is_waited_for_too() {
    let bed = Bed::new();
    let old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), bed.used(Slot::Green, 256))).expect("ensured");
    let port = bed.port;
    // By turns: two in a row reach both.
    let slow: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || Client::new(port, false, "GET").ask("/slow/3000").expect("an answer")))
        .collect();
    bed.until("a slow request is in flight", || old.begun() == 1);
    bed.reload();
    let short = bed.drain(Slot::Blue, Duration::ZERO).expect("looked");
    assert_eq!(short.sessions, 0, "the new worker has none");
    assert!(!short.drained, "{}", short.evidence);
    assert_eq!(short.older_workers.len(), 1);
    let drained = bed.drain(Slot::Blue, Duration::from_secs(20)).expect("drained");
    assert!(drained.drained, "{}", drained.evidence);
    drop(old);
    let mut answers: Vec<_> = slow.into_iter().map(|slow| slow.join().expect("no panic")).collect();
    answers.sort();
    assert_eq!(answers, [(200, "1".into()), (200, "2".into())]);
}

#[test]
fn the_last_server_that_takes_requests_is_not_drained() {
    let bed = Bed::new();
    let _one = Service::start(bed.port_of(Slot::Blue), 1);
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    bed.ensure(&backend).expect("ensured");
    let refused = bed.drain(Slot::Blue, Duration::ZERO).expect_err("refused");
    assert_eq!(refused.kind, Kind::Conflict);
    bed.require(&backend);
    assert_eq!(version(bed.port), 1);
}

#[test]
fn a_server_of_a_service_that_is_not_there_has_nothing_to_end() {
    let bed = Bed::new();
    let drained = bed.drain(Slot::Green, Duration::ZERO).expect("drained");
    assert!(drained.drained);
    assert_eq!(drained.changes, Vec::<String>::new());
}

#[test]
fn a_slow_request_to_a_removed_service_is_answered_and_waited_for() {
    let bed = Bed::new();
    let old = Service::start(bed.port_of(Slot::Blue), 1);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let port = bed.port;
    let slow = thread::spawn(move || Client::new(port, false, "POST").ask(SLOW).expect("an answer"));
    bed.until("the slow request is in flight", || old.begun() == 1);
    let short = bed.remove(Duration::ZERO).expect("removed");
    assert!(!short.drained, "{}", short.evidence);
    let removed = bed.remove(Duration::from_secs(20)).expect("removed");
    assert!(removed.drained, "{}", removed.evidence);
    drop(old);
    assert_eq!(slow.join().expect("no panic"), (200, "1".into()));
}

#[test]
fn who_was_connected_before_a_reload_is_answered_and_waited_for() {
    let bed = Bed::new();
    let old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let mut client = Client::new(bed.port, true, "POST");
    client.ask("/").expect("an answer");
    bed.reload();
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256))).expect("ensured");
    let early = bed.drain(Slot::Blue, Duration::ZERO).expect("looked");
    assert!(!early.drained, "the worker that leaves may send one more: {}", early.evidence);
    // The worker that leaves knows of no switch; its servers are as they were.
    assert_eq!(client.ask("/").expect("an answer"), (200, "1".into()));
    let drained = bed.drain(Slot::Blue, Duration::from_secs(20)).expect("drained");
    assert!(drained.drained, "{}", drained.evidence);
    drop(old);
    assert_eq!(client.ask("/").expect("an answer"), (200, "2".into()));
}

#[test]
fn weight_that_comes_back_while_a_server_is_drained_is_taken_again_unless_the_file_wants_it() {
    let bed = Bed::new();
    let old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    let both = bed.backend(bed.used(Slot::Blue, 256), bed.used(Slot::Green, 256));
    bed.ensure(&both).expect("ensured");
    let port = bed.port;
    let begin =
        |time: &'static str| thread::spawn(move || Client::new(port, false, "GET").ask(time).expect("an answer"));
    for wanted_again in [false, true] {
        let before = old.begun();
        let slow = [begin("/slow/1500"), begin("/slow/1500")];
        bed.until("a slow request is in flight", || old.begun() > before);
        let drains = thread::scope(|scope| {
            let drains = scope.spawn(|| bed.drain(Slot::Blue, Duration::from_secs(20)));
            let weight = || bed.say("get weight pleach-0123456789ab-app/blue").expect("said");
            bed.until("it is drained", || weight().starts_with("0 "));
            if wanted_again {
                bed.ensure(&both).expect("ensured");
            } else {
                bed.say("set weight pleach-0123456789ab-app/blue 9").expect("said");
                bed.until("it is drained again", || weight().starts_with("0 "));
            }
            drains.join().expect("no panic")
        });
        if wanted_again {
            assert_eq!(drains.expect_err("told").kind, Kind::Conflict);
            bed.require(&both);
        } else {
            assert!(drains.expect("drained").drained);
            bed.require(&bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256)));
            bed.ensure(&both).expect("ensured");
        }
        for slow in slow {
            assert_eq!(slow.join().expect("no panic").0, 200);
        }
    }
}

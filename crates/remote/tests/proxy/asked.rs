//! Requests that ask for a release by a header or a cookie.

use pleach_remote::proxy::{Matched, Matching, Server, Slot};

use crate::bed::Bed;
use crate::load::{Client, Load};
use crate::service::Service;

pub(crate) fn matched(json: &str, to: Option<Slot>) -> Option<Matched> {
    let matching = Matching::of(&serde_json::from_str(json).expect("a match")).expect("one");
    Some(Matched { matching, to })
}

/// So many of a hundred requests with a header are answered by version 2, some over one connection and some over their own.
fn new_of_hundred(bed: &Bed, header: Option<&str>) -> usize {
    let client = |keeps| {
        let client = Client::new(bed.port, keeps, "GET");
        match header {
            Some(header) => client.with(header),
            None => client,
        }
    };
    let (mut kept, mut others) = (client(true), client(false));
    let answers = (0..50).flat_map(|_| [kept.ask("/"), others.ask("/")]);
    answers.filter(|answer| answer.as_ref().expect("an answer").1 == "2").count()
}

#[test]
fn all_that_ask_go_to_the_new_release_and_the_others_by_their_parts_and_once_it_is_over_nobody_can_ask() {
    let mut bed = Bed::new();
    let _old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    let before = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    bed.ensure(&before).expect("ensured");
    let load = Load::begin(bed.port);
    let header = r#"{ "header": "X-Canary" }"#;
    let mut backend = bed.backend(bed.used(Slot::Blue, 100), bed.used(Slot::Green, 0));
    backend.matched = matched(header, Some(Slot::Green));
    assert!(bed.ensure(&backend).expect("ensured").reloaded, "the rule is new to it");
    for asks in ["X-Canary: 1", "x-canary: never", "X-Canary:"] {
        assert_eq!(new_of_hundred(&bed, Some(asks)), 100, "{asks}");
    }
    for asks_not in [None, Some("X-Canary-Not: 1"), Some("Cookie: X-Canary=1")] {
        assert_eq!(new_of_hundred(&bed, asks_not), 0, "{asks_not:?}");
    }

    (backend.blue, backend.green) = (bed.used(Slot::Blue, 70), bed.used(Slot::Green, 30));
    assert!(!bed.ensure(&backend).expect("ensured").reloaded);
    for _ in 0..2 {
        assert_eq!(new_of_hundred(&bed, Some("X-Canary: 1")), 100);
        // The load takes its turns with the same two.
        let share = new_of_hundred(&bed, None);
        assert!((5..=60).contains(&share), "{share} of 100");
        bed.reload();
        bed.require(&backend);
    }

    // All old again, or all new: whoever asks is led like all others, from that moment on.
    let over = backend.matched.clone().map(Matched::by_weight);
    for (blue, green, answered) in [(256, 0, 0), (0, 256, 100), (256, 0, 0)] {
        (backend.blue, backend.green) = (bed.used(Slot::Blue, blue), bed.used(Slot::Green, green));
        backend.matched.clone_from(&over);
        assert!(!bed.ensure(&backend).expect("ensured").reloaded);
        assert_eq!(new_of_hundred(&bed, Some("X-Canary: 1")), answered);
        backend.matched = matched(header, Some(Slot::Green));
        assert!(!bed.ensure(&backend).expect("ensured").reloaded, "the rule is there already");
        assert_eq!(new_of_hundred(&bed, Some("X-Canary: 1")), 100);
    }
    load.end().require_nothing_lost("requests that ask and others");

    bed.stop();
    bed.start();
    bed.require(&backend);
    assert_eq!(new_of_hundred(&bed, Some("X-Canary: 1")), 100, "also over a restart");
    assert!(bed.drain(Slot::Green, std::time::Duration::from_secs(30)).expect("drained").drained);
    assert_eq!(new_of_hundred(&bed, Some("X-Canary: 1")), 0, "who is drained is asked no more");
}

#[test]
fn another_rule_takes_the_place_of_the_one_before_and_a_change_of_it_by_hand_is_told_and_mended() {
    let bed = Bed::new();
    let _old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    let mut backend = bed.backend(bed.used(Slot::Blue, 100), bed.used(Slot::Green, 0));
    let rules = [
        (r#"{ "header": "X-Canary", "value": "always" }"#, "X-Canary: no, always", "X-Canary: Always"),
        (r#"{ "header": "X-Canary", "value": "-i" }"#, "X-Canary: -i", "X-Canary: always"),
        (r#"{ "cookie": "canary" }"#, "Cookie: a=b; canary=", "X-Canary: -i"),
        (r#"{ "cookie": "canary", "value": "me@example.com" }"#, "Cookie: canary=me@example.com", "Cookie: canary=you"),
    ];
    for (rule, asks, asks_not) in rules {
        backend.matched = matched(rule, Some(Slot::Green));
        assert!(bed.ensure(&backend).expect("ensured").reloaded, "{rule}");
        assert_eq!(new_of_hundred(&bed, Some(asks)), 100, "{rule}");
        assert_eq!(new_of_hundred(&bed, Some(asks_not)), 0, "{rule}");
        bed.require(&backend);
    }
    let state = bed.say("show servers state").expect("said");
    let flags: Vec<&str> = state.split(' ').filter(|word| word.starts_with("match-")).collect();
    let [blue, green] = flags.as_slice() else { panic!("two: {state}") };
    for (flag, state) in [(green, "maint"), (blue, "ready"), (green, "drain")] {
        bed.say(&format!("set server {}/{flag} state {state}", backend.name)).expect("said");
        let looked = bed.look().expect("looked");
        let [difference] = looked.services[0].differences.as_slice() else { panic!("one: {looked:?}") };
        let told = "requests with cookie `canary=me@example.com` are to go to `green`, and HAProxy has";
        assert!(difference.starts_with(told), "{difference}");
        assert!(!bed.ensure(&backend).expect("ensured").reloaded);
        bed.require(&backend);
        assert_eq!(new_of_hundred(&bed, Some("Cookie: canary=me@example.com")), 100);
    }
}

//! What others do with the same HAProxy.

use std::fs;

use pleach_core::error::Kind;
use pleach_remote::proxy::{Server, Slot};

use crate::bed::Bed;
use crate::load::{Load, version};
use crate::service::Service;

#[test]
fn a_restart_or_reload_by_somebody_keeps_what_was_set() {
    let mut bed = Bed::new();
    let _old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let backend = bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256));
    bed.ensure(&backend).expect("ensured");
    bed.reload();
    bed.require(&backend);
    assert_eq!(version(bed.port), 2);
    bed.stop();
    bed.start();
    bed.require(&backend);
    assert_eq!(version(bed.port), 2);
    assert!(!bed.ensure(&backend).expect("ensured").reloaded);
}

#[test]
fn reloads_by_somebody_under_load_lose_no_request() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let load = Load::begin(bed.port);
    for _ in 0..10 {
        bed.reload();
    }
    load.end().require_nothing_lost("ten reloads");
}

#[test]
fn a_change_at_run_time_by_somebody_is_told_and_mended() {
    let bed = Bed::new();
    let _old = Service::start(bed.port_of(Slot::Blue), 1);
    let _new = Service::start(bed.port_of(Slot::Green), 2);
    let backend = bed.backend(bed.used(Slot::Blue, 256), bed.used(Slot::Green, 0));
    bed.ensure(&backend).expect("ensured");
    let name = backend.name.as_str();
    let table = [
        ("weight 7", "with weight 7"),
        ("state drain", "drained by hand"),
        ("state maint", "and is unused"),
        ("addr 127.0.0.1 port 1", "and is 127.0.0.1:1 with"),
    ];
    for (change, told) in table {
        bed.say(&format!("set server {name}/blue {change}")).expect("said");
        let looked = bed.look().expect("looked");
        let [difference] = looked.services[0].differences.as_slice() else { panic!("one: {looked:?}") };
        assert!(difference.contains(told), "{difference}");
        let ensured = bed.ensure(&backend).expect("ensured");
        assert_eq!(&ensured.changes, &looked.services[0].differences);
        assert!(!ensured.reloaded);
        bed.require(&backend);
        assert_eq!(version(bed.port), 1);
    }
}

#[test]
fn a_file_that_somebody_has_edited_is_told_and_left_alone() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    bed.ensure(&backend).expect("ensured");
    let text = bed.text();
    for (from, to) in [
        ("    option redispatch\n", "    option redispatch\n    option httplog\n"),
        ("    balance roundrobin\n", "    balance leastconn\n"),
        ("# Written by Pleach", "# Written by me"),
        ("    server green", "    server red 127.0.0.1:80\n    server green"),
    ] {
        let edited = text.replace(from, to);
        assert_ne!(edited, text);
        fs::write(bed.file(), &edited).expect("written");
        let failure = bed.ensure(&bed.backend(bed.used(Slot::Blue, 100), Server::Unused)).expect_err("refused");
        assert_eq!(failure.kind, Kind::Conflict);
        assert!(failure.what.contains("is not from Pleach"), "{failure:?}");
        assert!(failure.next.is_some_and(|next| next.contains("sed -n")));
        assert!(bed.remove(std::time::Duration::ZERO).is_err());
        assert_eq!(bed.look().expect_err("told").kind, Kind::Conflict);
        assert_eq!(bed.text(), edited);
        assert_eq!(version(bed.port), 1);
    }
    fs::write(bed.file(), text).expect("written");
    bed.require(&backend);
}

#[test]
fn a_file_that_was_written_and_not_yet_loaded_is_told_by_look() {
    let bed = Bed::new();
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let all = [(backend.name.clone(), backend.clone())].into_iter().collect();
    fs::write(bed.file(), pleach_remote::proxy::render(&all)).expect("written");
    let looked = bed.look().expect("looked");
    assert_eq!(looked.services[0].differences, [format!("HAProxy runs nothing named `{}`", backend.name)]);
    bed.reload();
    bed.require(&backend);
    fs::write(bed.file(), "").expect("written");
    let looked = bed.look().expect("looked");
    assert!(looked.services[0].differences[0].contains("a reload would take it away"));
}

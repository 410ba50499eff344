//! From one release to the next.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use pleach_remote::proxy::{Server, Slot};
use pleach_testbed::meanwhile::meanwhile;

use crate::bed::Bed;
use crate::load::{Client, Load, version};
use crate::service::Service;

#[test]
fn the_first_deployment_makes_the_address_answer_and_a_second_one_changes_nothing() {
    let bed = Bed::new();
    let _one = Service::start(bed.port_of(Slot::Blue), 1);
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let ensured = bed.ensure(&backend).expect("ensured");
    assert!(ensured.reloaded);
    assert_eq!(version(bed.port), 1);
    bed.require(&backend);
    let text = bed.text();
    let again = bed.ensure(&backend).expect("ensured");
    assert!(!again.reloaded);
    assert_eq!(again.changes, Vec::<String>::new());
    assert_eq!(bed.text(), text);
    assert!(again.evidence.contains("with weight 256"), "{}", again.evidence);
}

/// When nobody may be answered by the old release any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Switched,
    Drained,
}

/// Switches so often and ends each old release's process as soon as it is drained; gives the last one, and how long the longest
/// switch took.
fn switch(bed: &Bed, times: usize, first: Service, load: &Load, from: From) -> (Service, Duration) {
    let (mut slot, mut old) = (Slot::Blue, first);
    let mut longest = Duration::ZERO;
    for release in 2..2 + times {
        let new = Service::start(bed.port_of(slot.other()), release);
        let mut backend = bed.backend(Server::Unused, Server::Unused);
        *backend.server_mut(slot) = bed.used(slot, 0);
        slot = slot.other();
        *backend.server_mut(slot) = bed.used(slot, 256);
        let begun = Instant::now();
        let ensured = bed.ensure(&backend).expect("ensured");
        longest = longest.max(begun.elapsed());
        assert!(!ensured.reloaded, "a switch needs no reload");
        if from == From::Switched {
            load.switched_to(release);
        }
        let drained = bed.drain(slot.other(), Duration::from_secs(30)).expect("drained");
        assert!(drained.drained, "{}", drained.evidence);
        if from == From::Drained {
            load.switched_to(release);
        }
        *backend.server_mut(slot.other()) = Server::Unused;
        bed.ensure(&backend).expect("ensured");
        // Only now, and at once: the old release's process ends.
        drop(std::mem::replace(&mut old, new));
    }
    (old, longest)
}

#[test]
fn twenty_switches_under_load_lose_no_request_and_nobody_is_led_back() {
    let bed = Bed::new();
    let first = Service::start(bed.port_of(Slot::Blue), 1);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let load = Load::begin(bed.port);
    let (_last, longest) = switch(&bed, 20, first, &load, From::Switched);
    eprintln!("the longest switch took {longest:?}");
    load.end().require_nothing_lost("twenty switches");
}

#[test]
fn switches_amid_reloads_by_somebody_lose_no_request() {
    let bed = Bed::new();
    let first = Service::start(bed.port_of(Slot::Blue), 1);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let load = Load::begin(bed.port);
    let mut reloads = 0;
    let reload = || {
        bed.reload();
        reloads += 1;
    };
    let _last = meanwhile(reload, || switch(&bed, 8, first, &load, From::Drained));
    eprintln!("amid {reloads} reloads");
    load.end().require_nothing_lost("switches amid reloads");
}

#[test]
fn requests_are_shared_out_by_weight() {
    let bed = Bed::new();
    let _old = Service::start(bed.port_of(Slot::Blue), 1);
    let new = Service::start(bed.port_of(Slot::Green), 2);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let backend = bed.backend(bed.used(Slot::Blue, 90), bed.used(Slot::Green, 10));
    bed.ensure(&backend).expect("ensured");
    let mut client = Client::new(bed.port, true, "GET");
    for _ in 0..1000 {
        assert_eq!(client.ask("/").expect("an answer").0, 200);
    }
    let share = new.begun();
    eprintln!("10 of 100: {share} of 1000");
    assert!((80..=120).contains(&share), "{share} of 1000");
    bed.reload();
    bed.require(&backend);
}

#[test]
fn a_service_that_is_removed_leaves_its_address_free_and_others_alone() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let mut other = backend.clone();
    other.name = "pleach-ba9876543210-app".parse().expect("a name");
    other.bind = format!("127.0.0.1:{}", bed.port + 3).parse().expect("an address");
    bed.ensure(&backend).expect("ensured");
    bed.ensure(&other).expect("ensured");
    let load = Load::begin(bed.port + 3);
    let removed = bed.remove(Duration::from_secs(20)).expect("removed");
    assert!(removed.drained, "{}", removed.evidence);
    assert!(TcpStream::connect(("127.0.0.1", bed.port)).is_err());
    bed.require(&other);
    let again = bed.remove(Duration::from_secs(20)).expect("removed");
    assert_eq!(again.changes, Vec::<String>::new());
    load.end().require_nothing_lost("the other service");
}

#[test]
fn a_service_moves_to_another_address() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let mut backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    bed.ensure(&backend).expect("ensured");
    backend.bind = format!("127.0.0.1:{}", bed.port + 3).parse().expect("an address");
    assert!(bed.ensure(&backend).expect("ensured").reloaded);
    assert_eq!(version(bed.port + 3), 1);
    bed.until("the old address is free", || TcpStream::connect(("127.0.0.1", bed.port)).is_err());
    bed.require(&backend);
}

#[test]
fn addresses_of_ipv6_are_led_to_and_read_back() {
    let bed = Bed::new();
    let address = |port: u16| std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let weight = 256_u16.try_into().expect("a weight");
    let server = |slot| Server::Used { address: address(bed.port_of(slot)), weight };
    let mut backend = bed.backend(server(Slot::Blue), Server::Unused);
    backend.bind = format!("[::1]:{}", bed.port).parse().expect("an address");
    bed.ensure(&backend).expect("ensured");
    backend.green = server(Slot::Green);
    assert!(!bed.ensure(&backend).expect("ensured").reloaded);
    bed.require(&backend);
    bed.reload();
    bed.require(&backend);
}

#[test]
fn all_addresses_and_the_loopback_alone_are_told_apart() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    for host in ["*", "localhost", "127.0.0.1", "*"] {
        let mut backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
        backend.bind = format!("{host}:{}", bed.port).parse().expect("an address");
        let ensured = bed.ensure(&backend).expect("ensured");
        // The number is what `localhost` means here: there is nothing to reload for.
        assert_eq!(ensured.reloaded, host != "127.0.0.1", "{host}: {:?}", ensured.changes);
        bed.require(&backend);
        assert_eq!(version(bed.port), 1, "{host}");
    }
}

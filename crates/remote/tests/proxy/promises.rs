//! HAProxy is one of the proxies that releases can take turns behind.

use pleach_remote::proxy::testing::exercise_proxy;
use pleach_remote::proxy::{Backend, Slot};

use crate::bed::{Bed, used};
use crate::service::Service;

#[test]
fn haproxy_keeps_what_proxies_promise() {
    let bed = Bed::new();
    let answering: Vec<_> = (1..=4).map(|at| Service::start(bed.port + at, usize::from(at))).collect();
    let service = bed.backend(bed.used(Slot::Blue, 256), bed.used(Slot::Green, 256));
    let other = Backend {
        name: "pleach-ba9876543210-other".parse().expect("a name"),
        bind: format!("127.0.0.1:{}", bed.port + 5).parse().expect("an address"),
        blue: used(bed.port + 3, 256),
        green: used(bed.port + 4, 256),
        matched: None,
    };
    exercise_proxy(&bed.place(), &service, &other);
    drop(answering);
}

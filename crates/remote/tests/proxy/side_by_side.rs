//! Several deployments at once on one host.

use pleach_remote::proxy::{EnsureRequest, Ensured, Server, Slot, parse};

use crate::bed::{Bed, begin, end, used};
use crate::load::version;
use crate::service::Service;

#[test]
fn services_that_are_deployed_at_once_by_several_processes_lose_nothing() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let services: Vec<_> = (0..3_u16)
        .map(|number| {
            let mut backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
            backend.name = format!("pleach-00000000000{number}-app").parse().expect("a name");
            backend.bind = format!("127.0.0.1:{}", bed.port + 3 + number).parse().expect("an address");
            backend
        })
        .collect();
    for weight in [256, 100, 7] {
        let wanted = services.iter().map(|backend| {
            let mut backend = backend.clone();
            backend.blue = used(bed.port_of(Slot::Blue), weight);
            backend
        });
        let wanted: Vec<_> = wanted.collect();
        let running: Vec<_> = wanted
            .iter()
            .map(|backend| begin("ensure", &EnsureRequest { place: bed.place(), backend: backend.clone() }))
            .collect();
        for child in running {
            end::<Ensured>(child).expect("an answer").expect("ensured");
        }
        let looked = bed.look().expect("looked");
        assert_eq!(looked.services.len(), 3);
        for (seen, backend) in looked.services.iter().zip(&wanted) {
            assert_eq!(seen.file.as_ref(), Some(backend));
            assert_eq!(seen.differences, Vec::<String>::new());
        }
    }
    bed.reload();
    for backend in &services {
        assert_eq!(version(backend.bind.port()), 1);
    }
    assert_eq!(parse(&bed.text()).expect("ours").len(), 3);
}

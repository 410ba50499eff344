//! The text of the file that Pleach writes for HAProxy, both ways. Pure.
//!
//! Reading is strict: a text is understood only if writing what was read gives the same text again. So whatever somebody else
//! has changed in it, be it a comment, is seen and never overwritten.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::backend::{Backend, BackendName, Server, Slot, Weight};
use super::matching::{Matched, Matching};

/// All services of one file.
pub type Backends = BTreeMap<BackendName, Backend>;

/// Why so, for those who read the module and not the file:
///
/// * `option http-server-close`: a request never goes over a connection that its server is just giving up, so none is lost by
///   that race and none needs to be sent twice; a connection to a server is a request in flight.
/// * `option idle-close-on-response`: after a reload the worker that leaves answers one request more on each connection
///   that is kept alive, and says that it closes it; without this it closes them under the hands of clients.
/// * `timeout http-keep-alive` and `timeout http-request` say for how long a worker that leaves may still begin a request:
///   [`BEGINS_NO_MORE`](super::worker::BEGINS_NO_MORE).
/// * `disable-l7-retry`: what may be done once only is sent again only if no connection came to be.
/// * `option socket-stats`: so that the run time tells where a frontend listens.
/// * No `check`: whether a release is good is decided before it is given requests, by asking it as its service wants it.
const HEAD: &str = "\
# Written by Pleach, format 1. Each change of Pleach's replaces the whole file.
# Put nothing of your own in here: Pleach would stop and leave the file alone. HAProxy loads it last, so that what follows
# `defaults` is ours:  haproxy -W -f /etc/haproxy/haproxy.cfg -f THIS_FILE

defaults pleach
    mode http
    log global
    option socket-stats
    option http-server-close
    option idle-close-on-response
    option forwardfor if-none
    option redispatch
    retries 2
    retry-on conn-failure empty-response
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout tunnel 1d
    timeout http-request 10s
    timeout http-keep-alive 10s
    timeout queue 30s
";

/// What stands for the address of an unused server, which HAProxy wants to have. Nobody listens there, and `disabled` keeps
/// HAProxy from trying.
pub(super) const NOWHERE: &str = "127.0.0.1:1";

/// The whole text.
pub fn render(backends: &Backends) -> String {
    let mut text = HEAD.to_owned();
    for backend in backends.values() {
        let Backend { name, bind, .. } = backend;
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "\nfrontend {name} from pleach\n    bind {bind} name pleach\n    default_backend {name}\n\
             \nbackend {name} from pleach\n    balance roundrobin\n    \
             http-request disable-l7-retry unless {{ method GET HEAD OPTIONS TRACE PUT DELETE }}\n"
        );
        if let Some(matched) = &backend.matched {
            text += &render_matched(matched);
        }
        for slot in Slot::ALL {
            let _ = match backend.server(slot) {
                Server::Unused => writeln!(text, "    server {slot} {NOWHERE} weight 0{DISABLED}"),
                Server::Used { address, weight } => writeln!(text, "    server {slot} {address} weight {weight}"),
            };
        }
    }
    text
}

/// The rules of a service, and the flags that say which of them counts. They come before its servers.
fn render_matched(matched: &Matched) -> String {
    let Matched { matching, to } = matched;
    let mut text = format!("    # match {}\n", matching.words());
    for slot in Slot::ALL {
        let (condition, flag) = (matching.condition(), matching.flag(slot));
        let _ = writeln!(text, "    use-server {slot} if {condition} {{ srv_is_up({flag}) }}");
    }
    for slot in Slot::ALL {
        let state = if *to == Some(slot) { "" } else { DISABLED };
        let _ = writeln!(text, "    server {} {NOWHERE} weight 0{state}", matching.flag(slot));
    }
    text
}

/// Behind a server that is given nothing.
const DISABLED: &str = " disabled";

/// The first line that is not as Pleach would have written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its number, from 1.
    pub line: usize,
    /// What it says; `None` if the text ends before it.
    pub found: Option<String>,
}

/// Reads a text that [`render`] gave; an empty one holds no services.
pub fn parse(text: &str) -> Result<Backends, Foreign> {
    if text.trim().is_empty() {
        return Ok(Backends::new());
    }
    let backends = read(text);
    let own = render(&backends);
    if own == text {
        return Ok(backends);
    }
    let (mut theirs, mut ours) = (text.split('\n'), own.split('\n'));
    let mut line = 1;
    loop {
        let found = theirs.next();
        if found != ours.next() {
            return Err(Foreign { line, found: found.map(str::to_owned) });
        }
        line += 1;
    }
}

/// The services of which the text says enough, whatever else it says.
fn read(text: &str) -> Backends {
    let mut backends = Backends::new();
    let (mut name, mut bind, mut blue, mut matched) = (None, None, None, None::<Matched>);
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["frontend", text, ..] => {
                (name, bind, blue, matched) = (text.parse::<BackendName>().ok(), None, None, None);
            }
            ["#", "match", ref rest @ ..] => {
                matched = Matching::parse(rest).map(|matching| Matched { matching, to: None });
            }
            ["bind", text, ..] => bind = text.parse().ok(),
            ["server", "blue", ref rest @ ..] => blue = read_server(rest),
            ["server", "green", ref rest @ ..] => {
                let found = (name.take(), bind.take(), blue.take(), read_server(rest));
                if let (Some(name), Some(bind), Some(blue), Some(green)) = found {
                    backends.insert(name.clone(), Backend { name, bind, blue, green, matched: matched.take() });
                }
            }
            ["server", flag, _, "weight", "0"] => {
                if let Some(matched) = &mut matched {
                    matched.to = Slot::ALL.into_iter().find(|slot| matched.matching.flag(*slot) == flag);
                }
            }
            _ => {}
        }
    }
    backends
}

fn read_server(words: &[&str]) -> Option<Server> {
    match *words {
        [_, "weight", "0", "disabled"] => Some(Server::Unused),
        [address, "weight", weight] => {
            let address: SocketAddr = address.parse().ok()?;
            let weight = Weight::try_from(weight.parse::<u16>().ok()?).ok()?;
            Some(Server::Used { address, weight })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;
    use crate::proxy::{Bind, MatchPlace};

    fn any_server() -> impl Strategy<Value = Server> {
        let used = (any::<SocketAddr>(), 0..=256_u16).prop_map(|(address, weight)| Server::Used {
            // Flow label and scope are no part of what HAProxy is told.
            address: SocketAddr::new(address.ip(), address.port()),
            weight: weight.try_into().expect("a weight"),
        });
        prop_oneof![Just(Server::Unused), used]
    }

    fn any_bind() -> impl Strategy<Value = Bind> {
        let host = prop_oneof![
            Just("*".to_owned()),
            Just("localhost".to_owned()),
            any::<std::net::IpAddr>().prop_map(|address| address.to_string())
        ];
        (host, 1..=u16::MAX).prop_map(|(host, port)| Bind::new(&host, port).expect("an address"))
    }

    fn any_matched() -> impl Strategy<Value = Option<Matched>> {
        let place = prop_oneof![Just(MatchPlace::Header), Just(MatchPlace::Cookie)];
        let value = prop::option::of("[-A-Za-z0-9_.:/+=@~]{1,20}");
        let to = prop::option::of(prop_oneof![Just(Slot::Blue), Just(Slot::Green)]);
        prop::option::of((place, "[-A-Za-z0-9_.]{1,20}", value, to).prop_map(|(place, name, value, to)| {
            let value = value.map(|value| value.parse().expect("a value"));
            Matched { matching: Matching { place, name: name.parse().expect("a name"), value }, to }
        }))
    }

    fn any_backends() -> impl Strategy<Value = Backends> {
        let name = "pleach-[0-9a-f]{12}-[a-z0-9-]{1,20}".prop_map(|text| text.parse::<BackendName>().expect("a name"));
        btree_map(name, (any_bind(), any_server(), any_server(), any_matched()), 0..5).prop_map(|found| {
            let all = found.into_iter().map(|(name, (bind, blue, green, matched))| {
                (name.clone(), Backend { name, bind, blue, green, matched })
            });
            all.collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(backends in any_backends()) {
            prop_assert_eq!(parse(&render(&backends)), Ok(backends.clone()));
            for backend in backends.values() {
                let json = serde_json::to_string(backend).expect("JSON");
                prop_assert_eq!(&serde_json::from_str::<Backend>(&json).expect("JSON"), backend);
            }
        }

        #[test]
        fn a_change_of_one_byte_by_somebody_else_is_seen_or_is_the_same_file(
            backends in any_backends(),
            at in any::<prop::sample::Index>(),
            byte in 0x20..0x7f_u8,
        ) {
            let text = render(&backends);
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).expect("ASCII");
            // Where it is understood it says something that Pleach might have written, and nothing else is in it.
            if let Ok(read) = parse(&changed) {
                prop_assert_eq!(render(&read), changed);
            }
        }

        #[test]
        fn a_line_that_somebody_adds_is_told_with_its_number(backends in any_backends(), at in any::<prop::sample::Index>()) {
            let text = render(&backends);
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            let at = at.index(lines.len() + 1);
            lines.insert(at, "    # mine\n");
            let foreign = parse(&lines.concat()).expect_err("not ours");
            prop_assert_eq!(foreign, Foreign { line: at + 1, found: Some("    # mine".into()) });
        }
    }

    #[test]
    fn an_empty_file_holds_no_services() {
        assert_eq!(parse(""), Ok(Backends::new()));
        assert_eq!(parse("\n"), Ok(Backends::new()));
        let cut = render(&Backends::new()).replace("    timeout queue 30s\n", "");
        assert_eq!(parse(&cut).expect_err("cut").line, 21);
    }
}

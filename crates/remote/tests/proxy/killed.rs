//! `kill -9` in front of each word to HAProxy, and amid its check and its reload.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use pleach_remote::proxy::{Backend, EnsureRequest, Ensured, Matched, ProxyPlace, Server, Slot};

use crate::asked::matched;
use crate::bed::{Bed, begin, end};
use crate::load::{Client, version};
use crate::service::Service;

/// Leads so many connections to HAProxy; tells when one more comes, and holds that for ever.
fn relay(path: &Path, to: &Path, lets: usize) -> Receiver<()> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("a socket");
    let to = to.to_owned();
    let (stalled, stalls) = channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        for (number, stream) in listener.incoming().flatten().enumerate() {
            if number >= lets {
                held.push(stream);
                // Whoever listened has seen enough.
                let _ = stalled.send(());
                continue;
            }
            let Ok(server) = UnixStream::connect(&to) else { return };
            let (mut from, mut into) = (stream.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            thread::spawn(move || io::copy(&mut from, &mut into));
            let (mut from, mut into) = (server, stream);
            thread::spawn(move || io::copy(&mut from, &mut into).and_then(|_| into.shutdown(std::net::Shutdown::Both)));
        }
    });
    stalls
}

/// Kills it when it stalls; `true` if it came to its end before.
fn kill_at_stall(mut child: Child, stalls: &Receiver<()>) -> bool {
    loop {
        if stalls.try_recv().is_ok() {
            child.kill().expect("killed");
            child.wait().expect("ended");
            return false;
        }
        if child.try_wait().expect("waited").is_some() {
            end::<Ensured>(child).expect("an answer").expect("ensured");
            return true;
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Kills `ensure` in front of each of its words. After each kill the service is answered, the file is one of the two, and
/// what a reload or the next `ensure` leads to is whole.
fn kill_everywhere(old: Option<&Backend>, new: &Backend, bed: &Bed) -> usize {
    let socket = bed.path("relay.sock");
    let place = ProxyPlace { socket: socket.clone(), ..bed.place() };
    for lets in 0.. {
        match old {
            Some(old) => drop(bed.ensure(old).expect("ensured")),
            None => drop(bed.remove(std::time::Duration::ZERO).expect("removed")),
        }
        let stalls = relay(&socket, &place.socket.with_file_name("admin.sock"), lets);
        let request = EnsureRequest { place: place.clone(), backend: new.clone() };
        if kill_at_stall(begin("ensure", &request), &stalls) {
            bed.require(new);
            return lets;
        }
        if old.is_some() {
            assert_eq!(Client::new(bed.port, false, "GET").ask("/").expect("an answer").0, 200, "after {lets}");
        }
        let file = pleach_remote::proxy::parse(&bed.text()).expect("whole").remove(&new.name);
        assert!(file.as_ref() == old || file.as_ref() == Some(new), "after {lets}: {file:?}");
        if lets % 2 == 1 {
            bed.reload();
            match &file {
                Some(file) => bed.require(file),
                None => assert!(bed.look().expect("looked").services.is_empty()),
            }
        }
        bed.ensure(new).expect("healed");
        bed.require(new);
        assert_eq!(version(bed.port), 2);
    }
    unreachable!("it comes to its end")
}

#[test]
fn a_switch_that_is_killed_anywhere_is_healed_by_the_next_or_by_a_reload() {
    let bed = Bed::new();
    let _services = [Service::start(bed.port_of(Slot::Blue), 1), Service::start(bed.port_of(Slot::Green), 2)];
    let old = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let new = bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256));
    let words = kill_everywhere(Some(&old), &new, &bed);
    assert!(words >= 6, "each question and the commands were places to be killed at: {words}");
}

#[test]
fn a_rule_for_those_who_ask_that_is_killed_anywhere_is_healed_in_the_same_way() {
    let bed = Bed::new();
    let _services = [Service::start(bed.port_of(Slot::Blue), 1), Service::start(bed.port_of(Slot::Green), 2)];
    let old = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let mut asked = bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256));
    asked.matched = matched(r#"{ "header": "X-Canary" }"#, Some(Slot::Blue));
    // There is no such rule at first; then it is only told to count no more.
    kill_everywhere(Some(&old), &asked, &bed);
    let over = Backend { matched: asked.matched.clone().map(Matched::by_weight), ..asked.clone() };
    kill_everywhere(Some(&asked), &over, &bed);
}

#[test]
fn a_first_deployment_that_is_killed_anywhere_is_healed_by_the_next() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Green), 2);
    let new = bed.backend(Server::Unused, bed.used(Slot::Green, 256));
    kill_everywhere(None, &new, &bed);
}

#[test]
fn killed_amid_its_check_it_leaves_the_old_file_and_amid_its_reload_the_new_one() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let suicide = ["sh", "-c", "kill -9 $PPID", "{file}"].map(str::to_owned).to_vec();

    let place = ProxyPlace { check: suicide.clone(), ..bed.place() };
    let killed = end::<Ensured>(begin("ensure", &EnsureRequest { place, backend: backend.clone() }));
    assert!(killed.is_none());
    assert_eq!(bed.text(), "");

    let place = ProxyPlace { reload: suicide, ..bed.place() };
    let killed = end::<Ensured>(begin("ensure", &EnsureRequest { place, backend: backend.clone() }));
    assert!(killed.is_none());
    assert!(bed.text().contains(backend.name.as_str()));

    assert!(bed.ensure(&backend).expect("healed").reloaded);
    bed.require(&backend);
    assert_eq!(version(bed.port), 1);
    let names = fs::read_dir(bed.folder.path()).expect("a folder").flatten().map(|entry| entry.file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains(".new-")), "no candidate is left");
}

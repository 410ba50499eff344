//! What cannot be done is told with what, because, state and next.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_remote::proxy::{EnsureRequest, Ensured, ProxyPlace, Server, Slot};

use crate::bed::{Bed, ask};
use crate::load::version;
use crate::service::Service;

/// Each failure has four parts, and its next holds a command.
fn require_parts(failure: &Failure, next: &str) {
    eprintln!("{failure:#?}");
    assert!(!failure.because.is_empty() && failure.state.is_some(), "{failure:?}");
    let told = failure.next.as_deref().expect("what to do next");
    assert!(told.contains('`') && told.contains(next), "{told}");
}

#[test]
fn an_haproxy_that_does_not_run_changes_nothing_and_is_taken_up_when_it_comes_back() {
    let mut bed = Bed::new();
    let _services = [Service::start(bed.port_of(Slot::Blue), 1), Service::start(bed.port_of(Slot::Green), 2)];
    let old = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    bed.ensure(&old).expect("ensured");
    let text = bed.text();
    bed.stop();
    let new = bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256));
    for failure in [
        bed.ensure(&new).expect_err("down"),
        bed.look().expect_err("down"),
        bed.drain(Slot::Green, Duration::ZERO).expect_err("down"),
        bed.remove(Duration::ZERO).expect_err("down"),
    ] {
        assert_eq!(failure.kind, Kind::Transient);
        require_parts(&failure, "systemctl start haproxy");
    }
    assert_eq!(bed.text(), text);
    bed.start();
    bed.require(&old);
    bed.ensure(&new).expect("ensured");
    assert_eq!(version(bed.port), 2);
}

#[test]
fn a_socket_that_is_not_there_says_what_the_config_lacks() {
    let bed = Bed::without_haproxy();
    let failure = bed.look().expect_err("none");
    require_parts(&failure, "stats socket");
}

#[test]
fn a_socket_that_may_not_be_used_says_how_to_be_let_in() {
    let bed = Bed::new();
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root: the words alone.
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = pleach_remote::proxy::ProxyError::Socket { socket: bed.path("admin.sock"), source: denied };
        let failure = Failure::from(error);
        assert_eq!(failure.kind, Kind::Rejected);
        require_parts(&failure, "usermod -aG haproxy");
        return;
    }
    fs::set_permissions(bed.path("admin.sock"), fs::Permissions::from_mode(0o000)).expect("closed");
    require_parts(&bed.look().expect_err("closed"), "usermod -aG haproxy");
}

#[test]
fn a_file_that_is_not_there_is_the_users_to_make() {
    let bed = Bed::new();
    fs::remove_file(bed.file()).expect("removed");
    let failure = bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect_err("none");
    require_parts(&failure, "sudo install -D");
    assert!(!bed.file().exists());
    assert!(!bed.path("pleach.cfg.lock").exists());
}

#[test]
fn a_config_that_haproxy_refuses_leaves_the_file_as_it_was_and_is_told_in_its_words() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    let text = bed.text();
    let mut user = fs::read_to_string(bed.path("haproxy.cfg")).expect("there");
    user.push_str("frontend mine\n    bnid :80\n");
    fs::write(bed.path("haproxy.cfg"), user).expect("written");
    let failure = bed.ensure(&bed.backend(bed.used(Slot::Blue, 100), Server::Unused)).expect_err("refused");
    require_parts(&failure, "-c -f");
    assert!(failure.output.iter().any(|line| line.contains("bnid")), "{:?}", failure.output);
    assert_eq!(bed.text(), text);
    assert_eq!(version(bed.port), 1);
}

#[test]
fn a_file_that_haproxy_does_not_load_is_told_and_made_what_it_was() {
    let mut bed = Bed::without_haproxy();
    bed.start_with(&[]);
    let failure = bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect_err("not loaded");
    require_parts(&failure, "-f ");
    assert!(failure.what.contains("does not run"), "{failure:?}");
    assert_eq!(bed.text(), "");
}

#[test]
fn a_reload_that_fails_is_told_and_the_file_is_made_what_it_was() {
    let bed = Bed::new();
    let place = ProxyPlace {
        reload: ["sh", "-c", "echo Job for haproxy failed >&2; exit 1"].map(str::to_owned).to_vec(),
        ..bed.place()
    };
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let failure = ask::<Ensured>("ensure", &EnsureRequest { place, backend }).expect_err("failed");
    require_parts(&failure, "journalctl");
    assert_eq!(failure.output, ["Job for haproxy failed"]);
    assert_eq!(bed.text(), "");
}

#[test]
fn an_address_that_somebody_has_is_told_before_anything_is_touched() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let listener = TcpListener::bind(("127.0.0.1", bed.port)).expect("a free port");
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    let failure = bed.ensure(&backend).expect_err("taken");
    assert_eq!(failure.kind, Kind::Conflict);
    require_parts(&failure, "ss -ltnp");
    assert_eq!(bed.text(), "");
    drop(listener);
    bed.ensure(&backend).expect("ensured");

    let mut other = backend;
    other.name = "pleach-ba9876543210-app".parse().expect("a name");
    let failure = bed.ensure(&other).expect_err("shared");
    assert_eq!(failure.kind, Kind::Conflict);
    require_parts(&failure, "grep -n bind");
    assert_eq!(version(bed.port), 1);
}

#[test]
fn a_socket_without_the_right_to_change_is_told_before_anything_is_touched() {
    let mut bed = Bed::without_haproxy();
    let user = fs::read_to_string(bed.path("haproxy.cfg")).expect("there").replace("level admin", "level operator");
    fs::write(bed.path("haproxy.cfg"), user).expect("written");
    bed.start();
    let failure = bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect_err("no right");
    require_parts(&failure, "level admin");
    assert_eq!(failure.because, ["the socket is one of `level operator`"]);
    assert_eq!(bed.text(), "");
}

/// Says no to each command that changes something, and leads all others to HAProxy.
fn refuse_changes(path: &Path, to: PathBuf) {
    let listener = UnixListener::bind(path).expect("a socket");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut command = String::new();
            BufReader::new(&stream).read_line(&mut command).expect("a command");
            if command.starts_with("set ") {
                stream.write_all(b"Not today.\n").expect("said");
                continue;
            }
            let mut haproxy = UnixStream::connect(&to).expect("HAProxy");
            haproxy.write_all(command.as_bytes()).expect("asked");
            std::io::copy(&mut haproxy, &mut stream).expect("answered");
        }
    });
}

#[test]
fn a_command_that_haproxy_refuses_is_told_in_its_words_and_a_reload_brings_what_was_wanted() {
    let bed = Bed::new();
    let _services = [Service::start(bed.port_of(Slot::Blue), 1), Service::start(bed.port_of(Slot::Green), 2)];
    bed.ensure(&bed.backend(bed.used(Slot::Blue, 256), Server::Unused)).expect("ensured");
    refuse_changes(&bed.path("no.sock"), bed.path("admin.sock"));
    let place = ProxyPlace { socket: bed.path("no.sock"), ..bed.place() };
    let backend = bed.backend(bed.used(Slot::Blue, 0), bed.used(Slot::Green, 256));
    let failure = ask::<Ensured>("ensure", &EnsureRequest { place, backend }).expect_err("refused");
    require_parts(&failure, "show servers state");
    assert!(failure.because.iter().any(|cause| cause.contains("Not today.")), "{failure:?}");
    assert!(failure.state.is_some_and(|state| state.contains("says what is wanted")));
    assert_eq!(version(bed.port), 1);
    bed.reload();
    // The worker that leaves may take a connection more.
    bed.until("the new worker takes the requests", || version(bed.port) == 2);
}

#[test]
fn a_reload_that_haproxy_drops_is_asked_for_again() {
    let bed = Bed::new();
    let _service = Service::start(bed.port_of(Slot::Blue), 1);
    let mark = bed.path("dropped").display().to_string();
    let own = &bed.place().reload[2];
    let reload = format!("if [ -e '{mark}' ]; then {own}; else touch '{mark}'; fi");
    let place = ProxyPlace { reload: ["sh", "-c", &reload].map(str::to_owned).to_vec(), ..bed.place() };
    let backend = bed.backend(bed.used(Slot::Blue, 256), Server::Unused);
    assert!(ask::<Ensured>("ensure", &EnsureRequest { place, backend: backend.clone() }).expect("ensured").reloaded);
    bed.require(&backend);
    assert_eq!(version(bed.port), 1);
}

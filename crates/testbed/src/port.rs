//! Ports for services of tests.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketType, sockopt};

/// Below those that the kernel hands out by itself: one of these could be taken by a connection, or by a release's own
/// process, before the service comes to use it.
const FIRST: u16 = 12_000;
const COUNT: u32 = 20_000 - MOST as u32;

/// So many may be asked for in a row.
const MOST: u16 = 16;

/// The first of so many ports in a row that nobody listens on, and that no other call of this process gives.
///
/// They are only bound to find that out: a process that is being started by another thread has all descriptors until it runs
/// its program, and one that listened would hold the port as long.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    assert!(count <= MOST, "{count} are too many");
    let start = std::process::id().wrapping_mul(97);
    loop {
        let step = start.wrapping_add(NEXT.fetch_add(u32::from(count), Ordering::Relaxed));
        let first = FIRST + u16::try_from(step % COUNT).expect("below the count");
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}

fn is_free(port: u16) -> bool {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("an option of every socket");
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Listens at a port that somebody of this test listened at before. A process that is being started by another thread has
/// all descriptors until it runs its program, and with them the port.
///
/// # Panics
/// Where it is still taken after ten seconds.
pub fn listen_again(port: u16) -> TcpListener {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return listener,
            Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("port {port}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn side_by_side_nobody_is_given_what_another_one_was() {
        let given = std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..20).map(|_| free_ports(2)).collect::<Vec<_>>())).collect();
            asking.into_iter().flat_map(|asked| asked.join().expect("ports")).collect::<Vec<_>>()
        });
        let all: BTreeSet<u16> = given.iter().flat_map(|first| [*first, first + 1]).collect();
        assert_eq!(all.len(), 2 * given.len());
    }

    #[test]
    fn what_somebody_listens_at_is_not_free_and_what_was_only_asked_for_is() {
        let port = free_ports(1);
        let asked = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&asked, true).expect("an option");
        net::bind(&asked, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("free");
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("who only binds holds nothing");
        assert!(!is_free(port));
        drop(listener);
    }

    #[test]
    fn who_still_listens_for_a_moment_is_waited_for() {
        let port = free_ports(1);
        let before = TcpListener::bind(("127.0.0.1", port)).expect("free");
        let asked = Instant::now();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(before);
        });
        drop(listen_again(port));
        assert!(asked.elapsed() >= Duration::from_millis(50));
        ends.join().expect("no panic");
    }
}

//! What is said to a server over a socket, and what it answers, changed on the way.
#![allow(clippy::expect_used, reason = "a test ends where it finds something wrong")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A socket that leads to another one. What is asked there is shown to `asked` before it is passed on; what is answered is
/// handed to `answered`, which may change it.
pub fn between(
    socket: &Path,
    at: &Path,
    asked: impl FnMut(&[u8]) + Send + 'static,
    answered: impl FnMut(&mut [u8]) + Send + 'static,
) {
    let listener = UnixListener::bind(at).expect("a socket");
    let (asked, answered) = (Arc::new(Mutex::new(asked)), Arc::new(Mutex::new(answered)));
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            let Ok(server) = UnixStream::connect(&socket) else { continue };
            let (asked, answered) = (asked.clone(), answered.clone());
            let ways = [client.try_clone(), server.try_clone()].map(|way| way.expect("a descriptor"));
            let [back, forth] = ways;
            std::thread::spawn(move || pass(client, forth, |bytes| asked.lock().expect("held")(bytes)));
            std::thread::spawn(move || pass(server, back, |bytes| answered.lock().expect("held")(bytes)));
        }
    });
}

fn pass(mut from: UnixStream, mut to: UnixStream, mut shown: impl FnMut(&mut [u8])) {
    let mut part = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut part) {
        shown(&mut part[..count]);
        if to.write_all(&part[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
    let _ = from.shutdown(std::net::Shutdown::Read);
}

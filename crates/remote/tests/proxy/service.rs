//! A release: a small HTTP/1.1 server that answers each request with its own version.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pleach_testbed::port::listen_again;

pub(crate) struct Service {
    port: u16,
    shared: Arc<Shared>,
    accepts: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    begun: AtomicU64,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Service {
    pub(crate) fn start(port: u16, version: usize) -> Self {
        let listener = listen_again(port);
        let shared = Arc::new(Shared::default());
        let accepts = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for (number, stream) in (0..).zip(listener.incoming().flatten()) {
                    if shared.ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let handle = stream.try_clone().expect("a handle");
                    shared.connections.lock().expect("no panic").insert(number, handle);
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        serve(stream, version, &shared);
                        shared.connections.lock().expect("no panic").remove(&number);
                    });
                }
            }
        });
        Self { port, shared, accepts: Some(accepts) }
    }

    /// How many requests it has begun to answer.
    pub(crate) fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::SeqCst)
    }
}

/// Ends as a killed process does: whoever is still connected is cut off.
impl Drop for Service {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
        for stream in self.shared.connections.lock().expect("no panic").values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// `/slow/MILLISECONDS` takes its time.
fn serve(stream: TcpStream, version: usize, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Ok(mut answers) = stream.try_clone() else { return };
    let mut requests = BufReader::new(stream);
    loop {
        let (mut path, mut length) = (String::new(), 0_usize);
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if requests.read_exact(&mut body).is_err() {
            return;
        }
        shared.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(time) = path.strip_prefix("/slow/") {
            thread::sleep(Duration::from_millis(time.parse().expect("milliseconds")));
        }
        let body = version.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

//! A way to a server over a slow line: what is sent arrives later, in order, in both directions.
//!
//! For kernels without `netem`, and for users who may not use it.
#![allow(clippy::expect_used, reason = "a test ends where it finds something wrong")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A port here that leads elsewhere, until the process ends.
pub struct SlowLine {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl SlowLine {
    /// Leads to `there`; what is sent takes `delay` to arrive, so that an answer takes twice that.
    pub fn new(there: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                thread::spawn(move || {
                    thread::sleep(2 * delay);
                    let Ok(far) = TcpStream::connect(there) else { return };
                    for (from, to) in [(&near, &far), (&far, &near)] {
                        let _ = from.set_nodelay(true);
                        if let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) {
                            carry(from, to, delay);
                        }
                    }
                });
            }
        });
        Self { port }
    }
}

/// Carries what comes one way.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(1024);
    thread::spawn(move || {
        for (arrives, piece) in receiver {
            thread::sleep(arrives.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if sender.send((Instant::now() + delay, piece[..count].to_vec())).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_both_ways_and_arrives_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let delay = Duration::from_millis(40);
        let line = SlowLine::new(listener.local_addr().expect("an address"), delay);
        let mut near = TcpStream::connect(("127.0.0.1", line.port)).expect("reached");
        let (mut far, _) = listener.accept().expect("accepted");
        let begun = Instant::now();
        near.write_all(&[7; 300_000]).expect("sent");
        near.shutdown(Shutdown::Write).expect("closed");
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).expect("read");
        far.write_all(&heard).expect("sent back");
        drop(far);
        heard.clear();
        near.read_to_end(&mut heard).expect("read");
        assert_eq!(heard, [7; 300_000]);
        assert!(begun.elapsed() >= 2 * delay);
    }
}

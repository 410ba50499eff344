//! Counting what goes over a connection: a relay in front of a server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Hands on what comes to its port, both ways, and counts it. Ends with the process.
pub struct Relay {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    counted: Arc<AtomicU64>,
}

impl Relay {
    /// Leads to a port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let counted = Arc::new(AtomicU64::new(0));
        let counter = counted.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let counter = counter.clone();
                    std::thread::spawn(move || hand_on(from, to, &counter));
                }
            }
        });
        Self { port, counted }
    }

    /// The bytes since it was asked last.
    pub fn take(&self) -> u64 {
        self.counted.swap(0, Ordering::SeqCst)
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) -> io::Result<()> {
    let mut piece = vec![0; 256 * 1024];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return to.shutdown(Shutdown::Write);
        }
        counter.fetch_add(length as u64, Ordering::SeqCst);
        to.write_all(&piece[..length])?;
    }
}

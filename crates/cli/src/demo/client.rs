//! A client that asks a service all the time, as users do while something is deployed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Answers by the version that gave them.
    pub(super) versions: BTreeMap<String, usize>,
    /// Questions without a good answer.
    pub(super) failed: usize,
    /// What the first failed one got.
    pub(super) first_failure: Option<String>,
}

impl Tally {
    /// All questions.
    pub(super) fn asked(&self) -> usize {
        self.versions.values().sum::<usize>() + self.failed
    }
}

/// A running client.
pub(super) struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Client {
    /// Starts asking for `/metadata` on that port.
    pub(super) fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            while !seen.load(Ordering::Relaxed) {
                match ask(port) {
                    Ok(version) => *tally.versions.entry(version).or_default() += 1,
                    Err(why) => {
                        tally.failed += 1;
                        tally.first_failure.get_or_insert(why);
                    }
                }
                std::thread::sleep(PAUSE);
            }
            tally
        });
        Self { stop, thread }
    }

    /// Stops asking.
    pub(super) fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Asks once, on a connection of its own; gives the version that answered.
fn ask(port: u16) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    stream.write_all(b"GET /metadata HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(text)?;
    version_of(&answer).ok_or_else(|| answer.lines().next().unwrap_or("an empty answer").to_owned())
}

fn version_of(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let good = head.lines().next()?.contains(" 200 ");
    let value: serde_json::Value = serde_json::from_str(body).ok().filter(|_| good)?;
    Some(value["version"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_with_a_version_counts() {
        let good = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n{\"version\": \"1.0.0\"}";
        assert_eq!(version_of(good).as_deref(), Some("1.0.0"));
        assert_eq!(version_of(&good.replace("200 OK", "503 Gone")), None);
        assert_eq!(version_of("HTTP/1.1 200 OK\r\n\r\n{\"vers"), None);
        assert_eq!(version_of(""), None);
    }

    #[test]
    fn a_port_without_a_service_is_a_failure_that_is_told() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port();
        assert!(ask(free).is_err());
    }
}

//! Clients that count: each request is answered, or told as lost.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// One connection of a client.
pub(crate) struct Client {
    port: u16,
    keeps: bool,
    method: &'static str,
    header: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(port: u16, keeps: bool, method: &'static str) -> Self {
        Self { port, keeps, method, header: String::new(), stream: None }
    }

    /// The same with one header more, such as `X-Canary: always`.
    pub(crate) fn with(self, header: &str) -> Self {
        Self { header: format!("{header}\r\n"), ..self }
    }

    /// Asks once, and never a second time. A connection that was said to be closed is not used again, as HTTP has it.
    pub(crate) fn ask(&mut self, path: &str) -> io::Result<(u16, String)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                BufReader::new(stream)
            }
        };
        let connection = if self.keeps { "keep-alive" } else { "close" };
        let body = if self.method == "POST" { "pay once" } else { "" };
        let request = format!(
            "{} {path} HTTP/1.1\r\nHost: app\r\n{}Content-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
            self.method,
            self.header,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended without an answer");
        let (mut status, mut length, mut closes) = (0, 0_usize, !self.keeps);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(ended());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if status == 0 {
                status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(ended)?;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            } else if line.strip_prefix("connection:").is_some_and(|value| value.trim() == "close") {
                closes = true;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if !closes {
            self.stream = Some(stream);
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Which version answers a request; panics if none does.
pub(crate) fn version(port: u16) -> usize {
    let (status, body) = Client::new(port, false, "GET").ask("/").expect("an answer");
    assert_eq!(status, 200);
    body.parse().expect("a version")
}

/// Clients that ask without pause until they are told to end.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Counted>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    /// Whoever asks from now on is answered by this version or a newer one.
    at_least: AtomicUsize,
}

/// What became of all requests.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) answered: u64,
    pub(crate) lost: Vec<String>,
    /// By an older version than the one to which all was switched before.
    pub(crate) stale: Vec<String>,
    /// The longest time from a request to its answer.
    pub(crate) longest: Duration,
}

impl Load {
    /// Three that keep their connections, one of which posts, and two that do not, one of which posts.
    pub(crate) fn begin(port: u16) -> Self {
        let shared = Arc::new(Shared::default());
        let kinds = [(true, "GET"), (true, "GET"), (true, "POST"), (false, "GET"), (false, "POST")];
        let clients = kinds.into_iter().map(|(keeps, method)| {
            let (shared, client) = (Arc::clone(&shared), Client::new(port, keeps, method));
            thread::spawn(move || ask_on(client, &shared))
        });
        Self { clients: clients.collect(), shared }
    }

    /// From now on nobody may be answered by an older version.
    pub(crate) fn switched_to(&self, version: usize) {
        self.shared.at_least.store(version, Ordering::SeqCst);
    }

    pub(crate) fn end(mut self) -> Counted {
        self.shared.ended.store(true, Ordering::SeqCst);
        std::mem::take(&mut self.clients).into_iter().fold(Counted::default(), |mut all, client| {
            let counted = client.join().expect("no panic");
            assert!(counted.answered > 0, "each client was answered");
            all.answered += counted.answered;
            all.lost.extend(counted.lost);
            all.stale.extend(counted.stale);
            all.longest = all.longest.max(counted.longest);
            all
        })
    }
}

/// Also where a test fails: they would keep the machine busy for the others.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

impl Counted {
    pub(crate) fn require_nothing_lost(&self, what: &str) {
        eprintln!(
            "{what}: {} answered, {} lost, {} by an old version, longest {:?}",
            self.answered,
            self.lost.len(),
            self.stale.len(),
            self.longest
        );
        assert_eq!(self.lost, Vec::<String>::new());
        assert_eq!(self.stale, Vec::<String>::new());
    }
}

fn ask_on(mut client: Client, shared: &Shared) -> Counted {
    let mut counted = Counted::default();
    while !shared.ended.load(Ordering::SeqCst) {
        let at_least = shared.at_least.load(Ordering::SeqCst);
        let begun = Instant::now();
        match client.ask("/") {
            Ok((200, body)) => {
                counted.answered += 1;
                if body.parse::<usize>().expect("a version") < at_least {
                    counted.stale.push(format!("{body} instead of {at_least}"));
                }
            }
            Ok((status, body)) => counted.lost.push(format!("{} {status} {body}", client.method)),
            Err(error) => counted.lost.push(format!("{} keeps={} {error}", client.method, client.keeps)),
        }
        counted.longest = counted.longest.max(begun.elapsed());
    }
    counted
}

//! A registry of images: Debian's `docker-registry`, behind a line that can be cut, or be still.
#![allow(clippy::expect_used, reason = "a test ends where it finds something wrong")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::port::free_ports;

/// Who may log in where a login is asked for.
pub const USER: &str = "ada";
/// With what.
pub const PASSWORD: &str = "correct horse";
/// Both as HTTP carries them.
const BASIC: &str = "YWRhOmNvcnJlY3QgaG9yc2U=";
/// The password as the registry reads it.
const HASHED: &str = "ada:$2y$05$RKNoxSUXs9qfn6/uEyiGYeIPiTv0tbcnA3TjwujJBPtiiAv.w4u2y\n";

/// What a line takes that is not cut.
const WHOLE: usize = usize::MAX;

/// A registry; it ends when it is dropped.
pub struct Registry {
    child: Child,
    _folder: tempfile::TempDir,
    port: u16,
    line: Arc<Line>,
}

/// How far each line to it goes.
struct Line {
    sent: AtomicUsize,
    answered: AtomicUsize,
    /// Whether an answer has got so far.
    is_still: AtomicBool,
}

impl Registry {
    /// Starts one; with `login` it lets in only who knows [`USER`] and [`PASSWORD`].
    pub fn start(login: bool) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let (behind, path) = (free_ports(1), folder.path().display());
        fs::write(folder.path().join("users"), HASHED).expect("written");
        let auth =
            if login { format!("auth: {{htpasswd: {{realm: tests, path: {path}/users}}}}\n") } else { String::new() };
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {path}/data}}}}\n\
             http: {{addr: '127.0.0.1:{behind}'}}\n{auth}"
        );
        fs::write(folder.path().join("config.yml"), config).expect("written");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(folder.path().join("config.yml")).stdin(Stdio::null());
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = started.expect("there is no `docker-registry`: `sudo apt-get install docker-registry`");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", behind)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the registry does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let [sent, answered] = [AtomicUsize::new(WHOLE), AtomicUsize::new(WHOLE)];
        let line = Arc::new(Line { sent, answered, is_still: AtomicBool::new(false) });
        let lines = line.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let (line, far) = (lines.clone(), TcpStream::connect(("127.0.0.1", behind)));
                if let Ok(far) = far {
                    carry(near, far, line);
                }
            }
        });
        Self { child, _folder: folder, port, line }
    }

    /// The port that leads to it, at every address of this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks it for what lies below `/v2/`, as [`USER`]; gives head and body.
    pub fn ask(&self, path: &str) -> String {
        self.say("GET", path, "")
    }

    /// Has a tag of a repository lead to where another one does, as somebody else may.
    pub fn move_tag(&self, repository: &str, tag: &str, to: &str) {
        let manifest = self.ask(&format!("{repository}/manifests/{to}"));
        let (_, manifest) = manifest.split_once("\r\n\r\n").expect("a head and a body");
        let said = self.say("PUT", &format!("{repository}/manifests/{tag}"), manifest);
        assert!(said.contains(" 201 "), "{said}");
    }

    fn say(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let (kind, length) = ("application/vnd.docker.distribution.manifest.v2+json", body.len());
        let head = format!(
            "{method} /v2/{path} HTTP/1.0\r\nAuthorization: Basic {BASIC}\r\nAccept: {kind}\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// From now on each line to it is cut once so many bytes have been sent over it.
    pub fn cut_after(&self, bytes: usize) {
        self.line.sent.store(bytes, Ordering::SeqCst);
    }

    /// From now on each line from it is still once so many bytes have been answered over it, until it is mended.
    pub fn still_after(&self, bytes: usize) {
        self.line.is_still.store(false, Ordering::SeqCst);
        self.line.answered.store(bytes, Ordering::SeqCst);
    }

    /// Waits until a line is still.
    pub fn wait_until_still(&self) {
        let begun = Instant::now();
        while !self.line.is_still.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody takes so much from the registry");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Mends the line.
    pub fn mend(&self) {
        self.line.sent.store(WHOLE, Ordering::SeqCst);
        self.line.answered.store(WHOLE, Ordering::SeqCst);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Carries what comes, both ways, until it ends or the line is cut.
fn carry(near: TcpStream, far: TcpStream, line: Arc<Line>) {
    let (back, from) = (near.try_clone().expect("a descriptor"), far.try_clone().expect("a descriptor"));
    let still = line.clone();
    thread::spawn(move || {
        let mut answered = 0;
        pass(&from, &back, |count| {
            answered += count;
            while answered > still.answered.load(Ordering::SeqCst) {
                still.is_still.store(true, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
            }
            true
        });
    });
    thread::spawn(move || {
        let mut sent = 0;
        pass(&near, &far, |count| {
            sent += count;
            sent <= line.sent.load(Ordering::SeqCst)
        });
        let _ = near.shutdown(Shutdown::Both);
    });
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, mut may: impl FnMut(usize) -> bool) {
    let mut part = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut part) {
        if !may(count) || to.write_all(&part[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

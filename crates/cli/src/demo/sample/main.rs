//! A small HTTP service that uses nothing but the standard library.
//!
//! `service.json` beside it says who it is. It answers `GET /health`, `/metadata` and `/docs`; another path gets 404,
//! another method 405. It listens on `$HOST:$PORT`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use std::{env, fs, io, thread};

/// Keys without which the service cannot do its work.
const NEEDED: [&str; 3] = ["name", "version", "rules"];

/// What the service knows of itself.
struct Service {
    metadata: String,
}

/// Status line, content type, body.
struct Answer(&'static str, &'static str, String);

fn main() -> io::Result<()> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".into());
    let service: &'static Service = Box::leak(Box::new(Service { metadata: fs::read_to_string("service.json")? }));
    let listener = TcpListener::bind(format!("{host}:{port}"))?;
    println!("listening on {host}:{port}");
    if let Some(key) = service.missing() {
        println!("not healthy: service.json has no `{key}`");
    }
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || service.serve(stream));
    }
    Ok(())
}

impl Service {
    /// Reads one request and answers it. A client that goes away is its own affair.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let Answer(status, kind, body) = self.answer(method, path);
        if path != "/health" {
            println!("{method} {path} {status}");
        }
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }

    fn answer(&self, method: &str, path: &str) -> Answer {
        let json = "application/json";
        match (method, path) {
            ("GET", "/health") => match self.missing() {
                None => Answer("200 OK", json, r#"{"status": "healthy"}"#.into()),
                Some(key) => {
                    let body = format!(r#"{{"status": "failing", "because": "service.json has no `{key}`"}}"#);
                    Answer("500 Internal Server Error", json, body)
                }
            },
            ("GET", "/metadata") => Answer("200 OK", json, self.metadata.clone()),
            ("GET", "/docs") => Answer("200 OK", "text/plain", fs::read_to_string("README.md").unwrap_or_default()),
            (_, "/health" | "/metadata" | "/docs") => {
                Answer("405 Method Not Allowed", json, r#"{"error": "method not allowed"}"#.into())
            }
            _ => Answer("404 Not Found", json, r#"{"error": "no such path"}"#.into()),
        }
    }

    /// The first needed key that `service.json` does not have.
    fn missing(&self) -> Option<&'static str> {
        NEEDED.into_iter().find(|key| !self.metadata.contains(&format!("\"{key}\"")))
    }
}

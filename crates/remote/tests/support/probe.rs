//! What tests start: the executable that knows `supervise` and `route`, and a small service.
//!
//! `serve` listens on `HOST:PORT` and answers what the file `mode` in its directory says: `ok` (200 with the name of the
//! release), `broken` (500), `silent` (never); the process ends at once where it says `dies`, and ignores SIGTERM where it
//! says `stubborn`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    match verb.as_str() {
        "supervise" => pleach_remote::supervise::main(rest),
        "route" => pleach_remote::route::main(rest),
        "serve" => serve(),
        other => {
            eprintln!("`{other}` is not understood");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let mode = std::fs::read_to_string("mode").unwrap_or_else(|_| "ok".into());
    println!("serving {}", mode.trim());
    if mode.trim() == "dies" {
        return ExitCode::from(3);
    }
    let listener = match TcpListener::bind(format!("{}:{}", variable("HOST"), variable("PORT"))) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for stream in listener.incoming().flatten() {
        let mut stream = stream;
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let status = match mode.trim() {
            "silent" => continue,
            "broken" => "500 Internal Server Error",
            _ => "200 OK",
        };
        let body = variable("PLEACH_RELEASE");
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    }
    ExitCode::SUCCESS
}

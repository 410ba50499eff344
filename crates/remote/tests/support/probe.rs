//! What tests start: the executable that knows `supervise`, `route` and `proxy`, and a small service.
//!
//! `serve` listens on `HOST:PORT` and answers what the file `mode` in its directory says: `ok` (200 with the name of the
//! release), `broken` (500), `flaps` (200 and 500 by turns), `silent` (never). Where it says `dies`, the process ends at
//! once; `dies-asked`, it ends after each answer; `stubborn`, it answers as `ok` and ignores SIGTERM.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    match verb.as_str() {
        "supervise" => pleach_remote::supervise::main(rest),
        "route" => pleach_remote::route::main(rest),
        "proxy" => pleach_remote::proxy::main(rest),
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
    let mode = mode.trim();
    println!("serving {mode}");
    if mode == "dies" {
        return ExitCode::from(3);
    }
    // A runtime that has once asked for a signal keeps the signal from ending the process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ignored = runtime.ok().filter(|_| mode == "stubborn").map(|runtime| {
        let stream = runtime
            .block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map(|_| ()) });
        (runtime, stream)
    });
    let listener = match TcpListener::bind(format!("{}:{}", variable("HOST"), variable("PORT"))) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut held = Vec::new();
    for (count, stream) in listener.incoming().flatten().enumerate() {
        match mode {
            "silent" => held.push(stream),
            "broken" => answer(stream, "500 Internal Server Error"),
            "flaps" if count % 2 == 1 => answer(stream, "500 Internal Server Error"),
            _ => answer(stream, "200 OK"),
        }
        if mode == "dies-asked" {
            return ExitCode::from(4);
        }
    }
    drop(ignored);
    ExitCode::SUCCESS
}

fn answer(mut stream: TcpStream, status: &str) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request);
    let body = std::env::var("PLEACH_RELEASE").unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

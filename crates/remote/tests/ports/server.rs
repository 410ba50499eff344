//! The server that the suite for HTTP clients asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use pleach_core::testing::conformance::HttpPlaces;

/// Starts it; its threads end with the test.
pub(crate) fn start() -> HttpPlaces {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    // Connections wait in its queue: nobody accepts them.
    let silent = Box::leak(Box::new(TcpListener::bind("127.0.0.1:0").unwrap()));
    // A port that stays taken by a socket that does not listen: nobody else can come to listen there.
    let taken = refusing_port();
    HttpPlaces {
        fine: format!("{base}/fine"),
        absent: format!("{base}/absent"),
        moved: format!("{base}/moved"),
        echo: format!("{base}/echo"),
        silent: format!("http://{}/", silent.local_addr().unwrap()),
        refused: format!("http://127.0.0.1:{taken}/"),
    }
}

/// A port of an outgoing connection: the system gives it to nobody else for as long as the connection lives.
fn refusing_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = Box::leak(Box::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()));
    Box::leak(Box::new(listener.accept().unwrap()));
    stream.local_addr().unwrap().port()
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (mut length, mut sent) = (0, String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "x-sent" => value.trim().clone_into(&mut sent),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (head, answer) = match path.as_str() {
        "/fine" => ("200 OK\r\nX-Pleach: Yes", "ok".to_owned()),
        "/moved" => ("302 Found\r\nLocation: /fine", String::new()),
        "/echo" => ("200 OK", format!("{method} {} {sent}", String::from_utf8_lossy(&body))),
        _ => ("404 Not Found", String::new()),
    };
    let length = answer.len();
    let answer = if method == "HEAD" { "" } else { answer.as_str() };
    let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}");
}

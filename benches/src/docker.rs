//! Docker engines of the benchmarks' own, and the cables to their machines.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::measure::{Figure, Table};

/// The command that asks the engine at a socket.
pub fn docker(socket: &Path) -> Command {
    let mut docker = Command::new("docker");
    docker.arg("-H").arg(format!("unix://{}", socket.display()));
    docker
}

/// Builds what lies in a folder; the image's id.
pub fn build(socket: &Path, folder: &Path) -> String {
    let mut build = docker(socket);
    build.env("DOCKER_BUILDKIT", "0").args(["build", "-q"]).arg(folder).stderr(Stdio::null());
    let output = build.output().expect("`docker` runs");
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Makes a file that nothing makes smaller.
pub fn fill(place: &Path, bytes: usize) {
    let random = fs::File::open("/dev/urandom").expect("it is there");
    let mut file = fs::File::create(place).expect("made");
    std::io::copy(&mut random.take(bytes as u64), &mut file).expect("written");
}

/// What has gone over the cable to a machine so far, both ways.
pub fn cable_bytes(machine: Ipv4Addr) -> u64 {
    let network = format!("{machine}/30");
    let output = Command::new("ip").args(["-o", "-4", "addr", "show", "to", &network]).output().expect("`ip` runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let device = text.split_whitespace().nth(1).unwrap_or_else(|| panic!("no cable: {text}"));
    let count = |name: &str| {
        let place = format!("/sys/class/net/{device}/statistics/{name}");
        fs::read_to_string(place).expect("a counter").trim().parse::<u64>().expect("a number")
    };
    count("rx_bytes") + count("tx_bytes")
}

/// A table of what variants took, with what went over the wire for each; the last one is the peer.
pub fn print_wire(title: &str, figures: &[Figure], bytes: &BTreeMap<&str, u64>) {
    let peer = figures.last().expect("a peer");
    let mut table = Table::new(title, &["variant", "wall", "min–max", "wall ratio", "bytes on the wire"]);
    for figure in figures {
        let seconds = |one: Option<&Duration>| one.copied().unwrap_or_default().as_secs_f64();
        table.row(vec![
            figure.name.clone(),
            format!("{:.3} s", figure.wall().as_secs_f64()),
            format!("{:.3}–{:.3}", seconds(figure.rounds.iter().min()), seconds(figure.rounds.iter().max())),
            format!("{:.2}", figure.ratio(peer)),
            format!("{:.2} MB", bytes.get(figure.name.as_str()).copied().unwrap_or_default() as f64 / 1e6),
        ]);
    }
    table.print();
}

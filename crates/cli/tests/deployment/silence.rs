//! Hosts that cannot be reached, do not answer, or are not who they were: told in four parts and in bounded time.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use pleach_testbed::sshd::{SshBed, kill};

use crate::far::Far;
use crate::scene::told_in_four_parts;

/// The time that the user's config allows, and as much again for a busy machine.
const BOUND: Duration = Duration::from_secs(20);

#[test]
fn a_host_that_cannot_be_reached_or_trusted_is_told_in_bounded_time_and_nothing_is_touched() {
    let far = Far::on(SshBed::new(""));
    let (known, host) = (far.bed.at("known_hosts"), far.bed.at("host.pub"));
    let host = std::fs::read_to_string(host).expect("a key");
    let known = std::fs::read_to_string(known).expect("known");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endless = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = |listener: &TcpListener| format!("Port {}", listener.local_addr().expect("an address").port());
    let ports = [port(&silent), port(&endless)];
    std::thread::spawn(move || {
        for stream in endless.incoming().flatten() {
            std::thread::spawn(move || while (&stream).write_all(b"Welcome to this host.\r\n").is_ok() {});
        }
    });
    let cases = [
        ("HostName no-such-host.invalid", known.clone(), "could not find the address of `no-such-host.invalid`"),
        (&ports[0], known.clone(), "did not answer"),
        (&ports[1], known.clone(), "could not connect"),
        ("IdentityFile none\nUser nobody-at-all", known.clone(), "could not log in"),
        ("", format!("{known}@revoked * {host}"), "revoked"),
    ];
    for (lines, known, words) in cases {
        far.bed.write("known_hosts", &known);
        far.bed.configure(&format!("{lines}\nConnectTimeout 3"));
        for command in [&["deploy", "uat", "--yes"][..], &["exec", "uat", "--", "true"], &["doctor", "uat"]] {
            let begun = Instant::now();
            let said = far.scene.pleach(command);
            let took = begun.elapsed();
            assert!(took < BOUND, "{words}: {command:?}: {took:?}");
            assert!((said.stdout.clone() + &said.stderr).contains(words), "{words}: {}{}", said.stdout, said.stderr);
            match command[0] {
                "deploy" => {
                    assert_eq!(said.code, 100, "{words}: {}", said.stderr);
                    told_in_four_parts(&said);
                }
                "exec" => {
                    assert_eq!(said.code, 1, "{words}: {}", said.stderr);
                    told_in_four_parts(&said);
                }
                _ => assert!(said.code > 0 && said.stdout.contains("FAIL  vm of uat"), "{words}: {}", said.stdout),
            }
        }
    }
    assert!(!far.live().exists());
    far.bed.write("known_hosts", &known);
    far.bed.configure("");
}

#[test]
fn a_server_that_is_killed_in_mid_command_is_told_and_the_command_is_told_of() {
    let far = Far::on(SshBed::new(""));
    let mark = far.bed.at("mark").display().to_string();
    for look in [&["--look"][..], &[]] {
        let script = format!("echo begun >{mark}; exec sleep 600");
        let words = [&["exec", "uat"], look, &["--", "sh", "-c", &script]].concat();
        let working = far.scene.start(&words);
        while !far.bed.at("mark").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(far.bed.at("mark")).expect("removed");
        let begun = Instant::now();
        far.bed.server.sessions().into_iter().for_each(|session| kill(session, "KILL"));
        let said = working.ends();
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
        assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
        told_in_four_parts(&said);
        assert!(said.stderr.contains("the connection to `target` was lost"), "{}", said.stderr);
    }
    // Nobody's command runs on: the next one that may change something ends it.
    far.scene.ends(0, &["exec", "uat", "--", "true"]);
}

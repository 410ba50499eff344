//! The way to a host is the one that the user's own `ssh` takes.

use std::time::Duration;

use pleach_core::error::Failure;
use pleach_core::error::Kind;
use pleach_core::port::{Call, Command, NoLines, Shell};
use pleach_core::testing::cut_after;
use pleach_remote::ssh::{ConfigError, Link, SshShell, Tunnel, load_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, run_read};

#[tokio::test(flavor = "multi_thread")]
async fn include_match_and_host_blocks_mean_what_they_mean_to_ssh() {
    let bed = Bed::new("");
    bed.write("included", "Host *.prod !db.prod\nPort 2023\n");
    bed.write(
        "config",
        &format!(
            "Include {}\nMatch host db.prod exec true\nPort 2022\nProxyJump me@bastion:2200\nHost *\nUser deploy\n",
            bed.at("included").display()
        ),
    );
    let web = load_config(&bed.destination("web.prod")).await.expect("a config");
    assert_eq!((web.port, web.user.as_str(), web.jumps.len()), (2023, "deploy", 0));
    let database = load_config(&bed.destination("db.prod")).await.expect("a config");
    assert_eq!((database.port, database.jumps.len()), (2022, 1));
    let jump = &database.jumps[0];
    assert_eq!((jump.host_name.as_str(), jump.port, jump.user.as_str()), ("bastion", 2200, "me"));
    let mut asked = bed.destination("web.prod");
    (asked.port, asked.user) = (Some(9), Some("root".into()));
    let overridden = load_config(&asked).await.expect("a config");
    assert_eq!((overridden.port, overridden.user.as_str()), (9, "root"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_ssh_refuses_and_a_host_that_is_an_option_are_refused() {
    let bed = Bed::new("");
    bed.write("config", "NoSuchKeyword yes\n");
    let refused = load_config(&bed.destination("target")).await.expect_err("a bad config");
    assert!(matches!(&refused, ConfigError::Refused { output, .. } if !output.is_empty()), "{refused:?}");
    let option = load_config(&bed.destination("-oProxyCommand=touch pwned")).await;
    assert!(matches!(option, Err(ConfigError::BadHost(_))), "{option:?}");
    bed.write("config", "Host a\nProxyJump b\nHost b\nProxyJump a\n");
    assert!(load_config(&bed.destination("a")).await.is_err(), "a circle ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_is_gone_through_with_its_own_key_and_config() {
    let bed = Bed::new("");
    let jump = bed.second("");
    let folder = bed.at("").display().to_string();
    let folder = folder.trim_end_matches('/');
    let block = format!(
        "ProxyJump jump\nHost jump\nHostName 127.0.0.1\nPort {}\nUser {}\nIdentityFile {folder}/user\n\
         IdentityAgent none\nUserKnownHostsFile {folder}/known_hosts\n",
        jump.port,
        crate::bed::user()
    );
    bed.configure(&block);
    let config = bed.host().await;
    assert_eq!(config.jumps.len(), 1);
    let shell = SshShell::new(Link::new(config), bed.at("root"));
    let output = run_read(&shell, &["sh", "-c", "echo $SSH_CONNECTION"]).await.expect("it ran");
    assert!(output.text().ends_with(&bed.server.port.to_string()), "{}", output.text());
    assert!(!jump.sessions().is_empty() && !bed.server.sessions().is_empty(), "one connection runs through the other");
    drop(shell);
    drop(jump);
    let failure = bed.refusal().await;
    assert_eq!(failure.kind, Kind::Transient, "{failure:?}");
    assert!(format!("{failure:?}").contains("through `jump`"), "{failure:?}");
}

/// Sends a word through, has it sent back, and closes.
async fn echo(mut tunnel: Tunnel, mut other: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    tunnel.write_all(b"there").await.expect("sent");
    tunnel.shutdown().await.expect("closed");
    let mut heard = Vec::new();
    other.read_to_end(&mut heard).await.expect("read");
    other.write_all(&heard).await.expect("sent back");
    other.shutdown().await.expect("closed");
    let mut back = String::new();
    tunnel.read_to_string(&mut back).await.expect("read");
    assert_eq!(back, "there");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_sockets_are_reached_through_a_host_whose_sessions_are_all_taken() {
    let bed = Bed::new("");
    let server = bed.second("MaxSessions 0");
    bed.configure(&format!("Port {}", server.port));
    let link = bed.link().await;
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let number = port.local_addr().expect("an address").port();
    let (tunnel, other) = tokio::join!(link.open_tcp("127.0.0.1", number), port.accept());
    echo(tunnel.expect("open"), other.expect("accepted").0).await;
    let socket = UnixListener::bind(bed.at("socket")).expect("a socket");
    let path = bed.at("socket");
    let (tunnel, other) = tokio::join!(link.open_socket(&path), socket.accept());
    echo(tunnel.expect("open"), other.expect("accepted").0).await;
    drop(port);
    let failure = Failure::from(link.open_tcp("127.0.0.1", number).await.expect_err("nobody listens"));
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.what.contains(&format!("does not reach `127.0.0.1:{number}`")), "{failure:?}");
    let failure = Failure::from(link.open_socket(&bed.at("absent")).await.expect_err("nobody listens"));
    assert!(failure.next.is_some_and(|next| next.contains("ls -l")));
    assert_eq!(link.connections(), 1);
    // Lost and made again.
    server.sessions().into_iter().for_each(|session| crate::bed::kill(session, "KILL"));
    let (tunnel, other) = tokio::join!(link.open_socket(&path), socket.accept());
    echo(tunnel.expect("open"), other.expect("accepted").0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_or_a_session_that_is_opened_after_its_caller_has_gone_is_closed() {
    let bed = Bed::new("MaxSessions 1");
    let link = bed.link().await;
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let number = port.local_addr().expect("an address").port();
    // Connected before: only the way itself is still to be opened.
    let (tunnel, other) = tokio::join!(link.open_tcp("127.0.0.1", number), port.accept());
    echo(tunnel.expect("open"), other.expect("accepted").0).await;
    let gone = cut_after(0, link.open_tcp("127.0.0.1", number)).await;
    assert!(gone.is_none(), "it has to wait for the host");
    let (mut other, _) = port.accept().await.expect("the host connects all the same");
    let mut heard = Vec::new();
    let closed = timeout(Duration::from_secs(20), other.read_to_end(&mut heard)).await;
    assert_eq!(closed.expect("it is closed").expect("in order"), 0);

    // A session that stayed would be the only one that the host allows.
    let shell = SshShell::new(link.clone(), bed.at("root"));
    let call = Call { token: None, lines: &NoLines, cancel: &CancellationToken::new() };
    let alone = Command::read(["true"]).alone();
    for _ in 0..3 {
        assert!(cut_after(0, shell.run(&alone, call)).await.is_none(), "it has to wait for the host");
        let output = timeout(Duration::from_secs(20), run_read(&shell, &["echo", "there"])).await;
        assert_eq!(output.expect("there is a place").expect("it ran").text(), "there");
    }
    assert_eq!(link.connections(), 1);
}

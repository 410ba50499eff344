//! The way to a host is the one that the user's own `ssh` takes.

use pleach_core::error::Kind;
use pleach_remote::ssh::{ConfigError, Link, SshShell, load_config};

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

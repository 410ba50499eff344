//! Logging in with what the user's own `ssh` would use.

use std::process::{Child, Command, Stdio};

use pleach_core::error::Kind;

use crate::bed::{Bed, keygen, new_key, run_read, user};

/// An agent of the test's own.
struct Agent(Child);

impl Agent {
    fn start(bed: &Bed) -> Self {
        let socket = bed.at("agent");
        let mut child = Command::new("ssh-agent");
        child.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = child.spawn().expect("ssh-agent");
        // It prints where it listens once it does.
        let mut line = String::new();
        let said =
            std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().expect("piped")), &mut line);
        assert!(said.is_ok_and(|count| count > 0) && socket.exists(), "the agent listens: {line}");
        Self(child)
    }

    fn add(&self, bed: &Bed, key: &str) {
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(bed.at(key)).env("SSH_AUTH_SOCK", bed.at("agent")).stdin(Stdio::null());
        assert!(add.status().expect("ssh-add").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn require_in(bed: &Bed) {
    let output = run_read(&bed.shell().await, &["id", "-un"]).await.expect("logged in");
    assert_eq!(output.text(), user());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_host_does_not_know_is_refused_and_named() {
    let bed = Bed::new("");
    let good = std::fs::read_to_string(bed.at("authorized")).expect("there");
    bed.write("authorized", "");
    let failure = bed.refusal().await;
    assert_eq!(failure.kind, Kind::Rejected, "{failure:?}");
    let all = format!("{failure:?}");
    assert!(all.contains(&bed.at("user").display().to_string()), "what was tried: {all}");
    assert!(all.contains("publickey"), "what would be accepted: {all}");
    bed.write("authorized", &good);
    require_in(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_key_asks_for_the_agent_and_works_from_it() {
    let bed = Bed::new("");
    let agent = Agent::start(&bed);
    agent.add(&bed, "user");
    let path = bed.at("user").display().to_string();
    keygen(&["-p", "-P", "", "-N", "a passphrase", "-f", &path]);
    let failure = bed.refusal().await;
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.next.as_deref().is_some_and(|next| next.contains(&format!("ssh-add {path}"))), "{failure:?}");
    bed.configure(&format!("IdentityAgent {}", bed.at("agent").display()));
    require_in(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_agent_only_named_keys_are_tried_where_the_config_says_so() {
    let bed = Bed::new("");
    let agent = Agent::start(&bed);
    agent.add(&bed, "user");
    new_key(&bed.at("other"), "ed25519");
    let other = format!("IdentityFile {}\nIdentityAgent {}", bed.at("other").display(), bed.at("agent").display());
    std::fs::rename(bed.at("user"), bed.at("hidden")).expect("moved");
    std::fs::rename(bed.at("user.pub"), bed.at("hidden.pub")).expect("moved");
    bed.configure(&format!("{other}\nIdentitiesOnly yes"));
    assert_eq!(bed.refusal().await.kind, Kind::Rejected);
    bed.configure(&format!("{other}\nIdentitiesOnly no"));
    require_in(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rsa_and_ecdsa_keys_work() {
    let bed = Bed::new("");
    for kind in ["rsa", "ecdsa"] {
        let public = new_key(&bed.at(kind), kind);
        bed.write("authorized", &(public + "\n"));
        bed.configure(&format!("IdentityFile {}", bed.at(kind).display()));
        require_in(&bed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_certificate_is_shown_from_a_file_and_from_an_agent() {
    let bed = Bed::new("");
    new_key(&bed.at("authority"), "ed25519");
    let server = bed.second(&format!("TrustedUserCAKeys {}", bed.at("authority.pub").display()));
    bed.write("authorized", "");
    let lead = format!("Port {}", server.port);
    bed.configure(&lead);
    assert_eq!(bed.refusal().await.kind, Kind::Rejected, "the bare key is not enough");
    let (ca, key) = (bed.at("authority").display().to_string(), bed.at("user.pub").display().to_string());
    keygen(&["-s", &ca, "-I", "test", "-n", &user(), "-V", "-1h:+1h", &key]);
    require_in(&bed).await;
    let agent = Agent::start(&bed);
    agent.add(&bed, "user");
    std::fs::rename(bed.at("user"), bed.at("hidden")).expect("moved");
    std::fs::rename(bed.at("user-cert.pub"), bed.at("hidden-cert.pub")).expect("moved");
    bed.configure(&format!("{lead}\nIdentityAgent {}", bed.at("agent").display()));
    require_in(&bed).await;
}

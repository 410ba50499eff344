//! A real `sshd` and ways to it.

use std::ops::Deref;
use std::sync::Arc;

use pleach_core::error::Failure;
use pleach_core::port::{Call, CommandOutput, Effect, FencingToken, NoLines, Shell};
use pleach_remote::ssh::{Destination, HostConfig, Link, SshShell, load_config};
use pleach_testbed::sshd::SshBed;
pub(crate) use pleach_testbed::sshd::{Server, keygen, kill, new_key, user};
use tokio_util::sync::CancellationToken;

/// A server with a user's config that leads to it.
pub(crate) struct Bed(SshBed);

impl Deref for Bed {
    type Target = SshBed;

    fn deref(&self) -> &SshBed {
        &self.0
    }
}

impl Bed {
    /// A server that lets this user in with the key `user`; `options` are lines of its config.
    pub(crate) fn new(options: &str) -> Self {
        Self(SshBed::new(options))
    }

    pub(crate) fn destination(&self, host: &str) -> Destination {
        Destination { config: Some(self.at("config")), ..Destination::new(host) }
    }

    pub(crate) async fn host(&self) -> HostConfig {
        load_config(&self.destination("target")).await.expect("a config")
    }

    pub(crate) async fn link(&self) -> Arc<Link> {
        Link::new(self.host().await)
    }

    pub(crate) async fn shell(&self) -> SshShell {
        SshShell::new(self.link().await, self.at("root"))
    }

    /// The failure of a first command.
    pub(crate) async fn refusal(&self) -> Failure {
        let shell = self.shell().await;
        let ran = run_read(&shell, &["true"]).await;
        ran.expect_err("the host must not be reached")
    }
}

/// Runs a command that only looks.
pub(crate) async fn run_read(shell: &SshShell, argv: &[&str]) -> Result<CommandOutput, Failure> {
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    shell.run(&pleach_core::port::Command::read(argv.iter().copied()), call).await
}

/// Runs a script that may change something.
pub(crate) async fn run_script(shell: &SshShell, text: &str) -> Result<CommandOutput, Failure> {
    let cancel = CancellationToken::new();
    let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
    shell.run(&pleach_core::port::Command::script(Effect::Write, text), call).await
}

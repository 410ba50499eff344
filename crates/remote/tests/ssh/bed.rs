//! A real `sshd`, its keys, and a user's config that leads to it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use pleach_core::error::Failure;
use pleach_core::port::{Call, CommandOutput, Effect, FencingToken, NoLines, Shell};
use pleach_remote::ssh::{Destination, HostConfig, Link, SshShell, load_config};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const SSHD: &str = "/usr/sbin/sshd";

/// A folder with keys, known hosts and a config, and the servers that the test has started.
pub(crate) struct Bed {
    folder: TempDir,
    pub(crate) server: Server,
}

/// One running `sshd`.
pub(crate) struct Server {
    child: Child,
    /// Kept open: a server that cannot log ends.
    _log: BufReader<ChildStderr>,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        for session in self.sessions() {
            kill(session, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process that the test has started.
pub(crate) fn kill(process: u32, signal: &str) {
    let _ = Command::new("kill").args(["-s", signal, &process.to_string()]).stderr(Stdio::null()).status();
}

/// Parent, group and state of every process.
fn processes() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Some((id, parent))
    })
    .collect()
}

impl Server {
    /// The processes of `sshd` that serve connections, with those that they have forked for users.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        let all = processes();
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while at < found.len() {
            let parent = found[at];
            let children = all.iter().filter(|(id, above)| *above == parent && is_sshd(*id)).map(|(id, _)| *id);
            found.extend(children.collect::<Vec<_>>());
            at += 1;
        }
        found.remove(0);
        found
    }

    pub(crate) fn listener(&self) -> u32 {
        self.child.id()
    }
}

fn is_sshd(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.starts_with("sshd"))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("`{program}` cannot be started ({error}): install openssh-client"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn keygen(arguments: &[&str]) {
    run("ssh-keygen", &[&["-q"], arguments].concat());
}

/// Makes a key without passphrase and gives its public half.
pub(crate) fn new_key(path: &Path, kind: &str) -> String {
    keygen(&["-t", kind, "-N", "", "-C", "test", "-f", &path.display().to_string()]);
    fs::read_to_string(path.with_extension("pub")).expect("a public key").trim().to_owned()
}

pub(crate) fn user() -> String {
    run("id", &["-un"])
}

impl Bed {
    /// A server that lets this user in with the key `user`; `options` are lines of its config.
    pub(crate) fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name);
        let host = new_key(&at("host"), "ed25519");
        let user = new_key(&at("user"), "ed25519");
        fs::write(at("authorized"), user + "\n").expect("written");
        fs::create_dir(at("root")).expect("made");
        let server = start(folder.path(), options);
        fs::write(at("known_hosts"), format!("[127.0.0.1]:{} {host}\n", server.port)).expect("written");
        let bed = Self { folder, server };
        bed.configure("");
        bed
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).expect("written");
    }

    /// An executable script.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, text);
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).expect("set");
        self.at(name)
    }

    /// The user's config: `first` stands before what leads to the server and so outweighs it.
    pub(crate) fn configure(&self, first: &str) {
        let folder = self.folder.path().display();
        self.write(
            "config",
            &format!(
                "Host target\n{first}\n\
                 Host target\nHostName 127.0.0.1\nPort {}\nUser {}\nIdentityFile {folder}/user\nIdentitiesOnly yes\n\
                 IdentityAgent none\nUserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\n\
                 ConnectTimeout 10\nServerAliveInterval 30\n",
                self.server.port,
                user(),
            ),
        );
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

    /// A second server, whose known key is that of this bed.
    pub(crate) fn second(&self, options: &str) -> Server {
        let server = start(self.folder.path(), options);
        let host = fs::read_to_string(self.at("host.pub")).expect("a key");
        let known = fs::read_to_string(self.at("known_hosts")).expect("a file");
        self.write("known_hosts", &format!("{known}[127.0.0.1]:{} {host}", server.port));
        server
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

/// Starts a server on a free port; another program may take the port first, so it is tried again.
fn start(folder: &Path, options: &str) -> Server {
    assert!(Path::new(SSHD).exists(), "there is no `{SSHD}`: `sudo apt-get install openssh-server`");
    if run("id", &["-u"]) == "0" {
        fs::create_dir_all("/run/sshd").expect("root can make the folder that sshd wants");
    }
    for _ in 0..20 {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let config = folder.join(format!("sshd-{port}"));
        let place = folder.display();
        let text = format!(
            "{options}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {place}/host\nPidFile none\n\
             AuthorizedKeysFile {place}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\nMaxStartups 100:30:200\n\
             MaxSessions 50\nLogLevel VERBOSE\nSetEnv SHLVL=1\n"
        );
        // With `SHLVL`, bash does not read the user's own start-up files, whatever they do.
        fs::write(&config, text).expect("written");
        let mut child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sshd starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while log.read_line(&mut said).is_ok_and(|count| count > 0) {
            if said.contains("Server listening on") {
                drain(&mut log);
                return Server { child, _log: log, port };
            }
        }
        let _ = child.wait();
        assert!(said.contains("in use"), "sshd does not start: {said}");
    }
    panic!("no port stayed free");
}

/// Reads the log for ever, so that the server never waits for its reader.
fn drain(log: &mut BufReader<ChildStderr>) {
    use std::os::fd::AsFd;
    let copy = log.get_ref().as_fd().try_clone_to_owned().expect("a descriptor");
    std::thread::spawn(move || {
        let mut file = fs::File::from(copy);
        let mut text = [0; 4096];
        while file.read(&mut text).is_ok_and(|count| count > 0) {}
    });
}

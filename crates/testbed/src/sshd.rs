//! A real `sshd`, its keys, and a user's config that leads to it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use tempfile::TempDir;

use crate::machine::Machine;

const SSHD: &str = "/usr/sbin/sshd";

/// Where a server listens on a machine of its own.
const MACHINE_PORT: u16 = 2222;

/// A folder with keys, known hosts and a config, and the servers that the test has started.
pub struct SshBed {
    folder: TempDir,
    /// The first server.
    pub server: Server,
    machine: Option<Machine>,
}

/// One running `sshd`.
pub struct Server {
    child: Child,
    /// Kept open: a server that cannot log ends.
    _log: BufReader<ChildStderr>,
    /// Where it listens: on 127.0.0.1, or on its machine.
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a signal to one process that the test has started.
pub fn kill(process: u32, signal: &str) {
    kill_all(&[process], signal);
}

/// The same with several at once, so that hardly one of them sees another one end.
pub(crate) fn kill_all(processes: &[u32], signal: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal]).args(processes.iter().map(u32::to_string));
    let _ = kill.stderr(Stdio::null()).status();
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
    pub fn sessions(&self) -> Vec<u32> {
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

    /// The process that takes connections.
    pub fn listener(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and all its sessions, as a host that falls over does.
    pub fn end(&mut self) {
        for session in self.sessions() {
            kill(session, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// Runs `ssh-keygen`.
pub fn keygen(arguments: &[&str]) {
    run("ssh-keygen", &[&["-q"], arguments].concat());
}

/// Makes a key without passphrase and gives its public half.
pub fn new_key(path: &Path, kind: &str) -> String {
    keygen(&["-t", kind, "-N", "", "-C", "test", "-f", &path.display().to_string()]);
    fs::read_to_string(path.with_extension("pub")).expect("a public key").trim().to_owned()
}

/// Whom this process runs as.
pub fn user() -> String {
    run("id", &["-un"])
}

impl SshBed {
    /// A server that lets this user in with the key `user`; `options` are lines of its config.
    pub fn new(options: &str) -> Self {
        Self::make(None, options)
    }

    /// The same on a machine of its own.
    pub fn on(machine: Machine, options: &str) -> Self {
        Self::make(Some(machine), options)
    }

    fn make(machine: Option<Machine>, options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name);
        let host = new_key(&at("host"), "ed25519");
        let user = new_key(&at("user"), "ed25519");
        fs::write(at("authorized"), user + "\n").expect("written");
        fs::create_dir(at("root")).expect("made");
        let server = start(folder.path(), options, None, machine.as_ref());
        let bed = Self { folder, server, machine };
        bed.write("known_hosts", &format!("[{}]:{} {host}\n", bed.address(), bed.server.port));
        bed.configure("");
        bed
    }

    /// Where the servers are.
    pub fn address(&self) -> Ipv4Addr {
        self.machine.as_ref().map_or(Ipv4Addr::LOCALHOST, Machine::address)
    }

    /// The machine that the servers run on, if they have one of their own.
    pub fn machine(&self) -> &Machine {
        self.machine.as_ref().expect("the bed was made on a machine")
    }

    /// Boots the machine anew, and then the first server.
    pub fn reboot(&mut self, options: &str) {
        self.server.end();
        self.machine.as_mut().expect("the bed was made on a machine").reboot();
        self.restart(options);
    }

    /// A place in the folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).expect("written");
    }

    /// An executable script.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, text);
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).expect("set");
        self.at(name)
    }

    /// The user's config: `first` stands before what leads to the server and so outweighs it.
    pub fn configure(&self, first: &str) {
        let folder = self.folder.path().display();
        self.write(
            "config",
            &format!(
                "Host target\n{first}\n\
                 Host target\nHostName {}\nPort {}\nUser {}\nIdentityFile {folder}/user\nIdentitiesOnly yes\n\
                 IdentityAgent none\nUserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\n\
                 ConnectTimeout 10\nServerAliveInterval 30\n",
                self.address(),
                self.server.port,
                user(),
            ),
        );
    }

    /// Starts the first server again, where it was.
    pub fn restart(&mut self, options: &str) {
        self.server.end();
        self.server = start(self.folder.path(), options, Some(self.server.port), self.machine.as_ref());
    }

    /// A second server, whose known key is that of this bed.
    pub fn second(&self, options: &str) -> Server {
        let server = start(self.folder.path(), options, None, None);
        let host = fs::read_to_string(self.at("host.pub")).expect("a key");
        let known = fs::read_to_string(self.at("known_hosts")).expect("a file");
        self.write("known_hosts", &format!("{known}[127.0.0.1]:{} {host}", server.port));
        server
    }
}

/// Starts a server on `port`, or on a free one; another program may take that first, so it is tried again.
fn start(folder: &Path, options: &str, port: Option<u16>, machine: Option<&Machine>) -> Server {
    assert!(Path::new(SSHD).exists(), "there is no `{SSHD}`: `sudo apt-get install openssh-server`");
    if run("id", &["-u"]) == "0" {
        let wanted = Path::new("/run/sshd");
        let wanted = machine.map_or_else(|| wanted.to_owned(), |machine| machine.see(wanted));
        fs::create_dir_all(wanted).expect("root can make the folder that sshd wants");
    }
    let port = port.or(machine.map(|_| MACHINE_PORT));
    for _ in 0..20 {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let port = port.unwrap_or_else(free);
        let config = folder.join(format!("sshd-{port}"));
        let place = folder.display();
        let address = machine.map_or(Ipv4Addr::LOCALHOST, Machine::address);
        let text = format!(
            "{options}\nListenAddress {address}\nPort {port}\nHostKey {place}/host\nPidFile none\n\
             AuthorizedKeysFile {place}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\nMaxStartups 100:30:200\n\
             MaxSessions 50\nLogLevel VERBOSE\nSetEnv SHLVL=1\n"
        );
        // With `SHLVL`, bash does not read the user's own start-up files, whatever they do.
        fs::write(&config, text).expect("written");
        let mut child = machine
            .map_or_else(|| Command::new(SSHD), |machine| machine.command(SSHD))
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

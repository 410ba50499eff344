//! A machine of its own, as far as a server and what it starts can tell: network, mounts and shared memory are its own.
//!
//! Both belong to one process that waits for the end of its input, so nothing of them outlives the test, however that ends.
//! The network is one cable to a device here, whose name is taken by whoever makes it first; addresses follow from it and
//! lie in the range that RFC 2544 keeps for tests.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::boot::{self, Boot};
use crate::sshd::kill_all;

/// The network's base, 198.18.0.0, and how many cables of four addresses fit behind it.
const BASE: u32 = 0xc612_0000;
const CABLES: u32 = 1 << 15;
/// All of them.
pub(crate) const NETWORK: &str = "198.18.0.0/15";

/// The machine's end of the cable.
const DEVICE: &str = "eth0";
const HARDWARE: &str = "02:00:00:00:00:02";

/// Waits for the end of the test, and ends what that has left running where it was killed.
const HOLD: &str = r#"mount -t tmpfs none /dev/shm && echo ready; while read -r line; do :; done; own=$(readlink /proc/$$/ns/net)
for process in /proc/[0-9]*; do
    [ "${process#/proc/}" = $$ ] || [ "$(readlink "$process/ns/net")" != "$own" ] || kill -s KILL "${process#/proc/}"
done"#;

/// What a boot makes anew where systemd does not: `/run`, and the boot's id.
const BOOT: &str = r#"mount -t tmpfs -o mode=755 none /run && cat /proc/sys/kernel/random/uuid >/dev/shm/boot &&
mount --bind /dev/shm/boot /proc/sys/kernel/random/boot_id"#;

/// What had not come as far as the disk's image is in no copy of that.
const FORGET: &str = r#"cp --sparse=always "$2" "$2.kept" && umount "$1" && mv "$2.kept" "$2" && mount -o loop,noauto_da_alloc "$2" "$1""#;

/// An `/etc` upon this machine's, in which that folder is what runs at boot, and none is cron's.
const LOCAL: &str = r#"cd /dev/shm && mkdir etc work && mount -t overlay -o lowerdir=/etc,upperdir=etc,workdir=work none /etc &&
rm -rf /etc/cron.d /etc/local.d && mkdir -p "$1" && ln -s "$1" /etc/local.d"#;

/// Runs that, as the service `local` of OpenRC does.
const START_LOCAL: &str = r#"for script in /etc/local.d/*.start; do ! [ -x "$script" ] || "$script"; done"#;

/// A machine; all that runs on it is ended when it is dropped.
pub struct Machine {
    pub(crate) holder: Child,
    address: Ipv4Addr,
    boot: Option<Boot>,
}

impl Machine {
    /// A machine with a network and nothing that runs; none where this user may not make one, which is said.
    pub fn new() -> Option<Self> {
        Self::held_by(HOLD)
    }

    /// The same with a real systemd as its first process, and processes, names, `/etc`, `/run` and a boot's id of its own. Of
    /// this machine's units it knows only the targets, and starts nothing.
    pub fn with_systemd() -> Option<Self> {
        assert!(Path::new(boot::SYSTEMD).exists(), "there is no `{}`: `cargo testbed` installs it", boot::SYSTEMD);
        let mut machine = Self::held_by(boot::HOLD)?;
        machine.boot = Some(Boot::new(machine.holder.id()));
        Some(machine)
    }

    pub(crate) fn held_by(hold: &str) -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", hold])
            // Whoever kills the test with all of its group leaves this one.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`unshare` of util-linux is installed");
        let mut ready = String::new();
        let _ = BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut ready);
        if ready.is_empty() {
            let output = holder.wait_with_output().expect("it ended");
            eprintln!("not tried, no machine can be made here: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        let mut machine = Self { holder, address: Ipv4Addr::UNSPECIFIED, boot: None };
        machine.connect();
        Some(machine)
    }

    fn connect(&mut self) {
        let process = self.holder.id().to_string();
        let start = std::process::id().wrapping_mul(61);
        for at in 0..CABLES {
            let cable = start.wrapping_add(at) % CABLES;
            let here = format!("pleach{cable}");
            let made = ["link", "add", &here, "type", "veth", "peer", "name", DEVICE, "address", HARDWARE];
            let output = run("ip", &[&made[..], &["netns", &process]].concat());
            if output.status.success() {
                let (us, them) = (Ipv4Addr::from(BASE + 4 * cable + 1), Ipv4Addr::from(BASE + 4 * cable + 2));
                require("ip", &["addr", "add", &format!("{us}/30"), "dev", &here]);
                require("ip", &["link", "set", &here, "up"]);
                // Nobody is asked where the machine is, so nobody says that it is not there: what is sent is lost.
                let fixed = ["neigh", "replace", &them.to_string(), "lladdr", HARDWARE, "nud", "permanent"];
                require("ip", &[&fixed[..], &["dev", &here]].concat());
                self.require(&["ip", "link", "set", "lo", "up"]);
                self.require(&["ip", "addr", "add", &format!("{them}/30"), "dev", DEVICE]);
                self.require(&["ip", "link", "set", DEVICE, "up"]);
                self.address = them;
                return;
            }
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(why.contains("exists"), "no cable can be made: {why}");
        }
        panic!("all cables are taken");
    }

    /// Where it is, seen from here.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where this machine is, seen from there.
    pub fn origin(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) - 1)
    }

    /// Lets it reach this machine also at its ends of other cables.
    pub fn reach_all(&self) {
        self.require(&["ip", "route", "add", NETWORK, "via", &self.origin().to_string()]);
    }

    /// A command that runs on it.
    pub fn command(&self, program: &str) -> Command {
        let holder = self.holder.id().to_string();
        let words = self.boot.as_ref().map_or_else(
            || ["nsenter", "--target", &holder, "--net", "--mount"].map(str::to_owned).to_vec(),
            Boot::words,
        );
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }

    fn require(&self, words: &[&str]) {
        let output = self.command(words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect("nsenter runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a service answers with there; nothing where none answers.
    pub fn get(&self, port: u16, path: &str) -> Option<String> {
        self.try_get(port, path).ok()
    }

    /// What a service answers with there, or what became of the request.
    ///
    /// # Errors
    ///
    /// What `wget` said, and how it ended: 143 where no answer was there within ten seconds.
    pub fn try_get(&self, port: u16, path: &str) -> Result<String, String> {
        self.try_get_with(port, path, None)
    }

    /// The same with a header more, such as `X-Canary: always`.
    ///
    /// # Errors
    ///
    /// As [`try_get`](Self::try_get).
    pub fn try_get_with(&self, port: u16, path: &str, header: Option<&str>) -> Result<String, String> {
        let mut wget = self.command("timeout");
        let address = format!("http://127.0.0.1:{port}{path}");
        // Its own time limit breaks it in some builds.
        wget.args(["10", "busybox", "wget", "-q", "-Y", "off", "-O", "-"]);
        wget.args(header.into_iter().flat_map(|header| ["--header", header])).arg(&address);
        let output = wget.stdin(Stdio::null()).output().expect("nsenter runs");
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
    }

    /// A place on it, as seen from here.
    pub fn see(&self, path: &Path) -> PathBuf {
        let process = self.boot.as_ref().map_or(self.holder.id(), Boot::watch);
        let root = PathBuf::from(format!("/proc/{process}/root"));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// Cuts the cable: nothing arrives any more, and nobody is told.
    pub fn cut(&self) {
        self.require(&["ip", "link", "set", DEVICE, "down"]);
    }

    /// Mends the cable.
    pub fn mend(&self) {
        self.require(&["ip", "link", "set", DEVICE, "up"]);
    }

    /// From now on so many of a hundred packets are lost on the way to it.
    pub fn lose(&self, percent: u32) {
        let rules = format!(
            "add table inet loss\nadd chain inet loss arriving {{ type filter hook input priority 0; }}\n\
             add rule inet loss arriving iifname {DEVICE} numgen random mod 100 < {percent} drop\n"
        );
        let mut nft = self.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nsenter runs");
        nft.stdin.take().expect("piped").write_all(rules.as_bytes()).expect("written");
        assert!(nft.wait().expect("it ended").success(), "`nft` takes {rules}");
    }

    /// Puts an empty disk of this size there, as `mount` writes sizes.
    pub fn disk(&self, place: &Path, size: &str) {
        fs::create_dir_all(self.see(place)).expect("made");
        let options = format!("size={size},mode=755");
        self.require(&["mount", "-t", "tmpfs", "-o", &options, "none", &place.display().to_string()]);
    }

    /// Gives the disk at a place another size, as `mount` writes sizes; what lies on it stays.
    pub fn resize(&self, place: &Path, size: &str) {
        self.require(&["mount", "-o", &format!("remount,size={size}"), &place.display().to_string()]);
    }

    /// Puts an empty disk there whose files can share blocks. It lies in the file `image`, which takes what is written to it.
    pub fn sharing_disk(&self, place: &Path, image: &Path) {
        fs::create_dir_all(self.see(place)).expect("made");
        let file = fs::File::create(self.see(image)).expect("made");
        // The smallest that btrfs takes is 109 MiB.
        file.set_len(128 << 20).expect("sparse");
        let (place, image) = (place.display().to_string(), image.display().to_string());
        self.require(&["mkfs.btrfs", "-q", &image]);
        self.require(&["mount", "-o", "loop", &image, &place]);
    }

    /// Puts an empty disk there that keeps over a loss of power what was flushed to it, and hardly anything else. It lies in the
    /// file `image`.
    pub fn honest_disk(&self, place: &Path, image: &Path) {
        fs::create_dir_all(self.see(place)).expect("made");
        fs::File::create(self.see(image)).and_then(|file| file.set_len(64 << 20)).expect("sparse");
        let (place, image) = (place.display().to_string(), image.display().to_string());
        self.require(&["mkfs.ext4", "-q", "-F", &image]);
        self.require(&["mount", "-o", "loop,noauto_da_alloc", &image, &place]);
    }

    /// Has such a disk be what it is after a loss of power: nobody writes to it any more.
    pub fn forget_unflushed(&self, place: &Path, image: &Path) {
        let (place, image) = (place.display().to_string(), image.display().to_string());
        self.require(&["sh", "-c", FORGET, "sh", &place, &image]);
    }

    /// Lets nobody write to the disk at a place any more.
    pub fn freeze(&self, place: &Path) {
        let place = place.display().to_string();
        self.require(&["mount", "--bind", &place, &place]);
        self.require(&["mount", "-o", "remount,bind,ro", &place]);
    }

    /// Lets the disk at a place be written again.
    pub fn thaw(&self, place: &Path) {
        self.require(&["umount", "--lazy", &place.display().to_string()]);
    }

    /// Has one file lie in the place of another.
    pub fn overlay(&self, file: &Path, over: &Path) {
        self.require(&["mount", "--bind", &file.display().to_string(), &over.display().to_string()]);
    }

    /// All that runs on it.
    pub fn processes(&self) -> Vec<u32> {
        let space = |process: u32| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let own = space(self.holder.id());
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let apart = [Some(self.holder.id()), self.boot.as_ref().map(Boot::watch)];
        ids.filter(|id| !apart.contains(&Some(*id)) && own.is_some() && space(*id) == own).collect()
    }

    /// Takes the power of one with systemd away, and gives it back: the same disk, another boot.
    pub fn reboot(&mut self) {
        self.lose_power();
        drop(self.boot.take().expect("it has something to boot"));
        self.boot = Some(Boot::new(self.holder.id()));
    }

    /// Boots one without systemd that has lost its power: the same disk, another boot, and nothing that runs.
    pub fn boot(&self) {
        self.require(&["sh", "-c", BOOT]);
    }

    /// From now on it has an `/etc` of its own, and what is to run at boot is kept in `folder`, which is `/etc/local.d` there.
    pub fn keep_local(&self, folder: &Path) {
        self.require(&["sh", "-c", LOCAL, "sh", &folder.display().to_string()]);
    }

    /// Runs what is kept there.
    pub fn start_local(&self) {
        self.require(&["sh", "-c", START_LOCAL]);
    }

    /// Ends all that runs on it at once, as a loss of power does.
    pub fn lose_power(&self) {
        if let Some(boot) = &self.boot {
            boot.end();
        }
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            kill_all(&left, "KILL");
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.lose_power();
        match self.boot.take() {
            // Told that the test is over, it takes the cgroup along.
            Some(_) => drop(self.holder.stdin.take()),
            None => drop(self.holder.kill()),
        }
        let _ = self.holder.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("`{program}` cannot be started ({error}): `cargo testbed` installs it"))
}

fn require(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_runs_on_a_machine_is_reached_over_its_cable_until_that_is_cut_and_again_once_it_is_mended() {
        let Some(machine) = Machine::new() else { return };
        let netcat = machine.command("busybox").args(["nc", "-l", "-p", "7"]).stdin(Stdio::piped()).spawn();
        let mut netcat = netcat.expect("nsenter runs");
        let there = (machine.address(), 7).into();
        let connect = |limit| TcpStream::connect_timeout(&there, limit);
        let mut stream = loop {
            if let Ok(stream) = connect(Duration::from_secs(5)) {
                break stream;
            }
        };
        machine.cut();
        let error = connect(Duration::from_millis(300)).expect_err("nobody answers");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "and nobody says so: {error}");
        netcat.stdin.as_mut().expect("piped").write_all(b"after all").expect("it waits to be sent");
        machine.mend();
        let mut heard = [0; 9];
        stream.read_exact(&mut heard).expect("what was begun goes on");
        assert_eq!(&heard, b"after all");
        assert!(TcpStream::connect("127.0.0.1:7").is_err(), "it is not here");
        drop(machine);
        netcat.wait().expect("it was ended");
    }

    #[test]
    fn a_disk_of_a_machine_is_seen_only_there_and_what_runs_there_ends_with_it() {
        let Some(machine) = Machine::new() else { return };
        let folder = tempfile::tempdir().expect("a directory");
        machine.disk(folder.path(), "1m");
        let file = folder.path().join("file");
        fs::write(machine.see(&file), vec![0; 2 << 20]).expect_err("it is full");
        assert!(machine.see(&file).exists() && !file.exists());
        machine.freeze(folder.path());
        fs::write(machine.see(&file), "x").expect_err("it is frozen");
        machine.thaw(folder.path());
        fs::write(machine.see(&file), "x").expect("it is not");
        let mut sleeper = machine.command("sleep").arg("600").spawn().expect("nsenter runs");
        while machine.processes().is_empty() {
            std::thread::yield_now();
        }
        drop(machine);
        assert!(!sleeper.wait().expect("ended").success());
    }
}

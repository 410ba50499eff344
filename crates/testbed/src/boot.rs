//! What a [machine](crate::machine) with systemd boots: the real one, as the first process of a space of its own.
//!
//! ```text
//! holder   network, mounts; in memory: the disk, as /etc upon this machine's, and a cgroup    lives as long as the machine
//!   watch  waits for the first process                                                     as long as one boot
//!     1    systemd: /run, /dev/shm, /proc and the boot's id are new with each boot
//! ```
//!
//! All else of this machine is seen there as it is, so places in a temporary directory are the same on both. Of its units only
//! the targets are known there and none of them wants anything, so it boots in a tenth of a second and starts nobody's services.
//! The cgroup says what is part of it, whoever started that.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sshd::kill;

/// The first process.
pub(crate) const SYSTEMD: &str = "/lib/systemd/systemd";

/// Makes disk and cgroup, and removes the cgroup with all that runs in it at the end of the test.
pub(crate) const HOLD: &str = r#"set -e
mount -t tmpfs none /dev/shm
cd /dev/shm
mkdir etc work units generators cgroups
mount -t cgroup2 none cgroups
mount -t overlay -o lowerdir=/etc,upperdir=etc,workdir=work none /etc
rm -rf /etc/systemd
mkdir -p /etc/systemd/system
ln -s /lib/systemd/system/multi-user.target /etc/systemd/system/default.target
printf '[Manager]\nDefaultStandardOutput=null\nLogTarget=null\n' >/etc/systemd/system.conf
cp -P /lib/systemd/system/*.target units
mount --bind units /lib/systemd/system
mount --bind generators /lib/systemd/system-generators
cgroup=$(mktemp -d cgroups/pleach.XXXXXX)
ln -s "$cgroup" cgroup
set +e
echo ready
while read -r line; do :; done
while [ -d "$cgroup" ]; do
    find "$cgroup" -name cgroup.procs -exec cat {} + | xargs -r kill -s KILL
    find "$cgroup" -depth -type d -exec rmdir {} + || sleep 0.02
done 2>/dev/null"#;

/// The first process until it is systemd.
const BOOT: &str = r#"set -e
echo 0 >/dev/shm/cgroup/cgroup.procs
cat /proc/sys/kernel/random/uuid >/dev/shm/boot
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /dev/shm/boot /proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs none /dev/shm
exec unshare --cgroup sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' sh "$@""#;

/// The longest that a boot may take on a machine that has a lot to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// One boot, from power to its loss.
pub(crate) struct Boot {
    watch: Child,
}

impl Boot {
    /// Boots what a process holds, up to its default target.
    pub(crate) fn new(holder: u32) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let place = folder.path().join("ready");
        let ready = UnixDatagram::bind(&place).expect("a socket");
        ready.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        let path = std::env::var("PATH").unwrap_or_default();
        let watch = Command::new("nsenter")
            .args([
                "--target",
                &holder.to_string(),
                "--net",
                "--mount",
                "unshare",
                "--pid",
                "--mount",
                "--uts",
                "--ipc",
            ])
            .args(["--mount-proc", "--fork", "--kill-child", "sh", "-c", BOOT, "sh"])
            .args(["env", "-i", "container=pleach", &format!("PATH={path}")])
            .arg(format!("NOTIFY_SOCKET={}", place.display()))
            .args([SYSTEMD, "--system", "--show-status=0"])
            // What a terminal sends to a group would have it reboot.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("`nsenter` of util-linux is installed");
        let mut boot = Self { watch };
        let (begun, mut said) = (Instant::now(), [0; 4096]);
        loop {
            let count = ready.recv(&mut said).unwrap_or(0);
            if String::from_utf8_lossy(&said[..count]).contains("READY=1") {
                return boot;
            }
            let ended = boot.watch.try_wait().expect("asked");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "`{SYSTEMD}` does not boot: {ended:?}");
        }
    }

    /// The words in front of a program that has to run there.
    pub(crate) fn words(&self) -> Vec<String> {
        let watch = self.watch.id();
        let spaces = ["--net", "--mount", "--uts", "--ipc"].map(str::to_owned);
        let first = ["nsenter".to_owned(), "--target".to_owned(), watch.to_string()];
        first.into_iter().chain(spaces).chain([format!("--pid=/proc/{watch}/ns/pid_for_children")]).collect()
    }

    /// The process that waits for the first one, which has the same mounts.
    pub(crate) fn watch(&self) -> u32 {
        self.watch.id()
    }

    /// Ends all of it at once: when who waits is gone, the first process is ended, and all others with it.
    pub(crate) fn end(&self) {
        kill(self.watch.id(), "KILL");
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        self.end();
        let _ = self.watch.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::process::Stdio;

    use crate::machine::Machine;

    fn ask(machine: &Machine, words: &[&str]) -> String {
        let output = machine.command(words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect("nsenter runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    #[test]
    fn a_machine_boots_anew_with_the_units_that_it_has_been_given_and_leaves_nothing_behind() {
        let Some(mut machine) = Machine::with_systemd() else { return };
        let boot = |machine: &Machine| ask(machine, &["cat", "/proc/sys/kernel/random/boot_id"]);
        let (first, here) = (boot(&machine), std::fs::read_to_string("/proc/sys/kernel/random/boot_id"));
        assert_ne!(first, here.expect("a boot").trim());
        assert_eq!(ask(&machine, &["systemctl", "is-system-running"]), "running");
        let unit = "/etc/systemd/system/sleeper.service";
        let text = "[Service]\nExecStart=sleep 600\n[Install]\nWantedBy=multi-user.target\n";
        std::fs::write(machine.see(unit.as_ref()), text).expect("written");
        std::fs::write(machine.see("/run/gone".as_ref()), "").expect("written");
        ask(&machine, &["systemctl", "enable", "--now", "sleeper"]);
        let mut process = machine.command("sleep").arg("600").spawn().expect("nsenter runs");
        machine.reboot();
        assert!(!process.wait().expect("ended").success());
        assert_ne!(boot(&machine), first);
        assert_eq!(ask(&machine, &["systemctl", "is-active", "sleeper"]), "active");
        assert!(!machine.see("/run/gone".as_ref()).exists());
        assert!(!std::path::Path::new(unit).exists(), "this machine's own are left alone");
        let cgroup = std::fs::File::open(format!("/proc/{}/root/dev/shm/cgroup", machine.holder.id())).expect("there");
        let lists =
            || std::path::Path::new("/proc/self/fd").join(format!("{}/cgroup.procs", cgroup.as_raw_fd())).exists();
        assert!(lists());
        drop(machine);
        assert!(!lists(), "it is removed");
    }
}

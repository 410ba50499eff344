//! The programs that tests start, and the Debian packages they come from.

use std::path::Path;
use std::process::{Command, Stdio};

/// A program, the arguments that show that it works, and its package.
struct Need {
    program: &'static str,
    proof: &'static [&'static str],
    package: &'static str,
    purpose: &'static str,
}

const NEEDS: &[Need] = &[
    Need { program: "git", proof: &["--version"], package: "git", purpose: "peer and second back-end of crates/git" },
    Need { program: "rustc", proof: &["--version"], package: "rustc", purpose: "builds the demo's services" },
    Need { program: "cc", proof: &["--version"], package: "gcc", purpose: "links the demo's services" },
    Need { program: "bash", proof: &["--version"], package: "bash", purpose: "reads the shell completions" },
    Need { program: "jq", proof: &["--version"], package: "jq", purpose: "reads journals and status as users do" },
    Need { program: "ssh", proof: &["-V"], package: "openssh-client", purpose: "reads the user's config for us" },
    Need { program: "/usr/sbin/sshd", proof: &["-V"], package: "openssh-server", purpose: "the hosts of the tests" },
    Need {
        program: "setsid",
        proof: &["--version"],
        package: "util-linux",
        purpose: "starts services that outlive us",
    },
    Need { program: "setpriv", proof: &["--version"], package: "util-linux", purpose: "runs as a user without rights" },
    Need { program: "sudo", proof: &["-V"], package: "sudo", purpose: "runs scripts as another user" },
    Need { program: "dash", proof: &["-c", ":"], package: "dash", purpose: "runs the scripts for targets" },
    Need {
        program: "sh",
        // `ldd` knows nothing of what is linked to nothing.
        proof: &["-c", "busybox true && ! ldd \"$(command -v busybox)\" 2>&1"],
        package: "busybox-static",
        purpose: "`busybox` linked to nothing runs the scripts for targets, and is what images of the tests hold",
    },
    Need {
        program: "shellcheck",
        proof: &["--version"],
        package: "shellcheck",
        purpose: "reads the scripts for targets",
    },
    Need { program: "ip", proof: &["-V"], package: "iproute2", purpose: "cables to machines of their own" },
    Need { program: "/lib/systemd/systemd", proof: &["--version"], package: "systemd", purpose: "machines that boot" },
    Need { program: "nft", proof: &["--version"], package: "nftables", purpose: "loses packets" },
    Need { program: "tcsh", proof: &["--version"], package: "tcsh", purpose: "a login shell unlike POSIX's" },
    Need { program: "fish", proof: &["--version"], package: "fish", purpose: "a login shell unlike POSIX's" },
    Need { program: "dockerd", proof: &["--version"], package: "docker.io", purpose: "runs containers" },
    Need { program: "docker", proof: &["--version"], package: "docker.io", purpose: "asks engines as users do" },
    Need {
        program: "docker-registry",
        proof: &["--version"],
        package: "docker-registry",
        purpose: "is where images are pushed to",
    },
    Need { program: "iptables", proof: &["--version"], package: "iptables", purpose: "leads to ports of containers" },
    Need { program: "haproxy", proof: &["-v"], package: "haproxy", purpose: "leads requests to releases" },
    Need {
        program: "mkfs.btrfs",
        proof: &["--version"],
        package: "btrfs-progs",
        purpose: "makes disks that share blocks",
    },
    Need {
        program: "mkfs.ext4",
        proof: &["-V"],
        package: "e2fsprogs",
        purpose: "makes disks that lose what was not flushed",
    },
    Need { program: "zstd", proof: &["--version"], package: "zstd", purpose: "packs copies" },
    Need { program: "faketime", proof: &["--version"], package: "faketime", purpose: "sets clocks ahead" },
];

/// Installs what is missing; fails with the command to run where it may not.
pub(crate) fn ensure_all() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !works(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    eprintln!("testbed: installing {}", packages.join(" "));
    let installed = apt(&["update", "-q"]).and_then(|()| {
        let mut arguments = vec!["install", "-qy", "--no-install-recommends"];
        arguments.extend(&packages);
        apt(&arguments)
    });
    let still: Vec<&&Need> = missing.iter().filter(|need| !works(need)).collect();
    if still.is_empty() {
        return Ok(());
    }
    let mut message = String::from("error: the tests need programs that are not here\n");
    for need in &still {
        message += &format!("  because: `{}` does not run ({})\n", need.program, need.purpose);
    }
    if let Err(why) = installed {
        message += &format!("  because: {why}\n");
    }
    message += "  state: no test has run\n";
    message += &format!("  next: `sudo apt-get install {}`, then `cargo testbed`", packages.join(" "));
    Err(message)
}

fn works(need: &Need) -> bool {
    let run = Command::new(need.program).args(need.proof).stdin(Stdio::null()).stdout(Stdio::null()).output();
    run.is_ok_and(|output| output.status.success())
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err("this is no Debian: there is no `apt-get`".into());
    }
    let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        // Asks for no password: a test run must never wait for one.
        command.args(["-n", "apt-get"]);
    }
    let status = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`apt-get {}` ended with {status}", arguments.join(" "))),
        Err(error) => Err(format!("`apt-get` could not be started: {error}")),
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

//! Who listens on a port of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use super::identity::read_stat;
use super::stat::listening_ports;

/// The process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOwner {
    /// Its id and name; of several that share the socket, as workers share their master's, the one that started first.
    /// `None` if it belongs to a user whose processes cannot be looked into.
    pub process: Option<(u32, String)>,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((pid, name)) => write!(f, "`{name}` (process {pid})"),
            None => f.write_str("a process of another user"),
        }
    }
}

/// Who listens on `port`; `None` if nobody does.
pub fn port_owner(port: u16) -> Option<PortOwner> {
    let sockets = listening().into_iter().filter(|(listens, _)| *listens == port).collect();
    owners(sockets).remove(&port)
}

/// Who listens on each port of this machine. Blocks while it reads `/proc`: the tables and every process once, however
/// many ports there are.
pub fn port_owners() -> BTreeMap<u16, PortOwner> {
    owners(listening())
}

/// All listening TCP sockets: ports and inodes.
fn listening() -> Vec<(u16, u64)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().flat_map(|table| listening_ports(&fs::read_to_string(table).unwrap_or_default())).collect()
}

fn owners(sockets: Vec<(u16, u64)>) -> BTreeMap<u16, PortOwner> {
    let wanted: BTreeMap<u64, u16> = sockets.iter().map(|(port, inode)| (*inode, *port)).collect();
    let mut owners: BTreeMap<u16, PortOwner> =
        sockets.into_iter().map(|(port, _)| (port, PortOwner { process: None })).collect();
    let Ok(processes) = fs::read_dir("/proc") else { return owners };
    let mut first: BTreeMap<u16, u64> = BTreeMap::new();
    for pid in processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let inodes = files.flatten().filter_map(|file| socket_inode(&fs::read_link(file.path()).ok()?));
        let ports: BTreeSet<u16> = inodes.filter_map(|inode| wanted.get(&inode).copied()).collect();
        let Some(stat) = (!ports.is_empty()).then(|| read_stat(pid)).flatten() else { continue };
        for port in ports {
            if first.get(&port).is_none_or(|start| stat.start < *start) {
                first.insert(port, stat.start);
                owners.insert(port, PortOwner { process: Some((pid, stat.name.clone())) });
            }
        }
    }
    owners
}

/// The inode in `socket:[INODE]`.
fn socket_inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::Stdio;

    use super::*;

    /// Other tests start processes: between its fork and its exec a child has the sockets of its parent.
    fn eventually(what: &str, is: impl Fn() -> bool) {
        for _ in 0..200 {
            if is() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what}");
    }

    fn as_input(listener: &std::net::TcpListener) -> Stdio {
        OwnedFd::from(listener.try_clone().expect("a descriptor")).into()
    }

    #[test]
    fn a_listening_port_is_told_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let is_own = |owner: Option<PortOwner>| {
            let process = owner.and_then(|owner| owner.process);
            process.is_some_and(|(pid, _)| pid == std::process::id())
        };
        eventually("this process listens", || is_own(port_owner(port)));
        eventually("one port or all, the answer is the same", || is_own(port_owners().remove(&port)));
        let mut shares =
            std::process::Command::new("sleep").arg("60").stdin(as_input(&listener)).spawn().expect("sleep");
        assert!(is_own(port_owner(port)), "of those that share it, who was there first");
        shares.kill().and_then(|()| shares.wait()).expect("it was started here");
        drop(listener);
        eventually("nobody of this process listens any more", || !is_own(port_owner(port)));
    }
}

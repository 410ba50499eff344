//! Who listens on a port of this machine.

use std::fmt;
use std::fs;

use super::identity::read_stat;
use super::stat::listening_ports;

/// The process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOwner {
    /// Its id; `None` if it belongs to a user whose processes cannot be looked into.
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
    let inode = listening().into_iter().find(|(listens, _)| *listens == port)?.1;
    Some(PortOwner { process: socket_owner(inode) })
}

/// All listening TCP sockets: ports and inodes.
pub(crate) fn listening() -> Vec<(u16, u64)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().flat_map(|table| listening_ports(&fs::read_to_string(table).unwrap_or_default())).collect()
}

fn socket_owner(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let owns = |link: std::path::PathBuf| link.to_str() == Some(&wanted);
        if files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(owns)) {
            return Some((pid, read_stat(pid).map(|stat| stat.name).unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_port_is_told_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let owner = port_owner(port).expect("this process listens");
        assert_eq!(owner.process.map(|(pid, _)| pid), Some(std::process::id()));
        drop(listener);
        assert_eq!(port_owner(port), None);
    }
}

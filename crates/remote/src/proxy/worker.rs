//! Workers of HAProxy that a reload has left behind, and such as it is about to bring.
//!
//! A worker that was replaced ends what it has, and its socket is gone with it; one that is about to come has read the file
//! already, perhaps before it was written. Both can be seen by `/proc` alone. Where its processes cannot be seen, because HAProxy
//! runs in a container, none is seen, and none is waited for.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::running::Worker;
use crate::process::{ProcessStat, read_stat};

/// After so long, a worker that leaves begins no request more: a connection that is kept alive has ended (10 s), and so has the
/// head of a request (10 s). Then all that it does for a service is a connection to one of its servers.
pub(super) const BEGINS_NO_MORE: Duration = Duration::from_secs(25);

/// Workers, other than this one, that may have or may still begin a request to one of `servers`. `counted` connections to them
/// are known to be this one's.
pub(super) fn probe_others(worker: &Worker, servers: &[SocketAddr], counted: u64) -> Vec<u32> {
    let newer = siblings(worker.pid, Age::Newer);
    let older = siblings(worker.pid, Age::Older);
    let may_begin = Duration::from_secs(worker.uptime) < BEGINS_NO_MORE;
    let is_quiet = older.is_empty() || !(may_begin || connections(servers) > counted);
    newer.into_iter().chain(if is_quiet { Vec::new() } else { older }).collect()
}

/// Workers that this one has replaced.
pub(super) fn older_workers(pid: u32) -> Vec<u32> {
    siblings(pid, Age::Older)
}

/// Whether a reload is under way: what this worker was told, the one that comes does not know. It may have read the file at
/// any time since.
pub(super) fn is_being_replaced(pid: u32) -> bool {
    let Some(own) = worker_stat(pid) else { return false };
    let Ok(master) = u32::try_from(own.parent) else { return false };
    // Without a master, siblings may be programs of their own.
    let has_master = read_stat(master).is_some_and(|stat| stat.name == own.name);
    has_master && (is_deaf(master) || !siblings(pid, Age::Newer).is_empty())
}

/// Whether a master is amid a reload: from before it starts itself anew, which is before it reads its files, until it is back
/// in its loop it blocks SIGUSR2 (2.6.12).
fn is_deaf(master: u32) -> bool {
    const SIGUSR2: u64 = 1 << (12 - 1);
    let status = fs::read_to_string(format!("/proc/{master}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigBlk:")?.trim(), 16).ok());
    blocked.is_some_and(|blocked| blocked & SIGUSR2 != 0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Older,
    Newer,
}

fn worker_stat(pid: u32) -> Option<ProcessStat> {
    read_stat(pid).filter(|stat| stat.is_alive() && stat.name.starts_with("haproxy"))
}

/// Processes of the same program that the same master has started.
fn siblings(pid: u32, age: Age) -> Vec<u32> {
    let Some(own) = worker_stat(pid) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |stat: ProcessStat| {
        let is_newer = stat.start > own.start;
        stat.is_alive() && stat.name == own.name && stat.parent == own.parent && is_newer == (age == Age::Newer)
    };
    pids.filter(|other| *other != pid && read_stat(*other).is_some_and(is_one)).collect()
}

/// How many connections of this machine lead to these addresses.
fn connections(servers: &[SocketAddr]) -> u64 {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let count = |table: &str| connections_in(&fs::read_to_string(table).unwrap_or_default(), servers);
    tables.into_iter().map(count).sum()
}

/// Connections that are being made, are there, or were closed by the other side only: 01, 02 and 08 of `tcp_states.h`.
fn connections_in(table: &str, servers: &[SocketAddr]) -> u64 {
    let leads_there = |line: &&str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let remote = fields.get(2).and_then(|text| parse_address(text));
        matches!(fields.get(3).copied(), Some("01" | "02" | "08")) && remote.is_some_and(|to| servers.contains(&to))
    };
    table.lines().skip(1).filter(leads_there).count() as u64
}

/// `0100007F:1F90`, in groups of four bytes that the kernel prints in the machine's own order.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let group = |at: usize| Some(u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from(group(0)?)),
        32 => {
            let bytes = [group(0)?, group(8)?, group(16)?, group(24)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn only_connections_that_lead_to_the_server_and_may_carry_a_request_count() {
        let table = "  sl  local_address rem_address   st\n\
             0: 0100007F:1F90 00000000:0000 0A 0\n\
             1: 0100007F:C000 0100007F:1F90 01 0\n\
             2: 0100007F:1F90 0100007F:C000 01 0\n\
             3: 0100007F:C001 0100007F:1F90 06 0\n\
             4: 0000000000000000FFFF00000100007F:C002 0000000000000000FFFF00000100007F:1F90 08 0\n\
             5: 00000000000000000000000001000000:C002 00000000000000000000000001000000:1F90 01 0\n";
        let server = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(connections_in(table, &[server]), 2);
        assert_eq!(connections_in(table, &["[::1]:8080".parse().expect("an address")]), 1);
    }
}

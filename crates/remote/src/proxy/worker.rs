//! Workers of HAProxy that a reload has left behind.
//!
//! A worker that was replaced ends what it has, and its socket is gone with it: it can be seen by `/proc` alone. Where its
//! processes cannot be seen, because HAProxy runs in a container, none is seen, and none is waited for.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::running::Worker;
use crate::process::{ProcessStat, read_stat};

/// After so long, a worker that leaves begins no request more: a connection that is kept alive has ended (10 s), and so has the
/// head of a request (10 s). Then all that it does for a service is a connection to one of its servers.
pub(super) const BEGINS_NO_MORE: Duration = Duration::from_secs(25);

/// Whether this worker, or one that it replaced, could still send a request to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Older {
    /// None that matters.
    Quiet,
    /// These, which live still.
    Busy(Vec<u32>),
}

/// Whether an older worker may have, or may still begin, a request to one of `servers`. `counted` connections to them are
/// known to be the present worker's.
pub(super) fn probe_older(worker: &Worker, servers: &[SocketAddr], counted: u64) -> Older {
    let older = older_workers(worker.pid);
    let may_begin = Duration::from_secs(worker.uptime) < BEGINS_NO_MORE;
    if older.is_empty() || !(may_begin || connections(servers) > counted) {
        return Older::Quiet;
    }
    Older::Busy(older)
}

/// Processes of the same program that the same master has started.
pub(super) fn older_workers(pid: u32) -> Vec<u32> {
    let Some(own) = read_stat(pid).filter(|stat| stat.is_alive() && stat.name == "haproxy") else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_older = |stat: ProcessStat| {
        stat.is_alive() && stat.name == own.name && stat.parent == own.parent && stat.start <= own.start
    };
    pids.filter(|other| *other != pid && read_stat(*other).is_some_and(is_older)).collect()
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

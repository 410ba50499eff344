//! What HAProxy says that it does now. Pure parsers of its answers, version 1 of `show servers state`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::backend::Slot;
use super::matching::FLAG;

/// A service at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Running {
    /// Where its frontend listens; empty if there is none, or if it was stopped.
    pub binds: Vec<SocketAddr>,
    /// The server `blue`, if the backend has one.
    pub blue: Option<RunningServer>,
    /// The server `green`.
    pub green: Option<RunningServer>,
    /// The flags of its rules for requests that [ask for a server](super::Matching), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Mode>,
}

impl Running {
    /// One of the two servers.
    pub fn server(&self, slot: Slot) -> Option<&RunningServer> {
        match slot {
            Slot::Blue => self.blue.as_ref(),
            Slot::Green => self.green.as_ref(),
        }
    }

    /// Whether HAProxy knows nothing of it.
    pub fn is_absent(&self) -> bool {
        self.binds.is_empty() && self.blue.is_none() && self.green.is_none()
    }
}

/// A server at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunningServer {
    /// Where requests for it go; `None` if HAProxy has only a name that it could not resolve.
    pub address: Option<SocketAddr>,
    /// Its part of the requests.
    pub weight: u16,
    /// What it was told to be.
    pub mode: Mode,
    /// Requests and tunnels that it has now.
    pub sessions: u64,
    /// What became of those that it had.
    #[serde(default)]
    pub counts: Counts,
}

/// What became of a server's requests since its worker began, whichever release it was then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Those that came to an end.
    pub requests: u64,
    /// Those of them that were answered with 500 or above, or not rightly, or by another server in its place.
    pub failed: u64,
    /// How long its answers took.
    #[serde(default)]
    pub times: Times,
}

/// How long the answers of a server took until they began, as HAProxy tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Times {
    /// All answers since its worker began.
    pub answers: u64,
    /// The average of about the last 512 of them in milliseconds, rounded up.
    pub average: u64,
}

/// What a server was told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is given requests, as many as its weight says.
    Ready,
    /// Somebody has drained it by `state drain`; Pleach drains by weight.
    Drain,
    /// It is given nothing.
    Maint,
}

/// The worker that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Worker {
    /// Its process id, as it sees it itself.
    pub pid: u32,
    /// For how long it has run, in seconds.
    pub uptime: u64,
    /// Its version.
    pub version: String,
}

/// Bits of `srv_admin_state`: forced, inherited, by name resolution and by address, in HAProxy's `server-t.h`. Not 0x04, which
/// only remembers that the file said `disabled`.
const MAINT: u32 = 0x01 | 0x02 | 0x20 | 0x40;
/// Forced and inherited.
const DRAIN: u32 = 0x08 | 0x10;

/// Reads `show info`.
pub(super) fn parse_worker(info: &str) -> Option<Worker> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim);
    Some(Worker {
        pid: field("Pid")?.parse().ok()?,
        uptime: field("Uptime_sec")?.parse().ok()?,
        version: field("Version").unwrap_or_default().to_owned(),
    })
}

fn mode(admin: u32) -> Mode {
    match admin {
        _ if admin & MAINT != 0 => Mode::Maint,
        _ if admin & DRAIN != 0 => Mode::Drain,
        _ => Mode::Ready,
    }
}

/// The names of all backends in `show servers state`.
pub(super) fn backend_names(state: &str) -> Vec<String> {
    let mut names: Vec<String> = Table::of_state(state).map(|table| table.column("be_name")).unwrap_or_default();
    names.dedup();
    names
}

/// Reads one service out of `show servers state` and `show stat`; `None` if either is not that.
pub(super) fn parse_running(name: &str, state: &str, stat: &str) -> Option<Running> {
    let state = Table::of_state(state)?;
    let stat = Table::of_stat(stat)?;
    let listens = |row: &Vec<&str>| {
        let is_listener = stat.cell(row, "pxname") == Some(name) && stat.cell(row, "type") == Some(LISTENER);
        // What is paused or full is not `OPEN`; who is full listens still.
        (is_listener && stat.cell(row, "status") != Some("WAITING")).then(|| stat.cell(row, "addr")?.parse().ok())?
    };
    let server = |slot: Slot| {
        let is_it = |table: &Table<'_>, row: &Vec<&str>, backend: &str, server: &str| {
            table.cell(row, backend) == Some(name) && table.cell(row, server) == Some(slot.as_str())
        };
        let row = state.rows.iter().find(|row| is_it(&state, row, "be_name", "srv_name"))?;
        let counts = stat
            .rows
            .iter()
            .find(|row| is_it(&stat, row, "pxname", "svname") && stat.cell(row, "type") == Some(SERVER))?;
        let number = |column: &str| stat.cell(counts, column).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let admin: u32 = state.cell(row, "srv_admin_state")?.parse().ok()?;
        let ip = state.cell(row, "srv_addr").and_then(|text| text.parse::<IpAddr>().ok());
        let port: u16 = state.cell(row, "srv_port")?.parse().ok()?;
        Some(RunningServer {
            address: ip.map(|ip| SocketAddr::new(ip, port)),
            weight: state.cell(row, "srv_uweight")?.parse().ok()?,
            mode: mode(admin),
            // The one counts from the choice of the server on, the other while there is a connection.
            sessions: (number("scur") + number("qcur")).max(number("used_conn_cur")),
            counts: count(number),
        })
    };
    let flags = state.rows.iter().filter_map(|row| {
        let flag = state.cell(row, "srv_name").filter(|server| server.starts_with(FLAG))?;
        let is_of_it = state.cell(row, "be_name") == Some(name);
        is_of_it.then_some((flag.to_owned(), mode(state.cell(row, "srv_admin_state")?.parse().ok()?)))
    });
    Some(Running {
        flags: flags.collect(),
        binds: stat.rows.iter().filter_map(listens).collect(),
        blue: server(Slot::Blue),
        green: server(Slot::Green),
    })
}

/// Answers are counted by their first digit, and what was none by why: no connection, no or a broken answer, and another server
/// that had to take the request.
fn count(number: impl Fn(&str) -> u64) -> Counts {
    let sum = |columns: &[&str]| columns.iter().map(|column| number(column)).sum::<u64>();
    let failed = sum(&["hrsp_5xx", "hrsp_other", "econ", "eresp", "wredis"]);
    let times = Times { answers: number("req_tot"), average: number("rtime") };
    Counts { requests: failed + sum(&["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx"]), failed, times }
}

/// Values of `type` in `show stat`.
const SERVER: &str = "2";
const LISTENER: &str = "3";

/// A table with a line of headings.
struct Table<'a> {
    headings: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Table<'a> {
    fn of_state(text: &'a str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "1" {
            return None;
        }
        Self::new(lines, |line| line.split_ascii_whitespace().collect())
    }

    fn of_stat(text: &'a str) -> Option<Self> {
        Self::new(text.lines(), |line| line.split(',').collect())
    }

    fn new(mut lines: impl Iterator<Item = &'a str>, split: fn(&'a str) -> Vec<&'a str>) -> Option<Self> {
        let headings = split(lines.next()?.strip_prefix("# ")?);
        Some(Self { headings, rows: lines.filter(|line| !line.is_empty()).map(split).collect() })
    }

    fn cell(&self, row: &[&'a str], heading: &str) -> Option<&'a str> {
        let at = self.headings.iter().position(|found| *found == heading)?;
        row.get(at).copied()
    }

    fn column(&self, heading: &str) -> Vec<String> {
        self.rows.iter().filter_map(|row| self.cell(row, heading)).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n\
        5 other 1 blue 10.0.0.1 2 0 7 80\n5 other 4 match-1-green 127.0.0.1 2 4 0 1\n\
        5 pleach-a 1 blue 127.0.0.1 2 4 256 18091\n\
        5 pleach-a 2 green ::1 0 5 0 1\n\
        5 pleach-a 3 match-0-blue 127.0.0.1 0 5 0 1\n5 pleach-a 4 match-0-green 127.0.0.1 2 4 0 1\n\n";
    const STAT: &str = "# pxname,svname,qcur,scur,status,type,addr,used_conn_cur,hrsp_2xx,hrsp_4xx,hrsp_5xx,econ,wredis,req_tot,rtime,\n\
        pleach-a,FRONTEND,,3,OPEN,0,,,,,,,,,,\n\
        pleach-a,pleach,,3,OPEN,3,127.0.0.1:18090,,,,,,,,,\n\
        pleach-a,blue,1,2,no check,2,127.0.0.1:18091,1,90,3,4,2,1,97,12,\n\
        pleach-a,green,0,0,MAINT,2,[::1]:1,0,,,,,,,,\n\n";

    #[test]
    fn the_answers_of_haproxy_2_6_are_read_by_their_headings() {
        let running = parse_running("pleach-a", STATE, STAT).expect("two tables");
        assert_eq!(running.binds, ["127.0.0.1:18090".parse().expect("an address")]);
        let blue = running.blue.expect("a server");
        assert_eq!((blue.weight, blue.mode, blue.sessions), (256, Mode::Ready, 3), "`disabled` in the file is history");
        assert_eq!(blue.counts, Counts { requests: 100, failed: 7, times: Times { answers: 97, average: 12 } });
        let green = running.green.expect("a server");
        assert_eq!(green.address, Some("[::1]:1".parse().expect("an address")));
        assert_eq!(green.mode, Mode::Maint);
        let flags = [("match-0-blue", Mode::Maint), ("match-0-green", Mode::Ready)];
        assert_eq!(running.flags, BTreeMap::from(flags.map(|(name, mode)| (name.to_owned(), mode))));
        assert_eq!(backend_names(STATE), ["other", "pleach-a"]);
        assert!(parse_running("pleach-b", STATE, STAT).expect("two tables").is_absent());
        assert_eq!(parse_running("pleach-a", "Permission denied\n", STAT), None);
    }

    #[test]
    fn a_worker_is_named_by_its_process() {
        let info = "Name: HAProxy\nVersion: 2.6.12\nNode: Pid: 4\nPid: 77\nUptime: 0d 0h01m02s\nUptime_sec: 62\n";
        assert_eq!(parse_worker(info), Some(Worker { pid: 77, uptime: 62, version: "2.6.12".into() }));
        assert_eq!(parse_worker("Unknown command"), None);
    }
}

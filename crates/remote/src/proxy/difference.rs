//! What is not as it is wanted, in words, and the commands that make it so. Pure.

use std::cmp::Reverse;

use super::backend::{Backend, Server, Slot};
use super::running::{Mode, Running, RunningServer};

/// What differs between a service as it is wanted and as it runs; empty if nothing does.
pub fn differences(wanted: &Backend, running: &Running) -> Vec<String> {
    let Backend { name, bind, .. } = wanted;
    if running.is_absent() {
        return vec![format!("HAProxy runs nothing named `{name}`")];
    }
    let mut told = Vec::new();
    if needs_bind(wanted, running) {
        let binds: Vec<String> = running.binds.iter().map(ToString::to_string).collect();
        let listens = if binds.is_empty() { "nowhere".to_owned() } else { format!("on {}", binds.join(", ")) };
        told.push(format!("the frontend is to listen on {bind}, and listens {listens}"));
    }
    for slot in Slot::ALL {
        let server = wanted.server(slot);
        match running.server(slot) {
            None => told.push(format!("HAProxy has no server `{slot}` in `{name}`")),
            Some(runs) if agrees(server, runs) => {}
            Some(runs) => told.push(format!("`{slot}` is to be {server}, and is {}", describe(runs))),
        }
    }
    told
}

/// Whether only a reload brings what is wanted: run-time commands make neither frontends nor backends.
pub(super) fn needs_reload(wanted: &Backend, running: &Running) -> bool {
    needs_bind(wanted, running) || Slot::ALL.iter().any(|slot| running.server(*slot).is_none())
}

fn needs_bind(wanted: &Backend, running: &Running) -> bool {
    running.binds.is_empty() || !running.binds.iter().all(|address| wanted.bind.is_at(*address))
}

fn agrees(wanted: &Server, runs: &RunningServer) -> bool {
    match wanted {
        // Where nothing is sent, address and weight do not matter.
        Server::Unused => runs.mode == Mode::Maint,
        Server::Used { address, weight } => {
            runs.mode == Mode::Ready && runs.address == Some(*address) && runs.weight == weight.get()
        }
    }
}

/// A server that runs, in words.
pub(super) fn describe(runs: &RunningServer) -> String {
    let address = runs.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    let weight = runs.weight;
    match runs.mode {
        Mode::Ready => format!("{address} with weight {weight}"),
        Mode::Drain => format!("{address} with weight {weight} and drained by hand"),
        Mode::Maint => "unused".to_owned(),
    }
}

/// The line of commands that makes it so, whatever was before.
///
/// One line, because amid a reload each connection may come to another worker: one that was told a half of it would have no
/// server to send requests to. In it who gains requests comes first, so that each moment has a server that takes them, if there
/// is one before and after.
pub(super) fn commands(wanted: &Backend) -> String {
    let mut slots = Slot::ALL;
    slots.sort_by_key(|slot| Reverse(wanted.server(*slot).weight()));
    let mut commands = Vec::new();
    for slot in slots {
        let name = format!("set server {}/{slot}", wanted.name);
        match wanted.server(slot) {
            Server::Unused => commands.push(format!("{name} state maint")),
            // The state last: by then address and weight are right.
            Server::Used { address, weight } => commands.extend([
                format!("{name} addr {} port {}", address.ip(), address.port()),
                format!("{name} weight {weight}"),
                format!("{name} state ready"),
            ]),
        }
    }
    commands.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::running::Counts;

    fn used(port: u16, weight: u16) -> Server {
        Server::Used { address: ([127, 0, 0, 1], port).into(), weight: weight.try_into().expect("a weight") }
    }

    fn wanted(blue: Server, green: Server) -> Backend {
        Backend {
            name: "pleach-a".parse().expect("a name"),
            bind: "127.0.0.1:80".parse().expect("an address"),
            blue,
            green,
        }
    }

    fn runs(port: u16, weight: u16, mode: Mode) -> Option<RunningServer> {
        let address = Some(([127, 0, 0, 1], port).into());
        Some(RunningServer { address, weight, mode, sessions: 0, counts: Counts::default() })
    }

    fn running(blue: Option<RunningServer>, green: Option<RunningServer>) -> Running {
        Running { binds: vec![([127, 0, 0, 1], 80).into()], blue, green }
    }

    #[test]
    fn who_gains_requests_is_told_before_who_loses_them_and_in_one_line() {
        assert_eq!(
            commands(&wanted(used(1, 0), used(2, 256))),
            "set server pleach-a/green addr 127.0.0.1 port 2; set server pleach-a/green weight 256; \
             set server pleach-a/green state ready; set server pleach-a/blue addr 127.0.0.1 port 1; \
             set server pleach-a/blue weight 0; set server pleach-a/blue state ready"
        );
        assert!(commands(&wanted(Server::Unused, used(2, 256))).ends_with("; set server pleach-a/blue state maint"));
    }

    #[test]
    fn each_difference_is_told_with_both_sides() {
        let want = wanted(used(1, 256), Server::Unused);
        assert_eq!(differences(&want, &Running::default()), ["HAProxy runs nothing named `pleach-a`"]);
        let now = running(runs(1, 256, Mode::Drain), runs(9, 0, Mode::Maint));
        assert_eq!(
            differences(&want, &now),
            ["`blue` is to be 127.0.0.1:1 with weight 256, and is 127.0.0.1:1 with weight 256 and drained by hand"]
        );
        assert!(!needs_reload(&want, &now));
        let mut elsewhere = now;
        elsewhere.binds = vec![([127, 0, 0, 1], 81).into()];
        assert!(needs_reload(&want, &elsewhere));
        assert_eq!(
            differences(&want, &elsewhere)[0],
            "the frontend is to listen on 127.0.0.1:80, and listens on 127.0.0.1:81"
        );
    }
}

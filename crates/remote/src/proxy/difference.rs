//! What is not as it is wanted, in words, and the commands that make it so. Pure.

use std::cmp::Reverse;

use super::backend::{Backend, Server, Slot};
use super::matching::Matched;
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
    told.extend(different_match(wanted, running));
    told
}

/// What differs of the rules for requests that ask for a server. Rules that nobody wants and that do not count are none.
fn different_match(wanted: &Backend, running: &Running) -> Option<String> {
    let Backend { name, matched, .. } = wanted;
    if !has_rules(wanted, running) {
        let matched = matched.as_ref()?;
        return Some(format!("HAProxy has no rule in `{name}` for requests with {}", matched.matching));
    }
    let changed =
        flag_states(wanted, running).into_iter().find(|(flag, mode)| running.flags.get(flag) != Some(mode))?;
    let of = matched.as_ref().filter(|matched| Slot::ALL.iter().any(|slot| matched.matching.flag(*slot) == changed.0));
    let requests =
        of.map_or_else(|| format!("requests by rule `{}`", changed.0), |of| format!("requests with {}", of.matching));
    let to = wanted.matched_to().map_or_else(|| "by their weights".to_owned(), |slot| format!("to `{slot}`"));
    Some(format!("{requests} are to go {to}, and HAProxy has `{}` otherwise", changed.0))
}

fn has_rules(wanted: &Backend, running: &Running) -> bool {
    let Some(matched) = &wanted.matched else { return true };
    matched.flags().iter().all(|(flag, _)| running.flags.contains_key(flag))
}

/// How each flag is to be, of those that are wanted and of those that are there; those first whose rule does not count.
fn flag_states(wanted: &Backend, running: &Running) -> Vec<(String, Mode)> {
    let wanted: Vec<_> = wanted.matched.as_ref().map(Matched::flags).unwrap_or_default();
    let others = running.flags.keys().filter(|flag| wanted.iter().all(|(own, _)| own != *flag));
    let others: Vec<_> = others.map(|flag| (flag.clone(), false)).collect();
    let mode = |counts: bool| if counts { Mode::Ready } else { Mode::Maint };
    others.into_iter().chain(wanted).map(|(flag, counts)| (flag, mode(counts))).collect()
}

/// Whether only a reload brings what is wanted: run-time commands make neither frontends nor backends.
pub(super) fn needs_reload(wanted: &Backend, running: &Running) -> bool {
    needs_bind(wanted, running)
        || !has_rules(wanted, running)
        || Slot::ALL.iter().any(|slot| running.server(*slot).is_none())
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
/// is one before and after. A rule that counts no more is told so before its server is changed, one that is to count after.
pub(super) fn commands(wanted: &Backend, running: &Running) -> String {
    let mut slots = Slot::ALL;
    slots.sort_by_key(|slot| Reverse(wanted.server(*slot).weight()));
    let (counting, not): (Vec<_>, Vec<_>) =
        flag_states(wanted, running).into_iter().partition(|(_, mode)| *mode == Mode::Ready);
    let state = |flags: Vec<(String, Mode)>, state| {
        let name = &wanted.name;
        flags.into_iter().map(move |(flag, _)| format!("set server {name}/{flag} state {state}"))
    };
    let mut commands: Vec<String> = state(not, "maint").collect();
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
    commands.extend(state(counting, "ready"));
    commands.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Matching;
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
            matched: None,
        }
    }

    fn runs(port: u16, weight: u16, mode: Mode) -> Option<RunningServer> {
        let address = Some(([127, 0, 0, 1], port).into());
        Some(RunningServer { address, weight, mode, sessions: 0, counts: Counts::default() })
    }

    fn running(blue: Option<RunningServer>, green: Option<RunningServer>) -> Running {
        Running { binds: vec![([127, 0, 0, 1], 80).into()], blue, green, ..Running::default() }
    }

    #[test]
    fn who_gains_requests_is_told_before_who_loses_them_and_in_one_line() {
        assert_eq!(
            commands(&wanted(used(1, 0), used(2, 256)), &Running::default()),
            "set server pleach-a/green addr 127.0.0.1 port 2; set server pleach-a/green weight 256; \
             set server pleach-a/green state ready; set server pleach-a/blue addr 127.0.0.1 port 1; \
             set server pleach-a/blue weight 0; set server pleach-a/blue state ready"
        );
        let one = commands(&wanted(Server::Unused, used(2, 256)), &Running::default());
        assert!(one.ends_with("; set server pleach-a/blue state maint"));
    }

    fn matched(json: &str, to: Option<Slot>) -> Matched {
        let matching = Matching::of(&serde_json::from_str(json).expect("a match")).expect("one");
        Matched { matching, to }
    }

    #[test]
    fn a_rule_counts_once_its_server_is_right_and_no_more_before_that_is_changed() {
        let matched = matched(r#"{ "header": "X-Canary" }"#, Some(Slot::Green));
        let [blue, green] = Slot::ALL.map(|slot| matched.matching.flag(slot));
        let asked = Backend { matched: Some(matched), ..wanted(used(1, 100), used(2, 0)) };
        let told = commands(&asked, &Running::default());
        assert!(
            told.starts_with(&format!("set server pleach-a/{blue} state maint; set server pleach-a/blue addr")),
            "{told}"
        );
        assert!(told.ends_with(&format!("; set server pleach-a/{green} state ready")), "{told}");
        let mut now = running(runs(1, 100, Mode::Ready), runs(2, 0, Mode::Ready));
        assert!(needs_reload(&asked, &now));
        assert_eq!(
            differences(&asked, &now),
            ["HAProxy has no rule in `pleach-a` for requests with header `X-Canary`"]
        );
        now.flags = [(blue.clone(), Mode::Maint), (green.clone(), Mode::Maint)].into();
        assert!(!needs_reload(&asked, &now));
        assert_eq!(differences(&asked, &now).len(), 1);
        now.flags.insert(green.clone(), Mode::Ready);
        assert_eq!(differences(&asked, &now), Vec::<String>::new());
        // A rule that the file does not have any more is told that it counts no more, and needs no reload.
        let none = wanted(used(1, 100), used(2, 0));
        assert!(!needs_reload(&none, &now));
        assert_eq!(differences(&none, &now).len(), 1);
        assert!(
            commands(&none, &now)
                .contains(&format!("set server pleach-a/{green} state maint; set server pleach-a/blue addr"))
        );
        now.flags.insert(green, Mode::Maint);
        assert_eq!(differences(&none, &now), Vec::<String>::new());
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

//! Where everything stands, as a table.

use jiff::Timestamp;

use pleach_remote::watchdog::WatchdogPhase;

use super::{Health, Life, ServiceStanding, Standing, WatchdogStanding};
use crate::args::Globals;
use crate::print::{Cell, Paint, Style, Table, ago_text, stdout_columns};
use crate::progress::outcome_word;

/// The services as a table.
pub(crate) fn table(standing: &Standing, now: Timestamp, globals: &Globals) -> String {
    table_for(standing, now, Paint::of_stdout(globals.color), stdout_columns())
}

fn table_for(standing: &Standing, now: Timestamp, paint: Paint, columns: Option<usize>) -> String {
    let first = standing.services.first().map(|service| &service.environment);
    let one_environment = standing.services.iter().all(|service| Some(&service.environment) == first);
    let mut heading = vec!["SERVICE", "TARGET", "STATE", "HEALTH", "RELEASE", "SINCE", "ADDRESS"];
    if !one_environment {
        heading.insert(0, "ENVIRONMENT");
    }
    let mut table = Table::new(heading);
    for service in &standing.services {
        let mut cells = row(service, now);
        if !one_environment {
            cells.insert(0, service.environment.as_str().into());
        }
        table.row(cells);
    }
    table.text(paint, columns)
}

fn row(service: &ServiceStanding, now: Timestamp) -> Vec<Cell> {
    let address = match (&service.address, &service.note) {
        (Some(address), Some(note)) => format!("{address} ({note})"),
        (Some(address), None) => address.clone(),
        (None, Some(note)) => note.clone(),
        (None, None) => "-".to_owned(),
    };
    vec![
        Cell::styled(Style::Bold, service.service.as_str()),
        service.target.as_str().into(),
        Cell::styled(life_style(service.state), life_word(service.state)),
        health_cell(service.health),
        service.release.as_ref().map_or("-", |release| release.as_str()).into(),
        service.since.map_or("-".to_owned(), |since| ago_text(since, now)).into(),
        address.into(),
    ]
}

fn health_cell(health: Health) -> Cell {
    match health {
        Health::Healthy => Cell::styled(Style::Good, "healthy"),
        Health::Unhealthy => Cell::styled(Style::Bad, "unhealthy"),
        Health::Unchecked => Cell::styled(Style::Dim, "-"),
    }
}

/// A state in a word.
pub(crate) fn life_word(life: Life) -> &'static str {
    match life {
        Life::Running => "running",
        Life::Placed => "placed",
        Life::Stopped => "stopped",
        Life::Down => "DOWN",
        Life::Absent => "not deployed",
        Life::Unknown => "unknown",
    }
}

/// How a state stands out.
pub(crate) fn life_style(life: Life) -> Style {
    match life {
        Life::Running | Life::Placed => Style::Good,
        Life::Stopped | Life::Absent => Style::Dim,
        Life::Down => Style::Bad,
        Life::Unknown => Style::Busy,
    }
}

/// Runs that need somebody, and leases, each in a line; nothing if there are none.
pub(crate) fn extras(standing: &Standing, now: Timestamp, paint: Paint) -> String {
    let mut text = String::new();
    for run in &standing.unfinished {
        let (what, next) = match run.outcome {
            None if run.working => {
                ("is at work".to_owned(), format!("watch it with `pleach status {} --watch`", run.environment))
            }
            None => ("stopped before its end".to_owned(), format!("`pleach resume {}`", run.run)),
            Some(outcome) => (
                outcome_word(outcome).to_owned(),
                format!("`pleach report {0}` tells why; `pleach resume {0}` goes on", run.run),
            ),
        };
        let head = paint.paint(Style::Busy, format!("run {} in `{}` {what}", run.run, run.environment));
        text.push_str(&format!("{head} (started {})\n  next: {next}\n", ago_text(run.started, now)));
    }
    for watchdog in &standing.watchdogs {
        text.push_str(&watchdog_text(watchdog, standing, now, paint));
    }
    for lease in &standing.leases {
        let life = if lease.alive { "" } else { "; that process is gone, and the next run takes over" };
        text.push_str(&format!(
            "lease of `{}` in `{}`: held by {}, taken {}: {}{life}\n",
            lease.target,
            lease.environment,
            lease.holder,
            ago_text(lease.since, now),
            lease.reason
        ));
    }
    text
}

fn watchdog_text(watchdog: &WatchdogStanding, standing: &Standing, now: Timestamp, paint: Paint) -> String {
    let WatchdogStanding { environment, target, run, .. } = watchdog;
    let at_work = standing.unfinished.iter().any(|other| other.run == *run && other.working);
    let unless = format!(
        "keep what is there with `pleach confirm {environment}`, go back now with `pleach rollback {environment}`"
    );
    let (what, next) = match watchdog.phase {
        WatchdogPhase::Armed if at_work => return String::new(),
        WatchdogPhase::Armed => {
            let left = watchdog.expires.duration_since(now).as_secs().max(0);
            (format!("takes itself back in {left} s unless somebody confirms"), unless)
        }
        WatchdogPhase::Fired => (
            "takes itself back now: nobody confirmed in time".to_owned(),
            format!("look again with `pleach status {environment}`"),
        ),
        WatchdogPhase::Restored => {
            let since = ago_text(watchdog.expires, now);
            (
                format!("took itself back {since}: nobody had confirmed"),
                format!("end the run with `pleach rollback {environment}`"),
            )
        }
        _ => (
            "did not take itself back: a newer lease had been given".to_owned(),
            format!("see what is there with `pleach verify {environment}`"),
        ),
    };
    let head = paint.paint(Style::Busy, format!("`{target}` in `{environment}` {what}"));
    format!("{head} (run {run})\n  next: {next}\n")
}

#[cfg(test)]
mod tests {
    use super::super::{LeaseStanding, RunStanding};
    use super::*;

    fn service(name: &str, state: Life, health: Health) -> ServiceStanding {
        let there = state == Life::Running;
        ServiceStanding {
            environment: "local".parse().expect("a name"),
            service: name.parse().expect("a name"),
            target: "here".parse().expect("a name"),
            release: there.then(|| "0007-ab12cd34".parse().expect("a name")),
            commit: None,
            state,
            health,
            address: there.then(|| "http://127.0.0.1:8101".to_owned()),
            since: there.then(|| Timestamp::from_second(900).expect("in range")),
            note: (state == Life::Unknown).then(|| "it gave no answer within 5 s".to_owned()),
        }
    }

    #[test]
    fn the_table_and_what_needs_somebody() {
        let now = Timestamp::from_second(1000).expect("in range");
        let standing = Standing {
            services: vec![
                service("pr-review", Life::Running, Health::Healthy),
                service("nl-sql", Life::Absent, Health::Unchecked),
                service("odoo-rpc", Life::Unknown, Health::Unchecked),
            ],
            unfinished: vec![RunStanding {
                run: "20261121-072804-ab12cd34ef56".parse().expect("a name"),
                environment: "local".parse().expect("a name"),
                started: now,
                outcome: None,
                working: false,
            }],
            leases: vec![LeaseStanding {
                environment: "local".parse().expect("a name"),
                target: "here".parse().expect("a name"),
                run: "20261121-072804-ab12cd34ef56".parse().expect("a name"),
                holder: "ada on engine (process 7)".to_owned(),
                reason: "deploys run 20261121-072804-ab12cd34ef56".to_owned(),
                since: now,
                expires: now,
                alive: false,
            }],
            watchdogs: vec![WatchdogStanding {
                environment: "prod".parse().expect("a name"),
                target: "vm1".parse().expect("a name"),
                run: "20261121-072804-ab12cd34ef56".parse().expect("a name"),
                phase: WatchdogPhase::Armed,
                expires: Timestamp::from_second(1090).expect("in range"),
                journal: Vec::new(),
            }],
        };
        let text = format!("{}{}", table_for(&standing, now, Paint::Plain, None), extras(&standing, now, Paint::Plain));
        insta::assert_snapshot!(text);
    }
}

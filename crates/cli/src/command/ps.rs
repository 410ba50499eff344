//! `pleach ps`: every process that Pleach keeps running in an environment.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use pleach_core::word::{EnvironmentName, ReleaseId, ServiceName, TargetName};
use pleach_remote::directory::{InstanceState, ReleaseProcess, RouterProcess, ServiceProcesses, service_processes};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, ago_text, answer, bytes_text, place_text, stdout_columns, tell_failure};
use crate::project::Project;
use crate::standing::{TargetReader, readers, within_limit};

/// Arguments of `pleach ps`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A target that cannot be read is told on standard error and hides no other; the exit code is 0 as \
    with `pleach status`. MEMORY is what the process group has resident."
)]
pub(crate) struct Args {
    /// Where; everywhere if absent
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// Only these; all of the environment's if none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    #[command(flatten)]
    on: On,
}

/// One process of a service, or the one that its current release should have.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    service: ServiceName,
    environment: EnvironmentName,
    target: TargetName,
    release: ReleaseId,
    state: InstanceState,
    pid: Option<u32>,
    since: Timestamp,
    restarts: u32,
    /// The address that it listens on itself.
    address: String,
    /// The public address that leads to it.
    public: Option<String>,
    /// The process that leads there.
    router: Option<u32>,
    memory_bytes: Option<u64>,
    /// What a person should know besides.
    note: Option<String>,
}

/// What could not be read: a whole target, or one service there.
#[derive(Clone, Debug, Serialize)]
struct Unread {
    environment: EnvironmentName,
    target: TargetName,
    service: Option<ServiceName>,
    failure: Failure,
}

#[derive(Default, Serialize)]
struct Listing {
    processes: Vec<Row>,
    unread: Vec<Unread>,
}

/// Reads every target side by side, and lists what runs.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, args.environment.as_ref(), &args.on)?;
    if let Some(environment) = &args.environment {
        project.require_environment(environment)?;
    }
    project.require_services(&args.services)?;
    let listing = block_on(list(&project, &args))?;
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(&listing).unwrap_or_default()));
        return Ok(Exit::DONE);
    }
    if listing.processes.is_empty() {
        let place = args.environment.as_ref().map(|environment| format!(" in `{environment}`")).unwrap_or_default();
        answer(&format!("no process that Pleach keeps running{place}\n"));
    } else {
        let (asked, now) = (args.environment.as_ref(), project.workspace.now());
        answer(&text(&listing.processes, asked, now, Paint::of_stdout(globals.color), stdout_columns()));
    }
    for unread in listing.unread {
        tell_failure(&told(unread), Paint::of_stderr(globals.color));
    }
    Ok(Exit::DONE)
}

async fn list(project: &Project, args: &Args) -> Result<Listing, Ended> {
    let mut reading = JoinSet::new();
    for reader in readers(project, args.environment.as_ref())? {
        reading.spawn(async move { ((reader.environment.clone(), reader.name.clone()), read(&reader).await) });
    }
    let configured: BTreeSet<&ServiceName> = project.config.services.keys().collect();
    let wanted = |service: &ServiceName| args.services.is_empty() || args.services.contains(service);
    let mut listing = Listing::default();
    for ((environment, target), read) in reading.join_all().await {
        let unread =
            |service, failure| Unread { environment: environment.clone(), target: target.clone(), service, failure };
        match read {
            Err(failure) => listing.unread.push(unread(None, failure)),
            Ok(services) => {
                for (service, processes) in services.into_iter().filter(|(service, _)| wanted(service)) {
                    match processes {
                        // Another environment may lie at the same place.
                        Ok(one) if one.environment.as_ref().is_none_or(|name| *name == environment) => {
                            let place = (&environment, &target);
                            listing.processes.extend(rows(&one, place, configured.contains(&service)));
                        }
                        Ok(_) => {}
                        Err(failure) => listing.unread.push(unread(Some(service), failure)),
                    }
                }
            }
        }
    }
    let place = |row: &Row| (row.environment.clone(), row.service.clone(), row.target.clone(), row.release.clone());
    listing.processes.sort_by_key(place);
    listing.unread.sort_by_key(|one| (one.environment.clone(), one.target.clone(), one.service.clone()));
    Ok(listing)
}

type Read = Vec<(ServiceName, Result<ServiceProcesses, Failure>)>;

async fn read(reader: &TargetReader) -> Result<Read, Failure> {
    let Some(root) = reader.root() else { return Ok(Vec::new()) };
    let read = async {
        let target = reader.require_target()?;
        match target.files() {
            Some(files) => service_processes(files, target.shell(), root).await,
            None => Ok(Vec::new()),
        }
    };
    within_limit(read).await
}

fn rows(
    service: &ServiceProcesses,
    (environment, target): (&EnvironmentName, &TargetName),
    configured: bool,
) -> Vec<Row> {
    let routed = |process: &ReleaseProcess| {
        let is_current = service.current.as_ref() == Some(&process.release);
        service.routers.iter().find(|router| is_current && Some(&router.address) == service.wanted.as_ref())
    };
    let shown = service.processes.iter().filter(|process| {
        // A current release that was stopped on purpose has no router and no process.
        process.state.is_up() || routed(process).is_some() || service.is_project
    });
    shown
        .map(|process| {
            let router = routed(process);
            Row {
                service: service.service.clone(),
                environment: environment.clone(),
                target: target.clone(),
                release: process.release.clone(),
                state: process.state,
                pid: process.pid,
                since: process.since,
                restarts: process.restarts,
                address: joined(&process.address),
                public: router.map(|router| joined(&router.address)).or_else(|| led(service, process)),
                router: router.map(|router| router.pid),
                memory_bytes: process.memory_bytes,
                note: note(service, process, router, configured),
            }
        })
        .collect()
}

/// The public address, where the target's proxy leads from there.
fn led(service: &ServiceProcesses, process: &ReleaseProcess) -> Option<String> {
    service.wanted.as_ref().filter(|_| is_led_to(service, process)).map(joined)
}

fn is_led_to(service: &ServiceProcesses, process: &ReleaseProcess) -> bool {
    let is_asked_for = service.matched.as_ref().is_some_and(|matched| matched.release == process.release);
    is_asked_for || share(service, process).is_some_and(|share| share > 0)
}

/// So many of a hundred requests go to it; nothing is known of a router of Pleach's own.
fn share(service: &ServiceProcesses, process: &ReleaseProcess) -> Option<u8> {
    service.led.as_ref().map(|led| led.get(&process.release).copied().unwrap_or_default())
}

fn joined((host, port): &(String, u16)) -> String {
    format!("{host}:{port}")
}

fn note(
    service: &ServiceProcesses,
    process: &ReleaseProcess,
    router: Option<&RouterProcess>,
    configured: bool,
) -> Option<String> {
    let mut notes = Vec::new();
    if service.current.as_ref() != Some(&process.release) {
        notes.push("not the current release".to_owned());
    } else if share(service, process) == Some(0) {
        notes.push("the proxy does not lead to it".to_owned());
    } else if service.wanted.is_some() && router.is_none() && service.led.is_none() {
        notes.push("its router is gone: nobody leads to its port".to_owned());
    }
    let asked = service.matched.as_ref().filter(|matched| matched.release == process.release);
    match (share(service, process), asked) {
        (Some(share), Some(asked)) => {
            notes.push(format!("has {share}% of the requests and all with {}", asked.matching))
        }
        (Some(share @ 1..100), None) => notes.push(format!("has {share}% of the requests")),
        _ => {}
    }
    let last_end = process.last_end.as_deref().unwrap_or("ended");
    match process.state {
        InstanceState::Orphaned => notes.push("its supervisor is gone: nobody starts it again if it ends".to_owned()),
        InstanceState::Restarting => notes.push(format!("it {last_end}, and is started again")),
        InstanceState::Ending => notes.push("it was asked to end".to_owned()),
        InstanceState::Stopped if service.is_project => notes.push(format!("it {last_end}")),
        InstanceState::Stopped => notes.push("it is gone, and nobody starts it again".to_owned()),
        InstanceState::Running if process.restarts > 0 => notes.push(format!("it last {last_end}")),
        InstanceState::Running => {}
    }
    notes.extend(process.unwell.clone());
    notes.extend(process.container.as_ref().map(|name| format!("container `{name}`")));
    if !configured {
        notes.push("no longer in pleach.toml".to_owned());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

fn text(rows: &[Row], asked: Option<&EnvironmentName>, now: Timestamp, paint: Paint, columns: Option<usize>) -> String {
    let heading = ["SERVICE", "TARGET", "RELEASE", "PID", "SINCE", "RESTARTS", "PORT", "PUBLIC", "MEMORY"];
    let noted = rows.iter().any(|row| row.note.is_some());
    let mut table = Table::new(heading.into_iter().chain(noted.then_some("NOTE")));
    for row in rows {
        let style = match row.state {
            InstanceState::Running => Style::Good,
            InstanceState::Restarting | InstanceState::Ending | InstanceState::Orphaned => Style::Busy,
            InstanceState::Stopped => Style::Bad,
        };
        let port = row.address.rsplit(':').next().filter(|port| *port != "0").unwrap_or("-").to_owned();
        let mut cells: Vec<Cell> = vec![
            Cell::styled(Style::Bold, row.service.as_str()),
            place_text(asked, &row.environment, &row.target).into(),
            row.release.as_str().into(),
            Cell::styled(style, row.pid.map_or("-".to_owned(), |pid| pid.to_string())),
            ago_text(row.since, now).into(),
            row.restarts.to_string().into(),
            port.into(),
            row.public.as_deref().unwrap_or("-").into(),
            row.memory_bytes.map_or("-".to_owned(), bytes_text).into(),
        ];
        if noted {
            cells.push(row.note.as_deref().unwrap_or("").into());
        }
        table.row(cells);
    }
    table.text(paint, columns)
}

/// The target, why it was not read, and how to see more.
fn told(unread: Unread) -> Failure {
    let Unread { environment, target, service, failure } = unread;
    let what = match service {
        Some(service) => format!("could not read the processes of `{service}` on `{target}`"),
        None => format!("could not read the processes on `{target}`"),
    };
    let mut told = Failure::new(Kind::UnknownOutcome, what);
    told.because = failure.causes();
    told.state("it is not known what runs there")
        .next(failure.next.unwrap_or_else(|| format!("`pleach doctor {environment}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(state: InstanceState) -> ServiceProcesses {
        let release = ReleaseId::new("0007-ab12cd34").expect("a release");
        let address = ("127.0.0.1".to_owned(), 8101);
        ServiceProcesses {
            service: ServiceName::new("api").expect("a name"),
            environment: None,
            current: Some(release.clone()),
            wanted: Some(address.clone()),
            led: None,
            matched: None,
            is_project: false,
            processes: vec![ReleaseProcess {
                release,
                state,
                container: None,
                pid: state.is_up().then_some(42),
                since: Timestamp::UNIX_EPOCH,
                restarts: 0,
                last_end: None,
                unwell: None,
                address: ("127.0.0.1".to_owned(), 40_000),
                memory_bytes: Some(5_242_880),
            }],
            routers: vec![RouterProcess { pid: 7, address, since: Timestamp::UNIX_EPOCH, refused: 0 }],
        }
    }

    #[test]
    fn what_is_missing_of_supervisor_router_and_process_is_told_and_what_was_stopped_is_no_row() {
        let place = (EnvironmentName::new("uat").expect("a name"), TargetName::new("here").expect("a name"));
        let one = |state, routed: bool| {
            let mut service = service(state);
            if !routed {
                service.routers.clear();
            }
            rows(&service, (&place.0, &place.1), true)
        };
        let note = |state, routed| one(state, routed)[0].note.clone().unwrap_or_default();
        assert_eq!(note(InstanceState::Running, true), "");
        assert!(note(InstanceState::Running, false).starts_with("its router is gone"));
        assert!(note(InstanceState::Orphaned, true).starts_with("its supervisor is gone"));
        assert!(note(InstanceState::Stopped, true).starts_with("it is gone"));
        assert!(one(InstanceState::Stopped, false).is_empty());
        let text = |asked| text(&one(InstanceState::Running, true), asked, Timestamp::UNIX_EPOCH, Paint::Plain, None);
        assert!(text(None).contains("api      uat/here  0007-"), "{}", text(None));
        assert_eq!(
            text(Some(&place.0)),
            "SERVICE  TARGET  RELEASE        PID  SINCE     RESTARTS  PORT   PUBLIC          MEMORY\n\
             api      here    0007-ab12cd34  42   just now  0         40000  127.0.0.1:8101  5.2 MB\n"
        );
    }
}

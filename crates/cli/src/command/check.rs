//! `pleach check`: what is on the targets, compared with what was deployed.

use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};
use pleach_git::GitSource;
use pleach_remote::directory::{CheckScope, Finding, ServiceIntegrity, check_service};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, answer, narrate, place_text, stdout_columns, tell_failure};
use crate::project::Project;
use crate::standing::{TargetReader, readers, within};

/// Hashing all releases of a target may take so long.
const LIMIT: Duration = Duration::from_secs(600);

/// Arguments of `pleach check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Compares files, images, containers, restore points and the proxy with what was deployed. It only reads and takes \
    no lease, also while somebody deploys. The exit code is the number of differences, and of what could not be compared, at \
    most 99; that is told on standard error and hides nothing else."
)]
pub(crate) struct Args {
    /// Where to look; everywhere if absent
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// Only these services
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',')]
    only: Vec<ServiceName>,
    #[command(flatten)]
    on: On,
}

/// One difference of one service on one target.
#[derive(Serialize)]
struct Row {
    service: ServiceName,
    environment: EnvironmentName,
    target: TargetName,
    #[serde(flatten)]
    finding: Finding,
}

/// What could not be compared: a target, or something of one service there.
#[derive(Serialize)]
struct Unread {
    environment: EnvironmentName,
    target: TargetName,
    service: Option<ServiceName>,
    failure: Failure,
}

/// All that was compared.
#[derive(Default, Serialize)]
struct Integrity {
    /// Services on targets.
    services: usize,
    releases: usize,
    files: usize,
    findings: Vec<Row>,
    unread: Vec<Unread>,
}

/// Compares all targets side by side. The exit code is the number of differences and of what could not be compared.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, args.environment.as_ref(), &args.on)?;
    project.require_services(&args.only)?;
    let integrity = block_on(check(&project, &args))?;
    let (found, unread) = (integrity.findings.len(), integrity.unread.len());
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(&integrity).unwrap_or_default()));
        return Ok(Exit::failed_checks(found + unread));
    }
    if found > 0 {
        answer(&text(
            &integrity.findings,
            args.environment.as_ref(),
            Paint::of_stdout(globals.color),
            stdout_columns(),
        ));
    } else {
        answer("no difference was found\n");
    }
    narrate(&summary(&integrity));
    for unread in integrity.unread {
        tell_failure(&told(unread), Paint::of_stderr(globals.color));
    }
    Ok(Exit::failed_checks(found + unread))
}

async fn check(project: &Project, args: &Args) -> Result<Integrity, Ended> {
    let mut checking = JoinSet::new();
    for reader in readers(project, args.environment.as_ref())? {
        let is_wanted = |service: &ServiceName| args.only.is_empty() || args.only.contains(service);
        let services: Vec<ServiceName> = reader.services().filter(|service| is_wanted(service)).cloned().collect();
        let source = GitSource::new(project.workspace.repository.clone());
        checking.spawn(async move {
            let place = Place { environment: reader.environment.clone(), target: reader.name.clone() };
            (place, check_target(&reader, &services, &source).await)
        });
    }
    let mut integrity = Integrity::default();
    for (place, checked) in checking.join_all().await {
        match checked {
            Ok(services) => {
                services.into_iter().for_each(|(service, checked)| integrity.add(&place, service, checked));
            }
            Err(failure) => integrity.unread.push(place.unread(None, failure)),
        }
    }
    integrity.findings.sort_by_key(|one| (one.environment.clone(), one.service.clone(), one.target.clone()));
    integrity.unread.sort_by_key(|one| (one.environment.clone(), one.target.clone(), one.service.clone()));
    Ok(integrity)
}

/// A target of an environment.
struct Place {
    environment: EnvironmentName,
    target: TargetName,
}

impl Place {
    fn unread(&self, service: Option<ServiceName>, failure: Failure) -> Unread {
        Unread { environment: self.environment.clone(), target: self.target.clone(), service, failure }
    }
}

impl Integrity {
    fn add(&mut self, place: &Place, service: ServiceName, checked: Result<ServiceIntegrity, Failure>) {
        let unread = |failure| place.unread(Some(service.clone()), failure);
        match checked {
            Ok(checked) => {
                self.services += 1;
                self.releases += checked.releases;
                self.files += checked.files;
                self.unread.extend(checked.unread.into_iter().map(unread));
                let Place { environment, target } = place;
                let (environment, target) = (environment.clone(), target.clone());
                let row = |finding| Row {
                    service: service.clone(),
                    environment: environment.clone(),
                    target: target.clone(),
                    finding,
                };
                self.findings.extend(checked.findings.into_iter().map(row));
            }
            Err(failure) => self.unread.push(unread(failure)),
        }
    }
}

type Checked = Vec<(ServiceName, Result<ServiceIntegrity, Failure>)>;

/// One service after the other: they lie on the same disk.
async fn check_target(reader: &TargetReader, services: &[ServiceName], source: &GitSource) -> Result<Checked, Failure> {
    let Some(root) = reader.root() else { return Ok(Vec::new()) };
    let target = reader.require_target()?;
    let Some(files) = target.files() else { return Ok(Vec::new()) };
    let scope = CheckScope {
        environment: &reader.environment,
        root,
        files,
        shell: target.shell(),
        source,
        program: reader.program().map(std::path::Path::new),
        reach: reader.reach(),
    };
    // Asked once for all of its services.
    files.stat(root).await?;
    let mut checked = Vec::new();
    for service in services {
        checked.push((service.clone(), within(LIMIT, check_service(&scope, service)).await));
    }
    Ok(checked)
}

fn summary(integrity: &Integrity) -> String {
    let Integrity { services, releases, files, findings, unread } = integrity;
    let count = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let compared =
        format!("{}, {}, {} compared", count(*services, "service"), count(*releases, "release"), count(*files, "file"));
    format!("{compared}: {} found, {} not compared", count(findings.len(), "difference"), unread.len())
}

fn text(rows: &[Row], asked: Option<&EnvironmentName>, paint: Paint, columns: Option<usize>) -> String {
    let mut table = Table::new(["SERVICE", "TARGET", "DIFFERENCE"]);
    for Row { service, environment, target, finding } in rows {
        table.row([
            Cell::styled(Style::Bold, service.as_str()),
            place_text(asked, environment, target).into(),
            Cell::styled(Style::Bad, format!("{}: {}; next: {}", finding.what, finding.because, finding.next)),
        ]);
    }
    table.text(paint, columns)
}

/// The target, why it was not read, and how to see more.
fn told(unread: Unread) -> Failure {
    let Unread { environment, target, service, failure } = unread;
    let what = match service {
        Some(service) => format!("could not check all of `{service}` on `{target}`"),
        None => format!("could not check `{target}`"),
    };
    let mut told = Failure::new(Kind::UnknownOutcome, what);
    told.because = failure.causes();
    told.output = failure.output;
    told.state("nothing was touched; it is not known whether that is as it was deployed")
        .next(failure.next.unwrap_or_else(|| format!("`pleach doctor {environment}`")))
}

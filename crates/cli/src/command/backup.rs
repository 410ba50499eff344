//! `pleach backup`: keeps what services have beside their releases, lists what is kept, removes it.

use jiff::Timestamp;
use pleach_core::config::ConsentRule;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Operation, Plan};
use pleach_core::word::{EnvironmentName, RunId, ServiceName, TargetName};
use pleach_remote::directory::{Backup, service_backups};
use serde::Serialize;
use tokio::task::JoinSet;

use super::operation::{OperationRequest, run_on_live};
use crate::args::{Globals, On};
use crate::deployment::{Answered, RunOptions, block_on};
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, ago_text, answer, bytes_text, complain, stdout_columns, tell_failure};
use crate::project::Project;
use crate::standing::{TargetReader, readers, within_limit};

/// Arguments of `pleach backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A backup has what `snapshot` of each service names, copied and compared while the service runs, and its release, \
    which stays for as long as the backup does. It is named like the run that made it, no run removes it, and `pleach restore` puts \
    it back. It lies on the target's own disk. Nobody is asked to make one: nothing of what runs is touched."
)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these; all of the environment's if none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// List the backups that there are, the newest first
    #[arg(long, conflicts_with = "remove")]
    list: bool,
    /// Remove this backup
    #[arg(long, value_name = "BACKUP")]
    remove: Option<RunId>,
    /// Consent to removing one, without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    options: RunOptions,
}

/// Makes, lists or removes backups.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    project.require_environment(&args.environment)?;
    project.require_services(&args.services)?;
    if args.list {
        let listing = block_on(list(&project, &args))?;
        return Ok(listing.show(&args.environment, project.workspace.now(), globals));
    }
    match &args.remove {
        Some(backup) => block_on(remove(&args, backup, globals, &project)),
        None => block_on(make(&args, globals, &project)),
    }
}

async fn make(args: &Args, globals: &Globals, project: &Project) -> Result<Exit, Ended> {
    let Args { environment, services, options, .. } = args;
    let request = OperationRequest {
        environment,
        services,
        operation: Operation::Backup,
        answered: Answered::Yes,
        options,
        consent: Some(ConsentRule::Yes),
        command: &format!("pleach backup {environment}{}", args.on.words()),
    };
    let exit = run_on_live(request, |plan| require_work(plan, services), globals, project).await?;
    if exit == Exit::DONE && !globals.quiet && !globals.json {
        let entries = project.workspace.entries()?;
        if let Some(made) = entries.iter().find(|entry| entry.environment == *environment) {
            complain(&format!("put it back with `pleach restore {environment} {}`\n", made.run));
        }
    }
    Ok(exit)
}

/// There is something to back up of each service that was named, or at all.
fn require_work(plan: &Plan, services: &[ServiceName]) -> Result<(), Ended> {
    let environment = &plan.environment;
    let has_work = |service: &ServiceName| plan.lanes().any(|lane| lane.service == *service);
    let nothing = |what: String| {
        Failure::new(Kind::Conflict, what)
            .because("nothing was deployed there yet")
            .state("nothing was touched")
            .next(format!("look what is there with `pleach status {environment}`"))
    };
    let missing = services.iter().filter(|service| !has_work(service));
    let mut failures: Vec<Failure> = missing
        .map(|service| nothing(format!("service `{service}` has nothing to back up in `{environment}`")))
        .collect();
    if services.is_empty() && plan.is_empty() {
        failures.push(nothing(format!("there is nothing to back up in `{environment}`")));
    }
    if failures.is_empty() { Ok(()) } else { Err(Ended { exit: Exit::REFUSED, failures, text: String::new() }) }
}

async fn remove(args: &Args, backup: &RunId, globals: &Globals, project: &Project) -> Result<Exit, Ended> {
    let Args { environment, services, options, .. } = args;
    let request = OperationRequest {
        environment,
        services,
        operation: Operation::Forget { backup: backup.clone() },
        answered: if args.yes { Answered::Yes } else { Answered::NotYet },
        options,
        consent: None,
        command: &format!("pleach backup {environment} --remove {backup}{}", args.on.words()),
    };
    run_on_live(request, |plan| require_backup(plan, backup), globals, project).await
}

/// The targets have it.
pub(super) fn require_backup(plan: &Plan, backup: &RunId) -> Result<(), Ended> {
    if !plan.is_empty() {
        return Ok(());
    }
    let environment = &plan.environment;
    Err(Ended::refused(
        Failure::new(Kind::Conflict, format!("there is no backup `{backup}` in `{environment}`"))
            .because("no target of it has one of that name, of the services that were asked for")
            .state("nothing was touched")
            .next(format!("see what there is with `pleach backup {environment} --list`")),
    ))
}

/// One backup of one service on one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    service: ServiceName,
    target: TargetName,
    #[serde(flatten)]
    backup: Backup,
}

/// A target that could not be read.
#[derive(Clone, Debug, Serialize)]
struct Unread {
    target: TargetName,
    failure: Failure,
}

#[derive(Default, Serialize)]
struct Listing {
    backups: Vec<Row>,
    unread: Vec<Unread>,
}

async fn list(project: &Project, args: &Args) -> Result<Listing, Ended> {
    let mut reading = JoinSet::new();
    for reader in readers(project, Some(&args.environment))? {
        reading.spawn(async move { (reader.name.clone(), read(&reader).await) });
    }
    let wanted = |service: &ServiceName| args.services.is_empty() || args.services.contains(service);
    let mut listing = Listing::default();
    for (target, read) in reading.join_all().await {
        match read {
            Err(failure) => listing.unread.push(Unread { target, failure }),
            Ok(all) => listing.backups.extend(
                all.into_iter()
                    // Another environment may lie at the same place.
                    .filter(|(service, backup)| wanted(service) && backup.environment == args.environment)
                    .map(|(service, backup)| Row { service, target: target.clone(), backup }),
            ),
        }
    }
    let place = |row: &Row| (row.service.clone(), row.target.clone());
    listing.backups.sort_by(|a, b| b.backup.backup.cmp(&a.backup.backup).then_with(|| place(a).cmp(&place(b))));
    listing.unread.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(listing)
}

async fn read(reader: &TargetReader) -> Result<Vec<(ServiceName, Backup)>, Failure> {
    let Some(root) = reader.root() else { return Ok(Vec::new()) };
    let read = async {
        let target = reader.require_target()?;
        match target.files() {
            Some(files) => service_backups(files, root).await,
            None => Ok(Vec::new()),
        }
    };
    within_limit(read).await
}

impl Listing {
    fn show(self, environment: &EnvironmentName, now: Timestamp, globals: &Globals) -> Exit {
        if globals.json {
            answer(&format!("{}\n", serde_json::to_string_pretty(&self).unwrap_or_default()));
            return Exit::DONE;
        }
        if self.backups.is_empty() {
            answer(&format!("no backup in `{environment}`\n"));
        } else {
            answer(&text(&self.backups, now, Paint::of_stdout(globals.color), stdout_columns()));
        }
        for Unread { target, failure } in self.unread {
            let mut told = Failure::new(Kind::UnknownOutcome, format!("could not read the backups on `{target}`"));
            told.because = failure.causes();
            let next = failure.next.unwrap_or_else(|| format!("`pleach doctor {environment}`"));
            let told = told.state("it is not known what backups are there").next(next);
            tell_failure(&told, Paint::of_stderr(globals.color));
        }
        Exit::DONE
    }
}

fn text(rows: &[Row], now: Timestamp, paint: Paint, columns: Option<usize>) -> String {
    let mut table = Table::new(["BACKUP", "SERVICE", "TARGET", "MADE", "RELEASE", "SIZE", "DATA"]);
    for Row { service, target, backup } in rows {
        let cells: [Cell; 7] = [
            Cell::styled(Style::Bold, backup.backup.as_str()),
            service.as_str().into(),
            target.as_str().into(),
            ago_text(backup.made, now).into(),
            backup.release.as_str().into(),
            bytes_text(backup.size).into(),
            backup.data().unwrap_or_else(|| "-".to_owned()).into(),
        ];
        table.row(cells);
    }
    table.text(paint, columns)
}

//! `pleach merge`: merges into main only what is deployed and healthy now.
//!
//! | a branch is | what happens |
//! |---|---|
//! | exactly what every one of its targets runs, and healthy now | merged, without fast-forward |
//! | in main already | said |
//! | ahead of, behind or beside what runs; down; unhealthy; not deployed; unknown | refused, the others go on |
//! | in conflict with main | nothing of it is left behind; files and commands are told |
//!
//! What runs and how it is was read back from the targets by this command itself: no file of an earlier one is trusted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind};
use pleach_core::word::{CommitId, EnvironmentName, ServiceName};
use pleach_git::worktree;
use pleach_git::{MergeOutcome, MergeRequest, PushBackend, PushRequest, PushUpdate, Repository};
use serde_json::{Value, json};

use crate::args::Globals;
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, answer, stdout_columns};
use crate::project::{Project, untouched};
use crate::standing::{Health, Life, ServiceStanding, Standing, stand};

/// How long a target that does not tell what it runs is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `pleach merge`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// These services; all that are deployed if none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// The branch that receives; `project.main` if absent
    #[arg(long, value_name = "BRANCH")]
    into: Option<String>,
    /// What counts as deployed; all environments if absent
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// Push the receiving branch afterwards
    #[arg(long)]
    push: bool,
    /// Push to this remote
    #[arg(long, value_name = "REMOTE", default_value = "origin", requires = "push")]
    remote: String,
}

/// What came of one branch, and of all services on it.
enum Outcome {
    Merged(CommitId),
    Already,
    Refused(Failure),
}

/// One branch with its services.
struct Candidate {
    branch: String,
    services: Vec<ServiceName>,
    outcome: Outcome,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open(globals)?;
    project.require_services(&args.services)?;
    let repository = &project.workspace.repository;
    let into = args.into.clone().unwrap_or_else(|| project.config.project.main.clone());
    repository.require_branch(&into).map_err(|error| untouched(error.into()))?;
    require_clean(repository, &into)?;
    let standing = block_on(read_patiently(&project, args.environment.as_ref()))?;

    let mut candidates = Vec::new();
    for (branch, services) in branches(&project, &args.services, &standing, &into) {
        let outcome = merge(&project, &standing, &branch, &services, &into).unwrap_or_else(|mut failure| {
            failure.state.get_or_insert_with(|| "this branch was not merged".to_owned());
            Outcome::Refused(failure)
        });
        candidates.push(Candidate { branch, services, outcome });
    }
    let merged = candidates.iter().any(|one| matches!(one.outcome, Outcome::Merged(_)));
    let pushed = if args.push && (merged || !args.services.is_empty()) {
        push(repository, &into, &args.remote).err()
    } else {
        None
    };
    tell(&candidates, &into, globals);
    ended(candidates, pushed)
}

/// What runs now. A target that did not tell is asked again for a while: unlike a look at the status, a merge waits for
/// the answer rather than go without it.
async fn read_patiently(project: &Project, environment: Option<&EnvironmentName>) -> Result<Standing, Ended> {
    let start = Instant::now();
    loop {
        let standing = stand(project, environment).await?;
        let unknown = standing.services.iter().any(|one| one.state == Life::Unknown);
        if !unknown || start.elapsed() > PATIENCE {
            return Ok(standing);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Refuses when the worktree that has the receiving branch has changes that are not committed.
fn require_clean(repository: &Repository, into: &str) -> Result<(), Ended> {
    let branch = repository.require_branch(into).map_err(Failure::from)?;
    let Some(at) = branch.checked_out_in else { return Ok(()) };
    let dirt = worktree::status_at(repository, &at).map_err(Failure::from)?;
    if dirt.is_unchanged() {
        return Ok(());
    }
    Err(Ended::refused(
        Failure::new(Kind::Conflict, format!("refused to merge into `{into}`: its worktree has changes"))
            .because(format!("`{}` is where it is checked out", at.display()))
            .state("nothing was merged")
            .next(format!(
                "commit them with `git -C {} commit -a`, or put them aside with `git -C {0} stash`",
                at.display()
            ))
            .output(dirt.lines()),
    ))
}

/// Branches and their services: those that were named, else all that are deployed somewhere and not on the receiving one.
fn branches(
    project: &Project,
    named: &[ServiceName],
    standing: &Standing,
    into: &str,
) -> BTreeMap<String, Vec<ServiceName>> {
    let deployed =
        |name: &ServiceName| standing.services.iter().any(|one| one.service == *name && one.state != Life::Absent);
    let mut branches: BTreeMap<String, Vec<ServiceName>> = BTreeMap::new();
    for (name, service) in &project.config.services {
        let wanted = if named.is_empty() { deployed(name) && service.branch != into } else { named.contains(name) };
        if wanted {
            branches.entry(service.branch.clone()).or_default().push(name.clone());
        }
    }
    branches
}

fn merge(
    project: &Project,
    standing: &Standing,
    branch: &str,
    services: &[ServiceName],
    into: &str,
) -> Result<Outcome, Failure> {
    let repository = &project.workspace.repository;
    let head = repository.require_branch(branch)?.commit;
    let target = repository.require_branch(into)?.commit;
    if branch == into || repository.is_ancestor(&head, &target)? {
        return Ok(Outcome::Already);
    }
    let mut evidence = Vec::new();
    for service in services {
        evidence.extend(require_live(repository, standing, service, branch, &head)?);
    }
    let outcome = repository.merge(&MergeRequest {
        into: into.to_owned(),
        branch: branch.to_owned(),
        message: message(project, branch, into, services, &head, &evidence),
        identity: repository.identity()?,
    })?;
    Ok(match outcome {
        MergeOutcome::AlreadyMerged { .. } => Outcome::Already,
        MergeOutcome::Merged { commit, .. } => Outcome::Merged(commit),
    })
}

/// Where the service runs exactly that commit and is healthy; anything else anywhere is a refusal.
fn require_live<'a>(
    repository: &Repository,
    standing: &'a Standing,
    service: &ServiceName,
    branch: &str,
    head: &CommitId,
) -> Result<Vec<&'a ServiceStanding>, Failure> {
    let places: Vec<&ServiceStanding> =
        standing.services.iter().filter(|one| one.service == *service && one.state != Life::Absent).collect();
    let refused = |because: String| {
        Failure::new(
            Kind::Conflict,
            format!("refused to merge `{branch}`: `{service}` is not live and healthy as it stands"),
        )
        .because(because)
        .state("this branch was not merged")
    };
    let Some(first) = places.first() else {
        let environment =
            standing.services.iter().find(|one| one.service == *service).map(|one| one.environment.as_str());
        let next = format!("`pleach deploy {} --only {service}`", environment.unwrap_or("local"));
        return Err(refused("it was never deployed".to_owned()).next(next));
    };
    let deploy = format!("`pleach deploy {} --only {service}`, then `pleach merge {service}`", first.environment);
    for place in &places {
        let at = format!("`{}` in `{}`", place.target, place.environment);
        match &place.commit {
            Some(commit) if commit == head => {}
            Some(commit) => {
                let ahead = repository.ahead_behind(head.as_str(), commit.as_str())?;
                let told = match (ahead.ahead, ahead.behind) {
                    (ahead, 0) => format!("the branch is {} ahead of {}", commits(ahead), commit.short()),
                    (0, behind) => format!("the branch is {} behind {}", commits(behind), commit.short()),
                    (ahead, behind) => format!(
                        "the branch has {} and {} has {} of its own",
                        commits(ahead),
                        commit.short(),
                        commits(behind)
                    ),
                };
                return Err(refused(format!("{told}, which runs on {at}")).next(deploy));
            }
            None => {
                let why = place.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                let look = format!("`pleach status {}`, then `pleach merge {service}`", place.environment);
                return Err(refused(format!("what runs on {at} is not known{why}")).next(look));
            }
        }
        match (place.state, place.health) {
            (Life::Running | Life::Placed, Health::Healthy | Health::Unchecked) => {}
            (Life::Running | Life::Placed, Health::Unhealthy) => {
                return Err(refused(format!("it is not healthy on {at}")).next(format!("`pleach logs {service}`")));
            }
            _ => {
                let state = crate::standing::life_word(place.state);
                let note = place.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                return Err(refused(format!("it is {state} on {at}{note}")).next(deploy));
            }
        }
    }
    Ok(places)
}

fn commits(count: usize) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

/// Subject, and what was seen of the deployment.
fn message(
    project: &Project,
    branch: &str,
    into: &str,
    services: &[ServiceName],
    head: &CommitId,
    evidence: &[&ServiceStanding],
) -> String {
    let names = services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ");
    let mut text = format!("Merge {branch} into {into}: {names} is live and healthy\n\n");
    if services.len() > 1 {
        text = text.replace(" is live", " are live");
    }
    let runs = project.workspace.entries().unwrap_or_default();
    for place in evidence {
        text.push_str(&format!("Service: {}\nCommit: {head}\n", place.service));
        text.push_str(&format!("Deployed-to: {} in {}\n", place.target, place.environment));
        if let Some(release) = &place.release {
            text.push_str(&format!("Release: {release}\n"));
        }
        if let Some(run) = runs.iter().find(|entry| {
            entry.environment == place.environment && place.since.is_some_and(|since| entry.started <= since)
        }) {
            text.push_str(&format!("Run: {}\n", run.run));
        }
        let health = match place.health {
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
            Health::Unchecked => "no health check",
        };
        text.push_str(&format!("Health: {health} at {}\n\n", project.workspace.now()));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Pushes the receiving branch, if the remote has it where it was fetched last.
fn push(repository: &Repository, into: &str, remote: &str) -> Result<(), Failure> {
    let new = repository.require_branch(into)?.commit;
    let there = repository.remote_branches()?.into_iter().find(|found| found.name == into && found.remote == *remote);
    let expected = there.map(|found| found.commit);
    if expected.as_ref() == Some(&new) {
        return Ok(());
    }
    let updates = vec![PushUpdate { reference: format!("refs/heads/{into}"), expected, new }];
    repository.push(&PushRequest { remote: remote.to_owned(), updates, backend: PushBackend::Auto })?;
    Ok(())
}

fn tell(candidates: &[Candidate], into: &str, globals: &Globals) {
    if globals.json {
        answer(&format!("{}\n", Value::from(candidates.iter().map(told).collect::<Vec<_>>())));
        return;
    }
    if candidates.is_empty() {
        answer(&format!("nothing to merge: no service with a branch other than `{into}` is deployed\n"));
        return;
    }
    let mut table = Table::new(["BRANCH", "SERVICES", "RESULT"]);
    for one in candidates {
        let (style, text) = match &one.outcome {
            Outcome::Merged(commit) => (Style::Good, format!("merged into {into} as {}", commit.short())),
            Outcome::Already => (Style::Dim, format!("in {into} already")),
            Outcome::Refused(_) => (Style::Bad, "refused".to_owned()),
        };
        let services = one.services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ");
        table.row([one.branch.clone().into(), services.into(), Cell::styled(style, text)]);
    }
    answer(&table.text(Paint::of_stdout(globals.color), stdout_columns()));
}

fn told(one: &Candidate) -> Value {
    let base = |result: &str| json!({"branch": one.branch, "services": one.services, "result": result});
    match &one.outcome {
        Outcome::Merged(commit) => {
            let mut value = base("merged");
            value["commit"] = json!(commit);
            value
        }
        Outcome::Already => base("already-merged"),
        Outcome::Refused(failure) => {
            let mut value = base("refused");
            value["failure"] = json!(failure);
            value
        }
    }
}

/// 102 if any was refused, whatever the reason: main does not have it.
fn ended(candidates: Vec<Candidate>, pushed: Option<Failure>) -> Result<Exit, Ended> {
    let refused = candidates.into_iter().filter_map(|one| match one.outcome {
        Outcome::Refused(failure) => Some(failure),
        Outcome::Merged(_) | Outcome::Already => None,
    });
    let failures: Vec<Failure> = refused.chain(pushed).collect();
    if failures.is_empty() {
        return Ok(Exit::DONE);
    }
    let mut ended = Ended::from(failures);
    ended.exit = Exit::REFUSED;
    Err(ended)
}

//! What keeps a deployment from starting: work that is not committed, or a run that is not at its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::config::FILE_NAME;
use pleach_core::engine::overtaken;
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::port::{Leases as _, RunEntry};
use pleach_core::word::{EnvironmentName, ServiceName};
use pleach_git::worktree;
use pleach_store::ProcessIdentity;

use crate::exit::{Ended, Exit};
use crate::print::narrate;
use crate::project::{Project, Workspace};
use crate::standing::open_runs;

/// How many files of one worktree are listed.
const LISTED: usize = 10;

/// Refuses if a worktree of these services has files that are not in the commit that would be deployed.
pub(crate) fn require_clean(project: &Project, services: &[ServiceName]) -> Result<(), Ended> {
    let places = project.workspace.worktrees();
    let mut failures = Vec::new();
    let mut read: BTreeMap<&Path, Vec<PathBuf>> = BTreeMap::new();
    for name in services {
        let Some(service) = project.config.services.get(name) else { continue };
        let Some(place) = places.get(&service.branch).map(PathBuf::as_path).filter(|place| place.is_dir()) else {
            continue;
        };
        if !read.contains_key(place) {
            read.insert(place, uncommitted(project, place)?);
        }
        let own: Vec<&PathBuf> = read[place]
            .iter()
            .filter(|file| file.starts_with(&service.path) && file.as_path() != Path::new(FILE_NAME))
            .collect();
        if !own.is_empty() {
            failures.push(dirty(name, &service.branch, place, &own));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Ended { exit: Exit::REFUSED, failures, text: String::new() }) }
}

fn uncommitted(project: &Project, place: &Path) -> Result<Vec<PathBuf>, Failure> {
    let dirt = worktree::status_at(&project.workspace.repository, place).map_err(Failure::from)?;
    let mut files: Vec<PathBuf> = [dirt.modified, dirt.staged, dirt.untracked].into_iter().flatten().collect();
    files.sort();
    files.dedup();
    Ok(files)
}

fn dirty(service: &ServiceName, branch: &str, place: &Path, files: &[&PathBuf]) -> Failure {
    let mut failure =
        Failure::new(Kind::Conflict, format!("refused to deploy `{service}`: its worktree has uncommitted files"))
            .because(format!(
                "`{}` is at `{branch}` and has {} that would not be deployed",
                place.display(),
                count(files.len())
            ));
    for file in files.iter().take(LISTED) {
        failure = failure.because(format!("`{}`", file.display()));
    }
    if files.len() > LISTED {
        failure = failure.because(format!("and {} more", files.len() - LISTED));
    }
    failure.state("nothing was touched").next(format!(
        "commit them with `git -C {} commit`, or deploy what is committed with `--ignore-uncommitted`",
        place.display()
    ))
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// Refuses while an earlier run in this environment is not at its end, or waits for a person.
pub(crate) async fn require_nothing_unfinished(
    workspace: &Workspace,
    environment: &EnvironmentName,
) -> Result<(), Ended> {
    let blocks =
        |entry: &RunEntry| entry.environment == *environment && matches!(entry.outcome, None | Some(Outcome::Held));
    for open in open_runs(workspace, &workspace.entries()?)?.iter().filter(|entry| blocks(entry)) {
        require_finished(workspace, open).await?;
    }
    Ok(())
}

async fn require_finished(workspace: &Workspace, open: &RunEntry) -> Result<(), Ended> {
    let (run, environment) = (&open.run, &open.environment);
    if open.outcome.is_none() {
        let leases = workspace.leases.list().await?;
        let alive = leases.iter().find(|lease| lease.run == *run && ProcessIdentity::from(&lease.holder).is_alive());
        if let Some(lease) = alive {
            let holder = &lease.holder;
            let failure = Failure::new(Kind::Conflict, format!("another deployment works in `{environment}`"))
                .because(format!("run {run} of {} on {} (process {})", holder.user, holder.host, holder.process))
                .state("nothing was touched")
                .next("watch it with `pleach status --watch`, and try again when it is done");
            return Err(Ended::with(Exit::LEASED, failure));
        }
    }
    // It would stand in the way for ever: nobody may go on with it any more.
    let state = workspace.state(run)?;
    let (targets, _) = workspace.open_targets(state.plan())?;
    if let Some(because) = overtaken(&workspace.registry, &state, &targets).await {
        narrate(&format!("run {run} is left as it is: {}", because.because.join("; ")));
        return Ok(());
    }
    let why = if open.outcome.is_some() { "is held and waits for a person" } else { "stopped before its end" };
    Err(Ended::refused(
        Failure::new(Kind::Conflict, format!("refused to start a new run in `{environment}`"))
            .because(format!("run {run} {why}"))
            .state("nothing was touched")
            .next(format!(
                "`pleach resume {run}` to go on with it, or `pleach rollback {environment}` to take it back"
            )),
    ))
}

//! `status.json` for other tools: what the last run of each service came to.
//!
//! The upper part has the fields of the `WORKTREE_STATUS.json` that deployment scripts used to keep, so that what read
//! that file can read this one: `status` is `in_progress`, `completed`, `failed` or `rolled_back`; a skill's `status` is
//! `pending`, `deploying`, `deployed`, `failed` or `rolled_back`, and its `deployment_status` is `PENDING`, `DEPLOYING`,
//! `ACTIVE`, `ERROR` or `CANCELED`. Unlike that one it is replaced as a whole, so no reader sees half of it, and written
//! by one thread, so no update is lost. A service that was taken back on request has the status of what it went back to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::engine::{LaneStatus, State};
use pleach_core::journal::Outcome;
use pleach_core::plan::{Operation, Plan};
use pleach_core::report::Cause;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::board::{Row, rows};
use crate::durable::write_whole;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusFile {
    deployment_id: String,
    started_at: Timestamp,
    status: String,
    environment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    skills: BTreeMap<String, Skill>,
    services: Vec<ServiceOnTarget>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skill {
    branch: String,
    worktree: Option<PathBuf>,
    status: String,
    deployment_status: String,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ServiceOnTarget {
    service: String,
    target: String,
    run: String,
    status: LaneStatus,
    release: Option<String>,
    commit: Option<String>,
    step: Option<String>,
    evidence: Option<String>,
    error: Option<String>,
}

/// Where it lies.
pub(crate) fn status_path(state_dir: &Path) -> PathBuf {
    state_dir.join("status.json")
}

/// Writes the state of a run; services that this run does not touch keep what an earlier run wrote of them.
pub(super) fn write(state_dir: &Path, state: &State, worktrees: &BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    let earlier = std::fs::read(status_path(state_dir)).unwrap_or_default();
    let earlier: Option<StatusFile> = serde_json::from_slice(&earlier).ok();
    let file = status_file(state, worktrees, earlier);
    let mut text = serde_json::to_vec_pretty(&file).map_err(std::io::Error::other)?;
    text.push(b'\n');
    write_whole(&status_path(state_dir), &text)
}

fn status_file(state: &State, worktrees: &BTreeMap<String, PathBuf>, earlier: Option<StatusFile>) -> StatusFile {
    let plan = state.plan();
    let earlier = earlier.filter(|earlier| earlier.environment == plan.environment.as_str());
    let (mut skills, mut services) = earlier.map(|earlier| (earlier.skills, earlier.services)).unwrap_or_default();
    let rows = rows(state);
    services.retain(|known| {
        !rows.iter().any(|row| row.service.as_str() == known.service && row.target.as_str() == known.target)
    });
    for row in &rows {
        let planned = plan.services.iter().find(|planned| planned.name == row.service);
        let before = before(plan, row).filter(|_| is_back(row, state));
        let (release, commit) = match &before {
            Some(before) => (Some(before.release.clone()), before.commit.clone()),
            None => (row.release.as_ref().map(ToString::to_string), planned.map(|planned| planned.commit.to_string())),
        };
        services.push(ServiceOnTarget {
            service: row.service.to_string(),
            target: row.target.to_string(),
            run: state.run().to_string(),
            status: row.status,
            release,
            commit,
            step: row.step.clone(),
            evidence: row.evidence.clone(),
            error: row.failure.as_ref().map(|failure| failure.what.clone()),
        });
    }
    services.sort_by(|a, b| (&a.service, &a.target).cmp(&(&b.service, &b.target)));
    for planned in &plan.services {
        let own: Vec<&Row> = rows.iter().filter(|row| row.service == planned.name).collect();
        let Some((status, deployment_status)) = worst(&own, state) else { continue };
        let settled = own.iter().all(|row| is_settled(row.status));
        skills.insert(
            planned.name.to_string(),
            Skill {
                branch: planned.branch.clone(),
                worktree: worktrees.get(&planned.branch).cloned(),
                status: status.to_owned(),
                deployment_status: deployment_status.to_owned(),
                started_at: own.iter().filter_map(|row| row.started).min(),
                completed_at: own.iter().filter_map(|row| row.ended).max().filter(|_| settled),
            },
        );
    }
    StatusFile {
        deployment_id: state.run().to_string(),
        started_at: state.started(),
        status: match state.outcome() {
            None => "in_progress",
            Some(Outcome::Succeeded) => "completed",
            Some(Outcome::RolledBack) => "rolled_back",
            Some(Outcome::Held | Outcome::Stuck) => "failed",
        }
        .to_owned(),
        environment: plan.environment.to_string(),
        completed_at: state.ended(),
        skills,
        services,
    }
}

fn is_settled(status: LaneStatus) -> bool {
    matches!(
        status,
        LaneStatus::Done | LaneStatus::TakenBack | LaneStatus::Stuck | LaneStatus::Skipped | LaneStatus::Failed
    )
}

/// What a target had of a service before a run.
struct Before {
    release: String,
    commit: Option<String>,
    runs: bool,
}

/// As the facts say that the plan was made on, and that were found so before anything was changed.
fn before(plan: &Plan, row: &Row) -> Option<Before> {
    let expects = &plan.targets.iter().find(|target| target.name == row.target)?.expects;
    let fact = |name: &str| expects.get(&format!("service/{}/{name}", row.service));
    let text = |name: &str| fact(name).and_then(Value::as_str).map(str::to_owned);
    let release = text("current")?;
    let holds = |value: &Value| value.as_array().is_some_and(|all| all.iter().any(|one| *one == release.as_str()));
    let own = plan.lanes().filter(|lane| lane.service == row.service && lane.target == row.target);
    let has_process = own.flat_map(|lane| &lane.steps).any(|step| matches!(step.phase.as_str(), "start" | "stop"));
    let runs = if has_process {
        fact("running").is_some_and(holds)
    } else {
        fact("halted").and_then(Value::as_bool) != Some(true)
    };
    Some(Before { commit: text("commit"), runs, release })
}

/// Whether somebody asked to have it back, and it is back.
fn is_back(row: &Row, state: &State) -> bool {
    row.status == LaneStatus::TakenBack && state.cause() == Cause::Request
}

/// Whether what is back runs, as far as Pleach runs it.
fn is_live_again(row: &Row, state: &State) -> bool {
    before(state.plan(), row).is_some_and(|before| before.runs)
}

/// What the rows of one service come to together: the worst of them.
fn worst(rows: &[&Row], state: &State) -> Option<(&'static str, &'static str)> {
    let any = |wanted: &[LaneStatus]| rows.iter().any(|row| wanted.contains(&row.status));
    let told = if rows.is_empty() {
        return None;
    } else if any(&[LaneStatus::Failed, LaneStatus::Stuck]) {
        ("failed", "ERROR")
    } else if any(&[LaneStatus::Working, LaneStatus::Returning, LaneStatus::GoingBack]) {
        ("deploying", "DEPLOYING")
    } else if any(&[LaneStatus::TakenBack]) && rows.iter().all(|row| is_back(row, state) && is_live_again(row, state)) {
        ("deployed", "ACTIVE")
    } else if any(&[LaneStatus::TakenBack]) && !state.plan().operation.changes_what_is_live() {
        // It was seen to run again, or was never touched: there is nothing else to go back to.
        ("deployed", "ACTIVE")
    } else if any(&[LaneStatus::TakenBack]) {
        ("rolled_back", if state.cause() == Cause::Failure { "ERROR" } else { "CANCELED" })
    } else if any(&[LaneStatus::Skipped]) {
        ("pending", "CANCELED")
    } else if any(&[LaneStatus::Waiting, LaneStatus::Ready]) {
        ("pending", "PENDING")
    } else if state.plan().operation == Operation::Stop {
        ("stopped", "INACTIVE")
    } else {
        ("deployed", "ACTIVE")
    };
    Some(told)
}

//! From a name to a worktree: which branch, where, for what.
//!
//! In this order: what the options say · a service of the config · a branch of that name · a purpose that teams use the
//! same words for · the one branch whose last part is the name · else an error with the nearest name and how to make it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pleach_core::config::nearest;
use pleach_core::error::{Failure, Kind};
use pleach_git::nearest_branch;
use pleach_git::worktree::{Head, WorktreeSpec};

use super::context::Context;

/// How a name is turned into a commit when the options say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing was said: the name tells.
    ByName,
    /// This branch.
    Branch(String),
    /// A new branch, and where it starts.
    NewBranch(String, Option<String>),
    /// A commit, on no branch.
    Detached(String),
}

/// Words that teams use for the same places, and the branches that stand for them.
const PURPOSES: [(&str, &[&str], &str); 6] = [
    ("deploy", &["deploy", "deployment"], "Deployments only"),
    ("staging", &["staging", "stage", "uat"], "Validation before production"),
    ("production", &["production", "prod", "live"], "What production runs"),
    ("hotfix", &["hotfix"], "Emergency fixes"),
    ("release", &["release"], "The next release"),
    ("main", &["main", "master"], "Development"),
];

/// What is checked out for `name`, for what, and with which service's port.
pub(super) fn wanted(context: &Context, name: &str, asked: &Asked) -> Result<WorktreeSpec, Failure> {
    let service = context.config.as_ref().and_then(|config| {
        let at = config.services.keys().position(|service| service.as_str() == name)?;
        let (_, service) = config.services.iter().nth(at)?;
        Some((u16::try_from(at).ok()?.checked_add(config.project.worktree_ports)?, service))
    });
    let head = match (asked, service) {
        (Asked::Branch(branch), _) => branch_head(context, branch, name)?,
        (Asked::NewBranch(branch, from), _) => {
            let from = from.clone().or_else(|| context.main_branch()).unwrap_or_else(|| "HEAD".into());
            Head::NewBranch { name: branch.clone(), at: context.repository.resolve(&from)? }
        }
        (Asked::Detached(revision), _) => Head::Detached(context.repository.resolve(revision)?),
        (Asked::ByName, Some((_, service))) => branch_head(context, &service.branch, name)?,
        (Asked::ByName, None) => by_name(context, name)?,
    };
    let mut environment = BTreeMap::new();
    if let Some((port, _)) = service {
        environment.insert("PORT".to_owned(), port.to_string());
        environment.insert("SERVICE".to_owned(), name.to_owned());
    }
    let described =
        service.map(|(_, service)| service.description.clone().unwrap_or_else(|| format!("Service {name}")));
    let usual = PURPOSES.iter().find(|(purpose, ..)| *purpose == name).map(|(.., text)| (*text).to_owned());
    Ok(WorktreeSpec {
        name: name.to_owned(),
        path: path_of(context, name),
        head,
        purpose: described.or(usual),
        owner: context.repository.identity().ok().map(|identity| format!("{} <{}>", identity.name, identity.email)),
        created_by: String::new(),
        environment,
    })
}

fn path_of(context: &Context, name: &str) -> PathBuf {
    context.worktrees().join(name)
}

/// The branch, made from the remote's if it is only there.
fn branch_head(context: &Context, branch: &str, name: &str) -> Result<Head, Failure> {
    match existing(context, branch)? {
        Some(head) => Ok(head),
        None => Err(missing(context, branch, name)),
    }
}

fn existing(context: &Context, branch: &str) -> Result<Option<Head>, Failure> {
    if context.repository.branches()?.iter().any(|found| found.name == branch) {
        return Ok(Some(Head::Branch(branch.to_owned())));
    }
    let remote = context.repository.remote_branches()?.into_iter().find(|found| found.name == branch);
    Ok(remote.map(|found| Head::NewBranch { name: found.name, at: found.commit }))
}

fn by_name(context: &Context, name: &str) -> Result<Head, Failure> {
    if let Some(head) = existing(context, name)? {
        return Ok(head);
    }
    if let Some((_, branches, _)) = PURPOSES.iter().find(|(purpose, ..)| *purpose == name) {
        for branch in *branches {
            if let Some(head) = existing(context, branch)? {
                return Ok(head);
            }
        }
        // Deployments happen from main; a branch of their own would only lag behind it.
        if name == "deploy"
            && let Some(main) = context.main_branch()
        {
            return Ok(Head::Detached(context.repository.resolve(&main)?));
        }
    }
    let all = all_branches(context)?;
    let mut ending = all.iter().filter(|branch| branch.rsplit('/').next() == Some(name));
    match (ending.next(), ending.next()) {
        (Some(branch), None) => branch_head(context, branch, name),
        (Some(one), Some(other)) => Err(Failure::new(Kind::Rejected, format!("`{name}` could be several branches"))
            .because(format!("there are `{one}` and `{other}`"))
            .state("nothing was made")
            .next(format!("`pleach worktree add {name} --branch {one}`"))),
        (None, _) => Err(missing(context, name, name)),
    }
}

fn all_branches(context: &Context) -> Result<Vec<String>, Failure> {
    let local = context.repository.branches()?.into_iter().map(|branch| branch.name);
    let mut all: Vec<String> =
        local.chain(context.repository.remote_branches()?.into_iter().map(|branch| branch.name)).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// No such branch: the nearest one, and how to make it.
fn missing(context: &Context, branch: &str, name: &str) -> Failure {
    let all = all_branches(context).unwrap_or_default();
    let services = context.config.iter().flat_map(|config| config.services.keys()).map(|name| name.as_str());
    let near = nearest(branch, services).or_else(|| nearest_branch(branch, all.iter().map(String::as_str)));
    let near = near.map(str::to_owned);
    let main = context.main_branch().unwrap_or_else(|| "main".into());
    let from = match name {
        "hotfix" if all.iter().any(|branch| branch == "production") => "production".to_owned(),
        _ => main,
    };
    let make = format!("`pleach worktree add {name} --new-branch {branch} --from {from}` makes it");
    let failure = Failure::new(Kind::Rejected, format!("there is no branch `{branch}` for worktree `{name}`"))
        .because("it was looked for here and on the remotes as they were fetched last")
        .state("nothing was made for it");
    match near {
        Some(near) => failure.next(format!("did you mean `{near}`? Else {make}")),
        None => failure.next(make),
    }
}

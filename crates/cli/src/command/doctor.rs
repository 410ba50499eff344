//! `pleach doctor`: what is missing on this machine, and how to get it.
//!
//! The exit code is the number of failures. A repository without a config, or a config with problems, is told like
//! everything else, and all that does not depend on it is looked at all the same.

use pleach_core::config::{EnvironmentConfig, ServiceConfig, TargetConfig};
use pleach_core::error::Failure;
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};
use pleach_remote::open_ssh_target;
use serde_json::json;
use tokio::task::JoinSet;

use crate::args::Globals;
use crate::deployment::block_on;
use crate::doctor::{
    Finding, Level, builder_finding, clock_findings, config_findings, host_findings, machine_findings, place_findings,
    port_findings, run_findings, secret_findings, worktree_findings,
};
use crate::exit::{Ended, Exit};
use crate::print::{Paint, Style, answer, fit, width};
use crate::project::{Project, Workspace};
use crate::standing::runs_and_leases;

/// Arguments of `pleach doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look at the ports and targets of this environment only
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let mut findings = machine_findings();
    match Workspace::open(globals) {
        Ok(workspace) => {
            findings.extend(of_workspace(&workspace, args.environment.as_ref())?);
            match Project::open(globals) {
                Ok(project) => findings.extend(of_project(&project, args.environment.as_ref())?),
                Err(ended) => findings.push(unreadable_config(&ended)),
            }
        }
        Err(ended) => findings.push(told(&ended, "repository", "git init, or go to one with `cd`")),
    }
    tell(&findings, globals);
    Ok(Exit::failed_checks(findings.iter().filter(|one| one.level == Level::Fail).count()))
}

fn of_workspace(workspace: &Workspace, environment: Option<&EnvironmentName>) -> Result<Vec<Finding>, Ended> {
    let mut findings = Vec::new();
    findings.push(match workspace.repository.require_commits() {
        Ok(()) => Finding::ok("repository", workspace.repository.root().display().to_string()),
        Err(error) => Finding::fail("repository", error.to_string(), "git commit --allow-empty -m start"),
    });
    findings.extend(place_findings("state directory", &workspace.state_dir));
    let newest = workspace.entries()?.first().map(|entry| entry.started);
    findings.extend(clock_findings(workspace.now(), newest));
    findings.extend(worktree_findings(workspace));
    let (unfinished, leases) = block_on(async { Ok(runs_and_leases(workspace, environment).await?) })?;
    findings.extend(run_findings(&unfinished, &leases));
    Ok(findings)
}

fn of_project(project: &Project, environment: Option<&EnvironmentName>) -> Result<Vec<Finding>, Ended> {
    if let Some(name) = environment {
        project.require_environment(name)?;
    }
    let mut findings = vec![Finding::ok("config", project.config_path.display().to_string())];
    findings.extend(config_findings(project));
    for (name, config) in &project.config.environments {
        if environment.is_some_and(|wanted| wanted != name) {
            continue;
        }
        for (target, settings) in &config.targets {
            let TargetConfig::Directory(directory) = settings else { continue };
            let path = project.workspace.repository.root().join(&directory.path);
            findings.extend(place_findings(&format!("target {target} of {name}"), &path));
        }
        findings.extend(port_findings(project, name, config));
        findings.extend(block_on(of_hosts(project, name, config))?);
    }
    findings.extend(block_on(async { Ok(builder_finding(project).await) })?);
    findings.extend(block_on(async { Ok(secret_findings(project).await) })?);
    Ok(findings)
}

/// All hosts side by side.
async fn of_hosts(
    project: &Project,
    environment: &EnvironmentName,
    config: &EnvironmentConfig,
) -> Result<Vec<Finding>, Ended> {
    let mut looking = JoinSet::new();
    for (name, description) in project.descriptions(config)? {
        if description.kind == "ssh" {
            let target = open_ssh_target(environment, &project.planned_target(&name, &description));
            let environment = environment.clone();
            let wanted = wants_sudo(project, config, &name);
            let contained =
                there(project, config, &name, |service| service.image.is_some() || service.compose.is_some());
            let composed = there(project, config, &name, |service| service.compose.is_some());
            looking.spawn(async move {
                (name.clone(), host_findings(&environment, &name, target, wanted, contained, composed).await)
            });
        }
    }
    let mut findings = looking.join_all().await;
    findings.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(findings.into_iter().flat_map(|(_, findings)| findings).collect())
}

/// A service that goes there and is so.
fn there(
    project: &Project,
    config: &EnvironmentConfig,
    target: &TargetName,
    is_so: impl Fn(&ServiceConfig) -> bool,
) -> Option<(ServiceName, ServiceConfig)> {
    let mut services = project.config.destinations(config).into_iter().filter(|(_, targets)| targets.contains(&target));
    services.find_map(|(name, _)| {
        let service = project.config.services.get(name).filter(|service| is_so(service))?;
        Some((name.clone(), service.clone()))
    })
}

/// A service that is run there by a `sudo` that must not ask.
fn wants_sudo(project: &Project, config: &EnvironmentConfig, target: &TargetName) -> Option<String> {
    if config.targets.get(target)?.sudo_password().is_some() {
        return None;
    }
    there(project, config, target, ServiceConfig::uses_sudo).map(|(service, _)| service.to_string())
}

fn unreadable_config(ended: &Ended) -> Finding {
    if ended.text.is_empty() {
        return told(ended, "config", "pleach init");
    }
    Finding::fail("config", "it has problems", "pleach config check")
}

/// What ended an attempt, as a finding.
fn told(ended: &Ended, subject: &str, mend: &str) -> Finding {
    let first: Option<&Failure> = ended.failures.first();
    let seen = first.map_or_else(
        || "it cannot be read".to_owned(),
        |failure| {
            let because = failure.because.first().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{}{because}", failure.what)
        },
    );
    Finding::fail(subject, seen, mend)
}

fn tell(findings: &[Finding], globals: &Globals) {
    if globals.json {
        answer(&format!("{}\n", json!(findings)));
        return;
    }
    let paint = Paint::of_stdout(globals.color);
    let subjects = findings.iter().map(|one| width(&one.subject)).max().unwrap_or(0).min(30);
    let mut text = String::new();
    for one in findings {
        let (style, word) = match one.level {
            Level::Ok => (Style::Good, "ok  "),
            Level::Warn => (Style::Busy, "warn"),
            Level::Fail => (Style::Bad, "FAIL"),
        };
        text.push_str(&format!("{}  {}  {}\n", paint.paint(style, word), fit(&one.subject, subjects), one.seen));
        if let Some(mend) = &one.mend {
            text.push_str(&format!("      {}  {} {mend}\n", fit("", subjects), paint.paint(Style::Dim, "mend:")));
        }
    }
    let count = |level| findings.iter().filter(|one| one.level == level).count();
    let (failed, warned) = (count(Level::Fail), count(Level::Warn));
    text.push_str(&match (failed, warned) {
        (0, 0) => "\nnothing is missing\n".to_owned(),
        (0, warned) => format!("\nnothing fails; {warned} to look at\n"),
        (failed, warned) => format!("\n{failed} to mend, {warned} to look at\n"),
    });
    answer(&text);
}

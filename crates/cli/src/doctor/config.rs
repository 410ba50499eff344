//! The config against the repository and the machine: branches, ports, secrets.

use std::collections::BTreeSet;

use pleach_core::config::{EnvironmentConfig, EnvironmentValue, TargetConfig};
use pleach_core::port::{SecretName, Secrets as _};
use pleach_core::word::EnvironmentName;
use pleach_git::Repository;
use pleach_remote::LocalSecrets;
use pleach_remote::directory::ServiceLayout;
use pleach_remote::process::{PortOwner, port_owner};
use pleach_remote::route::RouterRecord;

use super::Finding;
use crate::project::Project;

/// Whether all branches are there.
pub(crate) fn config_findings(project: &Project) -> Vec<Finding> {
    let repository = &project.workspace.repository;
    let mut findings = Vec::new();
    let main = &project.config.project.main;
    if repository.require_branch(main).is_err() {
        let mend = match remote_of(repository, main) {
            Some(remote) => format!("git branch {main} {remote}/{main}"),
            None => format!("git branch {main} COMMIT, or name the right one in `project.main`"),
        };
        findings.push(Finding::fail("main branch", format!("there is no branch `{main}`"), mend));
    }
    for (name, service) in &project.config.services {
        let Err(error) = repository.require_branch(&service.branch) else { continue };
        findings.push(Finding::fail(
            format!("branch of {name}"),
            error.to_string(),
            match remote_of(repository, &service.branch) {
                Some(_) => format!("pleach worktree add {name}"),
                None => format!("git branch {} COMMIT, or take `services.{name}` out of `pleach.toml`", service.branch),
            },
        ));
    }
    if findings.is_empty() {
        let count = project.config.services.len();
        findings.push(Finding::ok("branches", format!("those of all {count} services are there")));
    }
    findings
}

/// A remote that has the branch, as it was fetched last.
fn remote_of(repository: &Repository, branch: &str) -> Option<String> {
    let branches = repository.remote_branches().unwrap_or_default();
    branches.into_iter().find(|found| found.name == *branch).map(|found| found.remote)
}

/// Who listens on the ports that services are to be reached on.
pub(crate) fn port_findings(
    project: &Project,
    name: &EnvironmentName,
    environment: &EnvironmentConfig,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut free = 0;
    for (service, targets) in project.config.destinations(environment) {
        let config = &project.config.services[service];
        let Some(port) = config.port else { continue };
        for target in targets {
            // Another machine's ports are looked at when it is reached.
            let TargetConfig::Directory(directory) = &environment.targets[target] else { continue };
            let Some(port) = port.checked_add(directory.port_offset) else { continue };
            let root = project.workspace.repository.root().join(&directory.path);
            let layout = ServiceLayout::new(root.join(service.as_str()));
            let subject = format!("port {port}");
            match port_owner(port) {
                None => free += 1,
                Some(owner) if is_own_router(&layout, port, &owner) => {
                    findings.push(Finding::ok(subject, format!("leads to {service} in `{name}`")));
                }
                Some(owner) if directory.proxy.is_some() && layout.led().exists() => {
                    findings.push(Finding::ok(subject, format!("{owner} leads to {service} in `{name}`")));
                }
                // Whoever keeps it running listens by itself, under a name that nobody told.
                Some(owner) if !config.is_kept_running() && layout.current().is_symlink() => {
                    findings.push(Finding::ok(subject, format!("{owner} listens, for {service} in `{name}`")));
                }
                Some(owner) => findings.push(Finding::fail(
                    subject,
                    format!("wanted by {service} in `{name}`, and held by {owner}"),
                    format!("stop it, or give `services.{service}.port` another number"),
                )),
            }
        }
    }
    if free > 0 {
        findings.push(Finding::ok("ports", format!("{free} that services in `{name}` want are free")));
    }
    findings
}

/// Whether a port is held by the router that this very target wrote down. The name of the process says nothing: another
/// project's routers have the same.
fn is_own_router(layout: &ServiceLayout, port: u16, owner: &PortOwner) -> bool {
    let record = std::fs::read(layout.router(port)).ok();
    let record: Option<RouterRecord> = record.and_then(|text| serde_json::from_slice(&text).ok());
    let is_it = |pid: u32| owner.process.as_ref().is_none_or(|(holder, _)| *holder == pid);
    record.is_some_and(|record| is_it(record.router.pid) && record.router.is_alive())
}

/// Whether each secret can be fetched; what it is is neither kept nor shown.
pub(crate) async fn secret_findings(project: &Project) -> Vec<Finding> {
    let tables = project.config.services.values().flat_map(|service| {
        let of_scripts = service.scripts.iter().map(|script| &script.environment);
        of_scripts.chain([&service.environment])
    });
    let values = tables.flat_map(|table| table.values());
    let targets = project.config.environments.values().flat_map(|environment| environment.targets.values());
    let images = project.config.services.values().filter_map(|service| service.image.as_ref());
    let passwords = targets.filter_map(|target| target.sudo_password());
    let names: BTreeSet<&SecretName> = values
        .filter_map(|value| match value {
            EnvironmentValue::Secret { secret } => Some(secret),
            EnvironmentValue::Plain(_) => None,
        })
        .chain(passwords)
        .chain(images.flat_map(|image| image.secrets.values()))
        .collect();
    let secrets = LocalSecrets::new(project.workspace.repository.root());
    let mut findings = Vec::new();
    for name in names {
        findings.push(match secrets.fetch(name).await {
            Ok(secret) if secret.expose().is_empty() => {
                Finding::warn(format!("secret {name}"), "it is empty", "set it")
            }
            Ok(_) => Finding::ok(format!("secret {name}"), "can be read"),
            Err(failure) => {
                let mend = failure.next.clone().unwrap_or_else(|| "set it".into());
                Finding::fail(format!("secret {name}"), failure.what.clone(), mend)
            }
        });
    }
    findings
}

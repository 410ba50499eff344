//! The config on top of a workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pleach_core::config::{Config, EnvironmentConfig, FILE_NAME, ServiceConfig, Style, nearest, parse};
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Operation, PlannedTarget, ServiceSource, TargetDescription};
use pleach_core::port::{ImageId, ProjectImages};
use pleach_core::target::Facts;
use pleach_core::word::{CommitId, EnvironmentName, ServiceName, TargetName};
use pleach_git::nearest_branch;

use super::Workspace;
use super::script::{read_scripts, read_version};
use crate::args::{Globals, On};
use crate::exit::{Ended, Exit};
use crate::print::{Paint, stderr_columns};

/// A workspace with its config.
pub(crate) struct Project {
    pub(crate) workspace: Workspace,
    pub(crate) config: Config,
    pub(crate) config_path: PathBuf,
}

/// What is deployed as it stands elsewhere, instead of what its branch names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvenService {
    /// The commit.
    pub(crate) commit: CommitId,
    /// The images, where it runs as a container, by what the engines run that they are proven on.
    pub(crate) images: BTreeMap<String, ImageId>,
    /// The same of a Compose project: the images of its services.
    pub(crate) project: BTreeMap<String, ProjectImages>,
}

/// All of those.
pub(crate) type Proven = BTreeMap<ServiceName, ProvenService>;

impl Project {
    /// Finds the repository and reads its config; tells all that is wrong with it.
    pub(crate) fn open(globals: &Globals) -> Result<Self, Ended> {
        let workspace = Workspace::open(globals)?;
        let config_path = match &globals.config {
            Some(path) => globals.directory.as_ref().map_or_else(|| path.clone(), |directory| directory.join(path)),
            None => config_path(&workspace),
        };
        let text = std::fs::read_to_string(&config_path).map_err(|error| unreadable(&config_path, &error))?;
        let shown = config_path.strip_prefix(workspace.repository.root()).unwrap_or(&config_path);
        let config = parse(&shown.to_string_lossy(), &text).map_err(|problems| {
            let style = match Paint::of_stderr(globals.color) {
                Paint::Colors => Style::Color,
                Paint::Plain => Style::Plain,
            };
            Ended::told(Exit::WRONG, problems.render(stderr_columns(), style))
        })?;
        Ok(Self { workspace, config, config_path })
    }

    /// The same as if the config had no other targets than these, if any is named: in one environment, or in all.
    pub(crate) fn open_on(globals: &Globals, environment: Option<&EnvironmentName>, on: &On) -> Result<Self, Ended> {
        let mut project = Self::open(globals)?;
        if on.targets.is_empty() {
            return Ok(project);
        }
        if let Some(environment) = environment {
            project.require_environment(environment)?;
        }
        let asked = |name: &EnvironmentName| environment.is_none_or(|one| one == name);
        let environments = project.config.environments.iter().filter(|(name, _)| asked(name));
        let known: BTreeSet<&TargetName> = environments.flat_map(|(_, config)| config.targets.keys()).collect();
        if let Some(unknown) = on.targets.iter().find(|name| !known.contains(name)) {
            let known: Vec<&str> = known.into_iter().map(TargetName::as_str).collect();
            return Err(no_target(unknown, environment, &known).into());
        }
        let environments = project.config.environments.iter_mut().filter(|(name, _)| asked(name));
        environments.for_each(|(_, config)| config.targets.retain(|name, _| on.takes(name)));
        Ok(project)
    }

    /// The environment of that name.
    pub(crate) fn require_environment(&self, name: &EnvironmentName) -> Result<&EnvironmentConfig, Failure> {
        self.config.environments.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.config.environments.keys().map(EnvironmentName::as_str).collect();
            Failure::new(Kind::Rejected, format!("there is no environment `{name}`"))
                .because(format!("`{FILE_NAME}` has {}", listed(&known)))
                .state("nothing was touched")
                .next(match nearest(name.as_str(), known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("name one of these, or add `[environments.{name}]` and `pleach config check`"),
                })
        })
    }

    /// These services exist.
    pub(crate) fn require_services(&self, names: &[ServiceName]) -> Result<(), Vec<Failure>> {
        let known: Vec<&str> = self.config.services.keys().map(ServiceName::as_str).collect();
        let unknown = names.iter().filter(|name| !self.config.services.contains_key(*name));
        let failures: Vec<Failure> = unknown
            .map(|name| {
                let failure = Failure::new(Kind::Rejected, format!("there is no service `{name}`"))
                    .because(format!("`{FILE_NAME}` has {}", listed(&known)))
                    .state("nothing was touched");
                failure.next(match nearest(name.as_str(), known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("name one of these, or add `[services.{name}]` and `pleach config check`"),
                })
            })
            .collect();
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// The commit that each service's branch names now.
    ///
    /// Tells all of `wanted` whose branch is not there, or whose directory is not in the commit that is to be deployed, or
    /// whose scripts there cannot be read; of the others, what cannot be read is left out.
    pub(crate) fn sources(
        &self,
        wanted: &[ServiceName],
        operation: &Operation,
        proven: &Proven,
    ) -> Result<BTreeMap<ServiceName, ServiceSource>, Vec<Failure>> {
        let repository = &self.workspace.repository;
        repository.require_commits().map_err(|error| vec![super::untouched(error.into())])?;
        let (mut sources, mut failures) = (BTreeMap::new(), Vec::new());
        for (name, service) in &self.config.services {
            // Only the branch itself: a tag or a remote's branch of the same name is not what was meant.
            let branch = || repository.resolve(&format!("refs/heads/{}", service.branch)).ok();
            let (commit, images, project) = match proven.get(name) {
                Some(proven) => (Some(proven.commit.clone()), proven.images.clone(), proven.project.clone()),
                None => (branch(), BTreeMap::new(), BTreeMap::new()),
            };
            let Some(commit) = commit else {
                if wanted.contains(name) {
                    failures.push(self.no_branch(name, service));
                }
                continue;
            };
            if wanted.contains(name)
                && *operation == Operation::Deploy
                && let Err(error) = repository.require_directory(&commit, &service.path)
            {
                failures.push(no_directory(name, service, error));
            }
            let scripts = match (wanted.contains(name), operation) {
                (true, Operation::Deploy) => read_scripts(repository, name, service, &commit),
                _ => Ok(BTreeMap::new()),
            };
            let scripts = scripts.unwrap_or_else(|found| {
                failures.extend(found);
                BTreeMap::new()
            });
            let is_named = service.image.is_some() || service.compose.is_some();
            let builds = wanted.contains(name) && *operation == Operation::Deploy && is_named;
            let version = builds.then(|| read_version(repository, service, &commit)).transpose();
            let version = version.unwrap_or_else(|error| {
                failures.push(super::untouched(error.into()));
                None
            });
            match repository.commit_info(&commit) {
                Ok(info) => {
                    let source = ServiceSource { commit, subject: info.subject, scripts, images, project, version };
                    drop(sources.insert(name.clone(), source));
                }
                Err(error) if wanted.contains(name) => failures.push(super::untouched(error.into())),
                Err(_) => {}
            }
        }
        if failures.is_empty() { Ok(sources) } else { Err(failures) }
    }

    /// The branch of a service is not here; what to do depends on whether a remote has it.
    fn no_branch(&self, name: &ServiceName, service: &ServiceConfig) -> Failure {
        let (repository, branch) = (&self.workspace.repository, &service.branch);
        let failure = Failure::new(Kind::Rejected, format!("there is no branch `{branch}` for service `{name}`"))
            .state("nothing was touched");
        let remote = repository.remote_branches().unwrap_or_default().into_iter().find(|found| found.name == *branch);
        if let Some(remote) = remote {
            return failure
                .because(format!("it is only on `{}`", remote.remote))
                .next(format!("`pleach worktree add {name}` makes it here, in a worktree of its own"));
        }
        let branches = repository.branches().unwrap_or_default();
        let near = nearest_branch(branch, branches.iter().map(|found| found.name.as_str()));
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        failure
            .because("it is neither here nor on a remote as it was fetched last")
            .next(format!("{near}`git branch --all` lists what there is; name one in `services.{name}.branch`"))
    }

    /// What the adapters say of an environment's targets.
    pub(crate) fn descriptions(
        &self,
        environment: &EnvironmentConfig,
    ) -> Result<BTreeMap<TargetName, TargetDescription>, Failure> {
        let mut descriptions = BTreeMap::new();
        for (name, target) in &environment.targets {
            let described = pleach_remote::describe(environment, target, self.workspace.repository.root())?;
            descriptions.insert(name.clone(), described);
        }
        Ok(descriptions)
    }

    /// These targets of an environment, or all if none is named, as a plan would name them.
    pub(crate) fn planned_targets(
        &self,
        environment: &EnvironmentName,
        names: &[TargetName],
    ) -> Result<Vec<PlannedTarget>, Failure> {
        let descriptions = self.descriptions(self.require_environment(environment)?)?;
        if let Some(unknown) = names.iter().find(|name| !descriptions.contains_key(*name)) {
            let known: Vec<&str> = descriptions.keys().map(TargetName::as_str).collect();
            return Err(no_target(unknown, Some(environment), &known));
        }
        let wanted = descriptions.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        Ok(wanted.map(|(name, description)| self.planned_target(name, description)).collect())
    }

    /// One target as a plan would name it, with nothing expected of it.
    pub(crate) fn planned_target(&self, name: &TargetName, description: &TargetDescription) -> PlannedTarget {
        PlannedTarget {
            name: name.clone(),
            kind: description.kind.clone(),
            settings: description.settings.clone(),
            expects: Facts::new(),
        }
    }
}

fn no_target(unknown: &TargetName, environment: Option<&EnvironmentName>, known: &[&str]) -> Failure {
    let place = environment.map(|environment| format!(" in `{environment}`")).unwrap_or_default();
    let near = nearest(unknown.as_str(), known.iter().copied());
    let next = near.map_or_else(|| "name one of these".to_owned(), |near| format!("did you mean `{near}`?"));
    Failure::new(Kind::Rejected, format!("there is no target `{unknown}`{place}"))
        .because(format!("`{FILE_NAME}` has {}", listed(known)))
        .state("nothing was touched")
        .next(next)
}

/// `pleach.toml` of the worktree that the user is in; else that of the main worktree.
fn config_path(workspace: &Workspace) -> PathBuf {
    let here = workspace.repository.current_worktree().join(FILE_NAME);
    if here.is_file() { here } else { workspace.repository.root().join(FILE_NAME) }
}

fn no_directory(name: &ServiceName, service: &ServiceConfig, error: pleach_git::Error) -> Failure {
    let known = matches!(error, pleach_git::Error::NoPath(..) | pleach_git::Error::NotADirectory(..));
    let cause = super::untouched(error.into());
    if !known {
        return cause;
    }
    let next = cause.next.map(|next| format!("{next}; name one in `services.{name}.path`")).unwrap_or_default();
    let what = format!("service `{name}` has no directory `{}` on branch `{}`", service.path.display(), service.branch);
    Failure::new(Kind::Rejected, what).because(cause.what).state("nothing was touched").next(next)
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Kind::Rejected, format!("could not read `{}`", path.display()))
        .because(error.to_string())
        .state("nothing was touched");
    match error.kind() {
        std::io::ErrorKind::NotFound => failure.next("`pleach init` looks at the repository and proposes one"),
        _ => failure.next(format!("make `{}` a readable text file", path.display())),
    }
}

/// `` `a`, `b` and `c` ``
pub(crate) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => format!("`{}` and `{last}`", first.join("`, `")),
    }
}

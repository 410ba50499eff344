//! The repository, its state directory and the adapters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use pleach_core::engine::{RunTargets, State};
use pleach_core::error::Failure;
use pleach_core::journal::Record;
use pleach_core::plan::{Plan, PlannedTarget};
use pleach_core::port::{Clock, Holder, Leases, RunEntry};
use pleach_core::registry::Registry;
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, RunId, TargetName};
use pleach_git::{GitSource, Repository};
use pleach_remote::LocalSecrets;
use pleach_remote::guard::{SharedLeases, TargetLeases};
use pleach_remote::ssh::SshTarget;
use pleach_store::{FileLeases, FileRuns, Life, ProcessIdentity, SystemClock, holder, read_records};

use crate::args::Globals;
use crate::exit::Ended;

/// The leases that hosts keep themselves.
pub(crate) type HostLeases = BTreeMap<(EnvironmentName, TargetName), TargetLeases>;

/// The repository, its state directory and the adapters: all that a run needs besides its plan.
pub(crate) struct Workspace {
    pub(crate) repository: Repository,
    pub(crate) state_dir: PathBuf,
    pub(crate) registry: Arc<Registry>,
    pub(crate) runs: Arc<FileRuns>,
    pub(crate) leases: Arc<FileLeases>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Workspace {
    /// Finds the repository and opens its state.
    pub(crate) fn open(globals: &Globals) -> Result<Self, Ended> {
        Self::open_state(globals).map_err(|failure| Ended::from(untouched(failure)))
    }

    fn open_state(globals: &Globals) -> Result<Self, Failure> {
        let start = globals.directory.as_deref().unwrap_or(Path::new("."));
        let repository = Repository::discover(start).map_err(Failure::from)?;
        let state_dir = repository.ensure_state_dir().map_err(Failure::from)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut registry = Registry::new();
        let source = Arc::new(GitSource::new(repository.clone()));
        let secrets = Arc::new(LocalSecrets::new(repository.root()));
        pleach_remote::register(&mut registry, source, secrets, &state_dir.join("built"));
        let runs = FileRuns::open(&state_dir).map_err(Failure::from)?;
        let leases = FileLeases::open(&state_dir, clock.clone()).map_err(Failure::from)?;
        Ok(Self {
            repository,
            state_dir,
            registry: Arc::new(registry),
            runs: Arc::new(runs),
            leases: Arc::new(leases),
            clock,
        })
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All runs, the newest first.
    pub(crate) fn entries(&self) -> Result<Vec<RunEntry>, Failure> {
        self.runs.entries().map_err(Failure::from)
    }

    /// What a run wrote so far, read without disturbing whoever writes it.
    pub(crate) fn records(&self, run: &RunId) -> Result<Vec<Record>, Failure> {
        let (records, _) = read_records(&self.runs.journal_path(run)).map_err(Failure::from)?;
        Ok(records)
    }

    /// What a run has come to.
    pub(crate) fn state(&self, run: &RunId) -> Result<State, Failure> {
        State::replay(&self.records(run)?).map_err(Failure::from)
    }

    /// Opens the targets of a plan, from the plan alone, with the leases that cover them.
    pub(crate) fn open_targets(&self, plan: &Plan) -> Result<(RunTargets, SharedLeases), Failure> {
        let (targets, there) = self.open_with_leases(&plan.environment, &plan.targets)?;
        let there = there.into_iter().map(|(key, leases)| (key, leases.plan(plan.id().to_string()))).collect();
        Ok((targets, self.share(&plan.environment, &plan.targets, there)))
    }

    /// The leases of all these targets: for each that of this machine's state, and the one that lies at the target.
    pub(crate) fn share(
        &self,
        environment: &EnvironmentName,
        planned: &[PlannedTarget],
        hosts: HostLeases,
    ) -> SharedLeases {
        let mut there: BTreeMap<_, Arc<dyn Leases>> = BTreeMap::new();
        for (key, leases) in hosts {
            there.insert(key, Arc::new(leases));
        }
        for planned in planned {
            if let Some(leases) = self.directory_leases(planned) {
                there.insert((environment.clone(), planned.name.clone()), Arc::new(leases));
            }
        }
        SharedLeases::new(self.leases.clone(), there)
    }

    /// The lease that lies in a directory of this machine; nothing for a target of another kind.
    pub(crate) fn directory_leases(&self, planned: &PlannedTarget) -> Option<FileLeases> {
        let path = planned.settings.get("path").filter(|_| planned.kind == "directory")?.as_str()?;
        Some(FileLeases::of_directory(Path::new(path), self.clock.clone()))
    }

    /// Opens targets, with the leases that they keep themselves.
    pub(crate) fn open_with_leases(
        &self,
        environment: &EnvironmentName,
        planned: &[PlannedTarget],
    ) -> Result<(RunTargets, HostLeases), Failure> {
        let (mut targets, mut there) = (RunTargets::new(), HostLeases::new());
        for planned in planned {
            let target: Arc<dyn Target> = if planned.kind == "ssh" {
                let target = pleach_remote::open_ssh_target(environment, planned)?;
                there.insert((environment.clone(), planned.name.clone()), leases_of(&target));
                Arc::new(target)
            } else {
                self.open_target(environment, planned)?
            };
            targets.insert(planned.name.clone(), target);
        }
        Ok((targets, there))
    }

    /// Opens one target.
    pub(crate) fn open_target(
        &self,
        environment: &EnvironmentName,
        planned: &PlannedTarget,
    ) -> Result<Arc<dyn Target>, Failure> {
        pleach_remote::open_target(environment, planned)
    }

    /// The worktree of each branch that is checked out somewhere.
    pub(crate) fn worktrees(&self) -> BTreeMap<String, PathBuf> {
        let branches = self.repository.branches().unwrap_or_default();
        branches.into_iter().filter_map(|branch| Some((branch.name, branch.checked_out_in?))).collect()
    }
}

/// The leases that lie on a host, for this process.
fn leases_of(target: &SshTarget) -> TargetLeases {
    let proven_dead = |holder: &Holder| ProcessIdentity::from(holder).life() == Life::Dead;
    target.leases(holder(), Arc::new(proven_dead))
}

/// Says of a failure that came before anything was begun that nothing was touched, if it says no more than that.
pub(crate) fn untouched(mut failure: Failure) -> Failure {
    failure.state.get_or_insert_with(|| "nothing was touched".to_owned());
    failure
}

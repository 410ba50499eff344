//! Pleach as a library: two branches to a directory, and back.
//!
//! ```sh
//! cargo run -p pleach --example embed
//! ```
//!
//! A service with `run` is kept by a process of its own: a program that deploys such hands its arguments `supervise …`, `route …`
//! and `proxy …` on to `pleach_remote::supervise::main`, `pleach_remote::route::main` and `pleach_remote::proxy::main`, as `pleach`
//! does.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use pleach_core::config::parse;
use pleach_core::engine::{Engine, RollbackRequest, RunTargets, cancel_channel, read_facts};
use pleach_core::event::NoEvents;
use pleach_core::plan::{Consent, Operation, PlanInput, PlannedTarget, ServiceSource, approve, plan};
use pleach_core::port::Clock;
use pleach_core::registry::Registry;
use pleach_core::target::Facts;
use pleach_core::word::{EnvironmentName, RunId};
use pleach_git::{GitSource, Repository};
use pleach_remote::LocalSecrets;
use pleach_store::{FileLeases, FileRuns, SystemClock};

const CONFIG: &str = r#"
[project]
name = "shop"
main = "main"

[services.front]
branch = "work/front"
build = "test -s page.html"

[services.back]
branch = "work/back"

[environments.local]
on-failure = "unwind-run"
targets.here = { kind = "directory", path = "../live" }
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let root = scratch.path().join("shop");
    make_repository(&root)?;

    // The adapters: where files come from, where runs and leases are kept, what can be done.
    let repository = Repository::discover(&root)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let state = repository.ensure_state_dir()?;
    let mut registry = Registry::new();
    let source = Arc::new(GitSource::new(repository.clone()));
    let secrets = Arc::new(LocalSecrets::new(repository.root()));
    pleach_remote::register(&mut registry, source, secrets, &state.join("built"));
    let engine = Engine {
        registry: Arc::new(registry),
        leases: Arc::new(FileLeases::open(&state, clock.clone())?),
        runs: Arc::new(FileRuns::open(&state)?),
        events: Arc::new(NoEvents),
        clock: clock.clone(),
    };

    // Text to config; commits and facts; then the plan, which is pure and tells all problems at once.
    let config = parse("pleach.toml", CONFIG).map_err(|problems| problems.to_string())?;
    let environment = EnvironmentName::new("local")?;
    let mut sources = BTreeMap::new();
    for (name, service) in &config.services {
        let commit = repository.resolve(&format!("refs/heads/{}", service.branch))?;
        let subject = repository.commit_info(&commit)?.subject;
        let source = ServiceSource {
            commit,
            subject,
            scripts: BTreeMap::new(),
            images: BTreeMap::new(),
            project: BTreeMap::new(),
            version: None,
        };
        sources.insert(name.clone(), source);
    }
    let (mut descriptions, mut targets) = (BTreeMap::new(), RunTargets::new());
    let settings = &config.environments[&environment];
    for (name, target) in &settings.targets {
        let description = pleach_remote::describe(settings, target, repository.root())?;
        let planned = PlannedTarget {
            name: name.clone(),
            kind: description.kind.clone(),
            settings: description.settings.clone(),
            expects: Facts::new(),
        };
        targets.insert(name.clone(), pleach_remote::open_target(&environment, &planned)?);
        descriptions.insert(name.clone(), description);
    }
    let facts = read_facts(&targets).await.map_err(all)?;
    let input = PlanInput {
        config: &config,
        environment: &environment,
        operation: Operation::Deploy,
        only: &[],
        sources: &sources,
        targets: &descriptions,
        facts: &facts,
        registry: &engine.registry,
        now: clock.now(),
    };
    let plan = plan(&input).map_err(all)?;

    // Consent is bound to the digest of this plan, and a plan is used once.
    let consent = Consent {
        plan: plan.id(),
        by: "the example".into(),
        at: clock.now(),
        how: "in code".into(),
        answers: BTreeMap::new(),
    };
    let run = RunId::new("first-run")?;
    let (_sender, stop) = cancel_channel();
    let report = engine.execute(run.clone(), approve(plan, consent)?, &targets, stop).await?;
    println!("deployed: {:?}", report.outcome);
    println!("front serves: {}", std::fs::read_to_string(scratch.path().join("live/front/current/page.html"))?.trim());

    // The way back of the same run; what it needs was written down before its first change.
    let (_sender, stop) = cancel_channel();
    let request = RollbackRequest { by: "the example".into(), lanes: Vec::new() };
    let report = engine.roll_back(&run, request, &targets, stop).await?;
    println!("taken back: {:?}", report.outcome);
    println!("front is there: {}", scratch.path().join("live/front/current").exists());
    Ok(())
}

/// Every reason why something is refused.
fn all(failures: Vec<pleach_core::error::Failure>) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A repository with a branch for each of two services.
fn make_repository(root: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(root)?;
    let git = |arguments: &[&str]| -> Result<(), Box<dyn Error>> {
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let status = Command::new("git").arg("-C").arg(root).args(identity).args(arguments).status()?;
        if status.success() { Ok(()) } else { Err(format!("`git {}` failed", arguments.join(" ")).into()) }
    };
    git(&["init", "--quiet", "--initial-branch", "main"])?;
    for (branch, file, text) in [
        ("main", "README.md", "A shop\n"),
        ("work/front", "page.html", "Welcome\n"),
        ("work/back", "prices.csv", "1\n"),
    ] {
        if branch != "main" {
            git(&["switch", "--quiet", "--create", branch, "main"])?;
        }
        std::fs::write(root.join(file), text)?;
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "--message", &format!("Add {file}")])?;
    }
    git(&["switch", "--quiet", "main"])
}

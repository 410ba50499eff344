//! From a survey to a proposal.

use std::collections::{BTreeMap, BTreeSet};

use pleach_core::error::Failure;
use pleach_core::word::ServiceName;

use super::branch::{Purpose, group, service_name, telling_name, version_key};
use super::candidate::{directories, directory_of, marker};
use super::compose::{ComposeService, Composed, NAMES, compose};
use super::docker;
use super::odoo::{Addons, addons, listed};
use super::place::Found;
use super::platform::{SpecService, StatusService, specs, status_services};
use super::project::{Project, project};
use super::proposal::{Group, Proposal, ServiceProposal, assign_ports};
use super::recipe::{Recipe, recipe};
use super::route::is_aside;
use super::survey::{Choice, Seen, Survey, Tree};

/// Branches whose names say nothing are looked into up to this many: each costs a walk through its tree.
const LOOKED_INTO: usize = 120;

/// Version branches are many and old ones are seldom deployed.
const VERSIONS: usize = 5;

/// What is known before the first branch is looked into.
struct Known<'a> {
    survey: &'a Survey,
    main: Tree<'a>,
    specs: BTreeMap<String, SpecService>,
    statuses: Vec<StatusService>,
    compose: Composed,
    limit: usize,
}

/// Proposes at most `limit` services; the rest is told by group.
pub(crate) fn propose(survey: &Survey, limit: usize) -> Result<Proposal, Failure> {
    let main = survey.tree(&survey.main)?;
    let root = main.place("");
    let status = survey.status.clone().or_else(|| root.text("WORKTREE_STATUS.json")).unwrap_or_default();
    let (specs, compose) = (specs(&root), compose(&root));
    drop(root);
    let known = Known { survey, main, specs, statuses: status_services(&status), compose, limit };

    let mut proposal = Proposal {
        project: service_name(&survey.name).map_or_else(|| "project".to_owned(), |name| name.to_string()),
        main: survey.main.name.clone(),
        worktrees: known.worktrees(),
        services: Vec::new(),
        stages: Vec::new(),
        others: Vec::new(),
        notes: Vec::new(),
    };
    branches(&known, &mut proposal)?;
    if survey.choice == Choice::Guessed {
        versions(&known, &mut proposal)?;
        on_main(&known, &mut proposal);
    }
    if proposal.services.is_empty() {
        proposal.services.extend(all_of_main(&known));
    }
    settle_names(&mut proposal.services);
    proposal.services.sort_by(|a, b| a.name.cmp(&b.name));
    assign_ports(&mut proposal.services);
    Ok(proposal)
}

impl Known<'_> {
    /// The directory that a status file keeps its worktrees in.
    fn worktrees(&self) -> Option<Found<String>> {
        let mut parents =
            self.statuses.iter().filter_map(|status| Some(status.worktree.as_deref()?.rsplit_once('/')?.0));
        let first = parents.next().filter(|first| !first.is_empty())?;
        parents.all(|parent| parent == first).then(|| Found::new(first, "`worktree` in WORKTREE_STATUS.json"))
    }

    /// What a status file or an app spec calls the service of a branch.
    fn named(&self, branch: &str) -> Option<String> {
        let status = self.statuses.iter().find(|status| status.branch == branch).map(|status| status.name.clone());
        let spec = || self.specs.values().find(|spec| spec.branch.as_deref() == Some(branch));
        status.or_else(|| spec().map(|spec| spec.name.clone()))
    }
}

/// Services that have a branch of their own.
fn branches(known: &Known<'_>, proposal: &mut Proposal) -> Result<(), Failure> {
    let mut others: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut candidates = Vec::new();
    for seen in &known.survey.branches {
        let is_service = known.survey.choice == Choice::Named || known.named(&seen.name).is_some();
        let purpose = if is_service { Purpose::Service } else { Purpose::of(&seen.name) };
        match purpose {
            Purpose::Service | Purpose::Change | Purpose::Unknown => candidates.push((purpose, seen)),
            Purpose::Stage => proposal.stages.push(seen.name.clone()),
            Purpose::Machine => others.entry("made by programs").or_default().push(seen.name.clone()),
            Purpose::Version => {}
        }
    }
    candidates.sort_by_key(|(purpose, seen)| (*purpose != Purpose::Service, *purpose == Purpose::Unknown, &seen.name));
    let mut looked_into = 0;
    for (purpose, seen) in candidates {
        let mut leave = |why| others.entry(why).or_default().push(seen.name.clone());
        if proposal.services.len() >= known.limit {
            leave("more of them: `pleach init --print --limit 500` shows all");
        } else if purpose != Purpose::Service && looked_into >= LOOKED_INTO {
            leave("not looked into, there are many");
        } else {
            looked_into += 1;
            match of_branch(known, &purpose, seen)? {
                Some((service, notes)) => {
                    proposal.services.push(service);
                    tell(proposal, notes);
                }
                None => leave("changes, not services of their own"),
            }
        }
    }
    proposal.others.extend(others.into_iter().map(|(why, names)| grouped(names, why)));
    Ok(())
}

/// Names with a first part that many share are told by it.
fn grouped(mut names: Vec<String>, why: &'static str) -> Group {
    const MANY: usize = 4;
    names.sort();
    let count = names.len();
    let mut told: Vec<String> = Vec::new();
    for name in &names {
        let group = group(name);
        let share = names.iter().filter(|other| self::group(other) == group).count();
        let name = if share >= MANY { group } else { name.clone() };
        if told.last() != Some(&name) {
            told.push(name);
        }
    }
    Group { names: told, count, why }
}

/// Adds what was not told yet.
fn tell(proposal: &mut Proposal, notes: Vec<String>) {
    for note in notes {
        if !proposal.notes.contains(&note) {
            proposal.notes.push(note);
        }
    }
}

/// The service of a branch, and what its Compose file has beside it.
fn of_branch(
    known: &Known<'_>,
    purpose: &Purpose,
    seen: &Seen,
) -> Result<Option<(ServiceProposal, Vec<String>)>, Failure> {
    let short = known.named(&seen.name).unwrap_or_else(|| seen.name.rsplit('/').next().unwrap_or_default().to_owned());
    let Some(name) = service_name(&short) else { return Ok(None) };
    let tree = known.survey.tree(seen)?;
    let spec = known.specs.get(&short);
    let from_spec = spec.and_then(|spec| {
        let directory = spec.directory.clone().filter(|directory| tree.has_directory(directory))?;
        Some((directory, format!("`source_dir` in {}", spec.file)))
    });
    let (directory, why) = match from_spec {
        Some(found) => found,
        None => directory_of(&short, &tree.files, &known.survey.changed(seen, &tree)?),
    };
    // What edits a directory that main has as well is a change to it, unless it carries its name.
    let is_own = !directory.is_empty() && (why.contains("name") || !known.main.has_directory(&directory));
    if *purpose != Purpose::Service && !is_own {
        return Ok(None);
    }
    let (composed, mut notes) = composed(&tree, &directory);
    let service = service(&tree, name, seen, &directory, &why, spec, composed.as_ref());
    if service.recipe.project.is_some() {
        notes.clear();
    }
    let says_something = service.recipe.is_started() || service.description.is_some();
    Ok((*purpose == Purpose::Service || says_something || *purpose == Purpose::Change).then_some((service, notes)))
}

/// The one service that a Compose file of the directory, or else of the branch, builds from the directory; and what the file has
/// beside it.
fn composed(tree: &Tree<'_>, directory: &str) -> (Option<ComposeService>, Vec<String>) {
    let from = |place: &str| {
        let composed = compose(&tree.place(place));
        let (own, others): (Vec<_>, Vec<_>) =
            composed.services.into_iter().partition(|service| service.directory == directory);
        // The one that people reach stands for the branch.
        let chosen = own.iter().position(|service| service.published.is_some()).unwrap_or(0);
        let beside = own.iter().enumerate().filter(|(at, _)| *at != chosen).map(|(_, service)| service);
        let mut notes = composed.notes;
        notes.extend(beside.map(|service| {
            format!("`{}` in {} is built from the same directory and is no service here", service.name, service.file)
        }));
        if place == directory {
            notes.extend(others.iter().map(built_elsewhere));
        }
        own.get(chosen).cloned().map(|service| (Some(service), notes))
    };
    from(directory).or_else(|| from("").filter(|_| !directory.is_empty())).unwrap_or_default()
}

/// The Compose project of a directory: that of its own file, or that of the root if it builds from there.
fn project_of(tree: &Tree<'_>, directory: &str) -> Option<(String, Project)> {
    let own = project(&tree.place(directory)).map(|project| (directory.to_owned(), project));
    let of_root = || {
        let project = project(&tree.place("")).filter(|project| project.builds.iter().any(|built| built == directory));
        project.map(|project| (String::new(), project))
    };
    own.or_else(of_root)
}

fn built_elsewhere(service: &ComposeService) -> String {
    let directory = if service.directory.is_empty() { "." } else { &service.directory };
    format!("`{}` in {} is built from `{directory}` and is no service here", service.name, service.file)
}

/// A service whose branch and directory are known: what its files say of it.
fn service(
    tree: &Tree<'_>,
    name: ServiceName,
    seen: &Seen,
    directory: &str,
    why: &str,
    spec: Option<&SpecService>,
    composed: Option<&ComposeService>,
) -> ServiceProposal {
    let place = tree.place(directory);
    let modules = addons(&place.files).into_iter().next();
    let own = spec.map(|spec| spec.recipe(&place)).unwrap_or_default();
    let found = match &modules {
        // Addons are run by an Odoo that is in their image or elsewhere; what a `requirements.txt` beside them names is Odoo's to
        // install.
        Some(_) => {
            let image = docker::recipe(&place, composed);
            own.or(if image.image.is_some() { image } else { Recipe::default() })
        }
        None => own.or(recipe(&place, composed)),
    };
    let mut found = found.settled();
    let (mut directory, mut why) = (directory.to_owned(), why.to_owned());
    // What an app spec says is deployed as it says; what runs by itself needs no ready images beside it.
    let project = spec.is_none().then(|| project_of(tree, &directory)).flatten();
    if let Some((place, project)) = project.filter(|(_, project)| !project.builds.is_empty() || found.run.is_none()) {
        if place != directory {
            why.clear();
        }
        (directory, found) = (place, project.recipe());
    }
    if let Some(root) = found.root.take() {
        if let Some(run) = &mut found.run
            && root.value != directory
        {
            run.why = format!("{}; {}", run.why, root.why);
        }
        (directory, why) = (root.value, root.why);
    }
    let document = ["README.md", "README.rst", "README"].into_iter().find(|file| place.has(file)).map(str::to_owned);
    ServiceProposal {
        name,
        branch: seen.name.clone(),
        remote: seen.remote.clone(),
        directory,
        why,
        description: modules.map(|modules| listed(&modules.modules)),
        document,
        recipe: found,
        port: None,
    }
}

/// Version branches of a repository of Odoo modules: the same modules, once a version.
fn versions(known: &Known<'_>, proposal: &mut Proposal) -> Result<(), Failure> {
    let mut versions: Vec<&Seen> =
        known.survey.branches.iter().filter(|seen| Purpose::of(&seen.name) == Purpose::Version).collect();
    versions.sort_by_key(|seen| std::cmp::Reverse(version_key(&seen.name)));
    let mut left: Vec<String> = versions.iter().skip(VERSIONS).map(|seen| seen.name.clone()).collect();
    let main = Purpose::of(&known.survey.main.name) == Purpose::Version;
    let mut found = 0;
    for seen in versions.iter().take(VERSIONS).copied().chain(main.then_some(&known.survey.main)) {
        let tree = known.survey.tree(seen)?;
        match addons(&tree.files).first() {
            Some(modules) => {
                found += 1;
                proposal.services.extend(of_version(known, seen, &tree, modules));
            }
            None => left.push(seen.name.clone()),
        }
    }
    if !left.is_empty() {
        let why = if found > 0 { "older versions" } else { "versions of all of it" };
        proposal.others.push(grouped(left, why));
    }
    Ok(())
}

fn of_version(known: &Known<'_>, seen: &Seen, tree: &Tree<'_>, modules: &Addons) -> Option<ServiceProposal> {
    let name = service_name(&format!("{}-{}", known.survey.name, seen.name.rsplit('/').next()?))?;
    let why = format!("holds {}", listed(&modules.modules));
    Some(service(tree, name, seen, &modules.directory, &why, None, None))
}

/// Services that live side by side on main, without a branch of their own.
fn on_main(known: &Known<'_>, proposal: &mut Proposal) {
    let mut taken: BTreeSet<String> = proposal.services.iter().map(|service| service.directory.clone()).collect();
    let main = &known.survey.main;
    let composed: BTreeSet<&str> = known.compose.services.iter().map(|service| service.directory.as_str()).collect();
    if let Some(whole) = all_of_project(known).filter(|_| proposal.services.len() < known.limit) {
        let project = whole.recipe.project.as_ref();
        taken.extend(project.map(|project| project.builds.clone()).unwrap_or_default());
        taken.extend(addons(&known.main.files).into_iter().map(|modules| modules.directory));
        taken.insert(String::new());
        proposal.services.push(whole);
    }
    let mut marked = directories(&known.main.files);
    marked.extend(projects(known));
    let specified = known.specs.values().filter_map(|spec| spec.directory.clone());
    let all: BTreeSet<String> =
        marked.into_iter().chain(specified).chain(composed.iter().map(|directory| (*directory).to_owned())).collect();
    let mut left = 0;
    let mut notes = if taken.contains("") { Vec::new() } else { known.compose.notes.clone() };
    for directory in &all {
        if taken.contains(directory) || (directory.is_empty() && !composed.contains("")) {
            continue;
        }
        if !directory.is_empty() && !known.main.has_directory(directory) {
            let missing = known.compose.services.iter().filter(|service| service.directory == *directory);
            notes.extend(missing.map(built_elsewhere));
            continue;
        }
        let (services, told) = of_directory(known, directory);
        notes.extend(told);
        for service in services {
            if proposal.services.len() >= known.limit {
                left += 1;
            } else {
                taken.insert(directory.clone());
                proposal.services.push(service);
            }
        }
    }
    // All of main is the last resort: a service that is built from it is then that one.
    let is_alone = proposal.services.is_empty();
    let at_root = known.compose.services.iter().filter(|service| service.directory.is_empty());
    if !is_alone && !taken.contains("") {
        notes.extend(at_root.map(built_elsewhere));
    }
    let has_root = proposal.services.iter().any(|service| service.directory.is_empty());
    if !is_alone && !has_root && !composed.contains("") && known.main.files.binary_search(&"Dockerfile".into()).is_ok()
    {
        notes.push(
            "`Dockerfile` at the root is no service here; one with `image` and without `path` makes it one".to_owned(),
        );
    }
    tell(proposal, notes);
    // A version branch was told with the other versions.
    if Purpose::of(&main.name) != Purpose::Version {
        for modules in addons(&known.main.files).iter().filter(|modules| !taken.contains(&modules.directory)) {
            let short = if modules.directory.is_empty() { &known.survey.name } else { &modules.directory };
            if let Some(name) = service_name(short).filter(|_| proposal.services.len() < known.limit) {
                let why = format!("holds {}", listed(&modules.modules));
                proposal.services.push(service(&known.main, name, main, &modules.directory, &why, None, None));
            }
        }
    }
    if left > 0 {
        proposal
            .notes
            .push(format!("{left} more directories of `{}`: `pleach init --print --limit 500` shows all", main.name));
    }
}

/// The service that the Compose file at the root of main is, where that is a project.
fn all_of_project(known: &Known<'_>) -> Option<ServiceProposal> {
    let found = project(&known.main.place("")).and(all_of_main(known))?;
    found.recipe.project.is_some().then_some(found)
}

/// A directory of main whose Compose file is a project.
fn of_project(known: &Known<'_>, directory: &str, spec: Option<&SpecService>) -> Option<ServiceProposal> {
    let why = project(&known.main.place(directory))?.why;
    let name = telling_name(directory)?;
    let found = service(&known.main, name, &known.survey.main, directory, &why, spec, None);
    found.recipe.project.is_some().then_some(found)
}

/// Directories of main below its root whose Compose file is a project.
fn projects(known: &Known<'_>) -> Vec<String> {
    let files = known.main.files.iter().filter_map(|file| file.rsplit_once('/'));
    let directories = files.filter(|(directory, name)| NAMES.contains(name) && !is_aside(directory));
    let found: BTreeSet<&str> = directories.map(|(directory, _)| directory).collect();
    found.into_iter().filter(|directory| project(&known.main.place(directory)).is_some()).map(str::to_owned).collect()
}

/// The services of a directory of main, and what is to be said of it: one, or each container that a Compose file builds from it.
fn of_directory(known: &Known<'_>, directory: &str) -> (Vec<ServiceProposal>, Vec<String>) {
    let main = &known.survey.main;
    let spec = known.specs.values().find(|spec| spec.directory.as_deref() == Some(directory));
    let from = |composed: &Composed| -> Vec<ComposeService> {
        composed.services.iter().filter(|service| service.directory == directory).cloned().collect()
    };
    if let Some(found) = of_project(known, directory, spec) {
        return (vec![found], Vec::new());
    }
    let mut notes = Vec::new();
    let by_root = from(&known.compose);
    let is_own = by_root.is_empty();
    let composed = if is_own {
        let own = compose(&known.main.place(directory));
        notes.extend(own.notes.clone());
        notes.extend(own.services.iter().filter(|service| service.directory != directory).map(built_elsewhere));
        from(&own)
    } else {
        by_root
    };
    let propose = |composed: Option<&ComposeService>, is_one_of_many: bool| {
        let short = match (spec, composed) {
            (Some(spec), _) => service_name(&spec.name),
            // What lies in the directory seldom names it for all of the repository.
            (None, Some(service)) if is_own && is_one_of_many => {
                service_name(&format!("{}-{}", telling_name(directory)?, service.name))
            }
            (None, Some(service)) if !is_own => service_name(&service.name),
            (None, _) => telling_name(directory),
        };
        let why = match (spec, composed) {
            (Some(spec), _) => format!("`source_dir` in {}", spec.file),
            (None, Some(service)) => format!("`{}` in {}", service.name, service.file),
            (None, None) => marker(&known.main.files, directory).unwrap_or_default(),
        };
        let mut found = service(&known.main, short?, main, directory, &why, spec, composed);
        if let Some((service, port)) = composed.and_then(|service| Some((service, service.port?)))
            && found.recipe.image.is_none()
        {
            let port = Found::new(port, format!("`{}` in {}", service.name, service.file));
            found.recipe.port.get_or_insert(port);
        }
        Some(found)
    };
    let mut services = Vec::new();
    let mut without = Vec::new();
    for service in &composed {
        match propose(Some(service), composed.len() > 1) {
            Some(found) if found.recipe.image.is_some() => services.push(found),
            found => without.push((service, found)),
        }
    }
    // Without containers the directory is one service, whatever else is started from it.
    let alone = match without.pop() {
        Some((service, found)) if directory.is_empty() => {
            without.push((service, found));
            None
        }
        Some((_, found)) => found,
        None if composed.is_empty() => propose(None, false),
        None => None,
    };
    if !directory.is_empty() || !services.is_empty() {
        notes.extend(without.iter().map(|(service, _)| built_elsewhere(service)));
    }
    let has_image = known.main.files.binary_search(&format!("{directory}/Dockerfile")).is_ok();
    let is_service =
        |found: &ServiceProposal| found.recipe.answers() || spec.is_some() || !composed.is_empty() || has_image;
    services.extend(alone.filter(is_service));
    if services.is_empty() {
        notes.clear();
    }
    (services, notes)
}

/// The last resort: all of main as one service.
fn all_of_main(known: &Known<'_>) -> Option<ServiceProposal> {
    let name = service_name(&known.survey.name).or_else(|| service_name("service"))?;
    Some(service(&known.main, name, &known.survey.main, "", "", None, None))
}

/// Services of one name get longer ones.
fn settle_names(services: &mut [ServiceProposal]) {
    let mut seen: BTreeSet<ServiceName> = BTreeSet::new();
    for service in services {
        let long = service_name(&service.branch.replace('/', "-"));
        let longer = service_name(&format!("{}-{}", service.branch, service.directory).replace('/', "-"));
        let own = [Some(service.name.clone()), long, longer].into_iter().flatten().find(|name| !seen.contains(name));
        let counted =
            || (2..).find_map(|n| service_name(&format!("{}-{n}", service.name)).filter(|name| !seen.contains(name)));
        if let Some(name) = own.or_else(counted) {
            service.name = name;
        }
        seen.insert(service.name.clone());
    }
}

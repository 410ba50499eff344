//! Paths stay where they belong.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::Finding;
use crate::config::{Config, KeyPath, ServiceConfig};

pub(super) fn paths_stay_inside(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str()]);
        found.extend(
            leads_outside(&service.path).map(|why| outside(key.at("path"), &service.path, why, "the repository")),
        );
        let mut seen: BTreeMap<PathBuf, &Path> = BTreeMap::new();
        for (at, path) in service.shared.iter().enumerate() {
            let key = key.at("shared").at(at);
            if let Some(why) = leads_outside(path) {
                found.push(outside(key, path, why, "the release"));
                continue;
            }
            let plain = normal(path);
            if plain.as_os_str().is_empty() {
                found.push(
                    Finding::new(key, "the whole release cannot be shared")
                        .expected("expected a path in it, such as `data/`"),
                );
                continue;
            }
            match seen.iter().find(|(other, _)| plain.starts_with(other) || other.starts_with(&plain)) {
                Some((_, other)) => {
                    let what = format!("`{}` and `{}` overlap", path.display(), other.display());
                    found.push(Finding::new(key, what).expected("expected only the outer one"));
                }
                None => drop(seen.insert(plain, path)),
            }
        }
        snapshot_paths(service, &key, found);
        let file = service.test.as_ref().and_then(|test| test.documentation_file.as_ref());
        if let Some((file, why)) = file.and_then(|file| Some((file, leads_outside(file)?))) {
            found.push(outside(key.at("test").at("documentation-file"), file, why, "the service's directory"));
        }
    }
    let worktrees = config.project.worktrees.to_string_lossy().replace("{project}", "");
    if let Some(start) = worktrees.find('{') {
        let what = format!(
            "unknown placeholder `{}`",
            &worktrees[start..=worktrees[start..].find('}').map_or(worktrees.len() - 1, |end| start + end)]
        );
        found.push(Finding::new(KeyPath::of(["project", "worktrees"]), what).expected("expected `{project}` or none"));
    }
    let project = &config.project.name;
    if project.contains(['/', '\\']) || project.chars().any(char::is_control) || matches!(project.as_str(), "." | "..")
    {
        let what = format!("{project:?} cannot be part of a file name");
        found.push(Finding::new(KeyPath::of(["project", "name"]), what).expected("expected a name without `/`"));
    }
}

/// Absolute, or in what is shared; one is not in another.
fn snapshot_paths(service: &ServiceConfig, key: &KeyPath, found: &mut Vec<Finding>) {
    let shared: Vec<PathBuf> = service.shared.iter().map(|path| normal(path)).collect();
    let mut seen: Vec<(PathBuf, &Path)> = Vec::new();
    let paths = service.snapshot.iter().enumerate().filter_map(|(at, source)| Some((at, source.path()?)));
    for (at, path) in paths {
        let key = key.at("snapshot").at(at);
        let plain = normal(path);
        if path.components().any(|part| part == Component::ParentDir)
            || plain.components().count() < 2 && path.is_absolute()
        {
            let what = format!("`{}` cannot be kept and put back", path.display());
            found.push(Finding::new(key, what).expected("expected a file or directory below `/`, without `..`"));
        } else if !path.is_absolute() && !shared.iter().any(|shared| plain.starts_with(shared)) {
            let what = format!("`{}` is not shared: each release has its own", path.display());
            found.push(
                Finding::new(key, what).expected("expected a path in `shared`, or an absolute one on the target"),
            );
        } else if let Some((_, other)) =
            seen.iter().find(|(other, _)| plain.starts_with(other) || other.starts_with(&plain))
        {
            let what = format!("`{}` and `{}` overlap", path.display(), other.display());
            found.push(Finding::new(key, what).expected("expected only the outer one"));
        } else {
            seen.push((plain, path));
        }
    }
}

pub(super) fn directories_are_apart(config: &Config, found: &mut Vec<Finding>) {
    let mut seen: BTreeMap<(Option<&str>, PathBuf), (String, KeyPath)> = BTreeMap::new();
    for (name, environment) in &config.environments {
        for (target, settings) in &environment.targets {
            let key = KeyPath::of(["environments", name.as_str(), "targets", target.as_str(), "path"]);
            if settings.machine().is_some() && !settings.path().is_absolute() {
                let what = format!("`{}` is not an absolute path", settings.path().display());
                found.push(Finding::new(key, what).expected("expected where it lies on the host, such as `/srv/app`"));
                continue;
            }
            if settings.path().to_string_lossy().starts_with('~') {
                let what = format!("`{}` would be a directory named `~`", settings.path().display());
                found.push(Finding::new(key, what).expected("expected a path without `~`, such as `../app-local`"));
                continue;
            }
            let place = (settings.machine(), normal(settings.path()));
            let here = format!("`{name}/{target}`");
            match seen.get(&place) {
                Some((other, other_key)) => {
                    let what = format!("targets {other} and {here} share one directory");
                    found.push(
                        Finding::new(key, what)
                            .because_of(other_key.clone())
                            .expected("expected a directory of its own"),
                    );
                }
                None => drop(seen.insert(place, (here, key))),
            }
        }
    }
}

pub(super) fn outside(key: KeyPath, path: &Path, why: &str, of: &str) -> Finding {
    let what = format!("`{}` leads out of {of}: {why}", path.display());
    Finding::new(key, what).expected(format!("expected a path in {of}"))
}

/// Why the path is not one inside, whatever it starts from.
pub(super) fn leads_outside(path: &Path) -> Option<&'static str> {
    path.components().find_map(|component| match component {
        Component::ParentDir => Some("it has `..`"),
        Component::RootDir | Component::Prefix(_) => Some("it is absolute"),
        Component::CurDir | Component::Normal(_) => None,
    })
}

/// Without `.` and with `a/../` taken out, so that equal places compare equal.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

//! Directories in which a service may live, and which of them a branch is about.

use std::collections::{BTreeMap, BTreeSet};

use super::place::join;
use super::platform::SPEC_NAMES;
use super::route::is_aside;

/// Files that a service's own directory has.
const MARKERS: [&str; 16] = [
    "Dockerfile",
    "Procfile",
    "package.json",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "manage.py",
    "Cargo.toml",
    "go.mod",
    "main.go",
    "build.sh",
    "Gemfile",
    "composer.json",
    "pom.xml",
    "build.gradle",
    "mix.exs",
];

/// Directories with a marker in them, sorted; the root is `""`.
pub(crate) fn directories(files: &[String]) -> BTreeSet<String> {
    let marked = |file: &String| {
        let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
        let is_marker = MARKERS.contains(&name) || SPEC_NAMES.contains(&name);
        // A spec below `infra/` tells of a service whose files are elsewhere.
        let elsewhere = directory.split('/').any(|part| matches!(part, "infra" | "deploy" | ".do" | ".github"));
        (is_marker && !elsewhere && !is_aside(directory)).then(|| directory.to_owned())
    };
    files.iter().filter_map(marked).collect()
}

/// The file that marks `directory`, from the repository's root.
pub(crate) fn marker(files: &[String], directory: &str) -> Option<String> {
    MARKERS.iter().chain(&SPEC_NAMES).map(|name| join(directory, name)).find(|file| files.binary_search(file).is_ok())
}

/// The directory that a branch is about, and why; the most telling reason first.
pub(crate) fn directory_of(short: &str, files: &[String], changed: &[String]) -> (String, String) {
    let changed: Vec<&String> = changed.iter().filter(|file| !is_aside(file)).collect();
    if let Some(directory) = named(short, files, &changed) {
        return (directory, "has the branch's name".to_owned());
    }
    let marked = directories(files);
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &changed {
        let mut directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        while !marked.contains(directory) && !directory.is_empty() {
            directory = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        *votes.entry(directory).or_default() += 1;
    }
    let best = votes.iter().filter(|(directory, _)| !directory.is_empty()).max_by_key(|(_, count)| **count);
    if let Some((directory, count)) = best {
        return ((*directory).to_owned(), format!("holds {count} of the branch's {} changed files", changed.len()));
    }
    match common_directory(&changed) {
        Some(directory) => (directory, "holds all that the branch changes".to_owned()),
        None => (String::new(), "the branch has no directory of its own".to_owned()),
    }
}

/// The directory with the branch's short name: with changes in it, or else the one nearest to the root.
fn named(short: &str, files: &[String], changed: &[&String]) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let wanted = plain(short);
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut last = "";
    for file in files {
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        // Files of one directory stand together.
        if directory == last {
            continue;
        }
        last = directory;
        let parts: Vec<&str> = directory.split('/').collect();
        let at = parts.iter().position(|part| part.len() == wanted.len() && plain(part) == wanted);
        if let Some(at) = at.filter(|at| !is_aside(&parts[..*at].join("/"))) {
            found.insert(parts[..=at].join("/"));
        }
    }
    found.retain(|directory| !matches!(directory.split('/').next(), Some("infra" | "deploy" | ".github" | ".do")));
    let below = |directory: &str| {
        changed.iter().filter(|file| file.starts_with(&join(directory, "x")[..directory.len() + 1])).count()
    };
    found.into_iter().max_by_key(|directory| (below(directory), std::cmp::Reverse(directory.matches('/').count())))
}

/// The deepest directory that all of `files` are in; `None` for the root.
fn common_directory(files: &[&String]) -> Option<String> {
    let mut common: Vec<&str> = files.first()?.split('/').collect();
    common.pop();
    for file in files {
        let same = common.iter().zip(file.split('/')).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    (!common.is_empty()).then(|| common.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<String> {
        let mut files: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        files.sort();
        files
    }

    #[test]
    fn a_directory_with_the_branch_name_wins() {
        let all = files(&["services/pr_review/main.py", "services/nl-sql/main.py", "infra/pr-review/app-spec.yaml"]);
        let (directory, why) = directory_of("pr-review", &all, &files(&["services/nl-sql/main.py"]));
        assert_eq!(directory, "services/pr_review");
        assert!(why.contains("name"));
    }

    #[test]
    fn else_the_marked_directory_with_most_changes_and_else_the_common_one() {
        let all = files(&["a/package.json", "a/src/x.js", "b/package.json", "b/y.js", "c/d/e.txt", "c/d/f.txt"]);
        assert_eq!(directory_of("x", &all, &files(&["a/src/x.js", "b/y.js", "a/z.js"])).0, "a");
        assert_eq!(directory_of("x", &all, &files(&["c/d/e.txt", "c/d/f.txt"])).0, "c/d");
        assert_eq!(directory_of("x", &all, &files(&["README.md", "c/d/f.txt"])).0, "");
        assert_eq!(directory_of("x", &all, &[]).0, "");
    }

    #[test]
    fn tests_examples_and_infrastructure_hold_no_service() {
        let all = files(&["examples/a/package.json", "infra/b/app-spec.yaml", "services/c/Dockerfile", "Cargo.toml"]);
        assert_eq!(directories(&all).into_iter().collect::<Vec<_>>(), ["", "services/c"]);
    }
}

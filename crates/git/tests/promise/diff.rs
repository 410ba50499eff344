//! Two worktrees are compared as they are, committed or not.

use std::fs;

use pleach_git::worktree::Head;
use pleach_git::{DiffEntry, DiffSide, Difference};

use crate::sample::{Sample, git};

#[test]
fn uncommitted_and_unknown_files_count_and_nothing_is_written() {
    let sample = Sample::rich();
    let one = sample.add("one", Head::Branch("one".into())).expect("made");
    let two = sample.add("two", Head::Branch("two".into())).expect("made");
    fs::write(one.path.join("README.md"), "# Sample\nmore\n").expect("written");
    fs::write(one.path.join("loose.txt"), "a\nb\n").expect("written");
    fs::remove_file(one.path.join("empty")).expect("removed");
    fs::rename(one.path.join("addons/module/f20.py"), one.path.join("addons/module/moved.py")).expect("renamed");
    let objects = sample.git(["count-objects"]);
    let (first, second) = (DiffSide::Worktree(two.path), DiffSide::Worktree(one.path.clone()));
    let found = sample.repository().diff(&first, &second).expect("compared");
    assert_eq!(sample.git(["count-objects"]), objects);
    assert_eq!(git(&one.path, ["diff", "--cached", "--name-only"]), "");
    let entry = |path: &str| -> &DiffEntry {
        found
            .iter()
            .find(|entry| entry.path == std::path::Path::new(path))
            .unwrap_or_else(|| panic!("{path}: {found:?}"))
    };
    assert_eq!(entry("README.md").difference, Difference::Modified);
    assert_eq!((entry("README.md").added_lines, entry("README.md").removed_lines), (Some(1), Some(0)));
    assert_eq!(entry("loose.txt").difference, Difference::Added);
    assert_eq!(entry("empty").difference, Difference::Removed);
    let moved = Difference::Renamed { from: "addons/module/f20.py".into() };
    assert_eq!(entry("addons/module/moved.py").difference, moved);
    assert_eq!(entry("addons/module/f03.py").difference, Difference::Modified);
}

#[test]
fn commits_are_compared_as_git_compares_them() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let side = |rev: &str| DiffSide::Commit(repository.resolve(rev).expect("a commit"));
    let found = repository.diff(&side("main"), &side("one")).expect("compared");
    let told: Vec<String> = found
        .iter()
        .map(|e| format!("{}\t{}\t{}", e.added_lines.unwrap_or(0), e.removed_lines.unwrap_or(0), e.path.display()))
        .collect();
    assert_eq!(told.join("\n"), sample.git(["diff", "--numstat", "--no-renames", "main", "one"]));
}

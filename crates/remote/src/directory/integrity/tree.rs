//! The files of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, FileDigest, HeldFile, Source, SourceRef, TreeDigest};

use super::finding::{CheckedPart, Finding};
use super::scope::CheckScope;
use crate::directory::compose::WRITTEN;
use crate::directory::layout::{ServiceLayout, shared_path};
use crate::directory::release::ReleaseRecord;
use crate::local::digest_of;
use crate::ssh::quote_text;

/// Of one release so many differences are told.
const TOLD: usize = 20;

/// What a release's tree is to hold.
enum Wanted {
    /// File by file.
    Files(Vec<HeldFile>),
    /// Only the digest of all is known, and why.
    Digest(TreeDigest, String),
}

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Changed,
    /// Only whether its owner may execute it.
    Mode,
    Removed,
    Added,
}

/// One path that differs, or a folder of which the other side has nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    path: PathBuf,
    change: Change,
    /// So many files, of a folder.
    files: Option<usize>,
}

/// The files of a release, compared; gives how many are there.
pub(super) async fn check_tree(
    scope: &CheckScope<'_>,
    layout: &ServiceLayout,
    record: &ReleaseRecord,
    part: CheckedPart,
    findings: &mut Vec<Finding>,
) -> Result<usize, Failure> {
    // The release of an image has no files of its own.
    let Some(tree) = &record.tree else { return Ok(0) };
    let held = scope.files.held_files(&layout.release(&record.release)).await?;
    let count = held.len();
    let shared = shared_links(layout, record);
    let held = own(held, record);
    let telling = Telling { scope, layout, record, part, shared: &shared };
    match wanted(scope.source, record, tree).await {
        Wanted::Files(files) => {
            let mut differences = compare(&with_links(files, &shared), &held);
            // What a build or a script makes of the tree, no digest was taken of.
            differences.retain(|one| one.change != Change::Added || !is_worked_on(record));
            findings.extend(telling.findings(&differences));
        }
        Wanted::Digest(digest, why) => {
            let plain: Vec<HeldFile> = held.into_iter().filter(|file| !is_link_of(file, &shared)).collect();
            if digest_of(&plain).sha256 != digest.sha256 {
                if !shared.is_empty() || is_worked_on(record) {
                    return Err(unknown(record, why));
                }
                findings.push(telling.whole(&digest, why));
            }
        }
    }
    Ok(count)
}

/// Something has worked in it after it was put there.
fn is_worked_on(record: &ReleaseRecord) -> bool {
    let spec = &record.spec;
    (spec.build.is_some() && !spec.is_built_here()) || !spec.scripts.is_empty()
}

/// What the commit holds, if that is what was put there.
async fn wanted(source: &dyn Source, record: &ReleaseRecord, tree: &TreeDigest) -> Wanted {
    let only = |why: String| Wanted::Digest(tree.clone(), why);
    if record.spec.is_built_here() {
        return only("it was built before it was sent".to_owned());
    }
    let place = SourceRef { commit: record.spec.commit.clone(), path: record.spec.path.clone() };
    match read_commit(source, &place).await {
        Ok(files) if digest_of(&files).sha256 == tree.sha256 => Wanted::Files(files),
        Ok(_) => only("its commit is written in another way here".to_owned()),
        Err(failure) => only(failure.what),
    }
}

async fn read_commit(source: &dyn Source, tree: &SourceRef) -> Result<Vec<HeldFile>, Failure> {
    let (entries, digests) = (source.list(tree).await?, source.digests(tree).await?);
    let held = entries.into_iter().zip(digests.iter());
    let mut held: Vec<HeldFile> = held
        .map(|(entry, digest)| HeldFile { path: entry.path, mode: Some(entry.mode), digest: digest.clone() })
        .collect();
    sort(&mut held);
    Ok(held)
}

fn sort(files: &mut [HeldFile]) {
    files.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
}

/// What a release's tree holds in place of what it shares.
fn shared_links(layout: &ServiceLayout, record: &ReleaseRecord) -> Vec<HeldFile> {
    let root = layout.release(&record.release);
    let links = record.spec.shared.iter().filter_map(|path| {
        let shared = shared_path(layout, &record.release, path)?;
        let path = shared.in_release.strip_prefix(&root).ok()?.to_owned();
        let digest = FileDigest::of(shared.link.as_os_str().as_bytes());
        Some(HeldFile { path, mode: Some(EntryMode::Symlink), digest })
    });
    links.collect()
}

fn is_link_of(file: &HeldFile, shared: &[HeldFile]) -> bool {
    shared.contains(file)
}

/// What the commit has of a shared path was the first content of what is shared.
fn with_links(mut files: Vec<HeldFile>, shared: &[HeldFile]) -> Vec<HeldFile> {
    files.retain(|file| !shared.iter().any(|link| file.path.starts_with(&link.path)));
    files.extend(shared.iter().cloned());
    sort(&mut files);
    files
}

/// Without what Pleach itself has written there.
fn own(mut held: Vec<HeldFile>, record: &ReleaseRecord) -> Vec<HeldFile> {
    if record.spec.compose.is_some() {
        held.retain(|file| !WRITTEN.iter().any(|name| file.path == Path::new(name)));
    }
    held
}

/// All differences, sorted by path.
fn compare(wanted: &[HeldFile], held: &[HeldFile]) -> Vec<Difference> {
    let by_path = |files: &[HeldFile]| -> BTreeMap<PathBuf, HeldFile> {
        files.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (wanted, held) = (by_path(wanted), by_path(held));
    let mut differences = Vec::new();
    for (path, file) in &wanted {
        let Some(there) = held.get(path).filter(|there| *there != file) else { continue };
        let is_file = |file: &HeldFile| matches!(file.mode, Some(EntryMode::File | EntryMode::Executable));
        let only_mode = there.digest == file.digest && is_file(there) && is_file(file);
        let change = if only_mode { Change::Mode } else { Change::Changed };
        differences.push(Difference { path: path.clone(), change, files: None });
    }
    differences.extend(alone(&wanted, &held, Change::Removed));
    differences.extend(alone(&held, &wanted, Change::Added));
    differences.sort_by(|a, b| a.path.cmp(&b.path));
    differences
}

/// What one side has alone; a folder of which the other has nothing is told once.
fn alone(has: &BTreeMap<PathBuf, HeldFile>, lacks: &BTreeMap<PathBuf, HeldFile>, change: Change) -> Vec<Difference> {
    let folders: BTreeSet<&Path> = lacks.keys().flat_map(|path| path.ancestors().skip(1)).collect();
    let mut found: BTreeMap<&Path, Option<usize>> = BTreeMap::new();
    for path in has.keys().filter(|path| !lacks.contains_key(*path)) {
        let above = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        match above.filter(|folder| !folders.contains(folder)).last() {
            Some(folder) => {
                let files = found.entry(folder).or_default();
                *files = Some(files.unwrap_or(0) + 1);
            }
            None => {
                found.insert(path, None);
            }
        }
    }
    found.into_iter().map(|(path, files)| Difference { path: path.to_owned(), change, files }).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.files {
            None => write!(f, "file `{path}`"),
            Some(1) => write!(f, "folder `{path}/` with 1 file"),
            Some(files) => write!(f, "folder `{path}/` with {files} files"),
        }
    }
}

struct Telling<'a> {
    scope: &'a CheckScope<'a>,
    layout: &'a ServiceLayout,
    record: &'a ReleaseRecord,
    part: CheckedPart,
    shared: &'a [HeldFile],
}

impl Telling<'_> {
    fn findings(&self, differences: &[Difference]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = differences.iter().take(TOLD).map(|one| self.finding(one)).collect();
        if let Some(more) = differences.len().checked_sub(TOLD).filter(|more| *more > 0) {
            findings.push(Finding {
                part: self.part,
                what: format!("{more} more differences in release `{}`", self.record.release),
                because: format!("{TOLD} of {} are told", differences.len()),
                next: "mend those first".to_owned(),
            });
        }
        findings
    }

    fn finding(&self, difference: &Difference) -> Finding {
        let (release, commit) = (&self.record.release, self.record.spec.commit.short());
        let (what, because) = match difference.change {
            Change::Changed => ("was changed in", format!("it does not hold what commit {commit} has")),
            Change::Mode => ("has another mode in", format!("whether it can be executed is not as in commit {commit}")),
            Change::Removed => ("is gone from", format!("commit {commit} has it")),
            Change::Added => ("was added to", format!("commit {commit} does not have it")),
        };
        Finding {
            part: self.part,
            what: format!("{difference} {what} release `{release}`"),
            because,
            next: self.next(difference),
        }
    }

    /// Each is one line that can be pasted.
    fn next(&self, difference: &Difference) -> String {
        let spec = &self.record.spec;
        let release = self.layout.release(&self.record.release);
        let (in_release, in_commit) = (release.join(&difference.path), spec.path.join(&difference.path));
        let word = |path: &Path| quote_text(&path.to_string_lossy());
        let object = quote_text(&format!("{}:{}", spec.commit.short(), in_commit.display()));
        let is_link = self.shared.iter().any(|link| link.path == difference.path);
        match (difference.change, difference.files) {
            (Change::Changed, _) if !is_link => {
                let diff = self.scope.typed(&format!("diff - {}", word(&in_release)));
                format!("compare with `git show {object} | {diff}`")
            }
            (Change::Removed, None) if !is_link => {
                let put = self.scope.typed(&format!("tee {} >/dev/null", word(&in_release)));
                format!("put it back with `git show {object} | {put}`")
            }
            (Change::Removed, Some(_)) => {
                let prefix = quote_text(&format!("{}/", difference.path.display()));
                let unpack = self.scope.typed(&format!("tar xf - -C {}", word(&release)));
                format!("put it back with `git archive --prefix={prefix} {object} | {unpack}`")
            }
            _ => self.scope.look_at(if difference.change == Change::Removed { &release } else { &in_release }),
        }
    }

    fn whole(&self, digest: &TreeDigest, why: String) -> Finding {
        let release = &self.record.release;
        Finding {
            part: self.part,
            what: format!("the {} files of release `{release}` are not those that were sent", digest.files),
            because: format!("they have another digest; which of them differ is not known, as {why}"),
            next: self.scope.look_at(&self.layout.release(release)),
        }
    }
}

fn unknown(record: &ReleaseRecord, why: String) -> Failure {
    Failure::new(Kind::Unsupported, format!("could not compare the files of release `{}`", record.release))
        .because(why)
        .because("what it shares, or what was made in it, is not part of the digest that was taken")
        .state("it is not known whether they are those that were sent")
        .next("fetch its commit where Pleach runs: `git fetch --all`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(path: &str, content: &str) -> HeldFile {
        HeldFile { path: path.into(), mode: Some(EntryMode::File), digest: FileDigest::of(content.as_bytes()) }
    }

    #[test]
    fn what_differs_is_told_once_for_each_file_and_each_folder_of_which_nothing_is_known() {
        let wanted = [held("a", "1"), held("b/c", "1"), held("b/d", "1"), held("gone/x", "1"), held("gone/y/z", "1")];
        let mut run = held("b/d", "1");
        run.mode = Some(EntryMode::Executable);
        let there = [held("a", "2"), run, held("new/one/x", "1"), held("new/two", "1"), held("b/new", "1")];
        let told = compare(&wanted, &there);
        let told: Vec<(String, Change)> = told.iter().map(|one| (one.to_string(), one.change)).collect();
        let expected = [
            ("file `a`", Change::Changed),
            ("file `b/c`", Change::Removed),
            ("file `b/d`", Change::Mode),
            ("file `b/new`", Change::Added),
            ("folder `gone/` with 2 files", Change::Removed),
            ("folder `new/` with 2 files", Change::Added),
        ];
        assert_eq!(told, expected.map(|(what, change)| (what.to_owned(), change)));
        assert_eq!(compare(&wanted, &wanted), []);
    }

    #[test]
    fn what_is_shared_is_a_link_in_place_of_what_the_commit_has() {
        let link = HeldFile { mode: Some(EntryMode::Symlink), ..held("data", "../../shared/data") };
        let shared = [link.clone()];
        let wanted = with_links(vec![held("a", "1"), held("data/first", "1"), held("data-sheet", "1")], &shared);
        assert_eq!(wanted, [held("a", "1"), link, held("data-sheet", "1")]);
    }
}

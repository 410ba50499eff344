//! `git push --porcelain --atomic --force-with-lease=REF:OLD`.
//!
//! Output: one line a ref, `FLAG<tab>FROM:TO<tab>SUMMARY`; see `git-push`, section "Output".

use crate::error::Cause;
use crate::push::{PushError, PushRequest, Pushed};
use crate::repository::Repository;
use crate::system_git;

pub(super) fn push(repository: &Repository, request: &PushRequest) -> Result<Pushed, PushError> {
    let mut arguments: Vec<String> = ["push", "--porcelain", "--atomic", "--no-follow-tags"].map(str::to_owned).into();
    for update in &request.updates {
        // An empty value means that the ref must not exist.
        let expected = update.expected.as_ref().map(|id| id.as_str()).unwrap_or_default();
        arguments.push(format!("--force-with-lease={}:{expected}", update.reference));
    }
    arguments.push("--".to_owned());
    arguments.push(request.remote.clone());
    arguments.extend(request.updates.iter().map(|update| format!("{}:{}", update.new, update.reference)));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = system_git::run(repository.current_worktree(), &arguments)?;
    let told = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Line<'_>> = told.lines().filter_map(Line::parse).collect();
    if output.status.success() {
        let moved = lines.iter().any(|line| line.flag != '=');
        return Ok(if moved { Pushed::Moved } else { Pushed::UpToDate });
    }
    let said: Vec<String> = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    let remote = request.remote.clone();
    // With `--atomic` every ref is rejected; the one with a reason of its own is the cause.
    let cause = lines.iter().filter(|line| line.flag == '!').min_by_key(|line| line.summary.contains("atomic"));
    match cause {
        Some(line) if line.summary.contains("stale info") || line.summary.contains("fetch first") => {
            Err(PushError::Stale { remote, reference: line.to.to_owned() })
        }
        Some(line) => Err(PushError::Refused {
            remote,
            reference: line.to.to_owned(),
            reason: line.summary.to_owned(),
            output: said,
        }),
        None => {
            let why = said.last().cloned().unwrap_or_else(|| format!("`git push` ended with {}", output.status));
            Err(PushError::Unreachable { remote, cause: Cause::new(why), output: said })
        }
    }
}

struct Line<'a> {
    flag: char,
    to: &'a str,
    summary: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(3, '\t');
        let flag = parts.next().filter(|flag| flag.chars().count() == 1)?.chars().next()?;
        let to = parts.next()?.rsplit_once(':')?.1;
        Some(Self { flag, to, summary: parts.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_porcelain_line_is_flag_refs_and_summary() {
        let line = Line::parse("!\tabc:refs/heads/main\t[rejected] (stale info)").expect("a line");
        assert_eq!((line.flag, line.to, line.summary), ('!', "refs/heads/main", "[rejected] (stale info)"));
        for other in ["To ../remote.git", "Done", ""] {
            assert!(Line::parse(other).is_none(), "{other}");
        }
    }
}

//! What a typed consent is asked. The answers go into the journal by these names:
//!
//! | answer | question | wanted |
//! |---|---|---|
//! | `version` | which version goes live | the short commit of each, as the plan has it; asked three times at most |
//! | `tested` | where it was tested | anything but nothing; what is seen of other environments stands before it |
//! | `restore-point` | whether the restore point is relied on | a yes; its snapshots are written down |
//! | `rollback-plan` | how it is taken back if it is wrong | anything; the command that does so if nothing is typed |
//! | `environment` | the environment's name | exactly that |
//!
//! Where no version goes live, such as with `pleach stop`, only the environment's name is asked.

use std::collections::{BTreeMap, BTreeSet};

use pleach_core::config::ConsentRule;
use pleach_core::plan::{Operation, Plan};
use pleach_core::word::{ServiceName, SnapshotKind};

use super::consent::{can_ask, is_yes};
use super::elsewhere::{Elsewhere, seen_elsewhere};
use crate::print::clean;
use crate::project::{Project, listed};

/// How such a consent is said to be given.
pub(super) const TYPED: &str = "typed";

/// How often a question is asked until it is answered.
const TRIES: usize = 3;

/// The fewest digits of a commit that name one.
const SHORTEST: usize = 7;

/// The names of the answers, in the order of their questions.
pub(crate) const ANSWERS: [&str; 5] = ["version", "tested", "restore-point", "rollback-plan", "environment"];

/// What a person is asked.
#[derive(Clone, Debug)]
pub(crate) enum Questions {
    /// Only the environment's name: no version goes live that was not live before.
    Name,
    /// All, with what other environments have or had of the versions that go live.
    All(Vec<Elsewhere>),
}

/// What is asked of this plan by this rule; nothing is looked up where nobody can be asked.
pub(crate) async fn questions(project: &Project, plan: &Plan, rule: ConsentRule) -> Questions {
    if rule != ConsentRule::Typed || !can_ask() || versions(plan).is_empty() {
        return Questions::Name;
    }
    Questions::All(seen_elsewhere(project, plan).await)
}

/// One version that goes live, and with which services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The commit, in full where the plan has it so.
    pub(super) commit: String,
    pub(super) subject: String,
    pub(super) services: Vec<ServiceName>,
}

impl Version {
    fn short(&self) -> &str {
        self.commit.get(..8).unwrap_or(&self.commit)
    }

    fn is_named(&self, typed: &str) -> bool {
        typed.len() >= SHORTEST && self.commit.starts_with(&typed.to_ascii_lowercase())
    }
}

/// The versions that a plan brings live; none where it only stops or restarts what is there.
pub(super) fn versions(plan: &Plan) -> Vec<Version> {
    let changed: BTreeSet<&ServiceName> = plan.lanes().map(|lane| &lane.service).collect();
    let mut versions: Vec<Version> = Vec::new();
    for service in plan.services.iter().filter(|service| changed.contains(&service.name)) {
        let (commit, subject) = match &plan.operation {
            Operation::Deploy => (service.commit.to_string(), clean(&service.subject)),
            // What the release was made from; the branch may be elsewhere by now.
            Operation::Switch { release } => match release.as_str().rsplit_once('-') {
                Some((_, short)) => (short.to_owned(), format!("release {release}")),
                None => continue,
            },
            Operation::Stop
            | Operation::Restart { .. }
            | Operation::Backup
            | Operation::Restore { .. }
            | Operation::Forget { .. } => continue,
        };
        match versions.iter_mut().find(|version| version.commit == commit) {
            Some(version) => version.services.push(service.name.clone()),
            None => versions.push(Version { commit, subject, services: vec![service.name.clone()] }),
        }
    }
    versions
}

/// The answer that a consent lacks, if it lacks one.
pub(super) fn unanswered(plan: &Plan, answers: &BTreeMap<String, String>) -> Option<&'static str> {
    let wanted = if versions(plan).is_empty() { &ANSWERS[4..] } else { &ANSWERS };
    wanted.iter().copied().find(|name| answers.get(*name).is_none_or(|answer| answer.trim().is_empty()))
}

/// Asks all of it; why not, if an answer was not what is wanted. `ask` gives nothing once nobody answers any more.
pub(super) fn ask_typed(
    plan: &Plan,
    questions: &Questions,
    ask: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, String> {
    let environment = plan.environment.as_str();
    let mut answers = BTreeMap::new();
    if let Questions::All(elsewhere) = questions {
        let typed: Result<Vec<String>, String> =
            versions(plan).iter().map(|version| ask_version(version, ask)).collect();
        answers.insert("version".to_owned(), typed?.join(", "));
        answers.insert("tested".to_owned(), ask_tested(elsewhere, ask)?);
        answers.insert("restore-point".to_owned(), ask_restore_point(plan, ask)?);
        answers.insert("rollback-plan".to_owned(), ask_rollback_plan(environment, ask)?);
    }
    let name = ask(&format!("Type the environment's name, `{environment}`, to do this: ")).unwrap_or_default();
    if name != environment {
        return Err(format!("`{name}` is not the name of the environment"));
    }
    answers.insert("environment".to_owned(), name);
    Ok(answers)
}

fn names(services: &[ServiceName]) -> String {
    listed(&services.iter().map(ServiceName::as_str).collect::<Vec<_>>())
}

fn ask_version(version: &Version, ask: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let services = names(&version.services);
    let subject = if version.subject.is_empty() { String::new() } else { format!(" (\"{}\")", version.subject) };
    let question = format!("Which version of {services} goes live{subject}? Type its commit: ");
    let mut hint = "";
    for _ in 0..TRIES {
        let typed = ask(&format!("{hint}{question}")).ok_or("nobody typed the version that goes live")?;
        if version.is_named(&typed) {
            let plain: Vec<&str> = version.services.iter().map(ServiceName::as_str).collect();
            return Ok(format!("{} of {}", version.short(), plain.join(" and ")));
        }
        hint = "That is not the commit of this plan: it stands behind the release's number above.\n";
    }
    Err(format!("the version of {services} that goes live was typed wrong {TRIES} times"))
}

fn ask_tested(elsewhere: &[Elsewhere], ask: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut question = String::from("Was it tested? ");
    if elsewhere.is_empty() {
        question.push_str("There is no other environment.\n");
    } else {
        question.push_str("What other environments say:\n");
        elsewhere.iter().for_each(|one| question.push_str(&format!("  {}: {}\n", one.environment, one.told())));
    }
    let usual = elsewhere.iter().find(|one| one.has_all());
    question.push_str(&match usual {
        Some(one) => format!("Where was it tested [{}]? ", one.environment),
        None => "Where was it tested? Type where and how, or `no`: ".to_owned(),
    });
    for _ in 0..TRIES {
        let typed = ask(&question).ok_or("nobody said where it was tested")?;
        let named =
            if typed.is_empty() { usual } else { elsewhere.iter().find(|one| one.environment.as_str() == typed) };
        match named {
            Some(one) => return Ok(format!("{}: {}", one.environment, one.told())),
            None if !typed.is_empty() => return Ok(typed),
            None => {}
        }
    }
    Err("it was not said where it was tested".to_owned())
}

fn ask_restore_point(plan: &Plan, ask: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut kinds: BTreeMap<&SnapshotKind, Vec<String>> = BTreeMap::new();
    for snapshot in &plan.snapshots {
        let service = snapshot.service.as_ref().map(|service| format!("{service}@")).unwrap_or_default();
        kinds.entry(&snapshot.kind).or_default().push(format!("{service}{}", snapshot.target));
    }
    let told: Vec<String> = kinds.iter().map(|(kind, of)| format!("{kind} of {}", of.join(", "))).collect();
    let told = if told.is_empty() { "none: this plan takes no snapshot".to_owned() } else { told.join("; ") };
    let question =
        format!("The restore point, captured and proven before the first change:\n  {told}\nDo you rely on it? [y/N] ");
    match ask(&question) {
        Some(answer) if is_yes(&answer) => Ok(told),
        _ => Err("the restore point is not relied on".to_owned()),
    }
}

fn ask_rollback_plan(environment: &str, ask: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let usual = format!("pleach rollback {environment}");
    let typed =
        ask(&format!("How is it taken back if it is wrong [{usual}]? ")).ok_or("nobody said how it is taken back")?;
    Ok(if typed.is_empty() { usual } else { typed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version {
            commit: "ab12cd34".repeat(5),
            subject: "Mend".into(),
            services: vec![ServiceName::new("api").expect("a name")],
        }
    }

    fn answers(given: &[&str]) -> (Result<String, String>, usize) {
        let (mut given, mut asked) = (given.iter(), 0);
        let said = ask_version(&version(), &mut |_| {
            asked += 1;
            given.next().map(|answer| (*answer).to_owned())
        });
        (said, asked)
    }

    #[test]
    fn a_version_is_typed_right_within_three_tries_or_not_at_all() {
        assert_eq!(answers(&["ab12cd34"]), (Ok("ab12cd34 of api".into()), 1));
        assert_eq!(answers(&["AB12CD3"]), (Ok("ab12cd34 of api".into()), 1));
        assert_eq!(answers(&["", "ab12", "ab12cd34"]).0, Ok("ab12cd34 of api".into()), "too short names nothing");
        let (said, asked) = answers(&["y", "yes", "ab12cd35", "ab12cd34"]);
        assert!(said.is_err() && asked == TRIES);
        assert_eq!(answers(&["x"]).1, 2, "nobody is asked after the end of input");
    }

    #[test]
    fn where_it_was_tested_is_never_left_empty() {
        let mut asked = 0;
        let said = ask_tested(&[], &mut |_| {
            asked += 1;
            Some(String::new())
        });
        assert!(said.is_err() && asked == TRIES);
        assert_eq!(ask_tested(&[], &mut |_| Some("by hand".into())), Ok("by hand".into()));
    }
}

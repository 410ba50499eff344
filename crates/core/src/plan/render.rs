//! A plan as people read it before they agree to it.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::model::{Lane, Operation, Plan, Step};
use super::policy::{OnFailure, Policy, Retry};
use crate::period::Period;
use crate::phase::Reversal;

/// How much of a plan is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// One line a lane.
    Lanes,
    /// Each step with its time limit and its way back, the snapshots, the policy and what is expected of the targets.
    Steps,
}

/// The least width that a text is laid out for.
const NARROWEST: usize = 40;

/// The plan as text for `width` columns, at least 40. Only names that are longer than a line make a line longer.
/// Ends with a line end.
pub fn render(plan: &Plan, width: usize, detail: Detail) -> String {
    let mut page = Page { out: String::new(), width: width.max(NARROWEST) };
    page.line(0, &headline(plan));
    if plan.is_empty() {
        page.line(2, "nothing to do: the targets are as wanted already");
        return page.out;
    }
    match detail {
        Detail::Lanes => lanes(&mut page, plan),
        Detail::Steps => steps(&mut page, plan),
    }
    page.out
}

fn headline(plan: &Plan) -> String {
    let changed: BTreeSet<_> = plan.lanes().map(|lane| &lane.service).collect();
    let all = count(plan.services.len(), "service");
    let services = match changed.len() {
        0 => all,
        some if some == plan.services.len() => all,
        some => format!("{some} of {all}"),
    };
    let (id, project, environment) = (plan.id(), &plan.project, &plan.environment);
    match &plan.operation {
        Operation::Deploy => format!("plan {}: deploy {services} of {project} to {environment}", id.short()),
        Operation::Switch { release } => {
            format!("plan {}: switch {services} of {project} on {environment} to release {release}", id.short())
        }
        Operation::Stop => format!("plan {}: stop {services} of {project} on {environment}", id.short()),
        Operation::Restart { part: None } => {
            format!("plan {}: restart {services} of {project} on {environment}", id.short())
        }
        Operation::Restart { part: Some(part) } => {
            format!("plan {}: restart `{part}` of {services} of {project} on {environment}", id.short())
        }
        Operation::Backup => format!("plan {}: back up {services} of {project} on {environment}", id.short()),
        Operation::Restore { backup } => {
            format!("plan {}: restore {services} of {project} on {environment} from backup {backup}", id.short())
        }
        Operation::Forget { backup } => {
            format!("plan {}: remove backup {backup} of {services} of {project} on {environment}", id.short())
        }
    }
}

fn lanes(page: &mut Page, plan: &Plan) {
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or_default();
    let stage_width = widest(&mut plan.stages.iter().map(|stage| stage.name.as_str().len()));
    let place = |lane: &Lane| format!("{}@{}", lane.service, lane.target);
    let place_width = widest(&mut plan.lanes().map(|lane| place(lane).len()));
    for stage in &plan.stages {
        for lane in &stage.lanes {
            let release = lane.release.as_ref().map(|release| format!("→ {release}  ")).unwrap_or_default();
            let names: Vec<&str> = lane.steps.iter().map(|step| step.name.as_str()).collect();
            let name = stage.name.as_str();
            let start = format!("{name:stage_width$}  {:place_width$}  {release}", place(lane));
            page.columns(2, &start, &names.join(" · "));
        }
    }
    if !plan.snapshots.is_empty() {
        page.line(2, &format!("{} first", count(plan.snapshots.len(), "snapshot")));
    }
    page.line(2, on_failure(&plan.policy));
}

fn steps(page: &mut Page, plan: &Plan) {
    page.line(2, &format!("made {}", plan.made));
    page.heading("services");
    for service in &plan.services {
        let subject = if service.subject.is_empty() { String::new() } else { format!(": {}", service.subject) };
        page.line(2, &format!("{} from {} at {}{subject}", service.name, service.branch, service.commit.short()));
    }
    page.heading("targets, refused if something else is found there");
    for target in &plan.targets {
        page.line(2, &format!("{} ({})", target.name, target.kind));
        target.expects.iter().for_each(|(fact, value)| page.line(4, &format!("{fact} is {}", told(value))));
    }
    if !plan.snapshots.is_empty() {
        page.heading("snapshots, captured and proven before the first change");
        for snapshot in &plan.snapshots {
            page.line(2, &format!("{}, at most {}", snapshot.id, snapshot.time_limit));
        }
    }
    let retry = shared_retry(plan);
    for stage in &plan.stages {
        page.heading(&format!("stage {}: {}", stage.name, count(stage.lanes.len(), "lane")));
        for lane in &stage.lanes {
            let release = lane.release.as_ref().map(|release| format!(" → {release}")).unwrap_or_default();
            page.line(2, &format!("{} on {}{release}", lane.service, lane.target));
            for (at, step) in lane.steps.iter().enumerate() {
                page.line(4, &format!("{}. {}: {}", at + 1, step.name, step.summary));
                page.line(7, &limits(step, retry));
            }
        }
    }
    page.heading("how it runs");
    policy(page, &plan.policy);
    if let Some(retry) = retry {
        page.line(2, &format!("each step is tried {}", tries(retry)));
    }
}

/// How often every step is tried, if that is the same for all.
fn shared_retry(plan: &Plan) -> Option<Retry> {
    let mut retries = plan.lanes().flat_map(|lane| &lane.steps).map(|step| step.retry);
    let first = retries.next()?;
    retries.all(|retry| retry == first).then_some(first)
}

fn tries(retry: Retry) -> String {
    match retry.attempts {
        1 => "once".to_owned(),
        attempts => {
            format!("up to {attempts} times while failures are passing ones, {} apart and longer", retry.backoff)
        }
    }
}

/// How often it is tried is told here only if it is not `shared` by all.
fn limits(step: &Step, shared: Option<Retry>) -> String {
    let back = match &step.reversal {
        Reversal::Nothing => "nothing to take back".to_owned(),
        Reversal::Undo => "taken back by undoing it".to_owned(),
        Reversal::Restore { snapshots } => {
            let ids: Vec<&str> = snapshots.iter().map(|id| id.as_str()).collect();
            format!("taken back by restoring {}", ids.join(" and "))
        }
        Reversal::ForwardOnly => "NO WAY BACK".to_owned(),
    };
    let tried = if shared.is_some() { String::new() } else { format!(" · tried {}", tries(step.retry)) };
    format!("{back} · at most {}{tried}", step.time_limit)
}

fn policy(page: &mut Page, policy: &Policy) {
    page.line(2, on_failure(policy));
    if let Some(budget) = policy.failure_budget {
        page.line(2, &format!("before that {} may fail and is taken back alone", count(budget as usize, "lane")));
    }
    let rate = policy.limits.starts_per_second.map(|rate| format!(", {rate} starting in a second")).unwrap_or_default();
    let limits = policy.limits;
    page.line(
        2,
        &format!(
            "at most {} at once, {} on one target{rate}",
            count(limits.parallel as usize, "lane"),
            limits.per_target
        ),
    );
    if !policy.batch.is_empty() {
        let sizes: Vec<String> = policy.batch.iter().map(ToString::to_string).collect();
        let pause = if policy.pause == Period::ZERO { String::new() } else { format!(", {} apart", policy.pause) };
        page.line(2, &format!("in batches of {}{pause}", sizes.join(", then ")));
    }
    page.line(2, &format!("each target is leased for {} and renewed", policy.lease));
}

fn on_failure(policy: &Policy) -> &'static str {
    match policy.on_failure {
        OnFailure::UnwindRun => "if a lane fails, every lane goes back",
        OnFailure::UnwindLane => "if a lane fails, it alone goes back",
        OnFailure::Hold => "if a lane fails, all stops where it is and waits for you",
    }
}

fn told(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "absent".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

struct Page {
    out: String,
    width: usize,
}

impl Page {
    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        self.line(0, text);
    }

    /// Words in as many lines as they need; those after the first stand two further in.
    fn line(&mut self, indent: usize, text: &str) {
        let mut at = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if at == 0 {
                let _ = write!(self.out, "{:indent$}", "");
                at = indent;
            } else if at + 1 + length > self.width {
                let _ = write!(self.out, "\n{:1$}", "", indent + 2);
                at = indent + 2;
            } else {
                self.out.push(' ');
                at += 1;
            }
            self.push(word);
            at += length;
        }
        self.out.push('\n');
    }

    /// Two columns in one line; where there is no room for both, the second one stands below, further in.
    fn columns(&mut self, indent: usize, first: &str, second: &str) {
        let _ = write!(self.out, "{:indent$}", "");
        if indent + first.chars().count() + second.chars().count() > self.width {
            self.push(first.trim_end());
            self.out.push('\n');
            self.line(indent + 4, second);
        } else {
            self.push(&format!("{first}{second}"));
            self.out.push('\n');
        }
    }

    /// Subjects of commits and facts were written by others: what steers a terminal does not pass.
    fn push(&mut self, text: &str) {
        self.out.extend(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
    }
}

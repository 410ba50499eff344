//! Runs schedules to their end.

use std::fmt;

use super::judge;
use crate::journal::Outcome;
use crate::plan::ApprovedPlan;
use crate::report::Report;
use crate::testing::{Ending, Interruption, Life, Script, Trial};

/// What goes wrong around a run: one process after the other, the last of which is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The processes before the last.
    pub lives: Vec<Life>,
    /// The last: it is asked to stop at most.
    pub last: Life,
    /// The run is taken back after its end.
    pub back: Option<TakenBack>,
}

/// A rollback after the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// Lanes by their place in the plan; all if empty.
    pub lanes: Vec<usize>,
    /// What becomes of the first process that does it.
    pub life: Life,
}

impl Faults {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Killed once so many records of each process are durable.
    pub fn killed_after(records: impl IntoIterator<Item = usize>) -> Self {
        Self { lives: records.into_iter().map(Life::killed_after).collect(), ..Self::default() }
    }
}

impl Faults {
    /// Whether a lease is lost on the way: then targets have to refuse what comes late.
    fn loses_lease(&self) -> bool {
        let back = self.back.iter().map(|back| &back.life);
        let lives = self.lives.iter().chain([&self.last]).chain(back);
        let mut interruptions = lives.flat_map(|life| &life.interruptions);
        interruptions.any(|(_, interruption)| matches!(interruption, Interruption::LosesLease(_)))
    }
}

/// A schedule that broke no law.
#[derive(Debug)]
pub struct Checked {
    /// How it ended; `None` if it was refused before the first change.
    pub report: Option<Report>,
    /// How many records were durable at its end.
    pub records: usize,
    /// How many processes it took.
    pub lives: usize,
}

/// A law that was broken, with the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Each claim that is not true, each law that was broken.
    pub wrong: Vec<String>,
    /// One entry a line.
    pub journal: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- journal\n{}", self.wrong.join("\n"), self.journal)
    }
}

impl std::error::Error for Broken {}

/// Runs one schedule to its end: all-new or all-old, with every claim true and no law broken on the way.
pub fn check_laws(plan: &ApprovedPlan, script: &Script, faults: &Faults) -> Result<Checked, Broken> {
    let trial = Trial::new(plan.clone(), script);
    let course = Course { trial: &trial, faults, lives: 0 };
    course.run().map_err(|wrong| Broken { wrong, journal: trial.told() })
}

struct Course<'a> {
    trial: &'a Trial,
    faults: &'a Faults,
    lives: usize,
}

/// What a process left.
enum Left {
    /// A report that was judged.
    Report(Box<Report>),
    /// A run to go on with.
    Unfinished,
    /// Nothing: it was refused before the first change.
    Nothing,
}

impl Course<'_> {
    fn run(mut self) -> Result<Checked, Vec<String>> {
        let mut lives = self.faults.lives.iter().chain([&self.faults.last]).cloned();
        let mut report = None;
        // Two more for processes that nobody disturbs: one may meet a run that was held or is stuck.
        for life in lives.by_ref().map(Some).chain([None, None]) {
            let disturbed = life.is_some();
            match self.live(life.unwrap_or_default())? {
                Left::Nothing => return Ok(self.checked(None)),
                Left::Unfinished if !disturbed => {
                    return Err(vec!["an undisturbed process did not end the run".into()]);
                }
                Left::Unfinished => {}
                Left::Report(left) => {
                    let ended = matches!(left.outcome, Some(Outcome::Succeeded | Outcome::RolledBack));
                    report = Some(*left);
                    if ended || !disturbed {
                        break;
                    }
                }
            }
        }
        if let Some(back) = &self.faults.back {
            report = Some(self.take_back(back)?);
        }
        Ok(self.checked(report))
    }

    fn checked(&self, report: Option<Report>) -> Checked {
        Checked { report, records: self.trial.records().len(), lives: self.lives }
    }

    fn live(&mut self, life: Life) -> Result<Left, Vec<String>> {
        let begun = !self.trial.records().is_empty();
        let ending = if begun { self.trial.resume(life) } else { self.trial.execute(life) };
        self.left(ending)
    }

    fn take_back(&mut self, back: &TakenBack) -> Result<Report, Vec<String>> {
        let all: Vec<_> = self.trial.approved().plan().lanes().map(|lane| lane.id.clone()).collect();
        let lanes: Vec<&str> = back.lanes.iter().filter_map(|at| all.get(*at)).map(|lane| lane.as_str()).collect();
        let mut ending = self.trial.roll_back(&lanes, back.life.clone());
        for _ in 0..3 {
            match self.left(ending)? {
                Left::Report(report) => return Ok(*report),
                _ => ending = self.trial.roll_back(&lanes, Life::quiet()),
            }
        }
        Err(vec!["the rollback does not come to an end".into()])
    }

    fn left(&mut self, ending: Ending) -> Result<Left, Vec<String>> {
        self.lives += 1;
        let records = self.trial.records();
        let folded = Report::fold(&records);
        let report = match ending {
            Ending::Endless => return Err(vec!["the run did not end".into()]),
            Ending::Reported(report) => report,
            Ending::Killed | Ending::Failed(_) if records.is_empty() => {
                let wrong = vec!["something was changed before the journal was begun".into()];
                return if self.trial.world.is_untouched() { Ok(Left::Nothing) } else { Err(wrong) };
            }
            Ending::Killed | Ending::Failed(_) => match folded {
                // It ended between its last record and its answer: the journal has the report.
                Ok(report) if matches!(report.outcome, Some(Outcome::Succeeded | Outcome::RolledBack)) => report,
                Ok(_) => {
                    let wrong: Vec<String> =
                        self.trial.violations().iter().map(|broken| format!("{broken:?}")).collect();
                    return if wrong.is_empty() { Ok(Left::Unfinished) } else { Err(wrong) };
                }
                Err(illegal) => return Err(vec![format!("the journal cannot be folded: {illegal}")]),
            },
        };
        let mut wrong = judge(self.trial, &report);
        if self.trial.world.refusals() > 0 && !self.faults.loses_lease() {
            wrong.push("a target had to refuse a change under an old lease".into());
        }
        if wrong.is_empty() { Ok(Left::Report(Box::new(report))) } else { Err(wrong) }
    }
}

/// Kills a run after each of its records, and its successor after each of its own; gives the number of schedules.
pub fn check_every_crash(plan: &ApprovedPlan, script: &Script, depth: Depth) -> Result<usize, Broken> {
    let whole = check_laws(plan, script, &Faults::none())?;
    let mut schedules = 1;
    for first in 0..=whole.records {
        let once = check_laws(plan, script, &Faults::killed_after([first]))?;
        schedules += 1;
        if depth == Depth::Twice {
            for second in 0..once.records.saturating_sub(first) {
                check_laws(plan, script, &Faults::killed_after([first, second]))?;
                schedules += 1;
            }
        }
    }
    Ok(schedules)
}

/// How often in a row a run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Once.
    Once,
    /// And its successor too.
    Twice,
}

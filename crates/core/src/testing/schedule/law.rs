//! Runs schedules to their end.

use std::fmt;

use super::judge;
use crate::journal::Outcome;
use crate::plan::ApprovedPlan;
use crate::report::Report;
use crate::testing::{Ending, Life, Script, Trial};

/// What goes wrong around a run: one process after the other, the last of which is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The processes before the last.
    pub lives: Vec<Life>,
    /// The wall clock, the leases and the stop requests of the last.
    pub last: Life,
}

impl Faults {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Killed once so many records of each process are durable.
    pub fn killed_after(records: impl IntoIterator<Item = usize>) -> Self {
        Self { lives: records.into_iter().map(Life::killed_after).collect(), last: Life::quiet() }
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
    let broken = |wrong: Vec<String>| Broken { wrong, journal: trial.told() };
    let mut lives = 0;
    let mut rounds = faults.lives.iter().chain([&faults.last]).cloned();
    loop {
        let quiet = Life::quiet;
        let life = rounds.next();
        let is_last = life.is_none();
        let before = trial.records().len();
        let ending = if before == 0 {
            trial.execute(life.unwrap_or_else(quiet))
        } else {
            trial.resume(life.unwrap_or_else(quiet))
        };
        lives += 1;
        let now = trial.records();
        match ending {
            Ending::Reported(report) => {
                let wrong = judge(&trial, &report);
                if !wrong.is_empty() {
                    return Err(broken(wrong));
                }
                return Ok(Checked { report: Some(report), records: now.len(), lives });
            }
            Ending::Endless => return Err(broken(vec!["the run did not end".into()])),
            Ending::Killed if now.is_empty() => {
                // The plan is used up, and nothing was done with it.
                if !trial.world.is_untouched() {
                    return Err(broken(vec!["something was changed before the journal was begun".into()]));
                }
                return Ok(Checked { report: None, records: 0, lives });
            }
            Ending::Killed if is_last => return Err(broken(vec!["nobody killed the last process".into()])),
            Ending::Killed => {}
            Ending::Failed(error) => match Report::fold(&now) {
                // It was killed between its last record and its answer: the journal has the report.
                Ok(report) if matches!(report.outcome, Some(Outcome::Succeeded | Outcome::RolledBack)) => {
                    let wrong = judge(&trial, &report);
                    return if wrong.is_empty() {
                        Ok(Checked { report: Some(report), records: now.len(), lives })
                    } else {
                        Err(broken(wrong))
                    };
                }
                _ if now.is_empty() && trial.world.is_untouched() => {
                    return Ok(Checked { report: None, records: 0, lives });
                }
                Ok(_) if !is_last => {}
                Ok(_) => return Err(broken(vec![format!("the last process failed: {error:?}")])),
                Err(illegal) => {
                    return Err(broken(vec![format!("the journal cannot be folded: {illegal}; {error:?}")]));
                }
            },
        }
        if lives > faults.lives.len() + 3 {
            return Err(broken(vec!["the run does not come to an end".into()]));
        }
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

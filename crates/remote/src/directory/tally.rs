//! What a proxy's counters tell of one release, and the judgement of it.

use std::fmt;

use pleach_core::percent::Percent;
use pleach_core::period::Period;

use crate::proxy::{Counts, Times, Worker};

/// What is added up from look to look.
///
/// A proxy that was restarted or reloaded, or whose counters somebody has cleared, begins at nothing: what it had counted by the
/// look before stays, and it is counted on from the first look after.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    last: Option<(Worker, Counts)>,
    requests: u64,
    failed: u64,
    /// What was counted of times by each worker: the first look at it, and the last.
    spans: Vec<(Times, Times)>,
}

impl Tally {
    /// Takes a look.
    pub(super) fn take(&mut self, worker: &Worker, counts: Counts) {
        match (self.since_last(worker, counts), self.spans.last_mut()) {
            (Some((requests, failed)), Some((_, last))) => {
                self.requests += requests;
                self.failed += failed;
                *last = counts.times;
            }
            _ => self.spans.push((counts.times, counts.times)),
        }
        self.last = Some((worker.clone(), counts));
    }

    /// What came since the last look, if that was at the same counters.
    fn since_last(&self, worker: &Worker, counts: Counts) -> Option<(u64, u64)> {
        let (before, last) = self.last.as_ref()?;
        counts.times.answers.checked_sub(last.times.answers)?;
        let difference = (counts.requests.checked_sub(last.requests)?, counts.failed.checked_sub(last.failed)?);
        (before.pid == worker.pid && before.uptime <= worker.uptime).then_some(difference)
    }

    /// Requests that came to an end.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether more failed than may, also if all that is missing to the fewest requests were answered well.
    pub(super) fn fails_more_than(&self, errors: Percent, fewest: u32) -> bool {
        errors.is_exceeded(self.failed, self.requests.max(u64::from(fewest)))
    }

    /// Whether its answers certainly took longer on average; of fewer than `fewest` nothing is certain.
    pub(super) fn takes_longer_than(&self, latency: Period, fewest: u32) -> bool {
        let Mean { answers, at_least, .. } = self.mean();
        answers >= f64::from(fewest) && at_least > latency.0.as_secs_f64() * 1000.0
    }

    fn mean(&self) -> Mean {
        let spans = self.spans.iter().map(|(first, last)| mean_between(*first, *last));
        let sum = spans.fold(Mean::default(), |sum, mean| Mean {
            answers: sum.answers + mean.answers,
            about: sum.about + mean.answers * mean.about,
            at_least: sum.at_least + mean.answers * mean.at_least,
        });
        let all = sum.answers.max(1.0);
        Mean { answers: sum.answers, about: sum.about / all, at_least: sum.at_least / all }
    }
}

/// The figures, for people.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, failed, .. } = self;
        write!(f, "{requests} {}, {failed} failed", if *requests == 1 { "request" } else { "requests" })?;
        let Mean { answers, about, .. } = self.mean();
        if answers > 0.0 { write!(f, ", answered in about {about:.0} ms") } else { Ok(()) }
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    answers: f64,
    about: f64,
    at_least: f64,
}

/// How many answers HAProxy averages over (`TIME_STATS_SAMPLES` in its `defaults.h`).
const WINDOW: f64 = 512.0;

/// The mean of the answers between two looks, whatever came before: an earlier release may have had the same server.
///
/// HAProxy keeps a sum. The first 512 answers are added to it; each later one takes 1/512 of it away first (`swrate_add_dynamic` in
/// its `freq_ctr.h`). It tells the sum divided by the number of answers, at most 512, and rounded up. With `n` further answers of
/// which `p` were only added, and the rest `r` times a part taken away, `q = (511/512)^r`:
///
/// ```text
/// sum after = (sum before + p · mean) · q + 512 · (1 - q) · mean
/// ```
fn mean_between(first: Times, last: Times) -> Mean {
    let number = |answers: u64| f64::from(u32::try_from(answers).unwrap_or(u32::MAX));
    let (before, after) = (number(first.answers), number(last.answers));
    let (window_before, window_after) = (before.min(WINDOW), after.min(WINDOW));
    let added = window_after - window_before;
    let kept = ((WINDOW - 1.0) / WINDOW).powf(after - before - added);
    let weight = added * kept + WINDOW * (1.0 - kept);
    if after <= before || weight <= 0.0 {
        return Mean::default();
    }
    let old = number(first.average) * window_before * kept;
    let mean = |average: f64| ((average * window_after - old) / weight).max(0.0);
    let average = number(last.average);
    Mean { answers: after - before, about: mean(average - 0.5), at_least: mean(average - 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(pid: u32, uptime: u64) -> Worker {
        Worker { pid, uptime, version: "2.6.12".into() }
    }

    fn counts(requests: u64, failed: u64) -> Counts {
        Counts { requests, failed, times: Times::default() }
    }

    fn tally(requests: u64, failed: u64) -> Tally {
        Tally { requests, failed, ..Tally::default() }
    }

    #[test]
    fn only_what_was_counted_between_two_looks_at_the_same_worker_is_added() {
        let mut tally = Tally::default();
        let mut take = |pid, uptime, requests, failed| {
            tally.take(&worker(pid, uptime), counts(requests, failed));
            (tally.requests, tally.failed)
        };
        assert_eq!(take(1, 90, 5000, 700), (0, 0), "that was of an earlier release");
        assert_eq!(take(1, 91, 5010, 701), (10, 1));
        assert_eq!(take(2, 0, 3, 0), (10, 1), "a reload");
        assert_eq!(take(2, 1, 7, 2), (14, 3));
        assert_eq!(take(2, 0, 60, 40), (14, 3), "in a container all have the same number");
        assert_eq!(take(2, 1, 1, 0), (14, 3), "somebody cleared them");
        assert_eq!(take(2, 2, 2, 0), (15, 3));
    }

    #[test]
    fn it_fails_more_than_it_may_as_soon_as_no_good_answers_could_make_up_for_it() {
        let ten = Percent::whole(10);
        assert!(!tally(2, 2).fails_more_than(ten, 20), "18 good ones may come");
        assert!(tally(3, 3).fails_more_than(ten, 20));
        assert!(!tally(1000, 100).fails_more_than(ten, 20));
        assert!(tally(1000, 101).fails_more_than(ten, 20));
        assert!(tally(1, 1).fails_more_than(Percent::whole(1), 20));
        assert!(!tally(0, 0).fails_more_than(Percent::whole(0), 20));
    }

    /// HAProxy's own arithmetic: its sum after these answers, and what it tells of it.
    fn told(sum: u64, before: u64, answers: &[u64]) -> (u64, Times) {
        let (mut sum, mut count) = (sum, before);
        for answer in answers {
            count += 1;
            sum = sum - if count > 512 { sum.div_ceil(512) } else { 0 } + answer;
        }
        (sum, Times { answers: count, average: sum.div_ceil(count.clamp(1, 512)) })
    }

    proptest! {
        #[test]
        fn the_mean_is_that_of_the_later_answers_alone(
            earlier in prop::collection::vec(0..3000_u64, 0..1500),
            mean in 0..2000_u64,
            further in 20..2000_usize,
        ) {
            let (sum, first) = told(0, 0, &earlier);
            let (_, last) = told(sum, first.answers, &vec![mean; further]);
            let found = mean_between(first, last);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let (mean, further) = (mean as f64, further as f64);
            // What is told is rounded, to a millisecond of 512 answers; and each answer takes a little too much away.
            let blur = 2.0 + 2.0 * WINDOW / further.min(WINDOW);
            prop_assert!((found.about - mean).abs() <= blur, "{found:?}, not {mean}");
            prop_assert!(found.at_least <= mean + 0.5, "{found:?} is more than {mean}");
        }
    }

    #[test]
    fn an_average_is_judged_once_there_are_enough_answers() {
        let latency = Period::millis(100);
        let seen = |answers, average| {
            let mut tally = Tally::default();
            let old = Times { answers: 500, average: 10 };
            tally.take(&worker(1, 1), Counts { times: old, ..Counts::default() });
            tally.take(&worker(1, 2), Counts { times: Times { answers, average }, ..Counts::default() });
            tally
        };
        // Ten of 400 ms, then 200 of them.
        assert!(!seen(510, 18).takes_longer_than(latency, 20));
        assert!(seen(700, 140).takes_longer_than(latency, 20));
        assert!(!seen(700, 20).takes_longer_than(latency, 20));
        assert!(!Tally::default().takes_longer_than(latency, 0));
    }
}

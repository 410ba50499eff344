//! The part of a draft that lets a release prove itself with a part of the requests, and the judgement of what was seen.

use std::fmt;

use pleach_core::config::CanaryConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::percent::Percent;
use pleach_core::period::Period;
use pleach_core::phase::Reversal;
use pleach_core::plan::Operation;
use pleach_core::word::ReleaseId;

use super::facts::LedFact;
use super::lead::LEAD;
use super::parameter::{AnalysisParameters, Asked, CanaryParameters};
use super::phase::Work;
use super::recipe::{DRAIN, SHORT, Scene, Steps};
use super::release::ReleaseSpec;
use crate::proxy::{Counts, Led, Part, Worker};

/// How long the proxy may be away, or lead elsewhere, while a release is watched: for its restart or reload by somebody else.
pub(super) const ABSENCE: Period = Period::seconds(30);

impl Scene<'_> {
    /// How the release shares requests first; inside, why it does not though the environment asks for it.
    pub(super) fn canary(&self, spec: &ReleaseSpec) -> Result<Result<Option<&CanaryConfig>, String>, Failure> {
        let environment = self.request.config.environments.get(self.request.environment);
        let canary = environment.and_then(|environment| environment.canary.as_ref());
        let Some(canary) = canary.filter(|_| *self.request.operation == Operation::Deploy) else {
            return Ok(Ok(None));
        };
        match self.why_alone(spec)? {
            None => Ok(Ok(Some(canary))),
            Some(why) if canary.required => {
                let (service, target) = (&self.request.service, &self.request.target);
                let environment = &self.request.environment;
                Err(Failure::new(Kind::Rejected, format!("`{service}` on `{target}` cannot share its requests"))
                    .because(why)
                    .state("nothing was touched")
                    .next(format!("without `--canary`, and without `required` in `canary`: `pleach deploy {environment} --only {service}`")))
            }
            Some(why) => Ok(Err(why)),
        }
    }

    /// Why there is nothing to share requests with.
    fn why_alone(&self, spec: &ReleaseSpec) -> Result<Option<String>, Failure> {
        let Some(led) = self.led_by(spec)? else {
            return Ok(Some(format!("no `proxy` of `{}` leads to it", self.request.target)));
        };
        Ok(match (&self.previous.release, &self.led) {
            (None, _) => Some("it has no release there yet".to_owned()),
            (_, None) => Some("the proxy does not lead to it yet".to_owned()),
            (_, Some(LedFact { bind: Some(bind), .. })) if *bind != led.bind => {
                Some(format!("the proxy leads to it from {bind}, and not yet from {}", led.bind))
            }
            (Some(current), Some(seen)) if seen.release.as_ref() != Some(current) => Some(seen.seen.clone()),
            (Some(current), _) if !self.previous.running.contains(current) => {
                Some(format!("nothing of release `{current}` runs"))
            }
            _ => None,
        })
    }

    /// One part of the requests after the other, each watched.
    pub(super) fn add_canary(
        &self,
        steps: &mut Steps,
        release: &ReleaseId,
        led: &Led,
        canary: &CanaryConfig,
        asked: &Asked,
    ) -> Result<(), Failure> {
        let Some(beside) = &self.previous.release else { return Ok(()) };
        for percent in canary.steps.iter().filter_map(|step| step.as_whole()) {
            let part = Part { release: release.clone(), percent, beside: beside.clone() };
            let share = CanaryParameters { lead: self.lead_parameters(release, led), part: part.clone() };
            let summary = format!("HAProxy leads {percent}% of the requests to `{release}`, the others to `{beside}`");
            steps.add(Work::Canary, summary, &share, LEAD)?.named(&format!("canary-{percent}"), &Reversal::Undo)?;
            let analysis = AnalysisParameters {
                place: self.place.clone(),
                led: led.clone(),
                part,
                limit: DRAIN,
                wait: canary.wait,
                errors: canary.errors,
                requests: canary.requests,
                asked: asked.clone(),
            };
            let summary =
                format!("watch it for {}: healthy, and at most {} of its requests fail", canary.wait, canary.errors);
            let limit = Period(canary.wait.0 + ABSENCE.0 + LEAD.0 + SHORT.0);
            let analysed = steps.add(Work::Analysis, summary, &analysis, limit)?;
            analysed.named(&format!("analysis-{percent}"), &Reversal::Nothing)?;
        }
        Ok(())
    }
}

/// What is added up from look to look.
///
/// A proxy that was restarted or reloaded, or whose counters somebody has cleared, begins at nothing: what it had counted by the
/// look before stays, and it is counted on from the first look after.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    last: Option<(Worker, Counts)>,
    sum: Counts,
}

impl Tally {
    /// Takes a look; gives all so far.
    pub(super) fn take(&mut self, worker: &Worker, counts: Counts) -> Counts {
        if let Some((before, last)) = &self.last
            && before.pid == worker.pid
            && before.uptime <= worker.uptime
            && let Some(requests) = counts.requests.checked_sub(last.requests)
            && let Some(failed) = counts.failed.checked_sub(last.failed)
        {
            self.sum.requests += requests;
            self.sum.failed += failed;
        }
        self.last = Some((worker.clone(), counts));
        self.sum
    }

    /// All so far.
    pub(super) fn sum(&self) -> Counts {
        self.sum
    }
}

/// Whether more failed than may, also if all that is missing to the fewest requests were answered well.
pub(super) fn is_worse(seen: Counts, errors: Percent, fewest: u32) -> bool {
    errors.is_exceeded(seen.failed, seen.requests.max(u64::from(fewest)))
}

/// Figures for people.
pub(super) struct Told(pub(super) Counts);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { requests, failed } = self.0;
        write!(f, "{requests} {}, {failed} failed", if requests == 1 { "request" } else { "requests" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pid: u32, uptime: u64) -> Worker {
        Worker { pid, uptime, version: "2.6.12".into() }
    }

    fn counts(requests: u64, failed: u64) -> Counts {
        Counts { requests, failed }
    }

    #[test]
    fn only_what_was_counted_between_two_looks_at_the_same_worker_is_added() {
        let mut tally = Tally::default();
        assert_eq!(tally.take(&worker(1, 90), counts(5000, 700)), counts(0, 0), "that was of an earlier release");
        assert_eq!(tally.take(&worker(1, 91), counts(5010, 701)), counts(10, 1));
        assert_eq!(tally.take(&worker(2, 0), counts(3, 0)), counts(10, 1), "a reload");
        assert_eq!(tally.take(&worker(2, 1), counts(7, 2)), counts(14, 3));
        assert_eq!(tally.take(&worker(2, 0), counts(60, 40)), counts(14, 3), "in a container all have the same number");
        assert_eq!(tally.take(&worker(2, 1), counts(1, 0)), counts(14, 3), "somebody cleared them");
        assert_eq!(tally.take(&worker(2, 2), counts(2, 0)), counts(15, 3));
        assert_eq!(tally.sum(), counts(15, 3));
    }

    #[test]
    fn it_is_worse_as_soon_as_no_good_answers_could_make_up_for_it() {
        let ten = Percent::whole(10);
        assert!(!is_worse(counts(2, 2), ten, 20), "18 good ones may come");
        assert!(is_worse(counts(3, 3), ten, 20));
        assert!(!is_worse(counts(1000, 100), ten, 20));
        assert!(is_worse(counts(1000, 101), ten, 20));
        assert!(is_worse(counts(1, 1), Percent::whole(1), 20));
        assert!(!is_worse(counts(0, 0), Percent::whole(0), 20));
    }
}

//! The part of a draft that lets a release prove itself with a part of the requests, each watched.

use pleach_core::config::CanaryConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::phase::Reversal;
use pleach_core::plan::Operation;
use pleach_core::word::ReleaseId;

use super::facts::LedFact;
use super::lead::LEAD;
use super::parameter::{AnalysisParameters, Asked, CanaryParameters};
use super::phase::Work;
use super::recipe::{SHORT, Scene, Steps};
use super::release::ReleaseSpec;
use crate::proxy::{Led, Matching, Part};

/// How long the proxy may be away, or lead elsewhere, while a release is watched: for its restart or reload by somebody else.
pub(super) const ABSENCE: Period = Period::seconds(30);

/// How long the environment's own command may take.
pub(super) const COMMAND: Period = Period::seconds(300);

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
                let name = &self.request.environment;
                let from = environment.and_then(|environment| environment.promote_from.as_ref());
                let again = from.map_or_else(|| format!("deploy {name}"), |from| format!("promote {from} {name}"));
                Err(Failure::new(Kind::Rejected, format!("`{service}` on `{target}` cannot share its requests"))
                    .because(why)
                    .state("nothing was touched")
                    .next(format!(
                        "without `--canary`, and without `required` in `canary`: `pleach {again} --only {service}`"
                    )))
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
            let matching = canary.matching.as_ref().and_then(Matching::of);
            let part = Part { release: release.clone(), percent, beside: beside.clone(), matching };
            let share = CanaryParameters { lead: self.lead_parameters(release, led), part: part.clone() };
            let summary = format!("HAProxy leads {part} to `{release}`, the others to `{beside}`");
            steps
                .add(Work::Canary, summary, &share, self.with_drains(LEAD, 1))?
                .named(&format!("canary-{percent}"), &Reversal::Undo)?;
            let analysis = AnalysisParameters {
                place: self.place.clone(),
                led: led.clone(),
                part,
                limit: self.drain(),
                wait: canary.wait,
                errors: canary.errors,
                latency: canary.latency,
                command: canary.command.clone(),
                pause: canary.pause,
                requests: canary.requests,
                asked: asked.clone(),
            };
            let slower = canary.latency.map(|latency| format!(", its answers begin within {latency} on average"));
            let command = canary.command.as_ref().map(|command| format!(", then `{command}` exits with 0"));
            let person = canary.pause.map(|pause| {
                format!(", then somebody says `pleach confirm {}` within {pause}", self.request.environment)
            });
            let summary = format!(
                "watch it for {}: healthy, at most {} of its requests fail{}{}{}",
                canary.wait,
                canary.errors,
                slower.unwrap_or_default(),
                command.unwrap_or_default(),
                person.unwrap_or_default()
            );
            let own = canary.command.as_ref().map_or(Period::ZERO, |_| COMMAND);
            let pause = canary.pause.unwrap_or(Period::ZERO);
            let lead = self.with_drains(LEAD, 1);
            let limit = Period(canary.wait.0 + ABSENCE.0 + lead.0 + SHORT.0 + own.0 + pause.0);
            let analysed = steps.add(Work::Analysis, summary, &analysis, limit)?;
            analysed.named(&format!("analysis-{percent}"), &Reversal::Nothing)?;
        }
        Ok(())
    }
}

//! The draft of `pleach restart`: what runs is started anew, at the release that is current.

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::plan::Draft;
use pleach_core::word::ReleaseId;

use super::parameter::{HealthParameters, PartParameters, ReleaseParameters, RenewParameters};
use super::phase::Work;
use super::recipe::{SHORT, Scene, Steps, told};
use super::routing::{asked, asked_at};

impl Scene<'_> {
    /// No steps where nothing was deployed, or where nothing runs because the service is files only.
    pub(super) fn restart(&self, part: Option<&str>) -> Result<Draft, Failure> {
        let Some(current) = &self.previous.release else { return self.draft_without_snapshot(None, Steps::default()) };
        let kept = self.kept.iter().find(|kept| kept.release == *current).ok_or_else(|| self.unknown(current))?;
        let spec = &kept.spec;
        let runs = self.previous.running.contains(current);
        if self.halted || (spec.is_kept_running() && !runs) {
            return Err(self.stopped(current));
        }
        if let Some(part) = part
            && spec.compose.is_none()
        {
            return Err(self.whole(part));
        }
        let patience = Period(spec.within().0 + SHORT.0);
        let asked = asked(spec);
        let health = |address: Option<(String, u16)>| HealthParameters {
            place: self.place.clone(),
            release: current.clone(),
            asked: asked.clone(),
            address,
        };
        if let Some(what) = spec.process() {
            let mut steps = self.steps(true)?;
            let renew = RenewParameters { place: self.place.clone(), release: current.clone(), drain: self.drain() };
            let limit = Period(patience.0 * 2 + spec.stop_grace.0 * 2 + self.drain().0 * 2);
            steps.add(Work::Renew, format!("end {what} and start it anew"), &renew, limit)?;
            steps.add(Work::Health, told(&asked), &health(None), patience)?;
            if let Some(led) = self.led_by(spec)? {
                self.add_lead(&mut steps, current, &led)?;
            } else if let Some((host, port)) = spec.routed() {
                self.require_port(&host, port)?;
                let routes = self.routes(vec![(host.clone(), port)]);
                steps.add(
                    Work::Route,
                    format!("{host}:{port} leads to `current`"),
                    &routes,
                    self.with_drains(SHORT, 1),
                )?;
            }
            self.add_verify(&mut steps, current, spec)?;
            return self.draft_without_snapshot(Some(current.clone()), steps);
        }
        let Some(start) = &spec.start else {
            return self.draft_without_snapshot(Some(current.clone()), Steps::default());
        };
        let mut steps = self.steps(false)?;
        let limit = self.request.service_config.build_limit;
        if let Some(part) = part {
            let parameters =
                PartParameters { place: self.place.clone(), release: current.clone(), part: part.to_owned() };
            steps.add(Work::RestartPart, format!("restart the containers of `{part}`"), &parameters, limit)?;
            self.add_wait(&mut steps, current, spec)?;
            if spec.health.is_some() {
                steps.add(Work::Health, told(&asked), &health(Some(asked_at(spec))), patience)?;
            }
            return self.draft_without_snapshot(Some(current.clone()), steps);
        }
        let back = ReleaseParameters { back: spec.health.is_some().then(|| asked.clone()), ..self.about(current) };
        if let Some(stop) = &spec.stop {
            steps.add(Work::Halt, format!("run `{stop}`"), &back, limit)?;
        }
        let restart = steps.add(Work::Restart, format!("run `{start}`"), &back, limit)?;
        // Taking back the `stop` before it is running `start` again.
        if spec.stop.is_none() {
            restart.undone();
        }
        self.add_wait(&mut steps, current, spec)?;
        if spec.health.is_some() {
            steps.add(Work::Health, told(&asked), &health(Some(asked_at(spec))), patience)?;
        }
        self.draft_without_snapshot(Some(current.clone()), steps)
    }

    fn whole(&self, part: &str) -> Failure {
        let (service, environment) = (&self.request.service, &self.request.environment);
        Failure::new(Kind::Conflict, format!("service `{service}` has no part `{part}`"))
            .because("only Compose projects have parts, and it is none")
            .state("nothing was touched")
            .next(format!("all of it: `pleach restart {environment} {service}`"))
    }

    fn stopped(&self, current: &ReleaseId) -> Failure {
        let (service, environment) = (&self.request.service, &self.request.environment);
        Failure::new(Kind::Conflict, format!("service `{service}` on `{}` is stopped", self.request.target))
            .because(format!("nothing of its current release `{current}` runs, so there is nothing to start anew"))
            .state("nothing was touched")
            .next(format!(
                "start what its branch names with `pleach deploy {environment} --only {service}`, or the release as it is \
                 with `pleach rollback {environment} {service} --to {current}`"
            ))
    }

    fn unknown(&self, current: &ReleaseId) -> Failure {
        let (service, environment) = (&self.request.service, &self.request.environment);
        Failure::new(Kind::Conflict, format!("service `{service}` on `{}` cannot be restarted", self.request.target))
            .because(format!("its current release `{current}` is not there whole"))
            .state("nothing was touched")
            .next(format!("deploy it: `pleach deploy {environment} --only {service}`"))
    }
}

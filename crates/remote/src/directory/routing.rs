//! Starting and ending processes and routers of a site, over its ports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::port::{Command, Secrets};
use pleach_core::word::ReleaseId;
use tokio::time::{Instant, sleep, timeout};

use super::container::container_request;
use super::parameter::{Asked, word};
use super::release::{ReleaseRecord, ReleaseSpec};
use super::site::{Site, fetched};
use super::sudo::elevated;
use crate::check::{Answer, Asker, CheckPlace, Verdict, Watched, watch};
use crate::directory::instance::InstanceState;
use crate::docker::HealthState;
use crate::route::{RouteRequest, RouteStop, RouterRecord};
use crate::supervise::{InstanceRecord, StartRequest, StopRequest, Stopped};

/// A process that ends this often while it is waited for will not become healthy.
const RESTARTS_LIMIT: u32 = 3;

/// How often a process had ended by itself, when it was first looked at and when it was last.
struct Ends {
    first: u32,
    seen: AtomicU32,
}

impl Ends {
    /// The answer of a release whose process does not stay, whatever it would say itself.
    fn judge(&self, record: &InstanceRecord, state: InstanceState) -> Option<Answer> {
        let seen = self.seen.swap(record.restarts, Ordering::Relaxed);
        let restarts = record.restarts.saturating_sub(self.first);
        let last_end = record.last_end.as_deref().unwrap_or("ended");
        if state == InstanceState::Stopped {
            return Some(Answer::gone("its process is gone"));
        }
        if state == InstanceState::Ending {
            return Some(Answer::gone("its process was asked to end"));
        }
        // It would be gone for good after its next crash.
        if state == InstanceState::Orphaned {
            return Some(Answer::gone("its process runs, and its supervisor is gone"));
        }
        if restarts >= RESTARTS_LIMIT {
            let seen = format!("its process has ended {restarts} times; the last time it {last_end}");
            return Some(Answer::gone(seen));
        }
        if state == InstanceState::Restarting && record.last_end.is_none() {
            return Some(Answer::wrong("its process has ended just now"));
        }
        // Also where the next one runs already: right before and right after its end is not right twice in a row.
        if state == InstanceState::Restarting || record.restarts != seen {
            return Some(Answer::wrong(format!("its process {last_end}")));
        }
        unwell(record)
    }
}

/// The answer of a container that its engine does not call healthy, whatever it would say itself.
fn unwell(record: &InstanceRecord) -> Option<Answer> {
    let health = record.health.as_ref()?;
    let is_final = health.state == HealthState::Unhealthy;
    Some(Answer { is_final, output: health.output.clone(), ..Answer::wrong(health.complaint()?) })
}

impl Site<'_> {
    /// The variables that a service sees, secrets fetched.
    pub(super) async fn variables(
        &self,
        spec: &ReleaseSpec,
        release: &ReleaseId,
        secrets: &dyn Secrets,
    ) -> Result<BTreeMap<String, pleach_core::port::Value>, Failure> {
        use pleach_core::port::Value;
        let plain = |text: &str| Value::Plain(text.to_owned());
        let mut variables = BTreeMap::from([
            ("PLEACH_SERVICE".to_owned(), plain(spec.service.as_str())),
            ("PLEACH_RELEASE".to_owned(), plain(release.as_str())),
            ("PLEACH_COMMIT".to_owned(), plain(spec.commit.as_str())),
            ("PLEACH_ENVIRONMENT".to_owned(), plain(spec.environment.as_str())),
        ]);
        variables.extend(fetched(&spec.variables, secrets).await?);
        Ok(variables)
    }

    /// The same command as another user of the target.
    pub(super) async fn as_user(
        &self,
        command: Command,
        user: Option<&String>,
        secrets: &dyn Secrets,
    ) -> Result<Command, Failure> {
        let Some(user) = user else { return Ok(command) };
        let password = match &self.place.sudo_password {
            Some(name) => Some(secrets.fetch(name).await?),
            None => None,
        };
        Ok(elevated(command, user, password.as_ref()))
    }

    /// A command of the service, with what it sees.
    pub(super) async fn service_command(
        &self,
        line: &pleach_core::config::CommandLine,
        record: &ReleaseRecord,
        secrets: &dyn Secrets,
    ) -> Result<Command, Failure> {
        let mut command = Command::write(line.argv()).directory(self.layout().release(&record.release));
        if let Some((host, port)) = record.spec.address() {
            command = command.variable("HOST", host).variable("PORT", port.to_string());
        }
        command.environment.extend(self.variables(&record.spec, &record.release, secrets).await?);
        Ok(command)
    }

    /// Makes sure that a release's process runs; gives its record.
    pub(super) async fn ensure_started(
        &self,
        record: &ReleaseRecord,
        secrets: &dyn Secrets,
    ) -> Result<InstanceRecord, Failure> {
        use pleach_core::port::Value;
        let (argv, container) = match (&record.spec.run, &record.spec.image) {
            (Some(run), _) => (run.argv(), None),
            (None, Some(_)) => (Vec::new(), Some(container_request(self.place, record)?)),
            (None, None) => {
                let what = format!("release `{}` has no process to start", record.release);
                return Err(Failure::new(Kind::Internal, what));
            }
        };
        let show = |value: Value| match value {
            Value::Plain(text) => text,
            Value::Secret(secret) => secret.expose().to_owned(),
        };
        let variables = self.variables(&record.spec, &record.release, secrets).await?;
        let request = StartRequest {
            directory: self.place.directory.clone(),
            service: self.place.service.clone(),
            release: record.release.clone(),
            run: self.run.clone(),
            argv,
            container,
            variables: variables.into_iter().map(|(name, value)| (name, show(value))).collect(),
            stop_grace: record.spec.stop_grace,
        };
        self.ask(["supervise", "start"], &request).await
    }

    /// Makes sure that nothing of a release runs.
    pub(super) async fn ensure_stopped(
        &self,
        release: &ReleaseId,
        drain: Period,
        stop_grace: Period,
    ) -> Result<Stopped, Failure> {
        let (directory, release) = (self.place.directory.clone(), release.clone());
        self.ask(["supervise", "stop"], &StopRequest { directory, release, drain, stop_grace }).await
    }

    pub(super) async fn ensure_routed(&self, host: &str, port: u16) -> Result<RouterRecord, Failure> {
        let request = RouteRequest {
            directory: self.place.directory.clone(),
            service: self.place.service.clone(),
            run: self.run.clone(),
            host: host.to_owned(),
            port,
        };
        self.ask(["route", "start"], &request).await
    }

    pub(super) async fn ensure_unrouted(&self, port: u16, drain: Period) -> Result<bool, Failure> {
        self.ask(["route", "stop"], &RouteStop { directory: self.place.directory.clone(), port, drain }).await
    }

    /// Starts a release's process unless it runs, and waits until it is healthy.
    pub(super) async fn ensure_healthy(
        &self,
        record: &ReleaseRecord,
        secrets: &dyn Secrets,
    ) -> Result<String, Failure> {
        self.ensure_started(record, secrets).await?;
        self.require_healthy(&record.release, &asked(&record.spec), None, secrets).await
    }

    /// Waits until a release is healthy; tells what was seen. The release's own process is asked unless `address` names
    /// another place.
    pub(super) async fn require_healthy(
        &self,
        release: &ReleaseId,
        asked: &Asked,
        address: Option<&(String, u16)>,
        secrets: &dyn Secrets,
    ) -> Result<String, Failure> {
        let check = match asked {
            Asked::Check(check) => Some(check),
            Asked::AnyAnswer | Asked::Stays => None,
        };
        let thresholds = check.map(|check| check.thresholds).unwrap_or_default();
        let first = self.instance(release).await?.map_or(0, |(record, _)| record.restarts);
        let ends = Ends { first, seen: AtomicU32::new(first) };
        let watched = watch(&thresholds, || self.ask_once(release, asked, address, &ends, thresholds.timeout.0)).await;
        self.told(release, watched, secrets).await
    }

    async fn told(&self, release: &ReleaseId, watched: Watched, secrets: &dyn Secrets) -> Result<String, Failure> {
        let asked = format!("asked {} times in {:.1} s", watched.tries, watched.elapsed.as_secs_f64());
        let (seen, output) = match watched.last {
            Some(answer) => (answer.seen, answer.output),
            None => ("there was no time to ask".to_owned(), Vec::new()),
        };
        if watched.verdict == Verdict::Healthy {
            return Ok(format!("{seen} ({asked})"));
        }
        let lines = if output.is_empty() {
            self.last_lines(release, secrets).await
        } else {
            self.without_secrets(release, output, secrets).await
        };
        let how = match watched.verdict {
            Verdict::Unhealthy => "it turned wrong again, or has ended too often",
            _ => "it was not right often enough in a row",
        };
        let service = &self.place.service;
        Err(Failure::new(Kind::Rejected, format!("release `{release}` of service `{service}` is not healthy"))
            .because(seen)
            .because(format!("{how}: {asked}"))
            .next(self.where_to_look(release).await)
            .output(lines))
    }

    /// A release that something else keeps running has no log here, and a container's is its engine's.
    pub(super) async fn where_to_look(&self, release: &ReleaseId) -> String {
        let look = match self.instance(release).await {
            Ok(None) => {
                let service = &self.place.service;
                return format!("read `pleach logs {service}`, and the log of whatever keeps `{service}` running");
            }
            Ok(Some((InstanceRecord { container: Some(container), .. }, _))) => {
                format!("docker logs --tail 50 {}", container.name)
            }
            _ => format!("tail {}", word(&self.layout().log(release))),
        };
        format!("look at its log: `{}`", self.place.typed(look))
    }

    /// Asks a release that was healthy, and goes on until it is not any more; tells that.
    pub(super) async fn until_unhealthy(&self, release: &ReleaseId, asked: &Asked, secrets: &dyn Secrets) -> Failure {
        let check = match asked {
            Asked::Check(check) => Some(check),
            Asked::AnyAnswer | Asked::Stays => None,
        };
        let thresholds = check.map(|check| check.thresholds).unwrap_or_default();
        let first = self.instance(release).await.ok().flatten().map_or(0, |(record, _)| record.restarts);
        let ends = Ends { first, seen: AtomicU32::new(first) };
        let begun = Instant::now();
        let mut watched = Watched { verdict: Verdict::Unhealthy, tries: 0, last: None, elapsed: begun.elapsed() };
        let mut wrong = 0;
        loop {
            let limit = thresholds.timeout.0;
            let asking = self.ask_once(release, asked, None, &ends, limit);
            let answer = timeout(limit, asking).await;
            let answer = answer.unwrap_or_else(|_| Answer::wrong(format!("no answer in {limit:?}")));
            wrong = if answer.is_right { 0 } else { wrong + 1 };
            watched.tries += 1;
            let is_over = answer.is_final || wrong >= thresholds.failure.max(1);
            (watched.last, watched.elapsed) = (Some(answer), begun.elapsed());
            if is_over && let Err(failure) = self.told(release, watched.clone(), secrets).await {
                return failure;
            }
            sleep(thresholds.period.0).await;
        }
    }

    async fn ask_once(
        &self,
        release: &ReleaseId,
        asked: &Asked,
        address: Option<&(String, u16)>,
        ends: &Ends,
        timeout: std::time::Duration,
    ) -> Answer {
        let instance = match self.instance(release).await {
            Ok(instance) => instance,
            Err(failure) => return Answer::wrong(failure.what),
        };
        let own = match &instance {
            Some((record, state)) => {
                if let Some(answer) = ends.judge(record, *state) {
                    return answer;
                }
                Some((record.host.clone(), record.port))
            }
            None => None,
        };
        let address = address.cloned().or(own);
        let place = CheckPlace { address, directory: self.layout().release(release) };
        let asker = Asker { place: &place, http: self.http, shell: self.shell, call: self.call };
        match asked {
            Asked::Check(check) => asker.ask(&check.kind, timeout).await,
            Asked::AnyAnswer => match asker.request(pleach_core::port::Method::Get, "/", timeout).await {
                Ok(response) => Answer::right(format!("GET / answered {}", response.status)),
                Err(seen) => Answer::wrong(seen),
            },
            Asked::Stays => match instance {
                Some((record, _)) if record.restarts == ends.first => {
                    Answer::right(format!("its {} runs", leader(&record)))
                }
                Some((record, _)) => {
                    Answer::wrong(format!("its process {}", record.last_end.as_deref().unwrap_or("ended")))
                }
                None => Answer::gone("its process was never started"),
            },
        }
    }
}

/// What runs of a release, for people.
pub(super) fn leader(record: &InstanceRecord) -> String {
    match (&record.container, &record.group) {
        (Some(container), _) => format!("container `{}`", container.name),
        (None, Some(group)) => format!("process {}", group.leader.pid),
        (None, None) => "process".to_owned(),
    }
}

/// What is asked of a release before it is believed.
pub(super) fn asked(spec: &ReleaseSpec) -> Asked {
    match (&spec.health, spec.port) {
        (Some(check), _) => Asked::Check(check.clone()),
        (None, Some(_)) => Asked::AnyAnswer,
        (None, None) => Asked::Stays,
    }
}

/// Where a release that something else runs is asked; port 0 where it has none, for checks that name a whole URL.
pub(super) fn asked_at(spec: &ReleaseSpec) -> (String, u16) {
    spec.address().unwrap_or_else(|| (spec.host.clone(), 0))
}

#[cfg(test)]
mod tests {
    use pleach_core::word::{RunId, ServiceName};

    use super::*;
    use crate::docker::EngineHealth;
    use crate::process::Identity;
    use crate::supervise::Activity;

    #[test]
    fn a_process_that_was_started_again_between_two_questions_is_not_right_twice_in_a_row() {
        let mut record = InstanceRecord {
            service: ServiceName::new("api").expect("a name"),
            release: ReleaseId::new("0001-ab12cd34").expect("a release"),
            run: RunId::new("run").expect("a name"),
            activity: Activity::Running,
            supervisor: Identity::own(),
            container: None,
            group: None,
            host: "127.0.0.1".into(),
            port: 1,
            restarts: 7,
            last_end: Some("exited with 4".into()),
            killed: false,
            health: None,
            pid: None,
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let ends = Ends { first: 7, seen: AtomicU32::new(7) };
        let judge = |record: &InstanceRecord| ends.judge(record, InstanceState::Running).map(|answer| answer.is_final);
        assert_eq!(judge(&record), None, "what was before does not count");
        record.restarts = 8;
        assert_eq!(judge(&record), Some(false), "it has ended since");
        assert_eq!(judge(&record), None);
        record.restarts = 7 + RESTARTS_LIMIT;
        assert_eq!(judge(&record), Some(true), "it will not stay");

        // What its engine says counts before anything else is asked, also where nothing else is.
        record.restarts = 7;
        judge(&record);
        let state_and_answer =
            [(HealthState::Starting, Some(false)), (HealthState::Healthy, None), (HealthState::Unhealthy, Some(true))];
        for (state, answer) in state_and_answer {
            record.health = Some(EngineHealth { state, failures: 0, every: Period::seconds(30), output: Vec::new() });
            assert_eq!(judge(&record), answer, "{state:?}");
        }
    }
}

//! `analysis`: a release is watched with the part of the requests that it was given.
//!
//! | seen | then |
//! |---|---|
//! | more requests failed than may, however many good ones may still come | it ends at once, and the release is taken back |
//! | it is not healthy any more | the same |
//! | the proxy is away, or leads elsewhere, for longer than a restart takes | the same: nobody knows what became of the requests |
//! | its answers take longer on average than they may | the same |
//! | the time is over, and the environment's own command does not agree | the same |
//! | nobody says that it may go on, where a person is asked, for as long as `pause` | the same |
//! | the time is over, and there were enough requests | it goes on |
//! | the time is over, and there were fewer | it goes on, and a person is told |
//!
//! Whoever ends it as bad gives all requests back first: where the policy is to hold, nothing else would. What is gone on with
//! after that gives the part once more. Nothing of a watch outlives its process: one that was interrupted begins anew.

use std::time::Duration;

use jiff::Timestamp;
use pleach_core::config::CommandLine;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Change, Inspection, StepContext};
use pleach_core::port::{Secrets, Stream};
use tokio::time::{Instant, sleep, timeout};

use super::canary::is_shared;
use crate::directory::canary::{ABSENCE, COMMAND};
use crate::directory::command::typed;
use crate::directory::consent::AwaitedConsent;
use crate::directory::led::count;
use crate::directory::parameter::AnalysisParameters;
use crate::directory::site::Site;
use crate::directory::tally::Tally;
use crate::proxy::{LeadRequest, LeadTo, Part};

/// How often it is looked at what the proxy has counted.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let AnalysisParameters { part, wait, .. } = cx.require_parameters()?;
    let changes = vec![format!("watch `{}` for {wait} with {part}", part.release)];
    Ok(Inspection::Pending { changes })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: AnalysisParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let AnalysisParameters { part, asked, .. } = &parameters;
    // It is there already, unless an earlier attempt gave it back. A proxy that is just being restarted has it in its file, and
    // whether it has it at run time is looked at all the time.
    let given = lead(&site, &parameters, LeadTo::Part(part.clone())).await;
    given.map(drop).or_else(|failure| if failure.kind == Kind::Cancelled { Err(failure) } else { Ok(()) })?;
    let watched = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(stopped(&parameters)),
        failure = site.until_unhealthy(&part.release, asked, secrets) => Err(failure),
        watched = watch(&site, &parameters, secrets) => watched,
    };
    // Where this is lost, a person is asked in vain; taking the part back withdraws the question too.
    let withdrawn = if parameters.pause.is_some() { site.withdraw_question().await } else { Ok(()) };
    match watched.and_then(|applied| withdrawn.map(|()| applied)) {
        Err(failure) if failure.kind == Kind::Rejected => Err(give_back(&site, &parameters, failure).await),
        watched => watched,
    }
}

async fn lead(site: &Site<'_>, parameters: &AnalysisParameters, to: LeadTo) -> Result<String, Failure> {
    let AnalysisParameters { led, limit, .. } = parameters;
    site.ensure_led(&LeadRequest { led: led.clone(), to, limit: *limit, back: false }).await
}

/// What is known to be bad is given no more requests, also where the policy is to hold.
async fn give_back(site: &Site<'_>, parameters: &AnalysisParameters, failure: Failure) -> Failure {
    match lead(site, parameters, LeadTo::Release(parameters.part.beside.clone())).await {
        Ok(evidence) => failure.because(format!("it is given no more requests: {evidence}")),
        Err(error) => failure.because(format!("it may still be given requests: {}", error.what)),
    }
}

async fn watch(site: &Site<'_>, parameters: &AnalysisParameters, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let AnalysisParameters { part, led, wait, .. } = parameters;
    let begun = Instant::now();
    let (mut new, mut old) = (Tally::default(), Tally::default());
    let mut away: Option<Instant> = None;
    let mut own: Option<Own> = None;
    loop {
        let seen = match count(site.require_shell()?, &site.place.program, led).await {
            Ok(counted) if is_shared(&counted.leads, part) => {
                let of = |release| counted.releases.get(release).copied().unwrap_or_default();
                new.take(&counted.worker, of(&part.release));
                old.take(&counted.worker, of(&part.beside));
                None
            }
            Ok(counted) => Some(counted.leads.evidence),
            Err(failure) => Some(failure.because.into_iter().fold(failure.what, |told, why| format!("{told}: {why}"))),
        };
        if let Some(allowed) = worse_than(parameters, &new) {
            let what = format!(
                "release `{}` of service `{}` is worse than its canary may be",
                part.release, site.place.service
            );
            let seconds = begun.elapsed().as_secs_f64();
            return Err(Failure::new(Kind::Rejected, what)
                .because(format!("with {part} for {seconds:.1} s: {new}, and {allowed}"))
                .because(format!("the release before: {old}"))
                .next(site.where_to_look(&part.release).await)
                .output(site.last_lines(&part.release, secrets).await));
        }
        match seen {
            None if begun.elapsed() >= wait.0 => {
                away = None;
                let mut asked = match own.take() {
                    Some(asked) => asked,
                    None => Own::ask(site, parameters, secrets).await?,
                };
                if asked.agrees(site, parameters).await? {
                    return Ok(passed(parameters, &new, &old, &asked.seen));
                }
                own = Some(asked);
            }
            None => away = None,
            Some(why) if away.get_or_insert_with(Instant::now).elapsed() >= ABSENCE.0 => {
                let what = format!("could not watch release `{}` with {part}", part.release);
                return Err(Failure::new(Kind::Conflict, what)
                    .because(why)
                    .because(format!("that lasted for {ABSENCE}"))
                    .next("see where requests go with `pleach ps`, and who else changes the proxy"));
            }
            Some(_) => {}
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// What it is worse than, in words.
fn worse_than(parameters: &AnalysisParameters, seen: &Tally) -> Option<String> {
    let AnalysisParameters { errors, latency, requests, .. } = parameters;
    if seen.fails_more_than(*errors, *requests) {
        return Some(format!("at most {errors} may fail"));
    }
    let latency = latency.filter(|latency| seen.takes_longer_than(*latency, *requests))?;
    Some(format!("at most {latency} on average are allowed"))
}

/// Runs the environment's own command; tells what was seen.
async fn run_own(site: &Site<'_>, part: &Part, line: &CommandLine, secrets: &dyn Secrets) -> Result<String, Failure> {
    let record = site.require_record(&part.release).await?;
    let mut command = site.service_command(line, &record, secrets).await?;
    command = command.variable("PLEACH_PERCENT", part.percent.to_string());
    command = command.variable("PLEACH_PREVIOUS", part.beside.to_string());
    let doing = format!("run the canary's `command` `{line}`");
    let running = timeout(COMMAND.0, site.run_command(&command, &doing));
    let ended = running.await.unwrap_or_else(|_| {
        let what = format!("could not {doing} of service `{}`", site.place.service);
        Err(Failure::new(Kind::Rejected, what).because(format!("it did not end within {COMMAND}")))
    });
    let there = site.layout().release(&part.release);
    ended.map(|_| format!("`{line}` exited with 0")).map_err(|failure| {
        let by_hand = site.place.typed(typed(line, None, &there));
        failure.next(format!("see what it says by hand: `{by_hand}`"))
    })
}

/// What is asked once the figures are good: the environment's own command, and then a person.
struct Own {
    since: Instant,
    seen: Vec<String>,
}

impl Own {
    /// Runs the command, and puts the question.
    async fn ask(site: &Site<'_>, parameters: &AnalysisParameters, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let AnalysisParameters { part, command, pause, place, .. } = parameters;
        let mut seen = Vec::new();
        if let Some(line) = command {
            seen.push(run_own(site, part, line, secrets).await?);
        }
        if let (Some(pause), None) = (pause, site.given_consent(part.percent).await?) {
            let (service, run, release) = (place.service.clone(), site.run.clone(), part.release.clone());
            let until = Timestamp::now().saturating_add(pause.0).unwrap_or(Timestamp::MAX);
            let (percent, lines) = (part.percent, site.call.lines);
            let (program, directory) = (place.program.clone(), place.directory.clone());
            let matching = part.matching.clone();
            let awaited = AwaitedConsent { service, run, release, percent, matching, until, program, directory };
            site.ask_for_consent(&awaited).await?;
            lines.line(Stream::Stdout, &format!("waits for `pleach confirm`, at most {pause}"));
        }
        Ok(Self { since: Instant::now(), seen })
    }

    /// Whether a person has agreed, where one is asked. Nobody within the time is a no.
    async fn agrees(&mut self, site: &Site<'_>, parameters: &AnalysisParameters) -> Result<bool, Failure> {
        let AnalysisParameters { part, pause: Some(pause), place, .. } = parameters else { return Ok(true) };
        if let Some(given) = site.given_consent(part.percent).await? {
            self.seen.push(format!("{} let it go on", given.by));
            return Ok(true);
        }
        if self.since.elapsed() < pause.0 {
            return Ok(false);
        }
        let what = format!("nobody let release `{}` of service `{}` go on", part.release, place.service);
        Err(Failure::new(Kind::Rejected, what)
            .because(format!("it waited for `pleach confirm` for {pause} with {part}"))
            .next("deploy it again when somebody is there to answer"))
    }
}

fn passed(parameters: &AnalysisParameters, new: &Tally, old: &Tally, own: &[String]) -> Applied {
    let AnalysisParameters { part, wait, requests, .. } = parameters;
    let own: String = own.iter().map(|own| format!("; {own}")).collect();
    let asked = part.matching.as_ref().map(|matching| format!(" and {matching}")).unwrap_or_default();
    let evidence = format!("{}%{asked} for {wait}: {new} (the release before: {old}){own}", part.percent);
    // Where only those get it who ask for it, nobody has to ask.
    if part.percent == 0 || new.requests() >= u64::from(*requests) {
        return Applied::unchanged(evidence);
    }
    let warning = format!("with {part} there were fewer than the {requests} that it is judged by");
    Applied { change: Change::Warned(warning), ..Applied::unchanged(evidence) }
}

fn stopped(parameters: &AnalysisParameters) -> Failure {
    let AnalysisParameters { part, .. } = parameters;
    let what = format!("stopped watching release `{}` with {part}", part.release);
    Failure::new(Kind::Cancelled, what).because("the run was asked to stop").next("go on with `pleach resume`")
}

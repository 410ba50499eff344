//! All checks of a service, once each: the five-stage service test, the health check, and the further ones.

use std::time::Duration;

use pleach_core::config::{CheckConfig, ServiceConfig, ServiceTest};
use pleach_core::port::{Files, HttpResponse, Method};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::ask::{Answer, Asker, missing_keys};
use super::streak::Verdict;
use super::watch::watch;

/// Which part of a service's checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStage {
    /// Stage 1 of the service test, or the health check where there is no service test.
    Health,
    /// Stage 2.
    ResponseTime,
    /// Stage 3.
    Metadata,
    /// Stage 4.
    ErrorHandling,
    /// Stage 5.
    Documentation,
    /// One of the further checks.
    Check,
}

/// What one check saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name: the stage, or what the config calls it.
    pub name: String,
    /// Its part.
    pub stage: CheckStage,
    /// Whether it saw what is wanted.
    pub passed: bool,
    /// What was seen.
    pub seen: String,
    /// What is wanted.
    pub wanted: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// The longest that one request of the service test may take where no limit is named.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Makes every check of a service and stops at none.
///
/// Stages 1 to 5 come from `test`, in order; where there is no `test`, the `health` check stands first. Then the further
/// `checks`, each with its own thresholds. A service without any check gives an empty list.
pub async fn verify_service(asker: &Asker<'_>, files: Option<&dyn Files>, config: &ServiceConfig) -> Vec<CheckResult> {
    let mut results = Vec::new();
    match (&config.test, &config.health) {
        (Some(test), _) => results.extend(test_service(asker, files, test).await),
        (None, Some(health)) => results.push(check(asker, health, CheckStage::Health, "health").await),
        (None, None) => {}
    }
    for (at, further) in config.checks.iter().enumerate() {
        results.push(check(asker, further, CheckStage::Check, &format!("check {}", at + 1)).await);
    }
    results
}

async fn check(asker: &Asker<'_>, check: &CheckConfig, stage: CheckStage, name: &str) -> CheckResult {
    let thresholds = &check.thresholds;
    let watched = watch(thresholds, || asker.ask(&check.kind, thresholds.timeout.0)).await;
    let seen = watched.last.map_or_else(|| "there was no time to ask".to_owned(), |answer| answer.seen);
    CheckResult {
        name: check.name.clone().unwrap_or_else(|| name.to_owned()),
        stage,
        passed: watched.verdict == Verdict::Healthy,
        seen: format!("{seen}; asked {} times", watched.tries),
        wanted: format!("right {} times in a row within {}", thresholds.success, thresholds.within),
        elapsed_ms: millis(watched.elapsed),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn test_service(asker: &Asker<'_>, files: Option<&dyn Files>, test: &ServiceTest) -> Vec<CheckResult> {
    let mut results = Vec::new();
    let mut add = |stage, name: &str, wanted: String, elapsed: Duration, answer: Answer| {
        let (passed, seen) = (answer.is_right, answer.seen);
        results.push(CheckResult { name: name.into(), stage, passed, seen, wanted, elapsed_ms: millis(elapsed) });
    };
    if !test.health.is_empty() {
        let limit = test.max_response.0;
        let started = Instant::now();
        let response = asker.request(Method::Get, &test.health, limit.max(REQUEST_LIMIT)).await;
        let elapsed = started.elapsed();
        let asked = format!("GET {}", test.health);
        add(CheckStage::Health, "health", format!("{asked} answers 200"), elapsed, status(&asked, &response, 200));
        if !limit.is_zero() {
            let wanted = format!("{asked} answers within {}", test.max_response);
            add(CheckStage::ResponseTime, "response time", wanted, elapsed, in_time(&asked, &response, limit));
        }
    }
    if !test.metadata.is_empty() {
        let started = Instant::now();
        let response = asker.request(Method::Get, &test.metadata, REQUEST_LIMIT).await;
        let asked = format!("GET {}", test.metadata);
        let wanted = format!("{asked} answers 200 with the keys {}", test.metadata_keys.join(", "));
        let answer = metadata(&asked, &response, &test.metadata_keys);
        add(CheckStage::Metadata, "metadata", wanted, started.elapsed(), answer);
    }
    let refusals = [
        (&test.not_found, Method::Get, 404, "not found"),
        (&test.method_not_allowed, test.method_not_allowed_method, 405, "method not allowed"),
    ];
    for (path, method, code, name) in refusals.into_iter().filter(|(path, ..)| !path.is_empty()) {
        let started = Instant::now();
        let response = asker.request(method, path, REQUEST_LIMIT).await;
        let asked = format!("{} {path}", method.as_str());
        let answer = status(&asked, &response, code);
        add(CheckStage::ErrorHandling, name, format!("{asked} answers {code}"), started.elapsed(), answer);
    }
    let started = Instant::now();
    if let Some(file) = &test.documentation_file {
        let wanted = format!("the file `{}` is there and not empty", file.display());
        let answer = document(asker, files, file).await;
        add(CheckStage::Documentation, "documentation", wanted, started.elapsed(), answer);
    } else if !test.documentation.is_empty() {
        let response = asker.request(Method::Get, &test.documentation, REQUEST_LIMIT).await;
        let asked = format!("GET {}", test.documentation);
        let answer = match &response {
            Ok(response) if response.status == 200 && response.body.is_empty() => {
                Answer::wrong(format!("{asked} answered 200 with an empty body"))
            }
            _ => status(&asked, &response, 200),
        };
        let wanted = format!("{asked} answers 200 with a body");
        add(CheckStage::Documentation, "documentation", wanted, started.elapsed(), answer);
    }
    results
}

type Response = Result<HttpResponse, String>;

fn status(asked: &str, response: &Response, wanted: u16) -> Answer {
    match response {
        Ok(response) if response.status == wanted => Answer::right(format!("{asked} answered {wanted}")),
        Ok(response) => Answer::wrong(format!("{asked} answered {}", response.status)),
        Err(seen) => Answer::wrong(seen.clone()),
    }
}

fn in_time(asked: &str, response: &Response, limit: Duration) -> Answer {
    match response {
        Ok(response) => {
            let seen = format!("{asked} answered in {} ms", response.elapsed.as_millis());
            if response.elapsed <= limit { Answer::right(seen) } else { Answer::wrong(seen) }
        }
        Err(seen) => Answer::wrong(seen.clone()),
    }
}

fn metadata(asked: &str, response: &Response, keys: &[String]) -> Answer {
    let answer = status(asked, response, 200);
    let Ok(response) = response else { return answer };
    if !answer.is_right {
        return answer;
    }
    let is_object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&response.body).is_ok();
    match missing_keys(&response.body, keys) {
        _ if !is_object => Answer::wrong(format!("{}, which is no JSON object", answer.seen)),
        Ok(()) => Answer::right(format!("{} with the keys {}", answer.seen, keys.join(", "))),
        Err(lacking) => Answer::wrong(format!("{} {lacking}", answer.seen)),
    }
}

async fn document(asker: &Asker<'_>, files: Option<&dyn Files>, file: &std::path::Path) -> Answer {
    let Some(files) = files else { return Answer::wrong("the target keeps no files") };
    match files.read(&asker.place.directory.join(file)).await {
        Ok(Some(content)) if !content.is_empty() => {
            Answer::right(format!("`{}` has {} bytes", file.display(), content.len()))
        }
        Ok(Some(_)) => Answer::wrong(format!("`{}` is empty", file.display())),
        Ok(None) => Answer::wrong(format!("`{}` is not there", file.display())),
        Err(failure) => Answer::wrong(failure.what),
    }
}

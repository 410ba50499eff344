//! What a target's proxy leads to, as the target tells it.

use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Files, Shell};

use serde::de::DeserializeOwned;

use super::layout::ServiceLayout;
use super::site::{ask_program, read_process_json};
use crate::proxy::{Counted, Leads, Led, LedRecord, LookRequest, Looked};

/// Asks the proxy where the requests to a service go.
pub(super) async fn look(shell: &dyn Shell, program: &Path, led: &Led) -> Result<Leads, Failure> {
    ask(shell, program, "led", led).await
}

/// Asks what the proxy's file says of a service, and what the proxy runs of it.
pub(super) async fn compare(shell: &dyn Shell, program: &Path, led: &Led) -> Result<Looked, Failure> {
    let request = LookRequest { place: led.place.clone(), name: Some(led.name()) };
    let request = serde_json::to_vec(&request).unwrap_or_default();
    let what = || format!("compare HAProxy with its file for {}", led.bind);
    ask_program(shell, program, &["proxy", "look"], Some(request), what).await
}

/// Asks the proxy what became of them, too.
pub(super) async fn count(shell: &dyn Shell, program: &Path, led: &Led) -> Result<Counted, Failure> {
    ask(shell, program, "count", led).await
}

async fn ask<T: DeserializeOwned>(shell: &dyn Shell, program: &Path, verb: &str, led: &Led) -> Result<T, Failure> {
    let led_json = serde_json::to_vec(led)
        .map_err(|error| Failure::new(Kind::Internal, "could not send a request").because(error.to_string()))?;
    ask_program(shell, program, &["proxy", verb], Some(led_json), || format!("see where {} leads", led.bind)).await
}

/// What a service's proxy was told to lead to it, and where it leads; `None` where none was told.
pub(super) async fn leads(
    files: &dyn Files,
    shell: &dyn Shell,
    layout: &ServiceLayout,
) -> Result<Option<(Led, Leads)>, Failure> {
    let record: Option<LedRecord> = read_process_json(files, &layout.led()).await?;
    let Some(LedRecord { program, led }) = record else { return Ok(None) };
    let leads = look(shell, &program, &led).await?;
    Ok(Some((led, leads)))
}

//! `proxy VERB`.

use std::process::ExitCode;

use pleach_core::error::{Failure, Kind};

use super::lead::{LeadRequest, Led, SettleRequest};
use super::{count, drain, ensure, lead, look, remove};
use crate::daemon::{answer, read_request};
use crate::directory::keep_consent;

/// Runs the hidden command `proxy` with the arguments behind it.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    match arguments.into_iter().next().as_deref() {
        Some("look") => answer(read_request().and_then(|request| look::look(&request))),
        Some("ensure") => answer(read_request().and_then(|request| ensure::ensure(&request))),
        Some("drain") => answer(read_request().and_then(|request| drain::drain(&request))),
        Some("lead") => {
            answer(read_request().and_then(|request: LeadRequest| lead::lead(&request.led.place, &request)))
        }
        Some("led") => answer(read_request().and_then(|led: Led| lead::led(&led.place, &led))),
        Some("count") => answer(read_request().and_then(|led: Led| count::count(&led.place, &led))),
        Some("consent") => answer(read_request().and_then(|request| keep_consent(&request))),
        Some("settle") => {
            answer(read_request().and_then(|request: SettleRequest| lead::settle(&request.led.place, &request)))
        }
        Some("remove") => answer(read_request().and_then(|request| remove::remove(&request))),
        verb => answer::<()>(Err(Failure::new(
            Kind::Internal,
            format!("`proxy` has no verb `{}`", verb.unwrap_or_default()),
        ))),
    }
}

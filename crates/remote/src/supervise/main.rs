//! `supervise VERB [LABEL…]`.

use std::process::ExitCode;

use pleach_core::error::{Failure, Kind};

use super::{again, child, daemon, start, stop};
use crate::daemon::{answer, read_request};

/// Runs the hidden command `supervise` with the arguments behind it. The executable that calls it must come here again when
/// it is started with `supervise` as its first argument.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        Some("start") => answer(read_request().and_then(|request| start::start(&request))),
        Some("stop") => answer(read_request().and_then(|request| stop::stop(&request))),
        Some("again") => answer(read_request().and_then(|request| again::again(&request))),
        Some("run") => daemon::run(),
        Some("child") => child::become_service(arguments),
        verb => answer::<()>(Err(Failure::new(
            Kind::Internal,
            format!("`supervise` has no verb `{}`", verb.unwrap_or_default()),
        ))),
    }
}

//! `route VERB [LABEL…]`.

use std::process::ExitCode;

use pleach_core::error::{Failure, Kind};

use super::{daemon, start};
use crate::daemon::{answer, read_request};

/// Runs the hidden command `route` with the arguments behind it. The executable that calls it must come here again when it
/// is started with `route` as its first argument.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    match arguments.into_iter().next().as_deref() {
        Some("start") => answer(read_request().and_then(|request| start::start(&request))),
        Some("stop") => answer(read_request().and_then(|request| start::stop(&request))),
        Some("run") => daemon::run(),
        verb => answer::<()>(Err(Failure::new(
            Kind::Internal,
            format!("`route` has no verb `{}`", verb.unwrap_or_default()),
        ))),
    }
}

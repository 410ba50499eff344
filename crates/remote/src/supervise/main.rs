//! `supervise VERB [LABEL…]`.

use std::path::PathBuf;
use std::process::ExitCode;

use pleach_core::error::{Failure, Kind};
use pleach_core::word::{ReleaseId, RunId};

use super::request::StartRequest;
use super::{again, child, container, daemon, name, start, stop};
use crate::daemon::{answer, read_request};
use crate::volume;

/// Runs the hidden command `supervise` with the arguments behind it. The executable that calls it must come here again when
/// it is started with `supervise` as its first argument.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        Some("start") => answer(read_request().and_then(|request: StartRequest| match &request.container {
            Some(container) => container::start(&request, container),
            None => start::start(&request),
        })),
        Some("look") => answer(named(&mut arguments).and_then(|(path, release)| container::look(&path, &release))),
        Some("lines") => {
            answer(named(&mut arguments).and_then(|(path, release)| container::lines(&path, &release, arguments)))
        }
        Some("image") => answer(read_request().and_then(|request| container::name_image(&request))),
        Some("pull") => answer(read_request().and_then(name::pull)),
        Some("images") => answer(read_request().and_then(|request| name::images(&request))),
        Some("names") => answer(read_request().and_then(|request| name::names(&request))),
        Some("rename") => answer(read_request().and_then(|request| name::rename(&request))),
        Some("surplus") => answer(read_request().and_then(|request| name::surplus(&request))),
        Some("forget") => answer(read_request().and_then(|request| name::forget(&request))),
        Some("remove") => answer(read_request().and_then(|request| container::remove(&request))),
        Some("stop") => answer(read_request().and_then(|request| stop::stop(&request))),
        Some("again") => answer(read_request().and_then(|request| again::again(&request))),
        Some("keep-volumes") => {
            answer(read_request().and_then(|request| container::run(async { volume::keep(&request).await })))
        }
        Some("prove-volumes") => answer(read_request().and_then(|place: PathBuf| volume::prove(&place))),
        Some("put-back-volumes") => answer(run_of(&mut arguments).and_then(|run| {
            let request = read_request()?;
            container::run(async { volume::put_back(&request, &run).await })
        })),
        Some("run") => daemon::run(),
        Some("child") => child::become_service(arguments),
        verb => answer::<()>(Err(Failure::new(
            Kind::Internal,
            format!("`supervise` has no verb `{}`", verb.unwrap_or_default()),
        ))),
    }
}

/// Not part of the request: a target that asks this by itself learns it last.
fn run_of(arguments: &mut impl Iterator<Item = String>) -> Result<RunId, Failure> {
    let run = arguments.next().and_then(|run| RunId::new(run).ok());
    run.ok_or_else(|| Failure::new(Kind::Internal, "`supervise` is not told of a run"))
}

/// A service's directory and one of its releases. What only looks is told by arguments, of which none is secret: so it can share a
/// shell with others.
fn named(arguments: &mut impl Iterator<Item = String>) -> Result<(PathBuf, ReleaseId), Failure> {
    let (directory, release) = (arguments.next(), arguments.next());
    let release = release.and_then(|release| ReleaseId::new(release).ok());
    directory
        .map(PathBuf::from)
        .zip(release)
        .ok_or_else(|| Failure::new(Kind::Internal, "`supervise` is not told of a directory and a release"))
}

//! `build`, `restart`, `halt`: commands of the service's own.

use pleach_core::config::CommandLine;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::Secrets;

use crate::directory::parameter::ReleaseParameters;
use crate::directory::phase::Work;
use crate::directory::release::ReleaseSpec;
use crate::directory::site::Site;

pub(super) fn pending(work: Work) -> Inspection {
    Inspection::Pending { changes: vec![format!("run the `{}` command", word(work))] }
}

/// What the config calls it.
fn word(work: Work) -> &'static str {
    match work {
        Work::Build => "build",
        Work::Halt => "stop",
        _ => "start",
    }
}

fn line(work: Work, spec: &ReleaseSpec) -> Option<&CommandLine> {
    match work {
        Work::Build => spec.build.as_ref(),
        Work::Halt => spec.stop.as_ref(),
        _ => spec.start.as_ref(),
    }
}

pub(super) async fn apply(cx: &StepContext<'_>, work: Work, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: ReleaseParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let record = site.require_record(&parameters.release).await?;
    let line = line(work, &record.spec).ok_or_else(|| {
        Failure::new(Kind::Internal, format!("release `{}` has no `{}` command", parameters.release, word(work)))
    })?;
    let command = site.service_command(line, &record, secrets).await?;
    site.run_command(&command, &format!("run the `{}` command `{line}`", word(work))).await?;
    Ok(Applied::changed(format!("`{line}` exited with 0")))
}

pub(super) async fn undo_halt(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: ReleaseParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let record = site.require_record(&parameters.release).await?;
    match &record.spec.start {
        Some(line) => {
            let command = site.service_command(line, &record, secrets).await?;
            site.run_command(&command, &format!("run the `start` command `{line}`")).await?;
            Ok(Evidence::seen(format!("`{line}` exited with 0")))
        }
        None => Ok(Evidence::seen("the service has no `start` command")),
    }
}

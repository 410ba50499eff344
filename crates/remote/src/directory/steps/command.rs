//! `build`, `restart`, `halt`: commands of the service's own.

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::Secrets;
use serde_json::Value;

use crate::directory::command::ServiceCommand;
use crate::directory::parameter::ReleaseParameters;
use crate::directory::phase::Work;
use crate::directory::release::{ReleaseRecord, ReleaseState};
use crate::directory::routing::asked_at;
use crate::directory::site::Site;

fn command(work: Work) -> ServiceCommand {
    match work {
        Work::Build => ServiceCommand::Build,
        Work::Halt => ServiceCommand::Stop,
        _ => ServiceCommand::Start,
    }
}

/// Whether this run has run it to its end already.
async fn has_ended(site: &Site<'_>, command: ServiceCommand, record: &ReleaseRecord) -> Result<bool, Failure> {
    match command {
        ServiceCommand::Build => {
            Ok(record.run == *site.run && matches!(record.state, ReleaseState::Built | ReleaseState::Used))
        }
        _ => Ok(site.own_last_command().await?.is_some_and(|last| last.has_ended(command, &record.release))),
    }
}

pub(super) async fn inspect(cx: &StepContext<'_>, work: Work) -> Result<Inspection, Failure> {
    let parameters: ReleaseParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let command = command(work);
    let changes = vec![format!("run the `{}` command", command.word())];
    let Some(record) = site.record(&parameters.release).await? else { return Ok(Inspection::Pending { changes }) };
    Ok(if has_ended(&site, command, &record).await? {
        let evidence = Evidence::seen(format!("this run's `{}` command exited with 0", command.word()));
        Inspection::Settled { evidence, output: Value::Null }
    } else {
        Inspection::Pending { changes }
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, work: Work, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: ReleaseParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut record = site.require_record(&parameters.release).await?;
    let command = command(work);
    let line = command.line(&record.spec).cloned().ok_or_else(|| {
        Failure::new(Kind::Internal, format!("release `{}` has no `{}` command", parameters.release, command.word()))
    })?;
    if has_ended(&site, command, &record).await? {
        return Ok(Applied::changed(format!("`{line}` exited with 0")));
    }
    if command != ServiceCommand::Build {
        return Ok(Applied::changed(site.run_noted(command, &line, &record, secrets).await?));
    }
    let seen = site.run_line(command, &line, &record, secrets).await?;
    record.state = ReleaseState::Built;
    site.write_json(&site.layout().record(&parameters.release), &record).await?;
    Ok(Applied::changed(seen))
}

/// Runs `start` where this run may have run `stop`, or may have run `start` without its coming to its end; and sees that it is
/// healthy where there is nothing else to go back to.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: ReleaseParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let Some(last) = site.own_last_command().await? else {
        return Ok(Evidence::seen("neither `stop` nor `start` was run"));
    };
    let record = site.require_record(&parameters.release).await?;
    let mut seen = match &record.spec.start {
        None => "the service has no `start` command".to_owned(),
        Some(line) if last.has_ended(ServiceCommand::Start, &record.release) => format!("`{line}` exited with 0"),
        Some(line) => site.run_noted(ServiceCommand::Start, line, &record, secrets).await?,
    };
    if let Some(asked) = &parameters.back {
        let healthy = site.require_healthy(&record.release, asked, Some(&asked_at(&record.spec)), secrets).await?;
        seen = format!("{seen}: {healthy}");
    }
    Ok(Evidence::seen(seen))
}

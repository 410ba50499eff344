//! `health` and `verify`: a release is believed once it is right often enough in a row.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::Secrets;
use serde_json::Value;

use crate::directory::parameter::HealthParameters;
use crate::directory::site::Site;

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let seen = ask(cx, secrets).await?;
    Ok(Applied::unchanged(seen))
}

pub(super) async fn inspect(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Inspection, Failure> {
    Ok(match ask(cx, secrets).await {
        Ok(seen) => Inspection::Settled { evidence: Evidence::seen(seen), output: Value::Null },
        Err(failure) => Inspection::Pending { changes: vec![failure.what] },
    })
}

async fn ask(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<String, Failure> {
    let HealthParameters { place, release, asked, address } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(stopped(&release)),
        seen = site.require_healthy(&release, &asked, address.as_ref(), secrets) => {
            let through = address.as_ref().map_or(String::new(), |(host, port)| format!("through {host}:{port}: "));
            seen.map(|seen| format!("{through}{seen}"))
        }
    }
}

fn stopped(release: &pleach_core::word::ReleaseId) -> Failure {
    let what = format!("stopped waiting for release `{release}` to be healthy");
    Failure::new(pleach_core::error::Kind::Cancelled, what)
        .because("the run was asked to stop")
        .next("go on with `pleach resume`")
}

//! `volumes`: changes nothing, and is taken back by restoring the [snapshot](crate::directory) of volumes.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Inspection, StepContext};

use crate::directory::parameter::VolumesParameters;
use crate::directory::site::Site;
use crate::directory::volumes::require_kept;

/// Never settled: what is settled is not taken back.
pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: VolumesParameters = cx.require_parameters()?;
    let changes = parameters.volumes.iter().map(|name| format!("volume `{name}` may be changed from now on"));
    Ok(Inspection::Pending { changes: changes.collect() })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: VolumesParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    require_kept(&site, cx.run).await?;
    let place = site.layout().kept_volumes(cx.run);
    let many = if parameters.volumes.len() == 1 { "" } else { "s" };
    Ok(Applied::changed(format!(
        "{} volume{many} can be put back from `{}`",
        parameters.volumes.len(),
        place.display()
    )))
}

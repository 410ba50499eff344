//! `files`: changes nothing, and is taken back by restoring the [snapshot](crate::directory) of files.

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Inspection, StepContext};

use crate::directory::parameter::FilesParameters;
use crate::directory::site::Site;

/// Never settled: what is settled is not taken back.
pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: FilesParameters = cx.require_parameters()?;
    let paths = parameters.paths.iter().map(|path| format!("`{}` may be changed from now on", path.display()));
    Ok(Inspection::Pending { changes: paths.collect() })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: FilesParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let kept = site.layout().kept(cx.run);
    if site.files.stat(&kept).await?.is_none() {
        return Err(Failure::new(Kind::Conflict, "the kept files are gone")
            .because(format!("`{}` is not there", kept.display()))
            .next("make a new plan"));
    }
    let many = if parameters.paths.len() == 1 { "" } else { "s" };
    Ok(Applied::changed(format!("{} path{many} can be put back from `{}`", parameters.paths.len(), kept.display())))
}

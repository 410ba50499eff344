//! `build-here`: the tree of a commit is built on this machine, once for all targets of an environment.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use serde_json::Value;

use crate::directory::parameter::UploadParameters;
use crate::directory::phase::Means;

pub(super) async fn inspect(cx: &StepContext<'_>, means: &Means) -> Result<Inspection, Failure> {
    let spec = cx.require_parameters::<UploadParameters>()?.spec;
    Ok(match means.built.find(&spec)? {
        Some(_) => Inspection::Settled { evidence: Evidence::seen("it is built"), output: Value::Null },
        None => Inspection::Pending { changes: vec!["build it here".to_owned()] },
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, means: &Means) -> Result<Applied, Failure> {
    let spec = cx.require_parameters::<UploadParameters>()?.spec;
    let built = means.built.ensure(cx, &spec, means.source.as_ref(), means.secrets.as_ref()).await?;
    Ok(Applied::unchanged(built.seen))
}

//! `push`: the image goes to its registry, from where the targets take it.

use pleach_core::config::RegistryConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Inspection, StepContext};
use pleach_core::port::{RegistryLogin, RegistryPlace, Secrets};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::image::require_built;
use crate::directory::container::registry_place;
use crate::directory::parameter::UploadParameters;
use crate::directory::release::ReleaseSpec;

/// Where the image is in the registry.
#[derive(Serialize, Deserialize)]
pub(super) struct Pushed {
    pub(super) place: RegistryPlace,
    /// Of its manifest there.
    pub(super) digest: String,
}

/// The login that the plan names, its password fetched.
pub(super) async fn login(
    named: Option<&RegistryConfig>,
    secrets: &dyn Secrets,
) -> Result<Option<RegistryLogin>, Failure> {
    let Some(named) = named else { return Ok(None) };
    Ok(Some(RegistryLogin { user: named.user.clone(), password: secrets.fetch(&named.password).await? }))
}

/// Only the registry knows, and asking it is what applying this begins with.
pub(super) fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    Ok(Inspection::Pending { changes: vec![format!("push the image of {}", parameters.spec.commit.short())] })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let (image, login) = (require_built(cx)?, login(parameters.login.as_ref(), secrets).await?);
    let none = || Failure::new(Kind::Internal, format!("service `{}` has no registry", parameters.place.service));
    let place = registry_place(&parameters.spec, &image).ok_or_else(none)?;
    let pushing = cx.require_containers()?.push(&image, &place, login);
    let digest = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => return Err(stopped(&parameters)),
        digest = pushing => digest.map_err(|failure| again(failure, &parameters.spec))?,
    };
    let evidence = format!("`{}:{}` is image {} there: {digest}", place.repository, place.tag, image.short());
    Ok(Applied::changed(evidence).output(json!(Pushed { place, digest })))
}

/// What to do about a registry or an engine is done elsewhere; then it goes on here.
pub(super) fn again(mut failure: Failure, spec: &ReleaseSpec) -> Failure {
    let next = failure.next.filter(|next| !next.contains("`pleach "));
    failure.next = next.map(|next| format!("{next}, then `pleach deploy {}`", spec.environment));
    failure
}

fn stopped(parameters: &UploadParameters) -> Failure {
    Failure::new(Kind::Cancelled, format!("stopped pushing the image of {}", parameters.spec.commit.short()))
        .because("the run was asked to stop")
        .state("parts that have arrived are used the next time")
        .next("go on with `pleach resume`")
}

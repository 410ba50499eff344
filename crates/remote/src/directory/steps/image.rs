//! `build-image` and `image`: a commit becomes an image, and a release of the target that has it.

use jiff::Timestamp;
use pleach_core::config::ImageConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::{BroughtImage, ImageId, Platforms, RegistryLogin, Secrets};
use pleach_core::word::ReleaseId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::push::{Pushed, again, login};
use crate::directory::container::{image_build, image_labels};
use crate::directory::parameter::UploadParameters;
use crate::directory::phase::{Means, Work};
use crate::directory::recipe::FILES;
use crate::directory::release::ReleaseState;
use crate::directory::site::Site;
use crate::docker::label;
use crate::supervise::PullRequest;

/// What `build-image` gives.
#[derive(Serialize, Deserialize)]
struct Output {
    image: ImageId,
}

fn config(parameters: &UploadParameters) -> Result<&ImageConfig, Failure> {
    let missing = || Failure::new(Kind::Internal, format!("service `{}` has no image", parameters.place.service));
    parameters.spec.image.as_ref().ok_or_else(missing)
}

pub(super) async fn inspect_built(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let labels = image_labels(&parameters.spec, config(&parameters)?, parameters.platform.as_deref());
    let containers = cx.require_containers()?;
    let built = match &parameters.image {
        Some(image) => containers.is_built(image).await?.then(|| image.clone()),
        None => containers.built(&labels).await?,
    };
    Ok(match built {
        Some(image) => {
            require_fit(cx, &parameters, &image).await?;
            let evidence = Evidence::seen(format!("image {} is built", image.short()));
            Inspection::Settled { evidence, output: json!(Output { image }) }
        }
        None => Inspection::Pending { changes: vec![format!("build an image of {}", parameters.spec.commit.short())] },
    })
}

pub(super) async fn build(cx: &StepContext<'_>, means: &Means) -> Result<Applied, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    if let Some(image) = &parameters.image {
        return take_proven(cx, &parameters, image).await;
    }
    let image = config(&parameters)?;
    let mut build = image_build(&parameters.spec, image, parameters.platform.as_deref());
    for (id, name) in &image.secrets {
        build.secrets.insert(id.clone(), means.secrets.fetch(name).await?);
    }
    let wanted = build.labels.clone();
    build.labels.extend(label::labels([
        (label::VERSION, parameters.spec.version.as_deref()),
        (label::DATE, Some(&*Timestamp::now().strftime("%FT%TZ").to_string())),
    ]));
    let building = cx.require_containers()?.build(&build, &wanted, means.source.clone());
    let image = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => return Err(stopped(&parameters)),
        image = building => image.map_err(|failure| again(failure, &parameters.spec))?,
    };
    require_fit(cx, &parameters, &image).await?;
    let evidence = format!("image {} holds {}", image.short(), parameters.spec.commit.short());
    Ok(Applied::changed(evidence).output(json!(Output { image })))
}

/// What is promoted is what was proven: another build of the same commit is another image.
async fn take_proven(cx: &StepContext<'_>, parameters: &UploadParameters, image: &ImageId) -> Result<Applied, Failure> {
    if cx.require_containers()?.is_built(image).await? {
        require_fit(cx, parameters, image).await?;
        let evidence =
            format!("image {} of {} is there as it was proven", image.short(), parameters.spec.commit.short());
        return Ok(Applied::unchanged(evidence).output(json!(Output { image: image.clone() })));
    }
    let what = format!("image {} of {} is not where images are built", image.short(), parameters.spec.commit.short());
    Err(Failure::new(Kind::Rejected, what)
        .because("it was removed there since it was proven, and another build would be another image")
        .state("nothing was sent")
        .next(format!(
            "bring it back from where it runs: `pleach promote` again; or prove another one there: `pleach deploy --only {}`",
            parameters.spec.service
        )))
}

/// Before anything is sent: the target's engine runs what the image is for.
async fn require_fit(cx: &StepContext<'_>, parameters: &UploadParameters, image: &ImageId) -> Result<(), Failure> {
    let platforms = cx.require_containers()?.platforms(image).await?;
    if platforms.fit() {
        return Ok(());
    }
    let (target, service, Platforms { image: built, target: runs }) = (cx.target.id(), cx.service, platforms);
    Err(Failure::new(Kind::Rejected, format!("image {} of `{service}` does not run on `{target}`", image.short()))
        .because(format!("it is for `{built}`, and the engine there runs `{runs}`"))
        .state("nothing was sent")
        .next(match &parameters.image {
            Some(_) => format!("prove one on a target that runs `{runs}`, then promote that"),
            None => format!("`pleach deploy {}` builds for what `{target}` runs now", parameters.spec.environment),
        }))
}

fn stopped(parameters: &UploadParameters) -> Failure {
    Failure::new(Kind::Cancelled, format!("stopped building the image of {}", parameters.spec.commit.short()))
        .because("the run was asked to stop")
        .state("steps of the Dockerfile that were finished are used the next time")
        .next("go on with `pleach resume`")
}

pub(super) fn require_built(cx: &StepContext<'_>) -> Result<ImageId, Failure> {
    let missing = || Failure::new(Kind::Internal, format!("step `{}` knows no image", cx.step));
    Ok(cx.output::<Output>(Work::BuildImage.step())?.ok_or_else(missing)?.image)
}

/// The limit of all that brings no image: the step's own is that of one that gets on.
pub(super) async fn within<T>(
    cx: &StepContext<'_>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = |_| {
        Failure::new(
            Kind::UnknownOutcome,
            format!("step `{}` of `{}` on `{}` is late", cx.step, cx.service, cx.target.id()),
        )
        .because(format!("what it asked for was not done within {FILES}"))
        .state("unknown until the target is looked at")
        .next("see whether the Docker engine there answers: `docker info`")
    };
    timeout(FILES.0, work).await.unwrap_or_else(|error| Err(late(error)))
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let release = &parameters.release;
    let site = Site::of_step(cx, &parameters.place)?;
    let whole = site.record(release).await?.filter(|record| record.run == *cx.run).and_then(|record| record.image);
    Ok(match whole {
        Some(image) if cx.require_containers()?.has(&image).await? => Inspection::Settled {
            evidence: Evidence::seen(format!("release `{release}` has image {}", image.short())),
            output: json!(Output { image }),
        },
        _ => Inspection::Pending { changes: vec![format!("bring the image of release `{release}`")] },
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let UploadParameters { place, release, spec, .. } = &parameters;
    let (site, containers, image) = (Site::of_step(cx, place)?, cx.require_containers()?, require_built(cx)?);
    let layout = site.layout();
    // Before the image: whatever lies there from now on belongs to this run.
    let mut record = site.begin_release(release, spec).await?;
    for folder in [layout.release(release), layout.run()] {
        site.files.ensure_directory(&folder, site.token()).await?;
    }
    let sent = match cx.output::<Pushed>(Work::Push.step())? {
        Some(pushed) => {
            let whence = format!("it came from `{}`", pushed.place.repository);
            let pulled =
                site.pull_image(release, &image, pushed, login(parameters.login.as_ref(), secrets).await?).await;
            pulled.map_err(|failure| again(on_target(cx, failure, &image), spec))?;
            whence
        }
        None => {
            let brought = containers.bring(&image).await.map_err(|failure| again(failure, spec))?;
            within(cx, site.ensure_image_name(release, &image)).await?;
            told(&brought)
        }
    };
    if !containers.has(&image).await? {
        return Err(Failure::new(Kind::Conflict, format!("image {} is not on `{}`", image.short(), cx.target.id()))
            .because("it was brought there, and somebody has removed it since")
            .next("see whether something removes images there: `docker events --since 10m --until 0s`"));
    }
    site.write_json(&layout.release(release).join("image.json"), &json!({ "image": image, "commit": spec.commit }))
        .await?;
    record.state = ReleaseState::Built;
    record.image = Some(image.clone());
    site.write_json(&layout.record(release), &record).await?;
    let evidence = format!("`{}` has image {} of {}; {sent}", cx.target.id(), image.short(), spec.commit.short());
    Ok(Applied::changed(evidence).output(json!(Output { image })))
}

/// The engine there calls its own machine this one.
fn on_target(cx: &StepContext<'_>, failure: Failure, image: &ImageId) -> Failure {
    let (target, service) = (cx.target.id(), cx.service);
    let what = format!("`{target}` could not take image {} of `{service}` from its registry", image.short());
    Failure { what, because: failure.causes(), ..failure }
}

fn told(brought: &BroughtImage) -> String {
    match brought.bytes {
        0 => "which it had".to_owned(),
        bytes => format!("{} of its {} layers, {bytes} bytes, were sent", brought.layers_sent, brought.layers()),
    }
}

impl Site<'_> {
    /// Has the target's engine take an image from its registry, and give it the release's name.
    async fn pull_image(
        &self,
        release: &ReleaseId,
        image: &ImageId,
        pushed: Pushed,
        login: Option<RegistryLogin>,
    ) -> Result<(), Failure> {
        let request = PullRequest {
            socket: self.place.socket(),
            image: image.clone(),
            name: self.place.image_name(release),
            place: pushed.place,
            digest: pushed.digest,
            login: login.map(|login| (login.user, login.password.expose().to_owned())),
        };
        self.ask(["supervise", "pull"], &request).await
    }
}

//! The Docker engine that builds images.

use pleach_core::error::Failure;
use pleach_remote::docker::{Engine, EngineError, EngineWay};
use tokio::time::timeout;

use super::Finding;
use super::host::PATIENCE;
use crate::project::Project;

/// Whether the engine that builds images answers, and can hand secrets to a build; nothing where no image is built.
pub(crate) async fn builder_finding(project: &Project) -> Option<Finding> {
    let images = || project.config.services.iter().filter_map(|(name, service)| Some((name, service.image.as_ref()?)));
    images().next()?;
    let subject = "docker that builds";
    let asked = async {
        let engine = Engine::connect(EngineWay::of_environment()).await?;
        Ok::<_, EngineError>((engine.facts().clone(), engine.lacks_build_kit().await?))
    };
    let (facts, lacks) = match timeout(PATIENCE, asked).await {
        Err(_) => {
            let seen = format!("no answer within {} s", PATIENCE.as_secs());
            return Some(Finding::fail(subject, seen, "see with `docker version` whether it runs"));
        }
        Ok(Err(error)) => {
            let failure = Failure::from(error);
            let mend = failure.next.unwrap_or_else(|| "see with `docker version` whether it runs".into());
            return Some(Finding::fail(subject, failure.what, mend));
        }
        Ok(Ok(answered)) => answered,
    };
    let seen = format!("{} for {}", facts.version, facts.platform);
    Some(match (lacks, images().find(|(_, image)| !image.secrets.is_empty())) {
        (None, _) => Finding::ok(subject, format!("{seen}, with BuildKit")),
        (Some(why), Some((service, _))) => Finding::fail(
            subject,
            format!("{seen} has no BuildKit, and the image of `{service}` has `secrets`: {why}"),
            "build with Docker 18.09 or newer: name its engine, `DOCKER_HOST=unix:///PATH`",
        ),
        (Some(_), None) => Finding::ok(subject, format!("{seen}, without BuildKit")),
    })
}

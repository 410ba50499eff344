//! One struct for all phases: it knows its work and hands each call to it.

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, Leftover, Phase, StepContext};
use pleach_core::target::Facet;
use pleach_core::word::PhaseName;

use super::{
    analysis, backup, build_here, canary, channel, command, compose, files, health, image, install, lead, process,
    prune, push, renew, route, script, switch, upload, volumes,
};
use crate::directory::phase::{Means, Work};

/// One phase of the kind `directory`.
pub(in crate::directory) struct DirectoryPhase {
    work: Work,
    name: PhaseName,
    means: Means,
}

impl DirectoryPhase {
    pub(in crate::directory) fn new(work: Work, means: Means) -> Option<Self> {
        Some(Self { work, name: work.phase()?, means })
    }
}

#[async_trait]
impl Phase for DirectoryPhase {
    fn name(&self) -> &PhaseName {
        &self.name
    }

    fn needs(&self) -> &[Facet] {
        match self.work {
            Work::Files | Work::Volumes | Work::Upload | Work::Prune => &[Facet::Files],
            Work::BuildHere => &[],
            Work::BuildImage | Work::Push => &[Facet::Containers],
            Work::Image | Work::Channel => &[Facet::Containers, Facet::Files, Facet::Shell],
            Work::Health | Work::Verify => &[Facet::Files, Facet::Http],
            Work::Analysis => &[Facet::Files, Facet::Shell, Facet::Http],
            _ => &[Facet::Files, Facet::Shell],
        }
    }

    async fn inspect(&self, cx: &StepContext<'_>) -> Result<Inspection, Failure> {
        match self.work {
            Work::Install => install::inspect(cx).await,
            Work::Files => files::inspect(cx).await,
            Work::Volumes => volumes::inspect(cx).await,
            Work::BuildImage => image::inspect_built(cx).await,
            Work::Push => push::inspect(cx),
            Work::Image => image::within(cx, image::inspect(cx)).await,
            Work::BuildHere => build_here::inspect(cx, &self.means).await,
            Work::Upload => upload::inspect(cx).await,
            Work::Start => process::inspect_started(cx).await,
            Work::Retire | Work::Stop => process::inspect_stopped(cx).await,
            Work::Route => route::inspect_routed(cx).await,
            Work::Close => route::inspect_closed(cx).await,
            Work::Switch => switch::inspect(cx).await,
            Work::Canary => canary::inspect(cx).await,
            Work::Analysis => analysis::inspect(cx).await,
            Work::Lead => lead::inspect(cx).await,
            Work::Health | Work::Verify => health::inspect(cx, self.means.secrets.as_ref()).await,
            Work::Channel => channel::inspect(cx, self.means.secrets.as_ref()).await,
            Work::Prune => prune::inspect(cx).await,
            Work::Script => script::inspect(cx).await,
            Work::Build | Work::Restart | Work::Halt => command::inspect(cx, self.work).await,
            Work::Renew => renew::inspect(cx).await,
            Work::Compose => compose::inspect(cx).await,
            Work::RestartPart => compose::inspect_part(cx),
            Work::Wait => compose::inspect_standing(cx, self.means.secrets.as_ref()).await,
            Work::Backup => backup::inspect(cx).await,
            Work::PutBack => backup::inspect_put_back(cx).await,
            Work::Forget => backup::inspect_forgotten(cx).await,
        }
    }

    async fn apply(&self, cx: &StepContext<'_>) -> Result<Applied, Failure> {
        let secrets = self.means.secrets.as_ref();
        match self.work {
            Work::Install => install::apply(cx).await,
            Work::Files => files::apply(cx).await,
            Work::Volumes => volumes::apply(cx).await,
            Work::BuildImage => image::build(cx, &self.means).await,
            Work::Push => push::apply(cx, secrets).await,
            Work::Image => image::apply(cx, secrets).await,
            Work::BuildHere => build_here::apply(cx, &self.means).await,
            Work::Upload => upload::apply(cx, &self.means).await,
            Work::Start => process::start(cx, secrets).await,
            Work::Retire | Work::Stop => process::stop(cx).await,
            Work::Route => route::open(cx).await,
            Work::Close => route::close(cx).await,
            Work::Switch => switch::apply(cx).await,
            Work::Canary => canary::apply(cx).await,
            Work::Analysis => analysis::apply(cx, secrets).await,
            Work::Lead => lead::apply(cx).await,
            Work::Health | Work::Verify => health::apply(cx, secrets).await,
            Work::Channel => channel::apply(cx, secrets).await,
            Work::Prune => prune::apply(cx, secrets).await,
            Work::Script => script::apply(cx, secrets).await,
            Work::Build | Work::Restart | Work::Halt => command::apply(cx, self.work, secrets).await,
            Work::Renew => renew::apply(cx, secrets).await,
            Work::Compose => compose::apply(cx, secrets).await,
            Work::RestartPart => compose::restart_part(cx, secrets).await,
            Work::Wait => compose::wait(cx, secrets).await,
            Work::Backup => backup::apply(cx).await,
            Work::PutBack => backup::put_back(cx, secrets).await,
            Work::Forget => backup::forget(cx).await,
        }
    }

    async fn undo(&self, cx: &StepContext<'_>, _: &Leftover) -> Result<Evidence, Failure> {
        let secrets = self.means.secrets.as_ref();
        match self.work {
            Work::Upload => upload::undo(cx, secrets).await,
            Work::Image => image::within(cx, upload::undo(cx, secrets)).await,
            Work::Start => process::undo_start(cx, secrets).await,
            Work::Retire | Work::Stop => process::undo_stop(cx, secrets).await,
            Work::Route => route::undo_open(cx).await,
            Work::Close => route::undo_close(cx).await,
            Work::Switch => switch::undo(cx, secrets).await,
            Work::Canary => canary::undo(cx).await,
            Work::Lead => lead::undo(cx).await,
            Work::Channel => channel::undo(cx, secrets).await,
            Work::Script => script::undo(cx, secrets).await,
            Work::Halt | Work::Restart => command::undo(cx, secrets).await,
            Work::Renew => renew::undo(cx, secrets).await,
            Work::Compose => compose::undo(cx, secrets).await,
            Work::Backup => backup::undo(cx).await,
            Work::BuildHere | Work::BuildImage => Ok(Evidence::seen("nothing was sent; what was built is kept here")),
            Work::Push => Ok(Evidence::seen("what was pushed stays in the registry")),
            Work::Install
            | Work::Files
            | Work::Volumes
            | Work::Build
            | Work::Health
            | Work::Analysis
            | Work::RestartPart
            | Work::Wait
            | Work::Verify
            | Work::PutBack
            | Work::Forget
            | Work::Prune => Ok(Evidence::seen(format!("`{}` leaves nothing behind", self.work.step()))),
        }
    }
}

//! What all phases of this kind of target share: their names, and what they are made with.

use std::sync::Arc;

use pleach_core::port::{Secrets, Source};
use pleach_core::word::PhaseName;

use super::built::BuiltTrees;

/// Made once, when the program starts.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) source: Arc<dyn Source>,
    pub(super) secrets: Arc<dyn Secrets>,
    /// Trees that are built before they are sent.
    pub(super) built: Arc<BuiltTrees>,
}

/// The phases, by what they are called in plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Install,
    Files,
    Volumes,
    BuildImage,
    Push,
    Image,
    BuildHere,
    Upload,
    Build,
    Compose,
    Script,
    Start,
    Health,
    Route,
    Canary,
    Analysis,
    Switch,
    Lead,
    Restart,
    RestartPart,
    Wait,
    Verify,
    Retire,
    Channel,
    Prune,
    Close,
    Stop,
    Halt,
    Renew,
    Backup,
    PutBack,
    Forget,
}

impl Work {
    pub(super) const ALL: [Self; 32] = [
        Self::Install,
        Self::Files,
        Self::Volumes,
        Self::BuildImage,
        Self::Push,
        Self::Image,
        Self::BuildHere,
        Self::Upload,
        Self::Build,
        Self::Compose,
        Self::Script,
        Self::Start,
        Self::Health,
        Self::Route,
        Self::Canary,
        Self::Analysis,
        Self::Switch,
        Self::Lead,
        Self::Restart,
        Self::RestartPart,
        Self::Wait,
        Self::Verify,
        Self::Retire,
        Self::Channel,
        Self::Prune,
        Self::Close,
        Self::Stop,
        Self::Halt,
        Self::Renew,
        Self::Backup,
        Self::PutBack,
        Self::Forget,
    ];

    /// The name of its step; scripts have their own behind it, and the parts of a canary their percentages.
    pub(super) const fn step(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Files => "files",
            Self::Volumes => "volumes",
            Self::BuildImage => "build-image",
            Self::Push => "push",
            Self::Image => "image",
            Self::BuildHere => "build-here",
            Self::Upload => "upload",
            Self::Build => "build",
            Self::Compose => "compose",
            Self::Script => "script",
            Self::Start => "start",
            Self::Health => "health",
            Self::Route => "route",
            Self::Canary => "canary",
            Self::Analysis => "analysis",
            Self::Switch => "switch",
            Self::Lead => "lead",
            Self::Restart => "restart",
            Self::RestartPart => "restart-part",
            Self::Wait => "wait",
            Self::Verify => "verify",
            Self::Retire => "retire",
            Self::Channel => "channel",
            Self::Prune => "prune",
            Self::Close => "close",
            Self::Stop => "stop",
            Self::Halt => "halt",
            Self::Renew => "renew",
            Self::Backup => "backup",
            Self::PutBack => "put-back",
            Self::Forget => "forget",
        }
    }

    /// The name of its phase: kinds of targets share one registry.
    pub(super) fn phase(self) -> Option<PhaseName> {
        PhaseName::new(format!("directory-{}", self.step())).ok()
    }
}

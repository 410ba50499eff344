//! Ports: what the engine and the phases ask of the outside, one file each.
//!
//! Plain data in and out, object safe. An adapter implements the ports it can; none of them has a method that an
//! adapter could only answer with "unsupported".

mod clock;
mod container;
mod files;
mod http;
mod image_name;
mod journal;
mod lease;
mod secret;
mod shell;
mod source;

pub use clock::Clock;
pub use container::{
    BroughtImage, Containers, ImageBuild, ImageId, NotADigest, Platforms, ProjectImage, ProjectImages, RegistryLogin,
    RegistryPlace, RegistryTags, is_digest, is_same_platform,
};
pub use files::{FileKind, FileStat, Files, HeldFile, Permissions, TreeDigest};
pub use http::{Http, HttpRequest, HttpResponse, Method};
pub use image_name::{ChannelNames, ImageNames, NameChange};
pub use journal::{Journal, Replay, RunEntry, Runs, TornTail};
pub use lease::{FencingToken, Holder, Lease, LeaseRequest, Leases};
pub use secret::{Secret, SecretName, SecretNameError, Secrets};
pub use shell::{Call, Command, CommandOutput, Effect, ExitStatus, LineSink, NoLines, Shell, Stream, Value};
pub use source::{EntryMode, FileDigest, Source, SourceEntry, SourceRef};

#[cfg(feature = "testing")]
pub use self::{
    clock::MockClock, container::MockContainers, files::MockFiles, http::MockHttp, journal::MockJournal,
    journal::MockRuns, lease::MockLeases, secret::MockSecrets, shell::MockShell, source::MockSource,
};

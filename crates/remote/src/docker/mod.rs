//! Docker engines, through their API: on this machine, or on a host behind a connection of ours.
//!
//! | file | what |
//! |---|---|
//! | [`EngineWay`] | the way to an engine's socket, here or through a host |
//! | [`Engine`] | one engine: its version negotiated, its refusals told in four parts |
//! | [`MissingEngine`] | why an engine cannot be asked, and what its host needs |
//! | `image` | what images an engine has |
//! | `name` | names that lead to images, and which of a channel nothing needs |
//! | [`SeenImage`] | an image of a service, as people want to see it |
//! | `registry` | images that go through a registry instead |
//! | `archive` | a stream of `docker save`, read as it comes |
//! | [`bring_image`] | from engine to engine without any registry: only the layers that are missing travel |
//! | `ignore`, `context` | a commit's tree as the engine takes it for a build, without what `.dockerignore` names |
//! | `still` | what may take as long as it likes while it gets on |
//! | [`ImageBuild`] | an image from a commit |
//! | `session`, `kit` | BuildKit: what it asks while it builds, and what it tells |
//! | [`DockerContainers`] | both of them as core's port for images |
//! | [`ContainerSpec`], [`Container`] | one container: made, started, watched, stopped, removed |
//! | [`label`] | how what is ours is known |
//!
//! All of it may be done twice, and again after it was killed anywhere: what is wanted is looked at first, names are given last,
//! and what is in the way but not ours is left alone.
//!
//! An image is meant by its id, the digest of its configuration, which names its layers by their digests: two engines with the
//! same id have the same image. Names of images move, so none is used to find one again.

mod archive;
mod bring;
mod bringing;
mod build;
mod container;
mod containers;
mod context;
mod engine;
mod error;
mod health;
mod ignore;
mod image;
mod kit;
pub mod label;
mod missing;
mod name;
mod registry;
mod seen;
mod session;
mod spec;
mod still;
mod volume;
mod way;

pub use bring::{BringError, bring_image};
pub use build::{BuildError, Built};
pub use container::{Container, ContainerState};
pub(crate) use container::{Printed, how_it_ended};
pub use containers::DockerContainers;
pub use engine::{Engine, EngineFacts};
pub use error::{EngineError, Said};
pub use health::{EngineHealth, HealthState};
pub use image::{Image, LayerId};
pub use missing::MissingEngine;
pub use pleach_core::port::{BroughtImage, ImageBuild, ImageId, NotADigest};
pub use registry::RegistryError;
pub use seen::SeenImage;
pub use spec::{ContainerSpec, Made, Published};
pub(crate) use volume::Volume;
pub(crate) use way::SOCKET;
pub use way::{EngineWay, WayError};

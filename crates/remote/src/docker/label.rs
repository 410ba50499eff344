//! How what is ours is known: what is written on images and containers.
//!
//! Images bear what they were made from, containers also what they are part of. Values are those of the plan, so building or
//! making something twice writes the same, and gives the same.

use std::collections::BTreeMap;

/// The environment that a container belongs to.
pub const ENVIRONMENT: &str = "pleach.environment";
/// The service.
pub const SERVICE: &str = "pleach.service";
/// The release of that service.
pub const RELEASE: &str = "pleach.release";
/// The directory of the service on the target: several may be on one engine.
pub const DIRECTORY: &str = "pleach.directory";
/// The port of the host that leads to a container's.
pub const PORT: &str = "pleach.port";
/// What an image was built with besides the commit, as a digest.
pub const SETTINGS: &str = "pleach.settings";
/// The run that made the release; also a container that a later run starts anew bears it.
pub const RUN: &str = "pleach.run";
/// What a container was made from, as a digest; see [`ContainerSpec`](super::ContainerSpec).
pub const SPEC: &str = "pleach.spec";
/// The commit that an image was built from, as the Open Container Initiative names it.
pub const COMMIT: &str = "org.opencontainers.image.revision";
/// The version of what an image holds.
pub const VERSION: &str = "org.opencontainers.image.version";
/// When an image was built, as RFC 3339 writes it.
pub const DATE: &str = "org.opencontainers.image.created";

/// The project of a container that Compose has made, as Compose writes it.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";

/// The labels that have a value.
pub fn labels<'a>(values: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> BTreeMap<String, String> {
    let named = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    named.collect()
}

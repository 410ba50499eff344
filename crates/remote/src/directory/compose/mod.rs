//! Releases that are Compose projects.
//!
//! | file | what it holds |
//! |---|---|
//! | `draft.rs` | the part of a draft |
//! | `line.rs` | lines that ask `docker compose` |
//! | `project.rs` | a release's project, within reach: it is resolved, its images are got, both are pinned |
//! | `resolved.rs` | what `docker compose config` gives, and how it is pinned |
//! | `member.rs` | the containers, and how a project stands |
//! | `one_off.rs` | scripts in containers of their own |
//! | `mounts.rs` | what containers see of a release |
//! | `proven.rs` | the images of a project that was proven elsewhere |
//! | `mistake.rs`, `version.rs` | what is wrong with Compose files, or with the `docker compose` that is there |

mod draft;
mod line;
mod member;
mod mistake;
mod mounts;
mod one_off;
mod project;
mod proven;
mod resolved;
mod seen;
mod version;

pub(super) use draft::project;
pub(super) use line::{commands, logs_line};
pub(super) use member::{Member, Standing, astray, judge};
pub(super) use one_off::OneOff;
pub(super) use project::{Pinned, Project, WRITTEN, members_of, missing_image_of, pinned_fault, unasked};
pub(super) use proven::for_platform;
pub(super) use resolved::PINNED;
pub(super) use seen::seen_images;
pub use version::compose_version;

//! One address for all releases of a service.
//!
//! `route` is a hidden command of the executable that runs on the target, with the same manners as
//! [`supervise`](crate::supervise). The router owns the service's public address. For each connection it reads `current` and
//! the record of that release's process, and hands bytes both ways: switching `current` in one step switches the traffic.
//! Connections under way stay with the release that they began with.
//!
//! | verb | does |
//! |---|---|
//! | `start` | starts a router unless one has the port; answers when it listens |
//! | `stop` | ends it: it accepts nothing more and lets connections end within a grace |
//! | `run` | is the router |
//!
//! # Draining
//!
//! While it has connections to a release the router holds `run/RELEASE.use` shared; whoever ends that release takes it
//! alone first. The router takes it *before* it looks at `current` a second time, so a connection is never begun to a
//! release that is being ended: it finds the lock taken, looks at `current` again and goes to the new one. Locks fall with
//! their process, so a killed router holds up nobody.
//!
//! A router of the same address is kept whatever program started it: replacing it would refuse connections for a moment, and
//! all that it reads are the link and the record.

mod choose;
mod daemon;
mod main;
mod record;
mod start;
mod uses;

pub use main::main;
pub use record::{RouteRequest, RouteStop, RouterRecord};

//! One suite per port: what every adapter must do, run by the adapters' own crates against the real thing.
//!
//! Each suite takes the adapter and a place where it may leave things (an empty directory of the target, a server's
//! addresses, a project's state) and panics at the first promise that is broken, naming it. Suites use real time.

mod file;
mod http;
mod journal;
mod lease;
mod shell;
mod target;

pub use file::files;
pub use http::{HttpPlaces, http};
pub use journal::journal;
pub use lease::leases;
pub use shell::shell;
pub use target::fencing;

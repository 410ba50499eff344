//! What tests and benchmarks talk to: real servers on this machine.

pub mod between;
mod boot;
pub mod clock;
pub mod compose;
pub mod docker;
pub mod machine;
pub mod meanwhile;
pub mod noise;
pub mod port;
pub mod proxy;
pub mod registry;
pub mod sshd;

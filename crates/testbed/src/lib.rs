//! What tests and benchmarks talk to: real servers on this machine.

pub mod clock;
pub mod machine;
pub mod port;
pub mod proxy;
pub mod sshd;

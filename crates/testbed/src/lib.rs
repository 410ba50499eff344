//! What tests and benchmarks talk to: real servers on this machine.

pub mod machine;
pub mod proxy;
pub mod sshd;

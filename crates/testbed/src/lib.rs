//! What tests and benchmarks talk to: real servers on this machine.

pub mod sshd;

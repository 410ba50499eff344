//! The pure heart of Pleach.

pub mod error;
pub mod word;

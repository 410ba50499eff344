//! What a config must keep beyond its types: one file a rule.

mod canary;
mod channel;
mod check;
mod compose;
mod environment;
mod finding;
mod image;
mod location;
mod name;
mod order;
mod port;
mod process;
mod reference;
mod registry;
mod script;
mod volume;

pub(super) use finding::Aim;
pub use finding::Finding;

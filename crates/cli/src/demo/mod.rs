//! `pleach demo`: the main job on a sample project, by the real commands.
//!
//! | file | what it is |
//! |---|---|
//! | `sample` | the files of five small services |
//! | `project` | the repository that they lie in, with an origin to push to |
//! | `walk` | runs `pleach …` as a user would and checks how it ends |
//! | `client` | asks a service all the time, and counts what it answers |
//! | `leftover` | proves that nothing that was started still runs |
//! | `tour` | the runbook |
//!
//! Every step is a process of this same program in the sample repository: what the demo shows is what it is. Each step
//! says how it must end; if one ends in another way, the demo stops, ends what it started, and fails.

mod client;
mod leftover;
mod project;
mod sample;
mod tour;
mod walk;

pub(crate) use tour::{Choice, Pace, Tour};

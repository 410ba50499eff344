//! `pleach init`: from a repository that nobody prepared to a `pleach.toml` that can be planned.
//!
//! ```text
//! branches ─survey▶ what each branch is about ─recipe▶ how each service is built, run, asked ─proposal▶ text with reasons
//! ```
//!
//! Nothing is checked out and nothing is run: trees are read from git. Each value in the proposal stands below a comment
//! that names the file it came from; what was not found is left out and said, never guessed.

mod branch;
mod candidate;
mod compiled;
mod compose;
mod docker;
mod image;
mod node;
mod odoo;
mod place;
mod platform;
mod project;
mod proposal;
mod propose;
mod python;
mod recipe;
mod render;
mod route;
mod survey;
mod value;
mod yaml;

pub(crate) use proposal::{Proposal, ServiceProposal};
pub(crate) use propose::propose;
pub(crate) use render::{render, shown, told};
pub(crate) use survey::Survey;

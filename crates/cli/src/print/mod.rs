//! What people read.

mod failure;
mod paint;

pub(crate) use failure::{failure_text, tell_failure};
pub(crate) use paint::{Paint, Style};

//! What people read.

mod consent;
mod failure;
mod incident;
mod paint;
mod report;
mod size;
mod stream;
mod table;
mod text;
mod time;

pub(crate) use consent::consent_text;
pub(crate) use failure::{failure_text, tell_failure};
pub(crate) use incident::{incident_file, incident_text};
pub(crate) use paint::{Paint, Style};
pub(crate) use report::{report_failures, report_text, style_of};
pub(crate) use size::bytes_text;
pub(crate) use stream::{
    answer, complain, lost_answer, narrate, stderr_columns, stderr_plan_columns, stdout_columns, stdout_plan_columns,
};
pub(crate) use table::{Cell, Table, place_text};
pub(crate) use text::{clean, cut, fit, width};
pub(crate) use time::{ago_text, between, duration_text, moment_text, short_moment_text};

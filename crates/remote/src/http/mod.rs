//! Asking services over HTTP from this machine.

mod client;

pub use client::{BODY_LIMIT, HttpClient, HttpError};

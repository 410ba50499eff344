//! Asking services over HTTP from this machine.

mod client;

pub use client::{BODY_LIMIT, HttpClient, HttpError};
pub(crate) use client::{client_of_socket, exchange, parse_url};

//! What is on a target, compared with what was deployed: read without changing anything, and without a lease.
//!
//! | compared | with |
//! |---|---|
//! | files of releases | what each file of the commit holds, once that gives the digest that the release's record has |
//! | images and containers | the image that the record names, and the labels that a container was made with |
//! | restore points | the records and images of kept releases, and the digests of copies of files and volumes |
//! | the proxy | its file |
//!
//! A deployment may be under way meanwhile: what is found counts only if it is found again a moment later, and releases that were
//! never live are left to the run that makes them.

mod engine;
mod finding;
mod kept;
mod scope;
mod service;
mod tree;

pub use finding::{CheckedPart, Finding};
pub use scope::CheckScope;
pub use service::{ServiceIntegrity, check_service};

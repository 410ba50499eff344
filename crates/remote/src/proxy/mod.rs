//! Leading the requests to a service to its releases through a HAProxy that is there, without losing one.
//!
//! `proxy` is a hidden command of the executable that runs on the target, with the same manners as
//! [`supervise`](crate::supervise): one JSON document as its request, one line of JSON as its answer. HAProxy is the user's own,
//! 2.4 or newer, and so are its config and its admin socket; Pleach owns one file that it loads last ([`ProxyPlace`]). In it each
//! service has a frontend and a backend of the same name, and the backend has two servers, `blue` and `green`, of which
//! releases take turns ([`Backend`]). Requests that ask for a release by themselves go to its server whatever its weight is
//! ([`Matching`]).
//!
//! | verb | does |
//! |---|---|
//! | `look` | tells what the file says, what runs, and what differs |
//! | `ensure` | makes both be what is wanted; done when both were read back |
//! | `drain` | takes a server's weight in both, and waits until its requests have ended or a limit has passed |
//! | `lead` | has all requests go to one of the service's releases, or a part of them to another one, by `ensure`; or `remove`s it |
//! | `count` | tells what became of the requests to each release |
//! | `consent` | keeps a person's word that a canary may go on, for whoever waits for it |
//! | `settle` | `drain`s what requests went to before, and takes it out |
//! | `led` | tells which release requests go to |
//! | `remove` | takes a service out of both; its address is free then |
//!
//! `lead`, `settle`, `led` and `count` know nothing of HAProxy: they ask a [`Proxy`], which is what another one has to be.
//!
//! # File first, then run time
//!
//! What is set at run time is lost when HAProxy is reloaded. So what is wanted goes into the file first, which HAProxy itself
//! checks before it replaces the old one in one durable step, and then to the admin socket. Only what commands cannot make, a
//! new frontend, another address or another rule for requests that [ask for a release](Matching), takes a reload; it is waited
//! for. If HAProxy does not come to run it, the file is made what it was: it would keep HAProxy from its next start.
//!
//! # Killed anywhere
//!
//! | killed | the file says | HAProxy runs | the next `ensure` |
//! |---|---|---|---|
//! | before the file is renamed | the old | the old | does it all |
//! | before its line of commands | the new | the old | gives the commands |
//! | before the reload is over | the new | the old, then perhaps the new | reloads if that did not come |
//!
//! In each of them a reload or restart by anybody leads to what the file says. Locks fall with their process, and a candidate
//! that was left beside the file is swept away by the next change.
//!
//! # No request is lost
//!
//! * Who gains requests is told first, who loses them after: each moment of a switch has a server that takes them. All is one
//!   line over one connection, so that amid a reload no worker is told half of it.
//! * Draining is weight 0, in the file as at run time: a line of the file has no word for `drain`, and both sides can be
//!   compared. `state drain` by somebody else is told as what it is.
//! * A reload hands the listening sockets over. The worker that leaves still answers its connections, and with the servers as
//!   they were when it left; it has no socket any more. It is seen by `/proc` and waited for like requests in flight.
//! * A reload that somebody began before the file was written may end after the run time was read back, and bring the old
//!   state. So nothing is done before the worker that answered is the newest, and its master is not amid a reload.
//!
//! # Several services, several hands
//!
//! A lock beside the file is held by each change from reading the file to reading back the run time. What is not as
//! Pleach would have written it, be it a comment, is told with its line and left alone.

mod backend;
mod count;
mod difference;
mod drain;
mod edit;
mod ensure;
mod error;
mod file;
mod lead;
mod look;
mod main;
mod matching;
mod place;
mod port;
mod remove;
mod request;
mod running;
mod socket;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod worker;

pub use backend::{Backend, BackendError, BackendName, Bind, Server, Slot, Weight};
pub use count::Counted;
pub use difference::differences;
pub use error::ProxyError;
pub use file::{Backends, Foreign, parse, render};
pub use lead::{LeadRequest, LeadTo, Leads, Led, LedMatch, LedRecord, Part, SettleRequest};
pub use main::main;
pub use matching::{MatchPlace, Matched, Matching};
pub use place::ProxyPlace;
pub use port::Proxy;
pub use request::{DrainRequest, Drained, EnsureRequest, Ensured, LookRequest, Looked, RemoveRequest, SeenService};
pub use running::{Counts, Mode, Running, RunningServer, Times, Worker};

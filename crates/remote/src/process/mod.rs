//! Processes of this machine: which one is meant, whether it lives, and ending it.
//!
//! A process id alone names nothing: it is given away again. An [`Identity`] is the id together with the time at which the
//! process started and the boot in which that was; nothing is ever signalled that does not match all three. Everything is
//! read from `/proc` as proc(5) describes it, so Linux is needed wherever services are kept running.

mod group;
mod identity;
mod port;
mod stat;

pub use group::Group;
pub(crate) use group::MARK;
pub use identity::Identity;
pub(crate) use identity::read_stat;
pub use port::{PortOwner, port_owner, port_owners};
pub use stat::{ProcessStat, listening_ports};

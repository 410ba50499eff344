//! Keeping one release of a service running, without root and beyond the end of Pleach.
//!
//! `supervise` is a hidden command of the executable that runs on the target. Its requests come over standard input as one
//! JSON document, because they hold secrets; its answers go to standard output as one line of JSON.
//!
//! | verb | who calls it | does |
//! |---|---|---|
//! | `start` | the `start` phase | starts a supervisor unless one runs; answers when its record is written |
//! | `stop` | undo, `retire`, `stop` | waits for connections to end, then ends supervisor and process |
//! | `again` | whoever put files back | ends the process; its supervisor starts it again with what it was given |
//! | `run` | `start` | is the supervisor: a session of its own, a lock, a record, a process |
//! | `child` | `run` | waits until the record names it, then becomes the service's process |
//!
//! # What leaves its group
//!
//! A service may go to the background or start a session of its own. All that it starts inherits a variable that names the
//! instance; whoever bears it is ended with the release, wherever it has gone. When the release's directory is removed by
//! hand, the supervisor ends by itself: nobody could find it any more.
//!
//! # Killed anywhere
//!
//! `start` takes the instance's lock and hands it to the supervisor with its standard error, so there is no moment in which
//! an instance is being started and the lock is free. The supervisor starts the process as `child`, which does nothing until
//! the record that names it is written: a process that no record names never comes to run the service. When the supervisor
//! is killed, the lock falls free and the process goes on serving; whoever starts or stops the instance next finds it by
//! its record and ends it. The executable is started again through `/proc/self/exe`: a supervisor stays with its own
//! version, also when the file was replaced since.

mod again;
mod child;
mod daemon;
mod log;
mod main;
mod record;
mod request;
mod start;
mod stop;

pub use main::main;
pub use record::{Activity, InstanceRecord};
pub use request::{AgainRequest, StartRequest, StartedAgain, StopRequest, Stopped};

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
//! | `look` | whoever has to know | asks the engine how a release's container is |
//! | `lines` | `logs`, whoever tells of a failure | reads what the container printed |
//! | `image` | the `image` phase | gives an image of the target's engine a name |
//! | `pull` | the `image` phase | has an image from its registry, under a name |
//! | `images` | `images` | tells which images of a service the engine has |
//! | `names` | the `channel` phase | tells where names of images lead |
//! | `rename` | the `channel` phase, its undo | has them lead elsewhere |
//! | `surplus`, `forget` | `prune` | tells of versions of a channel that nothing needs, and removes their names |
//! | `remove` | undo, `prune` | removes a release's container and its image |
//! | `keep-volumes`, `prove-volumes`, `put-back-volumes` | the snapshot of volumes, a watchdog | see the module `volume` |
//! | `run` | `start` | is the supervisor: a session of its own, a lock, a record, a process |
//! | `child` | `run` | waits until the record names it, then becomes the service's process |
//!
//! # Containers
//!
//! A release with an image is kept running by its Docker engine, and has no supervisor: `start`, `stop` and `again` ask the engine
//! themselves, on the target and with its own lock, so that what is no longer allowed to change the target does not change
//! its containers either.
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
mod container;
mod daemon;
mod log;
mod main;
mod name;
mod record;
mod request;
mod start;
mod stop;

pub use main::main;
pub use name::{ImagesRequest, NamesRequest, PullRequest, RenameRequest, SurplusRequest};
pub(crate) use record::Looked;
pub use record::{Activity, ContainerRecord, InstanceRecord};
pub use request::{
    AgainRequest, ContainerRequest, ImageRequest, RemoveRequest, StartRequest, StartedAgain, StopRequest, Stopped,
};

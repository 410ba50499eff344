//! Named volumes of a target's Docker engine as they were, so that they can be put back.
//!
//! All of it is done on the target by the hidden command `supervise`, so nothing of a volume travels, and the target's
//! [watchdog](crate::watchdog) can put it back by itself. The engine packs and unpacks; nobody has to be root.
//!
//! | verb | does |
//! |---|---|
//! | `keep-volumes` | keeps an archive of each volume and proves it: read a second time, the volume gives the same digest |
//! | `prove-volumes` | tells whether the archives are whole still |
//! | `put-back-volumes` | ends what runs on volumes that are not as they were, and has them be so again; starts nothing |
//!
//! ```text
//! PLACE/volumes.json   what is kept, written last: without it there is nothing
//! PLACE/0.tar          what the engine has packed of the first volume
//! PLACE/stopped        something ran on the volumes, and was ended
//! PLACE/changed        something was, or is about to be, put back
//! PLACE/restored       all of it was: from then on it is left alone
//! ```
//!
//! The digest is one of every name, kind, mode, owner, link, content and time of a file, so it is the same before and behind. Before a
//! volume is emptied, what is in it is kept in an archive of its own, which nobody removes: killed in between, putting back
//! begins again. Volumes themselves are never removed; one that was not there is emptied.

mod keep;
mod put_back;
mod record;
mod request;
mod scan;
mod tree;

pub(crate) use keep::{keep, prove};
pub(crate) use put_back::put_back;
pub(crate) use record::KeptVolume;
pub(crate) use request::{KeepVolumes, Owner, PutBackVolumes, VolumesPutBack};

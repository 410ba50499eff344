//! Files and trees of a target as they were, so that they can be put back.
//!
//! A file is kept as a copy, a link as where it points, a tree by reflinks where the file system can, else as a tar archive with
//! zstd, gzip or nothing, whichever is there. Each copy is compared with its original by SHA-256 over names, kinds, modes,
//! owners, links and contents before it counts, archives unpacked once for that; an archive's own digest shows later that
//! it is still whole. Extended attributes are not kept in archives.
//!
//! What is put back is written beside, compared, and renamed. Nothing is removed for it but single files and empty
//! directories: a tree in the way is renamed to `NAME.pleach-replaced.N`.
//!
//! [`KeptFiles`] does this for whoever has a shell, and leaves its script beside the copies, so that the target's
//! [watchdog](crate::watchdog) can put them back by itself. What one of them has put back the other leaves alone. Needed are
//! `cp -a`, `mv -T`, `stat -c`, `find -exec … +`, `sha256sum`, `od`, `sed`, `tar`, as GNU and busybox have them.

mod client;

pub use client::{Form, KeptFiles, KeptPath, PutBack};

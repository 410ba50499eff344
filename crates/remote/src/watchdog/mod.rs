//! A way back that needs nobody.
//!
//! Before the first change of a run the *watchdog* is armed on the target: a POSIX shell script with the list of what to put
//! back, copies of it, a deadline and a journal of its own. When the deployer dies or the link is cut, and nobody
//! [renews](Watchdog::renew) or [confirms](Watchdog::confirm) in time, the target takes itself back, also after a reboot, and
//! says so to the next who asks for its [status](Watchdog::statuses).
//!
//! | phase | renew | confirm | disarm | the deadline passes | all is put back | a newer lease was given |
//! |---|---|---|---|---|---|---|
//! | armed | armed, later | confirmed | disarmed | fired | | |
//! | fired | refused | refused | disarmed | | restored | aside |
//! | any other | refused | refused, or done | refused, or done | | | |
//!
//! **What is kept.** [`Instruction`]s are data; no shell reads their words. A link is kept as where it points, a file as a
//! copy, a tree by hard links where it is only ever replaced as a whole, else by reflinks, else as a tar archive with zstd.
//! Each copy is compared with its original by SHA-256 over names, kinds, modes, owners, links and contents before the
//! watchdog counts as armed, and again before it is put back. Extended attributes are not kept in archives.
//!
//! **What is put back** is written beside and renamed. What stood in the way of a tree or a link is not removed but renamed
//! to `NAME.pleach-replaced.N`. Every instruction looks first whether things are as they should be, so an attempt can be
//! killed anywhere and gone on with; one that fails does not keep the others from being carried out; attempts go on, ever
//! more slowly up to every five minutes, until all is done. A command runs again only if something was put back since it
//! last succeeded.
//!
//! **One hand at a time.** To restore it takes the lease from the deployer it was armed for, living or not, whose later
//! writes the target then refuses. If a newer lease has been given, it stands aside: whoever holds that has seen this
//! status and decides. A lease that was merely broken does not keep it from restoring.
//!
//! **Who wakes it.** A timer of systemd where that runs and may be used, else a process of its own session together with an
//! entry in `/etc/cron.d`, `/etc/local.d` or the user's crontab that goes on after a reboot. [`WatchdogStatus::boot_entry`]
//! tells which one could be made; with [`BootEntry::None`] it does not survive a reboot. The deadline is counted in time
//! since boot, and by the wall clock only after a reboot.
//!
//! **In a run** it is a snapshot of the whole target, [`WatchdogSnapshot`]: capturing it arms it, proving it again is a sign
//! of life in the name of the lease that counts now, giving it up disarms it. The lease's renewals keep it waiting. The
//! phase [`ConfirmPhase`] says that all is well before the old releases end.
//!
//! | the deployer | the watchdog |
//! |---|---|
//! | works, resumes, takes back | waits: each renewal of the lease is a sign of life |
//! | has seen all services healthy | is confirmed |
//! | has taken all back | is disarmed |
//! | held, stuck, dead, cut off | takes the target back once its deadline has passed |
//! | comes back after that | finds the snapshot unproven: takes back what is left |
//!
//! **Needs**, besides those of the [guard](crate::guard): `cp -a`, `mv -T`, `stat -c`, `find -exec … +`, `sha256sum`, `od`, `sed`,
//! `tar`, as GNU and busybox have them.

mod confirm;
mod error;
mod instruction;
mod parameters;
mod snapshot;
mod status;
mod watch;

pub use confirm::ConfirmPhase;
pub use error::WatchdogError;
pub use instruction::{Change, Instruction};
pub use parameters::{CONFIRM, KIND, WatchdogParameters};
pub use snapshot::WatchdogSnapshot;
pub use status::{BootEntry, WatchdogPhase, WatchdogStatus};
pub use watch::{Claim, Watchdog};

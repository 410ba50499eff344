//! What Ctrl-C, SIGTERM and SIGHUP do to a run.
//!
//! | signal | the run |
//! |---|---|
//! | first | starts nothing new, stops at a safe point, takes back |
//! | second | ends what is under way, takes back |
//! | third | is left as it is; `pleach resume` goes on with it |
//!
//! They are caught before the first lease is taken, so there is no moment in which one kills a process that holds a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use pleach_core::engine::{CancelRequest, Stop, cancel_channel};
use pleach_core::error::{Failure, Kind};
use pleach_core::word::RunId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::observe::Speaker;
use crate::print::narrate;

/// How long a run that is left may take to let go of its leases.
const LEAVING: Duration = Duration::from_secs(2);

/// Signals that are caught from now on, and kept until somebody watches.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Which signal came first.
#[derive(Clone, Debug)]
pub(crate) struct Watching(Arc<AtomicU8>);

impl Watching {
    /// The code to leave with after an interrupted run was taken back.
    pub(crate) fn exit(&self) -> Exit {
        Exit(self.0.load(Ordering::Relaxed))
    }
}

impl Interrupts {
    /// Catches them. Needs a runtime around it.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Kind::Internal, "could not listen for signals")
                    .because(error.to_string())
                    .state("nothing was touched")
            })
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// Turns signals into requests to stop, and says each time what it does.
    pub(crate) fn watch(mut self, run: RunId, speaker: Speaker) -> (Watching, Stop) {
        let (ask, stop) = cancel_channel();
        let watching = Watching(Arc::new(AtomicU8::new(Exit::INTERRUPTED.0)));
        let first = watching.clone();
        tokio::spawn(async move {
            for level in 1.. {
                let (name, code) = self.next().await;
                if level == 1 {
                    first.0.store(code, Ordering::Relaxed);
                }
                let (what, request) = match level {
                    1 => (
                        "nothing new is started, and what was done is taken back (again: at once)",
                        CancelRequest::Gently(name.to_owned()),
                    ),
                    2 => (
                        "what is under way is ended, and all is taken back (again: leave it)",
                        CancelRequest::AtOnce(name.to_owned()),
                    ),
                    _ => ("the run is left as it is", CancelRequest::Leave),
                };
                speaker.say(format!("{name}: {what}"));
                let leaves = request == CancelRequest::Leave;
                // Nobody listens any more: the run has come to its end by itself.
                if ask.send(request).is_err() {
                    break;
                }
                if leaves {
                    // A call that does not come back must not keep anybody here. The leases tell that their holder died.
                    tokio::time::sleep(LEAVING).await;
                    narrate(&format!("left run {run} in the middle\n  next: `pleach resume {run}`"));
                    std::process::exit(i32::from(Exit::UNKNOWN.0));
                }
            }
        });
        (watching, stop)
    }

    /// For what is no run: the first signal asks what is under way to end, the second leaves it.
    pub(crate) fn cancel(mut self) -> CancellationToken {
        let cancel = CancellationToken::new();
        let asked = cancel.clone();
        tokio::spawn(async move {
            let (name, _) = self.next().await;
            narrate(&format!("{name}: what runs is asked to end (again: leave it)"));
            asked.cancel();
            let (_, code) = self.next().await;
            // The leases tell that their holder died.
            std::process::exit(i32::from(code));
        });
        cancel
    }

    /// For what only reads: the first signal, and the code to leave with.
    pub(crate) async fn first(mut self) -> (&'static str, Exit) {
        let (name, code) = self.next().await;
        (name, Exit(code))
    }

    async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", Exit::INTERRUPTED.0),
            _ = self.terminate.recv() => ("SIGTERM", Exit::TERMINATED.0),
            _ = self.hang_up.recv() => ("SIGHUP", Exit::TERMINATED.0),
        }
    }
}

//! Ctrl-C and SIGTERM for work that is not asynchronous: a flag, and how often they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pleach_core::error::{Failure, Kind};
use tokio::signal::unix::{SignalKind, signal};

/// What a second signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Ends the process at once, as if nobody listened.
    Ends,
    /// Is counted.
    Counts,
}

/// The signals that came so far.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Whether one came.
    pub(crate) raised: AtomicBool,
    count: AtomicU32,
}

impl Signals {
    /// How many came.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Listens for SIGINT and SIGTERM from now on.
    pub(crate) fn watch(again: Again) -> Result<Arc<Self>, Failure> {
        let signals = Arc::new(Self::default());
        let heard = Arc::clone(&signals);
        let failed = |error: std::io::Error| {
            Failure::new(Kind::Internal, "could not listen for signals")
                .because(error.to_string())
                .state("nothing was touched")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let guard = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        drop(guard);
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    let code = tokio::select! {
                        _ = interrupt.recv() => 130,
                        _ = terminate.recv() => 143,
                    };
                    heard.raised.store(true, Ordering::Relaxed);
                    if heard.count.fetch_add(1, Ordering::Relaxed) > 0 && again == Again::Ends {
                        std::process::exit(code);
                    }
                }
            });
        });
        Ok(signals)
    }
}

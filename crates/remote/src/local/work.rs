//! Work on blocking threads that nobody waits for any more.
//!
//! A future may be dropped at any await, and what it has handed to a blocking thread goes on all the same. Whoever then
//! undoes the step would race it: a record could come back after it was removed. So work that was given up is remembered,
//! and the next call waits until it is over: undoing begins with a look.

use std::sync::{Arc, Mutex, PoisonError};

use pleach_core::error::{Failure, Kind};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// The work of one target's files.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    given_up: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Work under way. Dropped before its end, it is remembered.
struct Awaited<'a> {
    work: &'a Work,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take().filter(|handle| !handle.is_finished()) {
            self.work.given_up.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
    }
}

impl Awaited<'_> {
    async fn end(mut self) {
        if let Some(handle) = &mut self.handle {
            // A panic of it is told by its answer, which never comes.
            let _ = handle.await;
        }
        self.handle = None;
    }
}

impl Work {
    /// Does `work` on a blocking thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let handle = spawn_blocking(move || {
            // Nobody may be there to hear it.
            let _ = sender.send(work());
        });
        Awaited { work: self, handle: Some(handle) }.end().await;
        receiver.await.unwrap_or_else(|_| {
            Err(Failure::new(Kind::Internal, "work on files ended before it was done").because("its thread panicked"))
        })
    }

    /// Waits for all that was given up.
    pub(super) async fn settle(&self) {
        loop {
            let handle = self.given_up.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if handle.is_none() {
                return;
            }
            Awaited { work: self, handle }.end().await;
        }
    }
}

//! The thread that writes a journal: one write and one flush for all that wait.
//!
//! | state | an order comes | next |
//! |---|---|---|
//! | open | written and flushed | open; acknowledged |
//! | open | the write or the flush fails | closed; cut back to what was acknowledged |
//! | closed | | closed; refused with the failure that closed it |

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use pleach_core::journal::Record;
use tokio::sync::oneshot;

use super::append::Flush;
use super::error::{Closed, JournalError};
use super::line::write_line;
use crate::file::Locked;

/// Records on their way to the file, and who waits for them.
pub(super) struct Order {
    pub(super) records: Vec<Record>,
    pub(super) done: oneshot::Sender<Result<(), JournalError>>,
}

/// The thread's half of a journal.
pub(super) struct Writer {
    path: PathBuf,
    /// Locked; stands behind the last line.
    file: Locked,
    seq: u64,
    /// Up to here all is durable and acknowledged.
    durable: Arc<AtomicU64>,
    closed: Option<String>,
    flush: Flush,
}

impl Writer {
    /// `file` is locked and stands behind its last line, which has number `seq`; all of it is durable.
    pub(super) fn new(path: PathBuf, file: Locked, seq: u64, durable: Arc<AtomicU64>, flush: Flush) -> Self {
        Self { path, file, seq, durable, closed: None, flush }
    }

    /// Carries out orders until nobody can give any more.
    pub(super) fn work(mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut waiting = vec![first];
            // All that came while the last flush ran.
            waiting.extend(orders.try_iter());
            let result = self.write(&waiting);
            for order in waiting {
                let closed =
                    |why: &String| JournalError::Closed { path: self.path.clone(), source: Closed(why.clone()) };
                let _ = order.done.send(result.clone().map_err(|why| closed(&why)));
            }
        }
    }

    fn write(&mut self, waiting: &[Order]) -> Result<(), String> {
        if let Some(why) = &self.closed {
            return Err(why.clone());
        }
        let result = self.write_lines(waiting);
        if let Err(error) = &result {
            self.closed = Some(error.to_string());
            // Takes back what nobody was told: a part of a line that did not fit, or lines that the kernel may drop
            // from memory since it could not write them. A reader would cut a part of a line anyway.
            let _ = self.file.set_len(self.durable.load(Ordering::Acquire));
        }
        result.map_err(|error| error.to_string())
    }

    fn write_lines(&mut self, waiting: &[Order]) -> io::Result<()> {
        let mut lines = Vec::new();
        let first = self.seq + 1;
        let mut seq = self.seq;
        for record in waiting.iter().flat_map(|order| &order.records) {
            seq += 1;
            write_line(&mut lines, seq, first, record)?;
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.file.write_all(&lines)?;
        (self.flush)(&self.file)?;
        self.durable.fetch_add(lines.len() as u64, Ordering::AcqRel);
        self.seq = seq;
        Ok(())
    }
}

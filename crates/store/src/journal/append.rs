//! A journal that is held for appending: made, or opened to go on with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Record;
use pleach_core::port::{Journal, Replay, TornTail};
use tokio::sync::oneshot;

use super::error::{Closed, JournalError};
use super::line::header;
use super::read::{Found, parse};
use super::write::{Order, Writer};
use crate::file::Locked;
use crate::process::ProcessIdentity;
use crate::{FileError, file};

/// How a journal's bytes are made durable: `File::sync_data`, or one that counts or fails.
pub type Flush = Arc<dyn Fn(&File) -> std::io::Result<()> + Send + Sync>;

/// The journal of one run in a local file, held for appending by this process alone until it is dropped.
pub struct FileJournal {
    path: PathBuf,
    /// What was found when it was opened, until it is asked for.
    found: Mutex<Option<Opened>>,
    durable: Arc<AtomicU64>,
    orders: Option<Sender<Order>>,
    writer: Option<JoinHandle<()>>,
}

struct Opened {
    replay: Replay,
    /// How long the file was then.
    length: u64,
}

/// Waits until the last order is carried out, so that the file is free again when the journal is gone.
impl Drop for FileJournal {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl FileJournal {
    /// Makes a new, empty journal.
    ///
    /// # Errors
    /// The file is there already, or the file system refuses.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        Self::create_with(path, Arc::new(File::sync_data))
    }

    /// The same with another way to flush appends.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn create_with(path: &Path, flush: Flush) -> Result<Self, JournalError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path).map_err(FileError::of("make", path))?;
        let mut file = lock(file, path)?;
        begin(&mut file, path)?;
        file::flush_directory(file::parent(path))?;
        Self::start(path, file, 0, Replay { records: Vec::new(), torn: None }, flush)
    }

    /// Opens a journal to go on with it. A torn end is cut; what was cut is kept in a file beside it.
    ///
    /// # Errors
    /// Damage before the end, another process that appends, a newer format; the file is untouched then.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::open_with(path, Arc::new(File::sync_data))
    }

    /// The same with another way to flush appends.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(path: &Path, flush: Flush) -> Result<Self, JournalError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(path).map_err(FileError::of("open", path))?;
        let mut file = lock(file, path)?;
        let bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
        let Found { records, intact, torn, last_seq } = parse(path, &bytes)?;
        if let Some(torn) = &torn {
            keep(path, torn, &bytes)?;
            file.set_len(torn.offset).map_err(FileError::of("cut", path))?;
        }
        if intact == 0 {
            begin(&mut file, path)?;
        }
        // Also without a cut: who wrote it last may have been killed between writing and flushing, and what is read
        // here must not be forgotten by a power cut after it was acted upon.
        let flushed = file.sync_all().and_then(|()| file.seek(SeekFrom::End(0)));
        flushed.map_err(FileError::of("flush", path))?;
        Self::start(path, file, last_seq, Replay { records, torn }, flush)
    }

    fn start(path: &Path, mut file: Locked, seq: u64, replay: Replay, flush: Flush) -> Result<Self, JournalError> {
        let length = file.stream_position().map_err(FileError::of("read", path))?;
        let durable = Arc::new(AtomicU64::new(length));
        let (orders, taken) = channel();
        let writer = Writer::new(path.to_owned(), file, seq, durable.clone(), flush);
        // A thread of its own, because a flush blocks.
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.work(&taken));
        Ok(Self {
            path: path.to_owned(),
            found: Mutex::new(Some(Opened { replay, length })),
            durable,
            orders: Some(orders),
            writer: Some(thread.map_err(FileError::of("start the writer of", path))?),
        })
    }

    fn gone(&self) -> JournalError {
        JournalError::Closed { path: self.path.clone(), source: Closed("its writer has ended".into()) }
    }
}

/// Writes the first line of an empty file.
fn begin(file: &mut File, path: &Path) -> Result<(), JournalError> {
    let written = file.write_all(&header()).and_then(|()| file.sync_all());
    Ok(written.map_err(FileError::of("write", path))?)
}

/// Keeps what is about to be cut, in a file of its own.
fn keep(path: &Path, torn: &TornTail, bytes: &[u8]) -> Result<(), JournalError> {
    let cut = usize::try_from(torn.offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut kept = path.with_file_name(format!("{name}.torn-{}", torn.offset));
    let mut again = 1;
    // An earlier cut at the same place is kept too, unless it is this one, interrupted before the cut itself.
    while let Some(earlier) = file::read_if_there(&kept)? {
        if earlier == cut {
            return Ok(());
        }
        again += 1;
        kept = path.with_file_name(format!("{name}.torn-{}.{again}", torn.offset));
    }
    Ok(file::write_whole(&kept, cut)?)
}

/// Holds the file against other processes for as long as it is open, and leaves a note who does.
fn lock(file: File, path: &Path) -> Result<Locked, JournalError> {
    let note = path.with_file_name("writer.json");
    match file.try_lock() {
        Ok(()) => {
            let locked = Locked::of(file);
            // For people and for the error below alone, so it need not be durable.
            let identity = serde_json::to_vec(&ProcessIdentity::current()).unwrap_or_default();
            std::fs::write(&note, identity).map_err(FileError::of("write", &note))?;
            Ok(locked)
        }
        Err(TryLockError::WouldBlock) => {
            let writer = file::read_if_there(&note)?
                .and_then(|bytes| serde_json::from_slice::<ProcessIdentity>(&bytes).ok())
                .filter(ProcessIdentity::is_alive)
                .map_or_else(|| "another process".to_owned(), |writer| format!("process {}", writer.process));
            Err(JournalError::Busy { path: path.to_owned(), writer })
        }
        Err(TryLockError::Error(error)) => Err(FileError::of("lock", path)(error).into()),
    }
}

/// Reads a journal up to where it is durable: what is being written behind that is neither there nor torn yet.
fn read_durable(path: &Path, durable: u64) -> Result<Replay, JournalError> {
    let mut bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
    bytes.truncate(usize::try_from(durable).unwrap_or(usize::MAX));
    parse(path, &bytes).map(|found| Replay { records: found.records, torn: found.torn })
}

#[async_trait]
impl Journal for FileJournal {
    async fn append(&self, records: Vec<Record>) -> Result<(), Failure> {
        let (done, waits) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or_else(|| self.gone())?;
        orders.send(Order { records, done }).map_err(|_| self.gone())?;
        Ok(waits.await.map_err(|_| self.gone())??)
    }

    async fn replay(&self) -> Result<Replay, Failure> {
        let durable = self.durable.load(Ordering::Acquire);
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Opened { replay, .. }) = found.filter(|opened| opened.length == durable) {
            return Ok(replay);
        }
        let path = self.path.clone();
        let reading = tokio::task::spawn_blocking(move || read_durable(&path, durable));
        let broken = |error: tokio::task::JoinError| {
            Failure::new(Kind::Internal, "could not read the journal back").because(error.to_string())
        };
        Ok(reading.await.map_err(broken)??)
    }
}

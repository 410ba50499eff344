//! Appending, durable before the call returns, with one flush for all that wait.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::journal::Record;
use pleach_core::port::{Journal, Replay};
use tokio::sync::oneshot;

use super::error::{Closed, JournalError};
use super::line::{header, write_line};
use super::read::{Found, parse};
use crate::process::ProcessIdentity;
use crate::{FileError, file};

/// How a journal's bytes are made durable: the real way, or one that a test counts.
pub type Sync = Arc<dyn Fn(&File) -> std::io::Result<()> + Send + std::marker::Sync>;

/// The journal of one run in a local file, held for appending by this process alone.
pub struct FileJournal {
    path: PathBuf,
    found: Mutex<Option<Replay>>,
    orders: Option<Sender<Order>>,
    writer: Option<JoinHandle<()>>,
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

/// Records on their way to the file, and who waits for them.
struct Order {
    records: Vec<Record>,
    done: oneshot::Sender<Result<(), JournalError>>,
}

impl FileJournal {
    /// Makes a new, empty journal.
    ///
    /// # Errors
    /// The file is there already, or the file system refuses.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        Self::create_with(path, Arc::new(File::sync_data))
    }

    /// The same with another way to flush.
    pub fn create_with(path: &Path, sync: Sync) -> Result<Self, JournalError> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create_new(true).open(path).map_err(FileError::of("make", path))?;
        lock(&file, path)?;
        let header = header();
        let written = file.write_all(&header).and_then(|()| file.sync_all());
        written.map_err(FileError::of("write", path))?;
        file::flush_directory(path.parent().unwrap_or(Path::new(".")))?;
        let writer = Writer { path: path.to_owned(), file, length: header.len() as u64, seq: 0, closed: None, sync };
        Ok(Self::start(writer, Replay { records: Vec::new(), torn: None }))
    }

    /// Opens a journal to go on with it. A torn end is cut; what was cut is kept in a file beside it.
    ///
    /// # Errors
    /// Damage before the end, another process that appends, a newer format; the file is untouched then.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).open(path).map_err(FileError::of("open", path))?;
        lock(&file, path)?;
        let bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
        let Found { records, mut intact, torn, last_seq } = parse(path, &bytes)?;
        if let Some(torn) = &torn {
            let kept = path.with_file_name(format!(
                "{}.torn-{}",
                path.file_name().unwrap_or_default().to_string_lossy(),
                torn.offset
            ));
            file::write_whole(&kept, &bytes[usize::try_from(torn.offset).unwrap_or(bytes.len())..])?;
            let cut = file.set_len(torn.offset).and_then(|()| file.sync_all());
            cut.map_err(FileError::of("cut", path))?;
        }
        if intact == 0 {
            let header = header();
            let written = file.write_all(&header).and_then(|()| file.sync_all());
            written.map_err(FileError::of("write", path))?;
            intact = header.len() as u64;
        }
        file.seek(SeekFrom::Start(intact)).map_err(FileError::of("read", path))?;
        let sync: Sync = Arc::new(File::sync_data);
        let writer = Writer { path: path.to_owned(), file, length: intact, seq: last_seq, closed: None, sync };
        Ok(Self::start(writer, Replay { records, torn }))
    }

    fn start(writer: Writer, found: Replay) -> Self {
        let (orders, taken) = channel();
        let path = writer.path.clone();
        // A thread of its own, because a flush blocks.
        let writer = std::thread::spawn(move || writer.work(&taken));
        Self { path, found: Mutex::new(Some(found)), orders: Some(orders), writer: Some(writer) }
    }

    fn gone(&self) -> JournalError {
        JournalError::Closed { path: self.path.clone(), source: Closed("its writer has ended".into()) }
    }
}

/// Holds the file against other processes for as long as it is open.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    let note = path.with_file_name("writer.json");
    match file.try_lock() {
        Ok(()) => {
            let identity = serde_json::to_vec(&ProcessIdentity::current()).unwrap_or_default();
            Ok(file::write_whole(&note, &identity)?)
        }
        Err(TryLockError::WouldBlock) => {
            let writer = file::read_if_there(&note)?
                .and_then(|bytes| serde_json::from_slice::<ProcessIdentity>(&bytes).ok())
                .map_or_else(|| "another process".to_owned(), |writer| format!("process {}", writer.process));
            Err(JournalError::Busy { path: path.to_owned(), writer })
        }
        Err(TryLockError::Error(error)) => Err(FileError::of("lock", path)(error).into()),
    }
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
        let found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(found) = found {
            return Ok(found);
        }
        let path = self.path.clone();
        let read = move || -> Result<Replay, JournalError> {
            let bytes = std::fs::read(&path).map_err(FileError::of("read", &path))?;
            parse(&path, &bytes).map(|found| Replay { records: found.records, torn: found.torn })
        };
        let result = tokio::task::spawn_blocking(read).await.map_err(|_| self.gone())?;
        Ok(result?)
    }
}

/// The thread's half.
struct Writer {
    path: PathBuf,
    file: File,
    /// Up to here all is durable.
    length: u64,
    seq: u64,
    closed: Option<String>,
    sync: Sync,
}

impl Writer {
    fn work(mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut batch = vec![first];
            // All that came while the last flush ran.
            batch.extend(orders.try_iter());
            let result = self.write(&batch);
            for order in batch {
                let told = match &result {
                    Ok(()) => Ok(()),
                    Err(why) => Err(JournalError::Closed { path: self.path.clone(), source: Closed(why.clone()) }),
                };
                let _ = order.done.send(told);
            }
        }
    }

    fn write(&mut self, batch: &[Order]) -> Result<(), String> {
        if let Some(why) = &self.closed {
            return Err(why.clone());
        }
        let result = self.write_lines(batch);
        if let Err(why) = &result {
            self.closed = Some(why.clone());
            // Takes back the part of a line that did not fit; a reader would cut it anyway.
            let _ = self.file.set_len(self.length);
        }
        result
    }

    fn write_lines(&mut self, batch: &[Order]) -> Result<(), String> {
        let mut lines = Vec::new();
        let mut seq = self.seq;
        for record in batch.iter().flat_map(|order| &order.records) {
            seq += 1;
            write_line(&mut lines, seq, record).map_err(|error| error.to_string())?;
        }
        let flushed = self.file.write_all(&lines).and_then(|()| (self.sync)(&self.file));
        flushed.map_err(|error| error.to_string())?;
        self.length += lines.len() as u64;
        self.seq = seq;
        Ok(())
    }
}

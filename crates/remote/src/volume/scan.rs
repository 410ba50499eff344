//! Reading a volume once: its digest, and where wanted its archive in a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use pleach_core::error::{Failure, Kind};
use sha2::{Digest as _, Sha256};
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use super::record::cannot;
use super::tree::{Tree, read_tree};
use crate::docker::Engine;
use crate::local::hex;

/// What one reading gave.
pub(super) struct Scan {
    pub(super) tree: Tree,
    /// SHA-256 of the archive.
    pub(super) sha256: String,
}

/// Hands on what it reads, and all of it to a file.
struct Tee<R> {
    from: R,
    to: Option<File>,
    digest: Sha256,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(part)?;
        self.digest.update(&part[..count]);
        if let Some(to) = &mut self.to {
            to.write_all(&part[..count])?;
        }
        Ok(count)
    }
}

/// Reads the volume of a holder, and keeps what was read in `to`.
pub(super) async fn scan(engine: &Engine, holder: &str, volume: &str, to: Option<&Path>) -> Result<Scan, Failure> {
    let doing = format!("read volume `{volume}`");
    let file = match to {
        None => None,
        Some(path) => Some(File::create(path).map_err(|error| cannot(&doing, path, &error))?),
    };
    let stream = SyncIoBridge::new(StreamReader::new(Box::pin(engine.read_volume(holder))));
    let read = tokio::task::spawn_blocking(move || {
        let mut tee = Tee { from: stream, to: file, digest: Sha256::new() };
        let tree = read_tree(&mut tee)?;
        // What stands behind the last entry belongs to the archive as well.
        io::copy(&mut tee, &mut io::sink())?;
        if let Some(file) = &tee.to {
            file.sync_all()?;
        }
        Ok(Scan { tree, sha256: hex(&tee.digest.finalize()) })
    });
    let read = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map_err(|error| match to {
        Some(path) => cannot(&doing, path, &error),
        None => Failure::new(Kind::Rejected, format!("could not {doing}"))
            .because(error.to_string())
            .next("see with `docker volume ls` that the engine has it, then do it again"),
    })
}

/// Puts the archive in a file into the volume of a holder.
pub(super) async fn unpack(engine: &Engine, holder: &str, path: &Path) -> Result<(), Failure> {
    let file =
        tokio::fs::File::open(path).await.map_err(|error| cannot("read what is kept of a volume", path, &error))?;
    Ok(engine.write_volume(holder, ReaderStream::with_capacity(file, 256 << 10)).await?)
}

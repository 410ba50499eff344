//! A stream of `docker save`, read as it comes, and one for `docker load`, written as it is sent.
//!
//! Engines write tar in the formats of POSIX.1-1988 and, for what does not fit, GNU or PAX (`tar(5)`); of PAX only sizes matter
//! here, for names are short. Layers may be larger than the 8 GiB that twelve octal digits can say: then a size is written in
//! binary, as GNU does.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::ssh::archive::{self, BLOCK};

/// What stands in front of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    /// Whether it is a regular file.
    pub(super) file: bool,
}

/// An archive as it is sent, part by part.
pub(super) fn body(parts: mpsc::Receiver<io::Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(parts, |mut parts| async { Some((parts.recv().await?, parts)) })
}

/// Gives an archive up: an engine drops one that is cut.
pub(super) async fn cut(parts: &mpsc::Sender<io::Result<Bytes>>) {
    // It may have stopped listening before.
    let _ = parts.send(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was given up"))).await;
}

/// Reads an archive.
pub(super) struct Reader<S> {
    stream: S,
    buffer: BytesMut,
    /// Of the current entry.
    left: u64,
    padding: usize,
}

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

impl<S, E> Reader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), left: 0, padding: 0 }
    }

    /// Whether there was more.
    async fn more(&mut self) -> io::Result<bool> {
        match self.stream.next().await {
            Some(Ok(bytes)) => {
                self.buffer.extend_from_slice(&bytes);
                Ok(true)
            }
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(false),
        }
    }

    /// The next part of the current entry; nothing at its end.
    pub(super) async fn part(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.buffer.is_empty() {
            if !self.more().await? {
                return Err(broken("the archive ends within a file"));
            }
        }
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.buffer.len());
        self.left -= count as u64;
        Ok(Some(self.buffer.split_to(count).freeze()))
    }

    /// All of the current entry, which must not be larger than `most`.
    pub(super) async fn whole(&mut self, most: usize) -> io::Result<Vec<u8>> {
        if self.left > most as u64 {
            return Err(broken(format!("a file of {} bytes where at most {most} are expected", self.left)));
        }
        let mut whole = Vec::new();
        while let Some(part) = self.part().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }

    /// The next entry, whatever is left of the one before; nothing at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut size_of_next = None;
        loop {
            while self.part().await?.is_some() {}
            let needed = self.padding + BLOCK;
            while self.buffer.len() < needed {
                if !self.more().await? {
                    return if self.buffer.len() <= self.padding {
                        Ok(None)
                    } else {
                        Err(broken("the archive is cut"))
                    };
                }
            }
            self.buffer.advance(self.padding);
            self.padding = 0;
            let block = self.buffer.split_to(BLOCK);
            if block.iter().all(|byte| *byte == 0) {
                continue;
            }
            let size = number(&block[124..136]).ok_or_else(|| broken("an entry of the archive has no size"))?;
            let kind = block[156];
            // A link has no content, whatever its size says.
            let size = if matches!(kind, b'1'..=b'6') { 0 } else { size };
            let size = if kind == b'x' { size } else { size_of_next.take().unwrap_or(size) };
            self.left = size;
            self.padding = padding(size);
            match kind {
                b'x' => size_of_next = pax_size(&self.whole(1 << 20).await?),
                b'g' | b'L' | b'K' => {}
                _ => {
                    let name = String::from_utf8_lossy(text(&block[..100])).into_owned();
                    return Ok(Some(Entry { name, size, file: matches!(kind, b'0' | 0) }));
                }
            }
        }
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or binary where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let bytes = <[u8; 8]>::try_from(&field[field.len() - 8..]).ok()?;
        return Some(u64::from_be_bytes(bytes));
    }
    let digits = std::str::from_utf8(text(field)).ok()?.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn pax_size(records: &[u8]) -> Option<u64> {
    let records = std::str::from_utf8(records).ok()?;
    records.lines().find_map(|line| line.split_once(" size=")?.1.parse().ok())
}

/// What stands in front of a file.
pub(super) fn front(name: &str, size: u64) -> Bytes {
    let mut block = Vec::with_capacity(BLOCK);
    archive::header(&mut block, name.as_bytes(), b'0', 0o644, size, &[]);
    block.into()
}

/// How much the last block of a file of this size lacks.
fn padding(size: u64) -> usize {
    let end = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - end) % BLOCK
}

/// What fills the last block of a file of this size.
pub(super) fn pad(size: u64) -> Bytes {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    Bytes::from_static(&ZEROS[..padding(size)])
}

/// What stands behind the last file.
pub(super) fn end() -> Bytes {
    static ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
    Bytes::from_static(&ZEROS)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;
    use crate::ssh::archive::OCTAL;

    async fn read(bytes: &[u8], parts: usize) -> io::Result<Vec<(String, Vec<u8>)>> {
        let parts: Vec<Result<Bytes, Infallible>> =
            bytes.chunks(parts).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let mut reader = Reader::new(stream::iter(parts));
        let mut all = Vec::new();
        while let Some(entry) = reader.next().await? {
            all.push((entry.name, reader.whole(1 << 20).await?));
        }
        Ok(all)
    }

    #[tokio::test]
    async fn what_was_written_is_read_in_parts_of_any_length_and_a_cut_is_seen() {
        let mut archive = Vec::new();
        for (name, length) in [("a/layer.tar", 513), ("b.json", 0), ("manifest.json", 512)] {
            archive.extend_from_slice(&front(name, length as u64));
            archive.extend(vec![7; length]);
            archive.extend_from_slice(&pad(length as u64));
        }
        archive.extend_from_slice(&end());
        for parts in [1, 511, 512, 513, 100_000] {
            let all = read(&archive, parts).await.expect("whole");
            assert_eq!(all.len(), 3);
            assert_eq!(all[0], ("a/layer.tar".to_owned(), vec![7; 513]));
            assert_eq!(all[2].1.len(), 512);
        }
        read(&archive[..700], 64).await.expect_err("it ends within a file");
        read(&archive[..300], 64).await.expect_err("it ends within a header");
    }

    #[tokio::test]
    async fn sizes_beyond_octal_digits_and_names_beyond_the_header_are_read() {
        assert_eq!(number(&front("large", OCTAL + 1)[124..136]), Some(OCTAL + 1));
        assert_eq!(pax_size(b"30 mtime=1.2\n20 size=8589934592\n"), Some(1 << 33));
        let folder = tempfile::tempdir().expect("a directory");
        let deep = "d".repeat(120);
        std::fs::write(folder.path().join(&deep), "deep").expect("written");
        for name in ["short", "plain"] {
            std::fs::write(folder.path().join(name), "plain").expect("written");
        }
        for format in ["gnu", "pax", "ustar"] {
            let name = if format == "ustar" { "short" } else { &deep };
            let mut tar = std::process::Command::new("tar");
            tar.arg("-C").arg(folder.path()).args(["--format", format, "-c", name, "plain"]);
            let archive = tar.output().expect("tar").stdout;
            let all = read(&archive, 1000).await.expect("whole");
            assert_eq!(all[1], ("plain".to_owned(), b"plain".to_vec()), "{format}");
        }
    }
}

//! The archive itself: gzip around tar, with nothing in it but names and contents.

use std::io::{self, SeekFrom, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

/// The time of every entry, in seconds: the first of 1980, which every program that unpacks can write.
const TIME: u64 = 315_532_800;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Content {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Whether only its end is there.
    pub(super) cut: bool,
}

/// An archive that is being written.
pub(super) struct Archive<W: Write> {
    builder: tar::Builder<GzEncoder<W>>,
    contents: Vec<Content>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(file: W) -> Self {
        let packed = GzBuilder::new().mtime(0).write(file, Compression::default());
        Self { builder: tar::Builder::new(packed), contents: Vec::new() }
    }

    /// What has been added so far.
    pub(super) fn contents(&self) -> &[Content] {
        &self.contents
    }

    pub(super) fn add(&mut self, name: &str, text: &str, cut: bool) -> io::Result<()> {
        let bytes = text.len() as u64;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(TIME);
        self.builder.append_data(&mut header, name, text.as_bytes())?;
        self.contents.push(Content { name: name.to_owned(), bytes, cut });
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<(W, Vec<Content>)> {
        Ok((self.builder.into_inner()?.finish()?, self.contents))
    }
}

/// Reads an archive from its begin, which must hold all of `contents` and nothing else.
pub(super) fn read_back(mut file: impl io::Read + io::Seek, contents: &[Content]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut wanted = contents.iter();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let bytes = io::copy(&mut entry, &mut io::sink())?;
        if wanted.next().is_none_or(|content| (&content.name, content.bytes) != (&name, bytes)) {
            return Err(io::Error::other(format!("`{name}` in it is not as it was written")));
        }
    }
    // The checksum stands at the end.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    match wanted.next() {
        Some(content) => Err(io::Error::other(format!("`{}` is not in it", content.name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_a_changed_byte_is_seen() {
        let name = format!("{}/{}.log", "a".repeat(90), "b".repeat(90));
        let packed = || {
            let mut archive = Archive::new(Vec::new());
            archive.add("status.json", "{}", false).expect("added");
            archive.add(&name, "größer\n", true).expect("added");
            archive.finish().expect("finished")
        };
        let (bytes, contents) = packed();
        assert_eq!(bytes, packed().0, "the same content gives the same archive");
        assert_eq!(contents[1], Content { name: name.clone(), bytes: 9, cut: true });
        read_back(Cursor::new(&bytes), &contents).expect("whole");
        assert!(read_back(Cursor::new(&bytes), &contents[..1]).is_err(), "one too many");
        assert!(read_back(Cursor::new(&bytes[..bytes.len() - 9]), &contents).is_err(), "half of it");
        let mut changed = bytes.clone();
        changed[bytes.len() - 6] ^= 1;
        assert!(read_back(Cursor::new(&changed), &contents).is_err(), "its checksum");
    }
}

//! What a process prints into, read through the shell of its target.

use std::path::PathBuf;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, Command, ExitStatus, NoLines, Shell};
use tokio_util::sync::CancellationToken;

use super::instance::told_status;
use super::output::OutputEnd;

/// What is read at a time; a shell hands on no more than twice that.
pub(super) const PART: u64 = 512 << 10;

/// Prints the size of a file, and behind that a part of it: what comes after so many bytes. A file that became shorter was
/// begun anew.
const READ: &str = r#"[ -e "$1" ] || exit 44; size=$(stat -L -c %s -- "$1") || exit 1; from=$2
[ "$size" -ge "$from" ] || from=0
printf '%s\n' "$size"; tail -c "+$((from + 1))" -- "$1" | head -c "$3""#;

/// A log. What it held when it became too large was moved to a file of the same name with `.1` behind it.
pub(super) struct LogFile<'a> {
    shell: &'a dyn Shell,
    path: PathBuf,
}

/// Some bytes of a log, up to the end of a line where others follow.
pub(super) struct LogPart {
    pub(super) text: String,
    /// Where they end.
    pub(super) end: u64,
    pub(super) more: bool,
}

impl<'a> LogFile<'a> {
    pub(super) fn new(shell: &'a dyn Shell, path: impl Into<PathBuf>) -> Self {
        Self { shell, path: path.into() }
    }

    /// What was moved away when the log became too large.
    pub(super) fn older(&self) -> Self {
        let mut path = self.path.clone().into_os_string();
        path.push(".1");
        Self::new(self.shell, path)
    }

    /// The last `limit` bytes, with those that were moved away, from the begin of a line on, and where they end in the log.
    pub(super) async fn end(&self, limit: u64) -> Result<Option<(OutputEnd, u64)>, Failure> {
        let Some((newer, size)) = self.own_end(limit).await? else { return Ok(None) };
        let room = limit.saturating_sub(size);
        if room == 0 {
            return Ok(Some((newer, size)));
        }
        let Some((mut older, _)) = self.older().own_end(room).await? else { return Ok(Some((newer, size))) };
        // It was moved in between.
        if !older.text.ends_with(&newer.text) {
            older.text += &newer.text;
        }
        Ok(Some((older, size)))
    }

    /// The same of this file alone.
    pub(super) async fn own_end(&self, limit: u64) -> Result<Option<(OutputEnd, u64)>, Failure> {
        let Some((_, size)) = self.read(0, 0).await? else { return Ok(None) };
        let from = size.saturating_sub(limit);
        // The byte before tells whether a line begins there.
        let (mut at, mut text) = (from.saturating_sub(1), String::new());
        loop {
            let Some(part) = self.part(at).await? else { break };
            text += &part.text;
            // It may be written to faster than it is read, or be begun anew.
            let is_behind = part.end > at && part.end - from <= limit;
            at = part.end;
            if !part.more || !is_behind {
                break;
            }
        }
        if from > 0 {
            // Half a line may be half a secret, which nobody would find.
            let begin = text.find('\n').map_or(text.len(), |end| end + 1);
            text.drain(..begin);
        }
        Ok(Some((OutputEnd { text, is_cut: from > 0 }, at)))
    }

    /// What comes after so many bytes.
    pub(super) async fn part(&self, from: u64) -> Result<Option<LogPart>, Failure> {
        let Some((bytes, size)) = self.read(from, PART).await? else { return Ok(None) };
        let from = if size >= from { from } else { 0 };
        // Up to the end of a line, unless nothing else comes: what is cut there would be two wrong lines.
        let more = from + (bytes.len() as u64) < size;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let part = if more { &bytes[..whole] } else { &bytes[..] };
        let text = String::from_utf8_lossy(part).into_owned();
        Ok(Some(LogPart { text, end: from + part.len() as u64, more }))
    }

    /// So many bytes of what comes after `from`, and the size of the whole.
    async fn read(&self, from: u64, count: u64) -> Result<Option<(Vec<u8>, u64)>, Failure> {
        let (file, from, count) = (self.path.to_string_lossy(), from.to_string(), count.to_string());
        let command = Command::read(["sh", "-c", READ, "sh", &*file, &from, &count]);
        let cancel = CancellationToken::new();
        let output = self.shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
        let failed = |because: String| {
            Failure::new(Kind::Rejected, format!("could not read `{}`", self.path.display()))
                .because(because)
                .state("nothing was touched")
                .output(output.last_lines())
        };
        match output.status {
            ExitStatus::Code(44) => return Ok(None),
            _ if !output.succeeded() => return Err(failed(told_status(output.status))),
            _ => {}
        }
        let mut parts = output.stdout.splitn(2, |byte| *byte == b'\n');
        let size = parts.next().and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
        let size = size.ok_or_else(|| failed("its size could not be read".into()))?;
        Ok(Some((parts.next().unwrap_or_default().to_vec(), size)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::local::{Fence, LocalShell};

    use super::*;

    fn told(end: Option<(OutputEnd, u64)>) -> (String, bool, u64) {
        let (end, at) = end.expect("there");
        (end.text, end.is_cut, at)
    }

    #[tokio::test]
    async fn what_was_moved_away_stands_before_the_rest_and_no_line_is_begun_amid() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("0001-ab12cd34.log");
        let shell = LocalShell::new(Fence::new(folder.path()));
        let log = LogFile::new(&shell, &path);
        assert!(log.end(100).await.expect("read").is_none());
        fs::write(&path, "third\nfourth\n").expect("written");
        assert_eq!(told(log.end(100).await.expect("read")), ("third\nfourth\n".into(), false, 13));
        fs::write(folder.path().join("0001-ab12cd34.log.1"), "first\nsecond\n").expect("written");
        let all = "first\nsecond\nthird\nfourth\n";
        assert_eq!(told(log.end(100).await.expect("read")), (all.into(), false, 13));
        assert_eq!(told(log.end(20).await.expect("read")), ("second\nthird\nfourth\n".into(), true, 13));
        assert_eq!(told(log.end(19).await.expect("read")), ("third\nfourth\n".into(), true, 13));
        assert_eq!(told(log.end(12).await.expect("read")), ("fourth\n".into(), true, 13));
        assert_eq!(told(log.end(7).await.expect("read")), ("fourth\n".into(), true, 13));
        fs::write(&path, "").expect("written");
        assert_eq!(told(log.end(7).await.expect("read")), ("second\n".into(), true, 0));
    }

    #[tokio::test]
    async fn a_log_that_was_just_moved_is_told_once() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("log");
        fs::write(&path, "new\n").expect("written");
        fs::write(folder.path().join("log.1"), "old\nnew\n").expect("written");
        let shell = LocalShell::new(Fence::new(folder.path()));
        assert_eq!(told(LogFile::new(&shell, path).end(100).await.expect("read")).0, "old\nnew\n");
    }

    #[tokio::test]
    async fn a_part_ends_with_a_line_where_more_follows() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("log");
        let line = "x".repeat(99) + "\n";
        let count = usize::try_from(PART).expect("it fits") / 100 + 1;
        fs::write(&path, line.repeat(count) + "half").expect("written");
        let shell = LocalShell::new(Fence::new(folder.path()));
        let log = LogFile::new(&shell, path);
        let part = log.part(0).await.expect("read").expect("there");
        assert!(part.more && part.text.ends_with('\n') && part.end == PART / 100 * 100);
        let rest = log.part(part.end).await.expect("read").expect("there");
        assert!(!rest.more && rest.text == format!("{line}half"));
    }
}

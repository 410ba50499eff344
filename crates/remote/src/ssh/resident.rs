//! A shell on the host that stays: one session in which one line of the wrapper runs after the other.
//!
//! A session costs three round trips, and on the host a process of `sshd`, the user's login shell and a `sh`: several times
//! of what most lines take themselves. So a line that reads nothing, and whose command leaves nothing running, is given
//! to a `sh` that is there already. Each line has a subshell of its own, so that nothing of it is left for the next one; the
//! resident says behind it, on both streams and by a word that nobody can guess, that it is over and how.
//!
//! | | a session of its own | a resident |
//! |---|---|---|
//! | lines that pass the fence with an identity, that are fed, or that end others | yes | |
//! | commands of which is not known what they leave running | yes | |
//! | all others | where no resident is free | yes |
//!
//! One that is asked to end, that is dropped, or that says anything else than expected is not used again.

use std::sync::Arc;

use memchr::memmem;
use pleach_core::port::ExitStatus;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::fate::CommandId;
use super::wrapper::resident_line;

/// The session of a resident.
pub(super) struct Resident {
    pub(super) read: ChannelReadHalf,
    pub(super) write: Arc<ChannelWriteHalf<Msg>>,
    /// What it says behind each line.
    pub(super) word: String,
}

/// A word, and the line that makes a session a resident that says it.
pub(super) fn settle() -> (String, Vec<u8>) {
    let word = CommandId::new().to_string();
    let line = resident_line(&word);
    (word, line)
}

impl Resident {
    /// Ends it.
    pub(super) fn dismiss(self) {
        tokio::spawn(async move {
            // It ends with its input; the server may have closed it first.
            let _ = self.write.eof().await;
            let _ = self.write.close().await;
        });
    }

    /// Whether the server has closed it while nobody was looking.
    pub(super) async fn is_over(&mut self) -> bool {
        loop {
            let next = std::pin::pin!(self.read.wait());
            match futures_util::poll!(next) {
                std::task::Poll::Pending => return false,
                // What the last line left behind.
                std::task::Poll::Ready(Some(ChannelMsg::Data { .. } | ChannelMsg::ExtendedData { .. })) => {}
                std::task::Poll::Ready(Some(ChannelMsg::WindowAdjusted { .. })) => {}
                std::task::Poll::Ready(_) => return true,
            }
        }
    }
}

/// One stream of a resident up to the word that ends a line's part of it.
pub(super) struct Tail {
    word: Vec<u8>,
    /// The end of what came, where it may be the beginning of the word; behind the word, what it says.
    held: Vec<u8>,
    is_behind: bool,
    /// What stood behind the word, once that is complete.
    pub(super) said: Option<String>,
}

impl Tail {
    pub(super) fn new(word: &str) -> Self {
        Self { word: word.as_bytes().to_vec(), held: Vec::new(), is_behind: false, said: None }
    }

    /// Gives what certainly stands before the word.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut seen = std::mem::take(&mut self.held);
        seen.extend_from_slice(chunk);
        let mut before = Vec::new();
        if !self.is_behind {
            match memmem::find(&seen, &self.word) {
                Some(at) => {
                    let behind = seen.split_off(at + self.word.len());
                    seen.truncate(at);
                    before = std::mem::replace(&mut seen, behind);
                    self.is_behind = true;
                }
                None => {
                    let longest = seen.len().min(self.word.len() - 1);
                    let held = (1..=longest).rev().find(|length| seen.ends_with(&self.word[..*length]));
                    self.held = seen.split_off(seen.len() - held.unwrap_or_default());
                    return seen;
                }
            }
        }
        match seen.iter().position(|byte| *byte == b'\n') {
            Some(end) => self.said = Some(String::from_utf8_lossy(&seen[..end]).trim().to_owned()),
            None => self.held = seen,
        }
        before
    }
}

/// How a line ended, from what the resident says of it on standard output.
pub(super) fn read_status(said: &str) -> Option<ExitStatus> {
    let (kind, number) = said.split_once(' ')?;
    let number = number.parse().ok()?;
    match kind {
        "code" => Some(ExitStatus::Code(number)),
        "signal" => Some(ExitStatus::Signal(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_word_is_given_whole_wherever_the_stream_is_cut() {
        let stream = b"a\nWOR\xffWOWORWORD code 3\n";
        for size in 1..=stream.len() {
            let mut tail = Tail::new("WORD");
            let mut before = Vec::new();
            for chunk in stream.chunks(size) {
                assert_eq!(tail.said, None, "{size}");
                before.extend(tail.take(chunk));
            }
            assert_eq!(before, b"a\nWOR\xffWOWOR", "{size}");
            assert_eq!(tail.said.as_deref().and_then(read_status), Some(ExitStatus::Code(3)), "{size}");
        }
    }

    #[test]
    fn what_cannot_be_the_word_is_not_held_back() {
        let mut tail = Tail::new("WORD");
        assert_eq!(tail.take(b"xWO"), b"x");
        assert_eq!(tail.take(b"W"), b"WO");
        assert_eq!(tail.take(b"x"), b"Wx");
    }
}

//! One line of the wrapper, running on one session.
//!
//! Dropping it before its end ends what runs there, by a session of its own: root logins ignore SSH's signals, and a
//! session that is closed leaves its command running.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pleach_core::port::{ExitStatus, Stream};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::fate::{Force, Leader, Whom, end};
use super::link::{Link, LinkError, Place, Seat};
use super::resident::{Resident, Tail, read_status, settle};
use super::wrapper::{BOOTSTRAP, session_line};

/// How long a command may take to end after it was asked to.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How long after the end of a command its output may be silent before it is taken to be over: what the command left
/// running may keep it open.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// How long after the end of a command its output is read at most.
const OUTPUT_LIMIT: Duration = Duration::from_secs(10);

/// How long a line may take to begin that nobody waits for any more.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How much is kept of what comes before the wrapper's word.
const NOISE_BYTES: usize = 8 * 1024;

/// Takes what a command prints. Must not block: all sessions of a connection would wait.
pub(super) trait Sink: Send {
    fn take(&mut self, stream: Stream, chunk: &[u8]);
}

/// What a command reads.
pub(super) enum Feed {
    /// Nothing: an end of file at once.
    Nothing,
    /// This.
    Bytes(Bytes),
    /// These, one after the other, until the sender is dropped; it is an end too early if the second word is missing.
    Parts(mpsc::Receiver<Vec<u8>>),
}

/// How it went.
#[derive(Debug)]
pub(super) enum Finish {
    /// The command ran and ended.
    Exited(ExitStatus),
    /// The wrapper did not start it: a word for why, and what belongs to it.
    Refused(String),
    /// The login shell did not run the wrapper; what it printed instead.
    NoWrapper(Vec<u8>),
    /// The link broke.
    Lost,
    /// Somebody asked for its end, and it ended.
    Cancelled,
}

/// One stream up to the wrapper's word, and behind it.
enum Head {
    Before(Vec<u8>),
    Behind,
}

impl Head {
    /// Gives what stands in the word's line once that is complete, and what follows it.
    fn take<'c>(&mut self, marker: &str, chunk: &'c [u8], rest: &mut Vec<u8>) -> (Option<String>, &'c [u8]) {
        let Self::Before(seen) = self else { return (None, chunk) };
        seen.extend_from_slice(chunk);
        let marker = marker.as_bytes();
        let Some(at) = seen.windows(marker.len()).position(|window| window == marker) else {
            let surplus = seen.len().saturating_sub(NOISE_BYTES);
            // Cut in large steps: cutting at every chunk would move the kept bytes each time.
            if surplus > NOISE_BYTES {
                seen.drain(..surplus);
            }
            return (None, &[]);
        };
        let behind = at + marker.len();
        let Some(length) = seen[behind..].iter().position(|byte| *byte == b'\n') else { return (None, &[]) };
        let said = String::from_utf8_lossy(&seen[behind..behind + length]).trim().to_owned();
        *rest = seen.split_off(behind + length + 1);
        *self = Self::Behind;
        (Some(said), &[])
    }
}

/// What is to be done with a line that did not begin on a session that was there already.
enum Unbegun {
    /// The session was made for it, so the host does not run it.
    Told,
    /// It may have begun all the same, and must not run twice.
    Lost,
    /// This line is run on a session of its own.
    Again(Vec<u8>),
}

/// A started line.
pub(super) struct Execution {
    parts: Option<Parts>,
}

struct Parts {
    link: Arc<Link>,
    read: ChannelReadHalf,
    write: Arc<ChannelWriteHalf<Msg>>,
    place: Place,
    /// Where it is a resident's: its word, and the ends of the line's part of its streams.
    resident: Option<(String, [Tail; 2])>,
    /// What is to be done where that resident turns out to have ended before it began the line.
    unbegun: Unbegun,
    feeding: AbortHandle,
    marker: String,
    heads: [Head; 2],
    leader: Option<Leader>,
    refusal: Option<String>,
    /// How a write can be found where its leader is not known.
    registered: Option<Whom>,
}

impl Execution {
    /// Sends `line`, whose word is `marker`, and what its command reads. A write is `registered`.
    pub(super) async fn start(
        link: &Arc<Link>,
        line: Vec<u8>,
        marker: String,
        feed: Feed,
        registered: Option<Whom>,
        session: Session,
    ) -> Result<Self, LinkError> {
        let alone = registered.is_some() || !matches!(feed, Feed::Nothing);
        let open = match session {
            Session::Shared(twice) if !alone && link.keeps_residents() => {
                return Self::give(link, line, marker, twice).await;
            }
            Session::Shared(_) | Session::Own => link.open().await?,
            Session::Urgent => link.open_urgently().await?,
        };
        let (read, write) = open.channel.split();
        let write = Arc::new(write);
        let feeding = tokio::spawn(send(write.clone(), session_line(&line), feed)).abort_handle();
        let parts = Parts::new(link, read, write, open.place, feeding, marker);
        Ok(Self { parts: Some(Parts { registered, ..parts }) })
    }

    /// Gives the line to a resident, of which there may be none yet.
    async fn give(link: &Arc<Link>, line: Vec<u8>, marker: String, twice: Twice) -> Result<Self, LinkError> {
        let (resident, place, first, unbegun) = match link.open_resident().await? {
            Seat::Kept(resident, place) => {
                let unbegun = if twice == Twice::Allowed { Unbegun::Again(line.clone()) } else { Unbegun::Lost };
                (resident, place, None, unbegun)
            }
            Seat::New(open) => {
                let (read, write) = open.channel.split();
                let (word, first) = settle();
                (Resident { read, write: Arc::new(write), word }, open.place, Some(first), Unbegun::Told)
            }
        };
        let Resident { read, write, word } = resident;
        let feeding = tokio::spawn(hand(write.clone(), first, line)).abort_handle();
        let tails = [Tail::new(&word), Tail::new(&word)];
        let parts = Parts::new(link, read, write, place, feeding, marker);
        Ok(Self { parts: Some(Parts { resident: Some((word, tails)), unbegun, ..parts }) })
    }

    /// Follows it to its end, or ends it when `cancel` asks for that.
    pub(super) async fn finish(mut self, sink: &mut dyn Sink, cancel: &CancellationToken) -> Finish {
        let Some(parts) = &mut self.parts else { return Finish::Lost };
        let mut finish = parts.follow(sink, cancel).await;
        let mut unbegun = Unbegun::Told;
        if matches!(finish, Finish::Lost | Finish::NoWrapper(_)) && parts.leader.is_none() {
            unbegun = std::mem::replace(&mut parts.unbegun, Unbegun::Told);
        }
        if !matches!(unbegun, Unbegun::Told) {
            finish = Finish::Lost;
        }
        // A write is its caller's to ask about; of anything else nobody will ever hear again.
        if matches!(finish, Finish::Lost) && parts.registered.is_none() {
            parts.spawn_end(Force::Kill);
        }
        let (link, marker) = (parts.link.clone(), parts.marker.clone());
        if let Some(parts) = self.parts.take() {
            parts.leave(&finish).await;
        }
        if let Unbegun::Again(line) = unbegun {
            let again = Self::start(&link, line, marker, Feed::Nothing, None, Session::Own);
            if let Ok(again) = Box::pin(again).await {
                return Box::pin(again.finish(sink, cancel)).await;
            }
        }
        finish
    }
}

/// Which session a line gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Session {
    /// One that other lines have had before, if the line reads nothing and has no identity.
    Shared(Twice),
    /// One of its own.
    Own,
    /// One of its own that does not wait for its turn: it is there to end another.
    Urgent,
}

/// Whether a line may run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// It only looks, or changes nothing more the second time.
    Allowed,
    /// The second time could be another thing.
    Forbidden,
}

async fn send(write: Arc<ChannelWriteHalf<Msg>>, line: Vec<u8>, feed: Feed) {
    // Whoever reads the session sees that it is gone; here it is only the reason to stop.
    let sent = async {
        write.exec(true, BOOTSTRAP).await?;
        write.data_bytes(line).await?;
        match feed {
            Feed::Nothing => {}
            Feed::Bytes(bytes) => write.data_bytes(bytes).await?,
            Feed::Parts(mut parts) => {
                while let Some(part) = parts.recv().await {
                    write.data_bytes(part).await?;
                }
            }
        }
        write.eof().await
    };
    let _: Result<(), russh::Error> = sent.await;
}

async fn hand(write: Arc<ChannelWriteHalf<Msg>>, first: Option<Vec<u8>>, line: Vec<u8>) {
    let sent = async {
        if let Some(first) = first {
            write.exec(true, BOOTSTRAP).await?;
            write.data_bytes(first).await?;
        }
        write.data_bytes(line).await
    };
    let _: Result<(), russh::Error> = sent.await;
}

impl Parts {
    fn new(
        link: &Arc<Link>,
        read: ChannelReadHalf,
        write: Arc<ChannelWriteHalf<Msg>>,
        place: Place,
        feeding: AbortHandle,
        marker: String,
    ) -> Self {
        let heads = [Head::Before(Vec::new()), Head::Before(Vec::new())];
        let (resident, leader, refusal, registered, unbegun) = (None, None, None, None, Unbegun::Told);
        let link = link.clone();
        Self { link, read, write, place, resident, unbegun, feeding, marker, heads, leader, refusal, registered }
    }

    /// Gives the session back, if it is a resident's that has said that the line is over; ends it otherwise.
    async fn leave(self, finish: &Finish) {
        let is_over = self.said().is_some();
        if let (Some((word, _)), true, Finish::Exited(_) | Finish::Refused(_)) = (&self.resident, is_over, finish) {
            let resident = Resident { read: self.read, write: self.write, word: word.clone() };
            self.link.keep(resident, self.place);
            return;
        }
        self.feeding.abort();
        // The server may have closed it first.
        let _ = self.write.close().await;
    }

    /// How a resident says that the line ended, once it has said so on both streams.
    fn said(&self) -> Option<&str> {
        let (_, [stdout, stderr]) = self.resident.as_ref()?;
        stderr.said.as_ref()?;
        stdout.said.as_deref()
    }

    fn hear(&mut self, stream: Stream, chunk: &[u8], sink: &mut dyn Sink) {
        let at = usize::from(stream == Stream::Stderr);
        let before = self.resident.as_mut().map(|(_, tails)| tails[at].take(chunk));
        let chunk = before.as_deref().unwrap_or(chunk);
        let head = &mut self.heads[at];
        let mut rest = Vec::new();
        let (said, behind) = head.take(&self.marker, chunk, &mut rest);
        if let (Some(said), Stream::Stdout) = (said, stream) {
            match said.strip_prefix("go ").and_then(|words| words.parse().ok()) {
                Some(leader) => self.leader = Some(leader),
                None => self.refusal = Some(said.strip_prefix("no ").unwrap_or(&said).to_owned()),
            }
        }
        for chunk in [rest.as_slice(), behind] {
            if !chunk.is_empty() {
                sink.take(stream, chunk);
            }
        }
    }

    async fn follow(&mut self, sink: &mut dyn Sink, cancel: &CancellationToken) -> Finish {
        let mut status = None;
        let mut asked = false;
        // Whichever comes next: the end of patience with a cancelled command, or with the output of one that has ended.
        let mut limit: Option<Instant> = None;
        let mut last = Instant::now() + OUTPUT_LIMIT;
        loop {
            let late = sleep_until(limit.unwrap_or_else(Instant::now));
            let message = tokio::select! {
                message = self.read.wait() => message,
                () = late, if limit.is_some() => {
                    if status.is_some() {
                        break;
                    }
                    self.spawn_end(Force::Kill);
                    limit = Some(Instant::now() + CANCEL_GRACE);
                    continue;
                }
                () = cancel.cancelled(), if !asked && status.is_none() => {
                    asked = true;
                    self.spawn_end(Force::Ask);
                    limit = Some(Instant::now() + CANCEL_GRACE);
                    continue;
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => self.hear(Stream::Stdout, &data, sink),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => self.hear(Stream::Stderr, &data, sink),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    status = Some(ExitStatus::Code(i32::try_from(exit_status).unwrap_or(i32::MAX)));
                    last = Instant::now() + OUTPUT_LIMIT;
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    status = Some(ExitStatus::Signal(number(&signal_name)));
                    last = Instant::now() + OUTPUT_LIMIT;
                }
                // The server runs no commands for this login.
                Some(ChannelMsg::Failure) => return Finish::NoWrapper(self.noise()),
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
            if let Some(said) = self.said() {
                status = read_status(said);
                break;
            }
            if status.is_some() {
                limit = Some((Instant::now() + OUTPUT_GRACE).min(last));
            }
        }
        let Some(status) = status else { return Finish::Lost };
        if let Some(refusal) = self.refusal.take() {
            return Finish::Refused(refusal);
        }
        if asked {
            return Finish::Cancelled;
        }
        match self.leader {
            Some(_) => Finish::Exited(status),
            None => Finish::NoWrapper(self.noise()),
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let mut noise = Vec::new();
        for head in &mut self.heads {
            if let Head::Before(seen) = head {
                noise.append(seen);
            }
        }
        noise
    }

    fn whom(&self) -> Option<Whom> {
        match (&self.registered, &self.leader) {
            (Some(registered), _) => Some(registered.clone()),
            (None, Some(leader)) => Some(Whom::Leader(leader.clone())),
            (None, None) => None,
        }
    }

    fn spawn_end(&self, force: Force) {
        if let Some(whom) = self.whom() {
            let link = self.link.clone();
            // If it cannot be ended the command goes on, and the caller is told so.
            tokio::spawn(async move {
                let _ = end(&link, &whom, force).await;
            });
        }
    }

    /// Ends a line that nobody waits for any more.
    async fn abandon(mut self) {
        let begun = async {
            while self.whom().is_none() && self.refusal.is_none() {
                match self.read.wait().await {
                    Some(ChannelMsg::Data { data }) => self.hear(Stream::Stdout, &data, &mut Forget),
                    Some(ChannelMsg::Close) | None => break,
                    Some(_) => {}
                }
            }
        };
        let _ = timeout(START_LIMIT, begun).await;
        self.feeding.abort();
        if let Some(whom) = self.whom() {
            let _ = end(&self.link, &whom, Force::Kill).await;
        }
        let _ = self.write.close().await;
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if let (Some(parts), Ok(runtime)) = (self.parts.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(parts.abandon());
        }
    }
}

/// Forgets what is printed.
pub(super) struct Forget;

impl Sink for Forget {
    fn take(&mut self, _: Stream, _: &[u8]) {}
}

/// A signal's number on Linux; 0 for one that the protocol has no name for.
fn number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(name) => match name.as_str() {
            "TRAP" => 5,
            "BUS" => 7,
            "USR2" => 12,
            "XCPU" => 24,
            "XFSZ" => 25,
            "SYS" => 31,
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is behind the word, and the word's line, however the stream is cut.
    fn through(stream: &[u8], size: usize) -> (Option<String>, Vec<u8>) {
        let mut head = Head::Before(Vec::new());
        let (mut said, mut output) = (None, Vec::new());
        for chunk in stream.chunks(size) {
            let mut rest = Vec::new();
            let (line, behind) = head.take("MARK", chunk, &mut rest);
            said = said.or(line);
            output.extend(rest);
            output.extend_from_slice(behind);
        }
        (said, output)
    }

    #[test]
    fn a_banner_is_cut_off_and_nothing_behind_it_wherever_the_stream_is_cut() {
        let stream = b"Welcome!\nMAR\xff MARK go 1 2 3 4\nfirst\nMARK again\n";
        for size in 1..stream.len() {
            let (said, output) = through(stream, size);
            assert_eq!(said.as_deref(), Some("go 1 2 3 4"), "{size}");
            assert_eq!(output, b"first\nMARK again\n", "{size}");
        }
    }

    #[test]
    fn of_an_endless_banner_little_is_kept() {
        let mut head = Head::Before(Vec::new());
        for _ in 0..1000 {
            head.take("MARK", &[b'x'; 4096], &mut Vec::new());
        }
        let Head::Before(seen) = &head else { panic!("there was no word") };
        assert!(seen.len() <= 3 * NOISE_BYTES);
        let mut rest = Vec::new();
        assert_eq!(head.take("MARK", b"MARK go\ny", &mut rest).0.as_deref(), Some("go"));
        assert_eq!(rest, b"y");
    }
}

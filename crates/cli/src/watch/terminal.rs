//! The terminal: taken, and given back on every way out.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{self, Event, KeyEventKind};
use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use pleach_core::word::EnvironmentName;
use tokio::signal::unix::{SignalKind, signal};

use super::draw::draw;
use super::feed::{Feed, News, last_log, log_end};
use super::screen::{Ask, Screen, View};
use crate::exit::{Ended, Exit};
use crate::project::Project;

/// The longest between two frames.
const FRAME: Duration = Duration::from_millis(250);

/// Shows the full-screen view until somebody leaves it.
pub(crate) async fn watch(project: Project, environment: Option<EnvironmentName>) -> Result<Exit, Ended> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Ended::wrong(
            Failure::new(Kind::Rejected, "could not show the full-screen view")
                .because("this is no terminal")
                .state("nothing was touched")
                .next("`pleach status`, or `pleach status --json`"),
        ));
    }
    let project = Arc::new(project);
    let mut feed = Feed::start(&project, environment)?;
    let mut ends = Ends::catch()?;
    let mut keys = keys();
    // `try_init` also gives the terminal back when something panics.
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let _giving_back = GivingBack;
    let mut screen = Screen::new(Timestamp::now());
    loop {
        screen.now = Timestamp::now();
        if screen.view == View::Log {
            screen.log = screen.log_path.as_deref().map(log_end).unwrap_or_default();
        }
        terminal.draw(|frame| draw(frame, &screen)).map_err(failed)?;
        tokio::select! {
            Some(news) = feed.news.recv() => take(&mut screen, &mut feed, news),
            key = keys.recv() => match key {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => match screen.press(key) {
                    Ask::Nothing => {}
                    Ask::Refresh => feed.refresh(),
                    Ask::OpenLog => {
                        screen.log_path = screen.selected_key().and_then(|row| last_log(&project, row));
                    }
                    Ask::Quit => return Ok(Exit::DONE),
                },
                Some(_) => {}
                None => return Ok(Exit::DONE),
            },
            () = ends.wait() => return Ok(Exit::DONE),
            () = tokio::time::sleep(FRAME) => {}
        }
    }
}

fn take(screen: &mut Screen, feed: &mut Feed, first: News) {
    let mut next = Some(first);
    while let Some(news) = next {
        match news {
            News::Reading => screen.reading += 1,
            News::Services(services) => {
                screen.reading = screen.reading.saturating_sub(1);
                screen.take(services);
            }
            News::Runs(runs, leases) => (screen.runs, screen.leases) = (runs, leases),
        }
        next = feed.news.try_recv().ok();
    }
}

/// Keys and sizes, read on a thread of their own: reading blocks. It ends with the process.
fn keys() -> tokio::sync::mpsc::UnboundedReceiver<Event> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// SIGTERM and SIGHUP; Ctrl-C comes as a key.
struct Ends {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Ends {
    fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(failed);
        Ok(Self { terminate: catch(SignalKind::terminate())?, hang_up: catch(SignalKind::hangup())? })
    }

    async fn wait(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.hang_up.recv() => {} }
    }
}

/// Gives the terminal back when it goes.
struct GivingBack;

impl Drop for GivingBack {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: std::io::Error) -> Failure {
    Failure::new(Kind::Rejected, "could not use the terminal")
        .because(error.to_string())
        .state("nothing was touched")
        .next("`pleach status`")
}

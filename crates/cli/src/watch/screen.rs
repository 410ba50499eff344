//! What stands on the screen, and what a key does to it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};

use crate::standing::{LeaseStanding, RunStanding, ServiceStanding};

/// Which row: stays the same when rows come and go.
pub(super) type RowKey = (EnvironmentName, ServiceName, TargetName);

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// All services and targets.
    Table,
    /// The log of the selected one.
    Log,
    /// The keys; and what was shown before.
    Help,
}

/// Whether a log stays at its end as lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// It does.
    End,
    /// It stays where it is, so many lines above the end.
    Still(usize),
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing that the screen did not do itself.
    Nothing,
    /// Read all targets now.
    Refresh,
    /// Read another log.
    OpenLog,
    /// Give the terminal back.
    Quit,
}

/// All that stands on the screen.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    pub(super) rows: BTreeMap<RowKey, ServiceStanding>,
    pub(super) runs: Vec<RunStanding>,
    pub(super) leases: Vec<LeaseStanding>,
    pub(super) selected: usize,
    pub(super) view: View,
    pub(super) following: Following,
    pub(super) log: Vec<String>,
    pub(super) log_path: Option<PathBuf>,
    pub(super) now: Timestamp,
    /// Targets that are being read.
    pub(super) reading: usize,
}

impl Screen {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            rows: BTreeMap::new(),
            runs: Vec::new(),
            leases: Vec::new(),
            selected: 0,
            view: View::Table,
            following: Following::End,
            log: Vec::new(),
            log_path: None,
            now,
            reading: 0,
        }
    }

    /// Takes what a target told.
    pub(super) fn take(&mut self, services: Vec<ServiceStanding>) {
        let selected = self.selected_key().cloned();
        for service in services {
            let key = (service.environment.clone(), service.service.clone(), service.target.clone());
            self.rows.insert(key, service);
        }
        // The same row stays selected when others appear above it.
        let place = selected.and_then(|key| self.rows.keys().position(|row| *row == key));
        self.selected = place.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
    }

    pub(super) fn selected_key(&self) -> Option<&RowKey> {
        self.rows.keys().nth(self.selected)
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> Ask {
        let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if control_c {
            return Ask::Quit;
        }
        match (self.view, key.code) {
            (View::Help, _) => {
                self.view = View::Table;
                Ask::Nothing
            }
            (_, KeyCode::Char('?')) => {
                self.view = View::Help;
                Ask::Nothing
            }
            (View::Log, KeyCode::Esc | KeyCode::Char('q') | KeyCode::Enter | KeyCode::Backspace) => {
                self.view = View::Table;
                Ask::Nothing
            }
            (_, KeyCode::Char('q') | KeyCode::Esc) => Ask::Quit,
            (_, KeyCode::Char('r')) => Ask::Refresh,
            (View::Table, KeyCode::Enter) if !self.rows.is_empty() => {
                self.view = View::Log;
                self.following = Following::End;
                Ask::OpenLog
            }
            (View::Table, KeyCode::Char('f')) if !self.rows.is_empty() => {
                self.view = View::Log;
                self.following = Following::End;
                Ask::OpenLog
            }
            (View::Log, KeyCode::Char('f')) => {
                self.following = match self.following {
                    Following::End => Following::Still(0),
                    Following::Still(_) => Following::End,
                };
                Ask::Nothing
            }
            (_, KeyCode::Down | KeyCode::Char('j')) => self.step(1),
            (_, KeyCode::Up | KeyCode::Char('k')) => self.step(-1),
            (_, KeyCode::PageDown) => self.step(10),
            (_, KeyCode::PageUp) => self.step(-10),
            (_, KeyCode::Home | KeyCode::Char('g')) => self.step(isize::MIN / 2),
            (_, KeyCode::End | KeyCode::Char('G')) => self.step(isize::MAX / 2),
            _ => Ask::Nothing,
        }
    }

    fn step(&mut self, by: isize) -> Ask {
        match self.view {
            View::Log => {
                let above = match self.following {
                    Following::End => 0,
                    Following::Still(above) => above,
                };
                let above = above.saturating_add_signed(by.saturating_neg()).min(self.log.len().saturating_sub(1));
                self.following = if above == 0 { Following::End } else { Following::Still(above) };
            }
            _ => self.selected = self.selected.saturating_add_signed(by).min(self.rows.len().saturating_sub(1)),
        }
        Ask::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::sample;
    use super::*;

    fn press(screen: &mut Screen, code: KeyCode) -> Ask {
        screen.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn the_selection_stays_inside_and_on_its_row() {
        let mut screen = sample();
        for _ in 0..10 {
            press(&mut screen, KeyCode::Char('j'));
        }
        assert_eq!(screen.selected, screen.rows.len() - 1);
        let key = screen.selected_key().cloned().expect("selected");
        let mut earlier = screen.rows.values().next().cloned().expect("a row");
        earlier.service = "aaa".parse().expect("a name");
        screen.take(vec![earlier]);
        assert_eq!(screen.selected_key(), Some(&key));
        press(&mut screen, KeyCode::Home);
        assert_eq!(press(&mut screen, KeyCode::Up), Ask::Nothing);
        assert_eq!(screen.selected, 0);
    }

    #[test]
    fn keys_open_follow_and_leave_a_log() {
        let mut screen = sample();
        assert_eq!(press(&mut screen, KeyCode::Enter), Ask::OpenLog);
        screen.log = (0..50).map(|line| line.to_string()).collect();
        press(&mut screen, KeyCode::Char('k'));
        assert_eq!(screen.following, Following::Still(1));
        press(&mut screen, KeyCode::Char('f'));
        assert_eq!(screen.following, Following::End);
        press(&mut screen, KeyCode::Home);
        assert_eq!(screen.following, Following::Still(49));
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Ask::Nothing);
        assert_eq!(press(&mut screen, KeyCode::Char('r')), Ask::Refresh);
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Ask::Quit);
    }

    #[test]
    fn ctrl_c_leaves_from_every_view() {
        for view in [View::Table, View::Log, View::Help] {
            let mut screen = Screen { view, ..sample() };
            assert_eq!(screen.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Ask::Quit);
        }
    }
}

//! Events that are kept.

use std::sync::Mutex;

use crate::event::{Event, Events};

/// Keeps every event.
#[derive(Debug, Default)]
pub struct RecordingEvents {
    events: Mutex<Vec<Event>>,
}

impl RecordingEvents {
    /// All events so far.
    pub fn all(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

impl Events for RecordingEvents {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

//! Images that several lanes bring to the same engine at the same time.
//!
//! They come one after the other, and whoever has the turn brings all that wait in one archive: an engine writes an image only as a
//! whole, so what images have in common is read and sent once instead of once for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use pleach_core::port::{BroughtImage, ImageId};

use super::bring::{BringError, bring_image, bring_images};
use super::engine::Engine;

#[derive(Debug, Default)]
pub(super) struct Bringing {
    waiting: Mutex<BTreeMap<ImageId, usize>>,
    /// Whoever holds it brings; in it is what came with the image of another one.
    turn: tokio::sync::Mutex<BTreeMap<ImageId, BroughtImage>>,
}

impl Bringing {
    /// Makes an engine have an image of another one, with those that others are waiting for.
    pub(super) async fn bring(&self, from: &Engine, to: &Engine, image: &ImageId) -> Result<BroughtImage, BringError> {
        let waits = Waits::begin(self, image);
        let mut came = self.turn.lock().await;
        let all = self.waiting();
        if all.len() > 1 && !came.contains_key(image) {
            // Where this fails, each image is brought alone, so that its own lane tells why.
            let all: Vec<ImageId> = all.into_iter().collect();
            let sent = bring_images(from, to, &all).await.unwrap_or_default();
            came.extend(sent.into_iter().filter(|(_, brought)| brought.bytes > 0));
        }
        drop(waits);
        let brought = bring_image(from, to, image, &[]).await?;
        Ok(came.remove(image).filter(|_| brought.bytes == 0).unwrap_or(brought))
    }

    fn waiting(&self) -> BTreeSet<ImageId> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// An image is waited for as long as this lives.
struct Waits<'a> {
    bringing: &'a Bringing,
    image: &'a ImageId,
}

impl<'a> Waits<'a> {
    fn begin(bringing: &'a Bringing, image: &'a ImageId) -> Self {
        let mut waiting = bringing.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting.entry(image.clone()).or_default() += 1;
        Self { bringing, image }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut waiting = self.bringing.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(self.image) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(self.image);
            }
        }
    }
}

//! The images of a service, as people want to see them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pleach_core::port::ImageId;
use pleach_core::word::ServiceName;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::EngineError;
use super::label;

/// An image that an engine has of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenImage {
    /// Its id.
    pub id: ImageId,
    /// The names that lead to it.
    pub names: BTreeSet<String>,
    /// The version that is written on it.
    pub version: Option<String>,
    /// The commit that is written on it.
    pub commit: Option<String>,
    /// When it was built.
    pub created: Option<Timestamp>,
    /// Of all its layers, in bytes.
    pub size: u64,
    /// The containers that are made of it, whether they run or not.
    pub containers: BTreeSet<String>,
}

impl Engine {
    /// The images on which a service is written.
    pub async fn seen_images(&self, service: &ServiceName) -> Result<Vec<SeenImage>, EngineError> {
        let used = self.used_images().await?;
        let mut seen = Vec::new();
        for id in self.images(&label::labels([(label::SERVICE, Some(service.as_str()))])).await? {
            // Gone since it was listed: then it is not there.
            let Some(mut image) = self.image(id.as_str()).await? else { continue };
            seen.push(SeenImage {
                containers: used.get(&image.id).cloned().unwrap_or_default(),
                version: image.labels.remove(label::VERSION),
                commit: image.labels.remove(label::COMMIT),
                created: image.created.parse().ok(),
                id: image.id,
                names: image.names,
                size: image.size,
            });
        }
        Ok(seen)
    }
}

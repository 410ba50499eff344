//! Names that lead to images, on one engine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ImageId;
use crate::word::ChannelName;

/// Where names lead: `NAME:TAG` to an image. One that is absent leads nowhere.
pub type ImageNames = BTreeMap<String, ImageId>;

/// Where a name is to lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NameChange {
    /// `NAME:TAG`.
    pub name: String,
    /// The image; nowhere if absent, or where the engine does not have it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ImageId>,
    /// Only where it leads to this image: whoever has moved it since meant it. Wherever it leads if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_from: Option<ImageId>,
}

/// One channel of one service's images: `NAME:CHANNEL-vVERSION` and `NAME:CHANNEL-latest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChannelNames {
    /// What stands in front of the tag.
    pub name: String,
    /// The channel.
    pub channel: ChannelName,
}

impl ChannelNames {
    /// The same channel of images that are called otherwise.
    pub fn of(&self, name: &str) -> Self {
        Self { name: name.to_owned(), channel: self.channel.clone() }
    }

    /// What leads to the image that is live.
    pub fn latest(&self) -> String {
        format!("{}:{}-latest", self.name, self.channel)
    }

    /// What leads to the image of a version.
    pub fn version(&self, version: &str) -> String {
        format!("{}:{}-v{version}", self.name, self.channel)
    }

    /// The version that a name is for; none if it is no such name of this channel.
    pub fn version_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.tag_of(name)?.strip_prefix('v').filter(|version| !version.is_empty())
    }

    /// Whether it is a name of another channel of the same images.
    pub fn is_of_another(&self, name: &str) -> bool {
        let tag = name.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix(':'));
        let is_of_channel =
            |tag: &str| tag.split_once('-').is_some_and(|(_, rest)| rest == "latest" || rest.starts_with('v'));
        tag.is_some_and(is_of_channel) && self.tag_of(name).is_none()
    }

    /// What stands behind `NAME:CHANNEL-`.
    fn tag_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let tag = name.strip_prefix(&*self.name)?.strip_prefix(':')?;
        tag.strip_prefix(self.channel.as_str())?.strip_prefix('-')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_knows_its_own_names_and_those_of_others() {
        let names = ChannelNames { name: "odoo".into(), channel: ChannelName::new("uat").expect("a name") };
        assert_eq!((names.latest(), names.version("1.2")), ("odoo:uat-latest".into(), "odoo:uat-v1.2".into()));
        assert_eq!(names.version_of("odoo:uat-v1.2-rc1"), Some("1.2-rc1"));
        for other in ["odoo:uat-latest", "odoo:uat-v", "odoo:uat", "odoo2:uat-v1", "odoo:uat2-v1", "x/odoo:uat-v1"] {
            assert_eq!(names.version_of(other), None, "{other}");
        }
        assert!(["odoo:prod-v1.2", "odoo:uat2-latest"].iter().all(|name| names.is_of_another(name)));
        for own in ["odoo:uat-v1.2", "odoo:uat-latest", "odoo:x", "odoo:by-hand", "pleach/odoo:prod-v1"] {
            assert!(!names.is_of_another(own), "{own}");
        }
    }
}

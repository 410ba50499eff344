//! A Compose project as `docker compose config` resolves it. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::port::ImageId;
use serde_json::{Map, Value};

use super::proven::repository;

/// The file of a release that holds its project, resolved and pinned.
pub(in crate::directory) const PINNED: &str = "compose.pleach.json";

/// The file of a release that starts its project.
pub(super) const STARTING: &str = "compose.pleach.sh";

/// The names that `docker compose` looks for.
pub(super) const USUAL: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// A project, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved(Value);

impl Resolved {
    /// From what `docker compose config --format json` wrote.
    pub(super) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text).map(Self)
    }

    /// As `docker compose` reads it again.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn services(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get("services").and_then(Value::as_object).into_iter().flatten()
    }

    /// The services that run, and the name of the image of each. What is built without a name gets one of the project.
    pub(super) fn images(&self, project: &str) -> BTreeMap<String, String> {
        let image = |(name, service): (&String, &Value)| {
            let written = service.get("image").and_then(Value::as_str).map(str::to_owned);
            (name.clone(), written.unwrap_or_else(|| format!("{project}-{name}")))
        };
        self.services().filter(|(_, service)| replicas(service) > 0).map(image).collect()
    }

    /// Whether any image is built.
    pub(super) fn is_built(&self) -> bool {
        self.services().any(|(_, service)| has_build(service))
    }

    /// What the images that it builds are called, by service.
    pub(super) fn called(&self, project: &str) -> BTreeMap<String, String> {
        let mut called = self.images(project);
        called.retain(|name, _| self.services().any(|(other, service)| other == name && has_build(service)));
        called.into_iter().map(|(name, image)| (name, repository(&image).to_owned())).collect()
    }

    /// Whether the image of a service is built, and the project alone names it.
    pub(super) fn is_own(&self, service: &str) -> bool {
        self.services().any(|(name, one)| name == service && one.get("image").is_none())
    }

    /// What a service's image has to be for, where the files say so.
    pub(super) fn platform(&self, service: &str) -> Option<&str> {
        self.services().find(|(name, _)| *name == service)?.1.get("platform")?.as_str()
    }

    /// All files and folders of the target that containers see, as often as they are named.
    pub(super) fn host_paths(&self) -> Vec<PathBuf> {
        let mut all = self.0.clone();
        let mut paths = Vec::new();
        each_host_path(&mut all, &mut |path| paths.push(PathBuf::from(&*path)));
        paths
    }

    /// Puts images by their digests in the place of names and builds, and other paths in the place of some.
    pub(super) fn pin(&mut self, images: &BTreeMap<String, ImageId>, paths: &BTreeMap<PathBuf, PathBuf>) {
        for (name, service) in self.0.get_mut("services").and_then(Value::as_object_mut).into_iter().flatten() {
            let Some(service) = service.as_object_mut() else { continue };
            service.remove("build");
            service.remove("pull_policy");
            // Those that are not asked for are not among them, and without their profile these would not start.
            service.remove("profiles");
            if let Some(image) = images.get(name) {
                service.insert("image".into(), image.as_str().into());
            }
        }
        each_host_path(&mut self.0, &mut |path| {
            if let Some(other) = paths.get(Path::new(&*path)) {
                *path = other.to_string_lossy().into_owned();
            }
        });
    }
}

fn has_build(service: &Value) -> bool {
    service.get("build").is_some_and(|build| !build.is_null())
}

/// How many containers a service has.
fn replicas(service: &Value) -> u64 {
    let scale = service.get("scale").and_then(Value::as_u64);
    scale.or_else(|| service.pointer("/deploy/replicas").and_then(Value::as_u64)).unwrap_or(1)
}

fn each_host_path(project: &mut Value, seen: &mut impl FnMut(&mut String)) {
    fn text(object: &mut Map<String, Value>, key: &str, seen: &mut impl FnMut(&mut String)) {
        if let Some(Value::String(path)) = object.get_mut(key) {
            seen(path);
        }
    }
    for (_, service) in project.get_mut("services").and_then(Value::as_object_mut).into_iter().flatten() {
        for volume in service.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(volume) = volume.as_object_mut()
                && volume.get("type").and_then(Value::as_str) == Some("bind")
            {
                text(volume, "source", seen);
            }
        }
    }
    for kind in ["configs", "secrets"] {
        for (_, file) in project.get_mut(kind).and_then(Value::as_object_mut).into_iter().flatten() {
            if let Some(file) = file.as_object_mut() {
                text(file, "file", seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(digit: char) -> ImageId {
        ImageId::new(format!("sha256:{}", digit.to_string().repeat(64))).expect("an image")
    }

    fn resolved() -> Resolved {
        Resolved(json!({
            "name": "shop",
            "services": {
                "web": {
                    "build": { "context": "/srv/shop/releases/1" },
                    "volumes": [
                        { "type": "bind", "source": "/srv/shop/releases/1/conf", "target": "/conf" },
                        { "type": "volume", "source": "data", "target": "/data" },
                    ],
                },
                "db": { "image": "postgres:15", "pull_policy": "always", "profiles": ["data"] },
                "off": { "image": "x", "scale": 0 },
                "away": { "image": "x", "deploy": { "replicas": 0 } },
            },
            "secrets": { "key": { "file": "/srv/shop/releases/1/key" } },
        }))
    }

    #[test]
    fn what_is_pinned_has_digests_for_names_and_nothing_to_build_or_pull() {
        let mut resolved = resolved();
        assert!(resolved.is_built());
        let wanted = BTreeMap::from([("db".into(), "postgres:15".into()), ("web".into(), "shop-web".into())]);
        assert_eq!(resolved.images("shop"), wanted);
        let paths = ["/srv/shop/releases/1/conf", "/srv/shop/releases/1/key"].map(PathBuf::from);
        assert_eq!(resolved.host_paths(), paths);
        let images = BTreeMap::from([("db".to_owned(), image('a')), ("web".to_owned(), image('b'))]);
        resolved.pin(&images, &BTreeMap::from([(paths[0].clone(), PathBuf::from("/kept/conf"))]));
        let again = Resolved::parse(&resolved.to_bytes()).expect("read again");
        assert_eq!(again.images("shop")["web"], image('b').as_str());
        assert!(!again.is_built() && !String::from_utf8_lossy(&again.to_bytes()).contains("pull_policy"));
        assert_eq!(again.0["services"]["db"].get("profiles"), None, "it is asked for no more");
        assert_eq!(again.host_paths(), [PathBuf::from("/kept/conf"), paths[1].clone()]);
        assert_eq!(again.0["services"]["web"]["volumes"][1]["source"], "data", "volumes keep their names");
    }
}

//! A Compose project as `docker compose config` resolves it, and how it stands. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::port::ImageId;
use serde_json::{Map, Value};

/// The file of a release that holds its project, resolved and pinned.
pub(super) const PINNED: &str = "compose.pleach.json";

/// The names that `docker compose` looks for.
pub(super) const USUAL: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// A project, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Composed(Value);

impl Composed {
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
        self.services().any(|(_, service)| service.get("build").is_some_and(|build| !build.is_null()))
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

/// What `docker ps` is asked of each container, between tabs.
pub(super) const MEMBER: &str = "{{.Label \"com.docker.compose.service\"}}\t{{.State}}\t{{.Status}}\t\
{{.Label \"com.docker.compose.image\"}}\t{{.Label \"com.docker.compose.project.working_dir\"}}\t{{.Names}}";

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) service: String,
    state: String,
    status: String,
    image: String,
    /// Where its project was started.
    pub(super) directory: PathBuf,
    pub(super) name: String,
}

impl Member {
    /// From the lines that [`MEMBER`] gives.
    pub(super) fn parse(text: &str) -> Vec<Self> {
        let member = |line: &str| {
            let mut parts = line.split('\t').map(str::to_owned);
            Some(Self {
                service: parts.next()?,
                state: parts.next()?,
                status: parts.next()?,
                image: parts.next()?,
                directory: parts.next()?.into(),
                name: parts.next()?,
            })
        };
        text.lines().filter_map(member).collect()
    }

    /// Whether it runs, however well.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "running" | "restarting" | "paused")
    }

    /// Not even in time: an end that nobody starts again, or a health that was given up.
    fn is_lost(&self) -> bool {
        let ended = matches!(self.state.as_str(), "exited" | "dead" | "removing") && !self.has_finished();
        ended || self.status.contains("(unhealthy)")
    }

    fn has_finished(&self) -> bool {
        self.state == "exited" && self.status.starts_with("Exited (0)")
    }

    fn is_well(&self) -> bool {
        let waits = ["(unhealthy)", "(health: starting)", "(Paused)"].iter().any(|word| self.status.contains(word));
        self.has_finished() || (self.state == "running" && !waits)
    }

    fn told(&self) -> String {
        let what = match self.state.as_str() {
            "running" if self.status.contains("(healthy)") => "healthy".to_owned(),
            "running" if self.status.contains("(unhealthy)") => "unhealthy".to_owned(),
            "running" if self.status.contains("(health: starting)") => "not healthy yet".to_owned(),
            "running" => "runs".to_owned(),
            "exited" => {
                let code = self.status.split(['(', ')']).nth(1).unwrap_or("?");
                format!("ended with {code}")
            }
            other => other.to_owned(),
        };
        format!("{} {what}", self.service)
    }
}

/// How a project stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// All of it runs the images that it should, healthy where it can tell, or has ended with 0.
    Well(String),
    /// Not all of it yet.
    Waits(String),
    /// It will not come: the services that are to blame.
    Lost(String, Vec<String>),
}

/// Judges what was seen of the services of a release.
pub(super) fn judge(services: &BTreeMap<String, ImageId>, members: &[Member]) -> Standing {
    let (mut told, mut lost, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for (service, image) in services {
        let own: Vec<&Member> = members.iter().filter(|member| member.service == *service).collect();
        if own.is_empty() {
            waits.push(format!("{service} has no container"));
        }
        for member in own {
            if member.is_lost() {
                lost.push((member.told(), service.clone()));
            } else if member.image != image.as_str() {
                waits.push(format!("{service} runs another image"));
            } else if !member.is_well() {
                waits.push(member.told());
            }
            told.push(member.told());
        }
    }
    if !lost.is_empty() {
        let names = lost.iter().map(|(_, service)| service.clone()).collect();
        return Standing::Lost(lost.into_iter().map(|(told, _)| told).collect::<Vec<_>>().join(", "), names);
    }
    if waits.is_empty() { Standing::Well(told.join(", ")) } else { Standing::Waits(waits.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(digit: char) -> ImageId {
        ImageId::new(format!("sha256:{}", digit.to_string().repeat(64))).expect("an image")
    }

    fn composed() -> Composed {
        Composed(json!({
            "name": "shop",
            "services": {
                "web": {
                    "build": { "context": "/srv/shop/releases/1" },
                    "volumes": [
                        { "type": "bind", "source": "/srv/shop/releases/1/conf", "target": "/conf" },
                        { "type": "volume", "source": "data", "target": "/data" },
                    ],
                },
                "db": { "image": "postgres:15", "pull_policy": "always" },
                "off": { "image": "x", "scale": 0 },
                "away": { "image": "x", "deploy": { "replicas": 0 } },
            },
            "secrets": { "key": { "file": "/srv/shop/releases/1/key" } },
        }))
    }

    #[test]
    fn what_is_pinned_has_digests_for_names_and_nothing_to_build_or_pull() {
        let mut composed = composed();
        assert!(composed.is_built());
        let wanted = BTreeMap::from([("db".into(), "postgres:15".into()), ("web".into(), "shop-web".into())]);
        assert_eq!(composed.images("shop"), wanted);
        let paths = ["/srv/shop/releases/1/conf", "/srv/shop/releases/1/key"].map(PathBuf::from);
        assert_eq!(composed.host_paths(), paths);
        let images = BTreeMap::from([("db".to_owned(), image('a')), ("web".to_owned(), image('b'))]);
        composed.pin(&images, &BTreeMap::from([(paths[0].clone(), PathBuf::from("/kept/conf"))]));
        let again = Composed::parse(&composed.to_bytes()).expect("read again");
        assert_eq!(again.images("shop")["web"], image('b').as_str());
        assert!(!again.is_built() && !String::from_utf8_lossy(&again.to_bytes()).contains("pull_policy"));
        assert_eq!(again.host_paths(), [PathBuf::from("/kept/conf"), paths[1].clone()]);
        assert_eq!(again.0["services"]["web"]["volumes"][1]["source"], "data", "volumes keep their names");
    }

    #[test]
    fn a_project_stands_once_each_service_does() {
        let services = BTreeMap::from([("db".to_owned(), image('a')), ("init".to_owned(), image('a'))]);
        let line = |service: &str, state: &str, status: &str, image: &ImageId| {
            format!("{service}\t{state}\t{status}\t{image}\t/srv\tshop-{service}-1\n")
        };
        let judged = |text: &[String]| judge(&services, &Member::parse(&text.concat()));
        let init = line("init", "exited", "Exited (0) 2 seconds ago", &image('a'));
        let well = line("db", "running", "Up 2 seconds (healthy)", &image('a'));
        assert_eq!(judged(&[init.clone(), well.clone()]), Standing::Well("db healthy, init ended with 0".into()));
        let waits = |text: &str| Standing::Waits(text.to_owned());
        assert_eq!(judged(&[well]), waits("init has no container"));
        let starting = line("db", "running", "Up 1 second (health: starting)", &image('a'));
        assert_eq!(judged(&[starting, init.clone()]), waits("db not healthy yet"));
        let other = line("db", "running", "Up 1 second", &image('b'));
        assert_eq!(judged(&[other, init.clone()]), waits("db runs another image"));
        let again = line("db", "restarting", "Restarting (1) 1 second ago", &image('a'));
        assert_eq!(judged(&[again, init.clone()]), waits("db restarting"));
        for (state, status, told) in
            [("exited", "Exited (3) now", "db ended with 3"), ("running", "Up (unhealthy)", "db unhealthy")]
        {
            let lost = Standing::Lost(told.into(), vec!["db".into()]);
            assert_eq!(judged(&[line("db", state, status, &image('a')), init.clone()]), lost);
        }
    }
}

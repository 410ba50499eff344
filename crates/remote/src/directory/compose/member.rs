//! The containers of a project, and how it stands. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::port::ImageId;
use serde::Deserialize;

use super::resolved::PINNED;

/// What `docker inspect` is asked of each container: a line of JSON.
pub(super) const MEMBER: &str = "{\"labels\":{{json .Config.Labels}},\"state\":{{json .State}},\"name\":{{json .Name}},\
\"restarts\":{{.RestartCount}},\"ports\":{{json .NetworkSettings.Ports}}}";

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::directory) struct Member {
    labels: Labels,
    state: State,
    name: String,
    pub(in crate::directory) restarts: u32,
    #[serde(default)]
    ports: Option<BTreeMap<String, Option<Vec<Published>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Labels {
    #[serde(rename = "com.docker.compose.service")]
    service: String,
    #[serde(rename = "com.docker.compose.image", default)]
    image: String,
    #[serde(rename = "com.docker.compose.project.config_files", default)]
    files: String,
    #[serde(rename = "com.docker.compose.project.working_dir", default)]
    directory: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    exit_code: i64,
    pid: u32,
    started_at: Timestamp,
    finished_at: String,
    #[serde(default)]
    health: Option<Health>,
    #[serde(rename = "OOMKilled", default)]
    out_of_memory: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Published {
    host_ip: String,
    host_port: String,
}

impl Member {
    /// From the lines that [`MEMBER`] gives.
    pub(in crate::directory) fn parse(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
    }

    pub(in crate::directory) fn service(&self) -> &str {
        &self.labels.service
    }

    pub(in crate::directory) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Where its project was started.
    pub(in crate::directory) fn directory(&self) -> &Path {
        &self.labels.directory
    }

    /// Its first process, while it has one.
    pub(in crate::directory) fn pid(&self) -> Option<u32> {
        Some(self.state.pid).filter(|pid| *pid != 0)
    }

    /// Since when it is as it is.
    pub(in crate::directory) fn since(&self) -> Timestamp {
        let ended = self.state.finished_at.parse().ok().filter(|_| !self.is_up());
        ended.unwrap_or(self.state.started_at)
    }

    /// The first address of the target that leads to it.
    pub(in crate::directory) fn address(&self) -> Option<(String, u16)> {
        let published = self.ports.iter().flatten().find_map(|(_, published)| published.as_ref()?.first())?;
        Some((published.host_ip.clone(), published.host_port.parse().ok()?))
    }

    /// Whether a release has started it, and it runs no more.
    pub(in crate::directory) fn is_left_behind(&self) -> bool {
        self.labels.files.ends_with(PINNED) && !self.is_up()
    }

    /// Whether it runs, however well.
    pub(in crate::directory) fn is_up(&self) -> bool {
        matches!(self.state.status.as_str(), "running" | "restarting" | "paused")
    }

    pub(in crate::directory) fn is_restarting(&self) -> bool {
        self.state.status == "restarting"
    }

    /// Not even in time: an end that nobody starts again, or a health that was given up.
    pub(in crate::directory) fn is_lost(&self) -> bool {
        let ended = matches!(self.state.status.as_str(), "exited" | "dead" | "removing") && !self.has_finished();
        ended || (self.state.status == "running" && self.health() == Some("unhealthy"))
    }

    /// It has done what it was for.
    pub(in crate::directory) fn has_finished(&self) -> bool {
        self.state.status == "exited" && self.state.exit_code == 0
    }

    fn health(&self) -> Option<&str> {
        self.state.health.as_ref().map(|health| health.status.as_str()).filter(|health| *health != "none")
    }

    fn is_well(&self) -> bool {
        let healthy = self.health().is_none_or(|health| health == "healthy");
        self.has_finished() || (self.state.status == "running" && healthy)
    }

    /// How it is, behind its name.
    pub(in crate::directory) fn told(&self) -> String {
        match (self.state.status.as_str(), self.health()) {
            ("running", Some("starting")) => "is not healthy yet".to_owned(),
            ("running", Some(health)) => format!("is {health}"),
            ("running", None) => "runs".to_owned(),
            ("exited" | "dead", _) if self.state.out_of_memory => {
                "ended: it asked for more memory than it may have".into()
            }
            ("exited" | "dead", _) => format!("ended with {}", self.state.exit_code),
            (other, _) => format!("is {other}"),
        }
    }
}

/// How a project stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::directory) enum Standing {
    /// All of it runs the images that it should, healthy where it can tell, or has ended with 0.
    Well(String),
    /// Not all of it yet.
    Waits(String),
    /// It will not come: the services that are to blame.
    Lost(String, Vec<String>),
}

/// Judges what was seen of the services of a release.
pub(in crate::directory) fn judge(services: &BTreeMap<String, ImageId>, members: &[Member]) -> Standing {
    let (mut told, mut lost, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for (service, image) in services {
        let own: Vec<&Member> = members.iter().filter(|member| member.service() == service).collect();
        if own.is_empty() {
            waits.push(format!("{service} has no container"));
        }
        for member in own {
            if member.is_lost() {
                lost.push((format!("{service} {}", member.told()), service.clone()));
            } else if member.labels.image != image.as_str() {
                waits.push(format!("{service} runs another image"));
            } else if !member.is_well() {
                waits.push(format!("{service} {}", member.told()));
            }
            told.push(format!("{service} {}", member.told()));
        }
    }
    if !lost.is_empty() {
        let names = lost.iter().map(|(_, service)| service.clone()).collect();
        return Standing::Lost(lost.into_iter().map(|(told, _)| told).collect::<Vec<_>>().join(", "), names);
    }
    if waits.is_empty() { Standing::Well(told.join(", ")) } else { Standing::Waits(waits.join(", ")) }
}

/// What does not run as it was pinned, however well: services without a container, and containers of another image.
pub(in crate::directory) fn astray(services: &BTreeMap<String, ImageId>, members: &[Member]) -> Vec<String> {
    let mut told = Vec::new();
    for (service, image) in services {
        let mut own = members.iter().filter(|member| member.service() == service).peekable();
        if own.peek().is_none() {
            told.push(format!("`{service}` has no container"));
        }
        let others = own.filter(|member| member.labels.image != image.as_str());
        told.extend(others.map(|member| format!("container `{}` of `{service}` runs another image", member.name())));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(digit: char) -> ImageId {
        ImageId::new(format!("sha256:{}", digit.to_string().repeat(64))).expect("an image")
    }

    #[test]
    fn a_project_stands_once_each_service_does() {
        let services = BTreeMap::from([("db".to_owned(), image('a')), ("init".to_owned(), image('a'))]);
        let line = |service: &str, status: &str, code: i64, health: Option<&str>, image: &ImageId| {
            let health = health.map(|health| json!({ "Status": health, "Log": [] }));
            let state = json!({
                "Status": status, "ExitCode": code, "Pid": 7, "StartedAt": "2026-11-22T10:00:00.5Z",
                "FinishedAt": "0001-01-01T00:00:00Z", "Health": health, "OOMKilled": false,
            });
            let labels =
                json!({ "com.docker.compose.service": service, "com.docker.compose.image": image.as_str(), "x": "y" });
            let ports = json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8080" }], "81/tcp": null });
            json!({ "labels": labels, "state": state, "name": "/shop-1", "restarts": 0, "ports": ports }).to_string()
                + "\n"
        };
        let judged = |text: &[String]| judge(&services, &Member::parse(&text.concat()).expect("read"));
        let init = line("init", "exited", 0, None, &image('a'));
        let well = line("db", "running", 0, Some("healthy"), &image('a'));
        assert_eq!(judged(&[init.clone(), well.clone()]), Standing::Well("db is healthy, init ended with 0".into()));
        let member = Member::parse(&well).expect("read").remove(0);
        assert_eq!((member.address(), member.name()), (Some(("127.0.0.1".into(), 8080)), "shop-1"));
        let waits = |text: &str| Standing::Waits(text.to_owned());
        assert_eq!(judged(&[well]), waits("init has no container"));
        let starting = line("db", "running", 0, Some("starting"), &image('a'));
        assert_eq!(judged(&[starting, init.clone()]), waits("db is not healthy yet"));
        let other = line("db", "running", 0, None, &image('b'));
        assert_eq!(judged(&[other, init.clone()]), waits("db runs another image"));
        let again = line("db", "restarting", 1, None, &image('a'));
        assert_eq!(judged(&[again, init.clone()]), waits("db is restarting"));
        for (status, code, health, told) in
            [("exited", 3, None, "db ended with 3"), ("running", 0, Some("unhealthy"), "db is unhealthy")]
        {
            let lost = Standing::Lost(told.into(), vec!["db".into()]);
            assert_eq!(judged(&[line("db", status, code, health, &image('a')), init.clone()]), lost);
        }
    }
}

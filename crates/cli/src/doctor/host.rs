//! Hosts over SSH: whether they are reached, and have what a target needs.

use std::time::{Duration, Instant};

use pleach_core::config::{ImageConfig, ServiceConfig};
use pleach_core::error::Failure;
use pleach_core::port::is_same_platform;
use pleach_core::target::{Facts, Target as _};
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};
use pleach_remote::directory::compose_version;
use pleach_remote::docker::MissingEngine;
use pleach_remote::ssh::SshTarget;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::timeout;

use super::Finding;
use crate::print::duration_text;

/// Longer than any login takes that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Certificates, logs and expiries of leases are read by clocks.
const CLOCK_OFFSET: i64 = 5;
const ROOM_WANTED: u64 = 1024 * 1024 * 1024;
const ROOM_NEEDED: u64 = 50 * 1024 * 1024;

/// What one host says of itself. `wanted` is a service that `sudo` must ask for nothing, `contained` one that is a container or has
/// some, `composed` one that is a Compose project.
pub(crate) async fn host_findings(
    environment: &EnvironmentName,
    name: &TargetName,
    target: Result<SshTarget, Failure>,
    wanted: Option<String>,
    contained: Option<(ServiceName, ServiceConfig)>,
    composed: Option<(ServiceName, ServiceConfig)>,
) -> Vec<Finding> {
    let subject = format!("{name} of {environment}");
    let begun = Instant::now();
    let probed = async {
        let target = target?;
        Ok::<_, Failure>((target.probe().await?, target))
    };
    match timeout(PATIENCE, probed).await {
        Err(_) => {
            let seen = format!("no answer within {} s", PATIENCE.as_secs());
            vec![Finding::fail(subject, seen, "see how far `ssh -v` gets")]
        }
        Ok(Err(failure)) => {
            let causes = failure.because.iter().fold(failure.what.clone(), |told, cause| format!("{told}: {cause}"));
            vec![Finding::fail(subject, causes, failure.next.unwrap_or_else(|| "see how far `ssh -v` gets".into()))]
        }
        Ok(Ok((facts, target))) => {
            let mut findings = judge(&subject, &facts, &target, begun.elapsed());
            findings.push(judge_sudo(&subject, &facts, wanted.as_deref()));
            if let Some((service, config)) = contained {
                findings.push(judge_engine(&subject, &facts, &service));
                findings.extend(config.image.and_then(|image| judge_platform(&subject, &facts, &service, &image)));
            }
            if let Some((service, config)) = composed {
                findings.push(ask_compose(&subject, &target, &service, &config).await);
            }
            findings
        }
    }
}

fn judge(subject: &str, facts: &Facts, target: &SshTarget, took: Duration) -> Vec<Finding> {
    let text = |name: &str| facts.get(name).and_then(Value::as_str).unwrap_or("?");
    let settings = target.settings();
    let reached = format!(
        "reached `{}` as {} in {}, {}",
        text("host/name"),
        text("host/user"),
        duration_text(took),
        text("host/system")
    );
    let mut findings = vec![Finding::ok(subject, reached)];
    if let Some(offset) = facts.get("host/clock-offset").and_then(Value::as_i64) {
        let way = if offset < 0 { "behind" } else { "ahead" };
        findings.push(match offset.abs() {
            off if off > CLOCK_OFFSET => Finding::warn(
                format!("clock of {subject}"),
                format!("{off} s {way} of this machine's"),
                "set both by the network: `timedatectl set-ntp true`",
            ),
            _ => Finding::ok(format!("clock of {subject}"), "as this machine's"),
        });
    }
    if let Some(free) = facts.get("host/free-bytes").and_then(Value::as_u64) {
        let (what, seen) = (format!("disk of {subject}"), format!("{} MB free", free / 1_000_000));
        let mend = format!("make room for `{}`: `df -h`", settings.path.display());
        findings.push(match free {
            free if free < ROOM_NEEDED => Finding::fail(what, seen, mend),
            free if free < ROOM_WANTED => Finding::warn(what, seen, mend),
            _ => Finding::ok(what, seen),
        });
    }
    if let Some(missing) = facts.get("host/missing").and_then(Value::as_array) {
        let names: Vec<&str> = missing.iter().filter_map(Value::as_str).collect();
        findings.push(Finding::fail(
            format!("programs of {subject}"),
            format!("it has no {}", names.join(", ")),
            "sudo apt-get install coreutils findutils tar util-linux",
        ));
    }
    findings.push(match facts.get("program/missing").and_then(Value::as_str) {
        None => Finding::ok(format!("pleach of {subject}"), format!("`{}`", settings.program.display())),
        Some(_) if facts.get("program/install") == Some(&Value::Bool(true)) => {
            Finding::ok(format!("pleach of {subject}"), "put there by the first deployment that needs it")
        }
        Some(why) => Finding::warn(
            format!("pleach of {subject}"),
            format!("{why}: services with `run` cannot be kept running"),
            "install Pleach there, and name it as `program`",
        ),
    });
    findings
}

/// Whether the host's Docker engine can be asked to run a service's container.
fn judge_engine(subject: &str, facts: &Facts, service: &ServiceName) -> Finding {
    let subject = format!("docker of {subject}");
    let missing = facts.get("docker/missing").and_then(|missing| MissingEngine::deserialize(missing).ok());
    let advice = |missing: &MissingEngine| format!("there: {}", missing.advice(|command| format!("`{command}`")));
    match &missing {
        None => Finding::ok(subject, format!("its engine can be asked to run `{service}`")),
        Some(missing @ MissingEngine::Rights) => Finding::fail(
            subject,
            format!("the user may not use its engine, and `{service}` is a container"),
            advice(missing),
        ),
        Some(missing @ MissingEngine::Old { api }) => Finding::fail(
            subject,
            format!("its engine is too old: it speaks API {api}, and `{service}` is a container"),
            advice(missing),
        ),
        Some(missing @ MissingEngine::Absent) => Finding::fail(
            subject,
            format!("it has no Docker engine that listens, and `{service}` is a container"),
            advice(missing),
        ),
    }
}

/// Whether images can be made for what the host's engine runs; nothing where it has not told that.
fn judge_platform(subject: &str, facts: &Facts, service: &ServiceName, image: &ImageConfig) -> Option<Finding> {
    let platform = |name: &str| facts.get(name).and_then(Value::as_str);
    let (runs, subject) = (platform("docker/platform")?, format!("platform of {subject}"));
    if !image.platforms.is_empty() && !image.platforms.iter().any(|named| is_same_platform(named, runs)) {
        return Some(Finding::fail(
            subject,
            format!("its engine runs {runs}, and `{service}` has images for {}", image.platforms.join(", ")),
            format!("add it: `services.{service}.image.platforms`"),
        ));
    }
    let builder = platform("docker/builder")?;
    Some(if is_same_platform(runs, builder) {
        Finding::ok(subject, format!("{runs}, as where images are built"))
    } else {
        let processor = runs.split('/').nth(1).unwrap_or_default();
        Finding::warn(
            subject,
            format!(
                "its engine runs {runs}, and images are built on {builder}: a build that runs programs needs QEMU there"
            ),
            format!("where images are built: `docker run --privileged --rm tonistiigi/binfmt --install {processor}`"),
        )
    })
}

/// Whether the host has a `docker compose` that can run a service's project.
async fn ask_compose(subject: &str, target: &SshTarget, service: &ServiceName, config: &ServiceConfig) -> Finding {
    let subject = format!("compose of {subject}");
    let Some(shell) = target.shell() else { return Finding::fail(subject, "it runs no commands", "") };
    match compose_version(shell, config, target.settings().docker_socket.as_deref()).await {
        Ok(Ok(version)) => Finding::ok(subject, format!("{version} can run `{service}`")),
        Ok(Err(why)) => Finding::fail(
            subject,
            format!("{why}, and `{service}` is a Compose project"),
            "there: `sudo apt-get install docker-compose-plugin`, or Debian's `docker-compose` of 2.22 or newer",
        ),
        Err(failure) => Finding::fail(subject, failure.what, failure.next.unwrap_or_default()),
    }
}

fn judge_sudo(subject: &str, facts: &Facts, wanted: Option<&str>) -> Finding {
    let subject = format!("sudo of {subject}");
    match (facts.get("host/sudo") == Some(&Value::Bool(true)), wanted) {
        (true, _) => Finding::ok(subject, "asks for no password"),
        (false, None) => Finding::ok(subject, "asks for a password, or is not there"),
        (false, Some(service)) => Finding::fail(
            subject,
            format!("asks for a password, or is not there, and service `{service}` uses it"),
            "name the password as `sudo-password` of the target, or allow it without: `sudo visudo`, `NOPASSWD:`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pleach_remote::ssh::{Destination, Link, SshSettings};
    use serde_json::json;

    use super::*;
    use crate::doctor::Level;

    #[test]
    fn what_a_host_lacks_is_told_with_what_mends_it() {
        let settings = SshSettings {
            host: "uat".into(),
            path: "/srv/app".into(),
            port: None,
            user: None,
            config: None,
            program: "/usr/bin/pleach".into(),
            install: false,
            docker_socket: None,
            limits: pleach_core::config::HostLimits::default(),
            total_limits: pleach_core::config::TotalLimits::default(),
        };
        let (environment, name) = ("uat".parse().expect("a name"), "vm".parse().expect("a name"));
        let link: Arc<Link> = Link::to(Destination::new("uat"));
        let target = SshTarget::new(environment, name, settings, link);
        let facts = |clock: i64, free: u64| {
            Facts::from([
                ("host/clock-offset".to_owned(), json!(clock)),
                ("host/free-bytes".to_owned(), json!(free)),
                ("host/missing".to_owned(), json!(["flock"])),
                ("program/missing".to_owned(), json!("there is no `/usr/bin/pleach`")),
            ])
        };
        let levels = |facts: &Facts| -> Vec<Level> {
            judge("vm of uat", facts, &target, Duration::ZERO).iter().map(|finding| finding.level).collect()
        };
        use Level::{Fail, Ok, Warn};
        assert_eq!(levels(&facts(-3600, 1)), [Ok, Warn, Fail, Fail, Warn]);
        assert_eq!(levels(&facts(2, 100_000_000)), [Ok, Ok, Warn, Fail, Warn]);
        assert_eq!(levels(&Facts::new()), [Ok, Ok], "nothing is claimed of what was not told");
    }

    #[test]
    fn a_platform_that_no_image_is_for_is_wrong_and_one_that_needs_help_is_told() {
        let service: ServiceName = "web".parse().expect("a name");
        let level = |platforms: &[&str], runs: &str, builder: &str| {
            let image: ImageConfig = serde_json::from_value(json!({ "platforms": platforms })).expect("a config");
            let facts = [("docker/platform", runs), ("docker/builder", builder)];
            let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
            let facts: Facts = known.map(|(name, value)| (name.to_owned(), json!(value))).collect();
            judge_platform("vm of uat", &facts, &service, &image).map(|finding| finding.level)
        };
        use Level::{Fail, Ok, Warn};
        let (amd, arm) = ("linux/amd64", "linux/arm64");
        assert_eq!(level(&[], amd, amd), Some(Ok));
        assert_eq!(level(&[], arm, amd), Some(Warn));
        assert_eq!(level(&[amd], arm, amd), Some(Fail));
        assert_eq!(level(&[amd, arm], arm, arm), Some(Ok));
        assert_eq!((level(&[], "", amd), level(&[], arm, "")), (None, None), "nothing is claimed of what was not told");
    }

    #[test]
    fn a_sudo_that_asks_is_wrong_only_where_nobody_answers_it() {
        let facts = |free: bool| Facts::from([("host/sudo".to_owned(), json!(free))]);
        let level = |free, wanted| judge_sudo("vm of uat", &facts(free), wanted).level;
        assert_eq!((level(false, None), level(true, Some("web"))), (Level::Ok, Level::Ok));
        assert_eq!(level(false, Some("web")), Level::Fail);
    }
}

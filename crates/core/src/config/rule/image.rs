//! A service with an image runs nothing else, and its container can be made.

use super::Finding;
use super::location::{leads_outside, outside};
use super::process::variable_name;
use super::volume::{is_plain, is_volume_name};
use crate::config::{Config, ImageConfig, KeyPath, ServiceConfig};
use crate::size::Size;

/// The least that engines give a container.
const LEAST_MEMORY: Size = Size(6 << 20);

pub(super) fn images_can_run(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str()]);
        if let Some(image) = &service.image {
            runs_nothing_else(&key, service, found);
            self::image(&key, service, image, found);
        }
    }
}

fn runs_nothing_else(key: &KeyPath, service: &ServiceConfig, found: &mut Vec<Finding>) {
    let others = [
        ("build", service.build.is_some(), "expected what it does in the Dockerfile"),
        ("run", service.run.is_some(), "expected `command` in `image`, or what the Dockerfile says"),
        ("start", service.start.is_some(), "expected `image` alone"),
        ("stop", service.stop.is_some(), "expected `image` alone"),
        ("shared", !service.shared.is_empty(), "expected `volumes` in `image`"),
    ];
    for (other, _, expected) in others.into_iter().filter(|(_, present, _)| *present) {
        let what = format!("`image` and `{other}` exclude each other");
        found.push(Finding::new(key.at(other), what).at_key().because_of(key.at("image")).expected(expected));
    }
}

fn image(key: &KeyPath, service: &ServiceConfig, image: &ImageConfig, found: &mut Vec<Finding>) {
    let within = key.at("image");
    if service.port.is_some() && image.port.is_none() {
        let what = "nothing tells which port of the container `port` leads to";
        let finding = Finding::new(within.at("port"), what).at_key().because_of(key.at("port"));
        found.push(finding.expected("expected `port` in `image` beside it"));
    }
    if let Some(why) = leads_outside(&image.file) {
        found.push(outside(within.at("file"), &image.file, why, "the service's directory"));
    }
    found.extend(image.arguments.keys().filter_map(|name| variable_name(&within.at("arguments"), name)));
    for id in image.secrets.keys().filter(|id| !is_plain(id)) {
        let finding =
            Finding::new(within.at("secrets").at(id.as_str()), format!("`{id}` cannot be an `id` in a Dockerfile"));
        found.push(
            finding.at_key().expected("expected letters, digits, `_`, `-` and `.`, with one of the first two in front"),
        );
    }
    for (at, platform) in image.platforms.iter().enumerate().filter(|(_, platform)| !is_platform(platform)) {
        let finding = Finding::new(within.at("platforms").at(at), format!("`{platform}` is no platform"));
        found.push(finding.expected("expected a system and a processor as Docker calls them, such as `linux/arm64`"));
    }
    if let Some(memory) = image.memory.filter(|memory| *memory < LEAST_MEMORY) {
        let finding = Finding::new(within.at("memory"), format!("{memory} are too little for any container"));
        found.push(finding.expected(format!("expected at least {LEAST_MEMORY}")));
    }
    for (at, volume) in image.volumes.iter().enumerate() {
        if let Some(why) = wrong_volume(volume) {
            let finding = Finding::new(within.at("volumes").at(at), format!("`{volume}` {why}"));
            found.push(
                finding
                    .expected("expected `NAME:/PATH` or `/FOLDER:/PATH`, with `:ro` behind it where it is only read"),
            );
        }
    }
}

/// `SYSTEM/PROCESSOR`, or with its variant behind that.
fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(is_word)
}

/// As the engine reads it: a name or a folder of the target, a path in the container, and how it may be used.
fn wrong_volume(volume: &str) -> Option<&'static str> {
    let mut parts = volume.split(':');
    let (source, place, mode) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    match (source, place) {
        (_, None) => Some("names no path in the container"),
        (_, Some(place)) if !place.starts_with('/') || place == "/" => Some("has no path in the container behind `:`"),
        _ if !is_volume_name(source) && !source.starts_with('/') => {
            Some("begins with neither a name nor an absolute path")
        }
        _ if parts.next().is_some() => Some("has too many parts"),
        _ if mode.is_some_and(|mode| !matches!(mode, "ro" | "rw" | "z" | "Z")) => Some("ends with something unknown"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_secrets_are_written_as_a_dockerfile_takes_them() {
        for (id, good) in [("pip", true), ("npm_token-1.x", true), ("", false), ("a,b", false), ("../x", false)] {
            assert_eq!(is_plain(id), good, "{id}");
        }
    }

    #[test]
    fn platforms_are_written_as_docker_writes_them() {
        for (text, good) in [
            ("linux/amd64", true),
            ("linux/arm/v7", true),
            ("amd64", false),
            ("linux/", false),
            ("Linux/amd64", false),
            ("linux/arm/v7/x", false),
        ] {
            assert_eq!(is_platform(text), good, "{text}");
        }
    }

    #[test]
    fn volumes_are_written_as_the_engine_reads_them() {
        for good in ["data:/var/lib/x", "/srv/x:/x:ro", "a.b_c-d:/x:rw"] {
            assert_eq!(wrong_volume(good), None, "{good}");
        }
        for bad in ["data", "data:x", ":/x", "./x:/x", "data:/", "a b:/x", "data:/x:maybe", "a:/b:ro:x"] {
            assert!(wrong_volume(bad).is_some(), "{bad}");
        }
    }
}

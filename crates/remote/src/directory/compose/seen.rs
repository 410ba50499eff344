//! The images that releases of a project are made of, as `docker` tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, ImageId, NoLines, Shell};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::line::docker;
use super::project::unasked;
use crate::directory::release::ReleaseSpec;
use crate::docker::{SeenImage, label};

/// What `docker image inspect` says of one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: ImageId,
    #[serde(default)]
    repo_tags: Option<BTreeSet<String>>,
    #[serde(default)]
    created: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Those of these images that the engine of a project has; of the others it is not told that they are gone.
fn seen_line(socket: Option<&Path>, images: &BTreeSet<ImageId>) -> String {
    let (docker, ids) = (docker(socket), images.iter().map(ImageId::as_str).collect::<Vec<_>>().join(" "));
    format!(
        "{docker} version --format x >/dev/null && {{ {docker} image inspect --format '{{{{json .}}}}' {ids} 2>/dev/null || :; }}"
    )
}

fn parse(text: &str) -> Result<Vec<SeenImage>, serde_json::Error> {
    let image = |line: &str| {
        let Inspected { id, repo_tags, created, size, config } = serde_json::from_str(line)?;
        let mut labels = config.and_then(|config| config.labels).unwrap_or_default();
        Ok(SeenImage {
            id,
            names: repo_tags.unwrap_or_default(),
            version: labels.remove(label::VERSION),
            commit: labels.remove(label::COMMIT),
            created: created.parse().ok(),
            size,
            containers: BTreeSet::new(),
        })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(image).collect()
}

/// Asks the engine of a release's project for these images.
pub(in crate::directory) async fn seen_images(
    shell: &dyn Shell,
    spec: &ReleaseSpec,
    images: &BTreeSet<ImageId>,
) -> Result<Vec<SeenImage>, Failure> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |because: String| {
        Failure::new(Kind::Rejected, format!("could not see the images of `{}`", spec.service)).because(because)
    };
    let command = unasked(spec, &seen_line(spec.docker_socket.as_deref(), images));
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    if !output.succeeded() {
        return Err(failed("its engine does not answer".into()).output(output.last_lines()));
    }
    parse(&String::from_utf8_lossy(&output.stdout)).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_tells_of_images_is_read_and_what_it_does_not_know_is_not_there() {
        let id = format!("sha256:{}", "ab".repeat(32));
        let text = format!(
            "{{\"Id\":\"{id}\",\"RepoTags\":[\"db:1\"],\"Created\":\"2026-11-22T08:00:00.5Z\",\"Size\":7,\
             \"Config\":{{\"Labels\":null}}}}\n\n"
        );
        let seen = parse(&text).expect("images");
        assert_eq!((seen.len(), seen[0].id.as_str(), seen[0].size), (1, id.as_str(), 7));
        assert!(seen[0].names.contains("db:1") && seen[0].created.is_some() && seen[0].version.is_none());
        assert!(parse("\n").expect("none").is_empty());
        parse("{}").expect_err("no image");
    }
}

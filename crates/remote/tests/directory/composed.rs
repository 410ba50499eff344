//! Faults around the calls that a Compose project makes while it is deployed: it ends all-new or all-old, and the report says which.

use std::collections::BTreeSet;
use std::time::Duration;

use pleach_core::testing::faulty::Fault;

use crate::faults::Told;
use crate::machine::{Came, Scene, require_both, trial};
use crate::project::{Form, Project};

const NAME: &str = "composed::a_fault_at_any_call_while_a_project_is_deployed_ends_all_new_or_all_old";

/// What a step or snapshot may take where a call of it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(8);

/// Of the cases every so many is tried, always the same ones; 1 tries all.
const STRIDE: usize = 31;

/// The one service that answers, and one that only ends.
pub(crate) const COMPOSE: &str = r#"services:
  web:
    image: base:1
    command: ["/bin/busybox", "sh", "-c", "printf %s ${PLEACH_RELEASE} >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www"]
    ports: ["127.0.0.1:${PORT}:8080"]
    volumes: ["./version:/version:ro"]
    stop_signal: SIGKILL
  init:
    image: base:1
    command: ["/bin/echo", "done"]
"#;

/// What `docker compose` needs to be found, where it is not the system's.
pub(crate) fn environment() -> String {
    let config = pleach_testbed::compose::ensure().unwrap_or_else(|why| panic!("{why}"));
    config.map(|config| format!("environment = {{ DOCKER_CONFIG = \"{}\" }}\n", config.display())).unwrap_or_default()
}

fn docker(arguments: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(arguments).output().expect("`docker` runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Containers with how they are, names of images, and what is kept of files.
fn seen(project: &Project) -> BTreeSet<String> {
    let containers = docker(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    let images = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mounts = std::fs::read_dir(project.service().join(".pleach/mounts")).into_iter().flatten().flatten();
    let mounts = mounts.map(|entry| entry.file_name().to_string_lossy().into_owned());
    containers.lines().chain(images.lines()).map(str::to_owned).chain(mounts).collect()
}

/// The release that answers on the public port.
fn answer(project: &Project) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", project.port)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

async fn deploy(scene: &mut Scene, fault: Option<(usize, Fault)>, at: &str) -> Came {
    let before = seen(&scene.project);
    let came = scene.deploy(fault, at).await;
    assert_eq!(answer(&scene.project), *came.wanted(), "{}", came.about);
    if came.told == Told::Old && !came.pruned {
        assert_eq!(seen(&scene.project), before, "{}", came.about);
    }
    came
}

#[test]
fn a_fault_at_any_call_while_a_project_is_deployed_ends_all_new_or_all_old() {
    let picks = |calls: &[String]| (0..calls.len()).filter(|at| calls[*at] == "shell.run").collect();
    require_both(trial(NAME, STRIDE, STEP_LIMIT, || Project::new(Form::Composed), picks, deploy));
}

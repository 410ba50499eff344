//! A Compose project goes from UAT to production as it is: the very images, whatever their names mean by then.

use std::collections::BTreeMap;
use std::process::Command;

use pleach_testbed::docker::{DockerBed, Engine};
use pleach_testbed::registry::Registry;
use serde_json::Value;

use crate::composed::project;
use crate::scene::told_in_four_parts;

/// One service is built on the target, one comes from a registry, and one runs only where its profile is asked for.
const COMPOSE: &str = r#"services:
  front:
    build: .
    command: ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
    ports: ["${HOST:?}:${PORT:?}:8080"]
    stop_signal: SIGKILL
  db:
    image: REGISTRY/base:1
    command: ["/bin/sleep", "100000"]
    stop_signal: SIGKILL
  worker:
    image: REGISTRY/jobs:1
    profiles: [jobs]
    command: ["/bin/sleep", "100000"]
    stop_signal: SIGKILL
"#;

const MORE: &str = "services:\n  db: {environment: {WORD: more}}\n";

fn docker(engine: &Engine, words: &[&str]) {
    let host = format!("unix://{}", engine.socket().display());
    let output = Command::new("docker").env("DOCKER_HOST", host).args(words).output().expect("`docker` runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ask(engine: &Engine, path: &str) -> Value {
    let answer = engine.ask("GET", path, "", &[]).expect("the engine answers");
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

/// The image that each service's container is made of.
fn images(engine: &Engine) -> BTreeMap<String, String> {
    let all = ask(engine, "/containers/json?all=1");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |one: &Value| (text(&one["Labels"]["com.docker.compose.service"]), text(&one["ImageID"]));
    all.as_array().expect("a list").iter().map(of).collect()
}

/// Where the names of channels lead, by tag: of the one image that the project builds.
fn named(engine: &Engine) -> BTreeMap<String, String> {
    let all = ask(engine, "/images/json");
    let mut named = BTreeMap::new();
    for image in all.as_array().expect("a list") {
        let names = image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let tags = names.filter_map(|name| name.rsplit_once(':')).filter(|(called, tag)| {
            let is_of_channel = tag.starts_with("uat-") || tag.starts_with("prod-");
            assert!(!is_of_channel || *called == "alpha-front", "{called}:{tag}");
            is_of_channel
        });
        let image = image["Id"].as_str().unwrap_or_default();
        named.extend(tags.map(|(_, tag)| (tag.to_owned(), image.to_owned())));
    }
    named
}

#[test]
fn production_runs_the_images_of_uat_whatever_their_names_mean_by_then() {
    let Some(bed) = DockerBed::new() else { return };
    let registry = Registry::start(false);
    let host = format!("{}:{}", bed.machine().origin(), registry.port());
    let Some(mut dock) = project(&COMPOSE.replace("REGISTRY", &host)) else { return };
    dock.machine().reach_all();
    dock.scene.commit("alpha", "more.yml", Some(MORE));
    dock.scene.commit("alpha", "VERSION", Some("1.0.0\n"));
    let file = dock.scene.root().join("pleach.toml");
    let own = "compose = { files = [\"compose.yml\", \"more.yml\"], profiles = [\"jobs\"], parts = { web = [\"front\"] }, \
               pull = \"always\" }";
    let config = std::fs::read_to_string(&file).expect("a config").replace("compose = {}", own);
    let uat = "[environments.uat]\n";
    std::fs::write(&file, config.replace(uat, &format!("{uat}channel = \"uat\"\n"))).expect("written");
    dock.target(&format!(
        "[environments.prod]\nchannel = \"prod\"\nconsent = \"yes\"\npromote-from = \"uat\"\non-failure = \"unwind-run\"\nretry = {{ attempts = 1 }}\n\
         [environments.prod.targets.here]\nkind = \"directory\"\npath = \"../prod\"\nhost = \"{}\"\ndocker-socket = \"{}\"\n",
        bed.address(),
        bed.engine.socket().display(),
    ));
    let base = format!("{host}/base:1");
    for name in [&base, &format!("{host}/jobs:1")] {
        docker(&dock.engine, &["tag", "base:1", name]);
        docker(&dock.engine, &["push", "--quiet", name]);
    }
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answer("alpha"), Some(1), "{}", said.stderr);
    let proven = images(&dock.engine);
    assert_eq!(proven.keys().collect::<Vec<_>>(), ["db", "front", "worker"], "{}", said.stderr);
    let inspected = |service: &str| ask(&dock.engine, &format!("/containers/alpha-{service}-1/json"));
    assert!(inspected("db")["Config"]["Env"].to_string().contains("WORD=more"));
    let started = || ["front", "worker"].map(|service| inspected(service)["State"]["StartedAt"].clone());
    let before = started();
    dock.scene.ends(0, &["restart", "uat", "alpha", "--part", "web", "--yes"]);
    let after = started();
    assert!(after[0] != before[0] && after[1] == before[1], "{before:?} {after:?}");

    // The name means something else from now on.
    let move_name = |to: &str| {
        docker(&dock.engine, &["tag", to, &base]);
        docker(&dock.engine, &["push", "--quiet", &base]);
    };
    move_name(&proven["front"]);
    let promote = ["promote", "uat", "prod", "--yes", "-v"];
    let builder = std::mem::replace(&mut dock.scene.variables[0].1, "unix:///nowhere/docker.sock".into());
    let refused = dock.scene.pleach(&promote);
    assert!(refused.code == 100 || refused.code == 102, "{} {}", refused.code, refused.stderr);
    assert!(refused.stderr.contains("that of `front` was built where it was proven"), "{}", refused.stderr);
    told_in_four_parts(&refused);
    dock.scene.variables[0].1 = builder;
    registry.cut_after(0);
    let failed = dock.scene.ends(110, &promote);
    assert!(failed.stderr.contains("could not pull the proven images"), "{}", failed.stderr);
    told_in_four_parts(&failed);
    assert_eq!(images(&bed.engine), BTreeMap::new());
    registry.mend();
    let said = dock.scene.ends(0, &promote);
    assert_eq!(images(&bed.engine), proven, "{}", said.stderr);
    let names = ask(&bed.engine, "/images/json").to_string();
    assert!(!names.contains("alpha-front:latest"), "nothing is built there: {names}");
    let all = |tags: &[&str], image: &str| -> BTreeMap<String, String> {
        tags.iter().map(|tag| ((*tag).to_owned(), image.to_owned())).collect()
    };
    assert_eq!(named(&dock.engine), all(&["uat-latest", "uat-v1.0.0"], &proven["front"]), "{}", said.stderr);
    let promoted = all(&["prod-latest", "prod-v1.0.0"], &proven["front"]);
    assert_eq!(named(&bed.engine), promoted, "{}", said.stderr);
    let listed = dock.scene.ends(0, &["--json", "images", "uat"]).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap_or_else(|error| panic!("{error}: {listed}"));
    let rows = listed["images"].as_array().expect("a list");
    let [built, pulled] = rows.as_slice() else { panic!("{listed:#}") };
    assert_eq!((built["image"].as_str(), built["version"].as_str()), (Some(&*proven["front"]), Some("1.0.0")));
    assert!(built["names"].to_string().contains("\"alpha-front:uat-latest\""), "{listed:#}");
    assert!(built["commit"].is_string() && pulled["commit"].is_null(), "{listed:#}");
    assert!([built, pulled].iter().all(|image| image["current"].is_string()), "{listed:#}");
    assert!(dock.scene.ends(0, &promote).stdout.contains("nothing to do"));

    // Names are followed where it is deployed; and what is not where images are built comes back to there.
    dock.version_of("alpha", 2);
    dock.scene.commit("alpha", "VERSION", Some("2.0.0\n"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let second = images(&dock.engine);
    assert_eq!((named(&dock.engine).len(), &named(&dock.engine)["uat-latest"]), (3, &second["front"]));
    assert_eq!(second["db"], proven["front"], "`pull` is `always`");
    dock.scene.variables[0].1 = format!("unix://{}", bed.engine.socket().display());
    let said = dock.scene.ends(0, &promote);
    assert!(said.stderr.contains("came back from `vm` of `uat`"), "{}", said.stderr);
    assert_eq!(images(&bed.engine), second, "{}", said.stderr);
    assert_eq!((named(&bed.engine).len(), &named(&bed.engine)["prod-v2.0.0"]), (3, &second["front"]));
    dock.scene.ends(0, &["rollback", "prod", "--yes"]);
    assert_eq!((images(&bed.engine), named(&bed.engine)), (proven, promoted));

    // Of several files the one that is wrong is named.
    for (wrong, told) in [
        ("services:\n  db:\n\timage: x\n", "`more.yml`, line 3: yaml: line 3"),
        (
            "services:\n  db:\n    networks:\n      - nowhere\n",
            "`more.yml`, line 4: service \"db\" refers to undefined",
        ),
    ] {
        dock.scene.commit("alpha", "more.yml", Some(wrong));
        let refused = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    dock.scene.commit("alpha", "more.yml", Some(MORE));

    // What it is pinned in is changed by hand: no way back leads there.
    let service = dock.live().join("alpha");
    let current = std::fs::read_link(service.join("current")).expect("a link");
    let pinned = service.join(&current).join("compose.pleach.json");
    let text = std::fs::read_to_string(&pinned).expect("there");
    std::fs::write(&pinned, text.replace("WORD", "LORD")).expect("written");
    let checked = dock.scene.ends(1, &["check", "uat"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(checked.contains("was changed since: its SHA-256 begins with"), "{checked}");
    dock.version_of("alpha", 3);
    let refused = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    assert!(refused.stderr.contains("was changed since"), "{}", refused.stderr);
    told_in_four_parts(&refused);
    assert_eq!(images(&dock.engine), second);
    // A release of before, whose record says nothing of it, is believed.
    let release = current.file_name().expect("a name").to_string_lossy().into_owned();
    let record = find(&service, &format!("{release}.json"));
    let mut known: Value = serde_json::from_slice(&std::fs::read(&record).expect("a record")).expect("JSON");
    assert!(known.as_object_mut().expect("a record").remove("pinned").is_some(), "{known}");
    std::fs::write(&record, known.to_string()).expect("written");
    dock.scene.ends(0, &["check", "uat"]);
}

fn find(below: &std::path::Path, name: &str) -> std::path::PathBuf {
    let output = Command::new("find").arg(below).args(["-name", name]).output().expect("`find` runs");
    let found = String::from_utf8_lossy(&output.stdout).lines().next().map(std::path::PathBuf::from);
    found.unwrap_or_else(|| panic!("no `{name}`"))
}

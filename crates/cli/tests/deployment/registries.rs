//! Images that go through a registry: pushed once where they are built, pulled by digest where they run, and named there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use pleach_testbed::docker::DockerBed;
use pleach_testbed::registry::{PASSWORD, Registry, USER};
use rustix::process::Signal;

use crate::dock::Dock;
use crate::scene::{Said, told_in_four_parts};

struct Registered {
    dock: Dock,
    builder: DockerBed,
    registry: Registry,
    /// Of the registry, as engines reach it.
    host: String,
}

/// A machine whose engine takes images from a registry, and another engine that builds them.
fn scene(login: bool) -> Option<Registered> {
    let builder = DockerBed::new()?;
    let registry = Registry::start(login);
    let host = format!("{}:{}", builder.machine().origin(), registry.port());
    let mut dock = Dock::with(&format!(", registry = \"{host}/team\""), "")?;
    dock.machine().reach_all();
    dock.scene.variables = vec![("DOCKER_HOST".into(), format!("unix://{}", builder.engine.socket().display()))];
    Some(Registered { dock, builder, registry, host })
}

impl Registered {
    /// From now on the config names this login.
    fn login(&mut self, secret: &str) {
        let lines = format!("[registries.\"{}\"]\nuser = \"{USER}\"\npassword = \"env:{secret}\"\n", self.host);
        self.dock.target(&lines);
    }

    /// From now on the config says something else in this place.
    fn configure(&self, old: &str, new: &str) {
        let file = self.dock.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        std::fs::write(&file, config.replace(old, new)).expect("written");
        self.dock.scene.git(&["commit", "-qam", "Another config"]);
    }

    fn deploy(&self, code: i32) -> Said {
        self.dock.scene.ends(code, &["deploy", "uat", "--yes", "-v"])
    }

    /// What was told in four parts, and has left all as it was.
    fn refused(&self, words: &[&str]) -> Said {
        let before = self.dock.seen();
        let failed = self.deploy(110);
        for word in words {
            assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
        }
        told_in_four_parts(&failed);
        assert_eq!(self.dock.seen(), before, "{}", failed.stderr);
        failed
    }

    /// Where the tags of channels lead that the registry has of `alpha`.
    fn tags(&self) -> BTreeMap<String, String> {
        let at = |path: &str| self.registry.ask(&format!("team/alpha/{path}"));
        let listed = at("tags/list");
        let (_, body) = listed.split_once("\r\n\r\n").expect("a head and a body");
        let listed: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let tags = listed["tags"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        let tags = tags.filter(|tag| tag.starts_with("uat-") || tag.starts_with("prod-"));
        let digest = |tag: &str| {
            let answer = at(&format!("manifests/{tag}"));
            let digest = answer.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
            digest.unwrap_or_else(|| panic!("{answer}")).to_owned()
        };
        tags.map(|tag| (tag.to_owned(), digest(tag))).collect()
    }

    /// All images that the machine's engine has, named or not.
    fn images(&self) -> BTreeSet<String> {
        let all = self.dock.ask("/images/json");
        all.as_array().expect("a list").iter().map(|one| one["Id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The references on an engine that name the registry.
    fn references(&self, bed: Option<&DockerBed>) -> Vec<String> {
        let engine = bed.map_or(&self.dock.engine, |bed| &bed.engine);
        let all = engine.ask("GET", "/images/json", "", &[]).expect("it answers");
        all.split('"').filter(|text| text.starts_with(&self.host)).map(str::to_owned).collect()
    }
}

#[test]
fn an_image_goes_through_a_registry_that_asks_for_a_login_and_no_password_is_left_anywhere() {
    let Some(mut scene) = scene(true) else { return };
    let unnamed =
        scene.refused(&["could not see whether `", "` and `password` in `[registries.", "then `pleach deploy uat`"]);
    println!("{}", unnamed.stderr);
    scene.dock.scene.variables.push(("WRONG".into(), "battery staple".into()));
    scene.login("WRONG");
    let wrong = scene.refused(&["does not let `this machine`", "unauthorized", "docker login"]);
    assert!(!(wrong.stdout + &wrong.stderr).contains("battery staple"));
    scene.configure("env:WRONG", "env:RIGHT");
    scene.dock.scene.variables.push(("RIGHT".into(), PASSWORD.into()));

    let said = scene.deploy(0);
    println!("{}{}", said.stderr, said.stdout);
    assert_eq!(scene.dock.answers(), Some(1));
    assert!(said.stderr.contains("alpha@vm: push done"), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("it came from `{}/team/alpha`", scene.host)), "{}", said.stderr);
    scene.dock.version(2);
    scene.dock.without_a_lost_request(|| scene.deploy(0));
    assert_eq!(scene.dock.answers(), Some(2));
    scene.dock.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert_eq!(scene.dock.answers(), Some(1));

    assert_eq!(scene.references(None), [""; 0], "names of releases alone keep images");
    assert_eq!(scene.references(Some(&scene.builder)), [""; 0]);
    for place in [scene.dock.scene.root(), scene.dock.live()] {
        assert!(place.join(".git").is_dir() || place.join("alpha/releases").is_dir(), "{}", place.display());
        let found = Command::new("grep").args(["-rlF", PASSWORD]).arg(&place).output().expect("grep");
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "in {}", place.display());
    }
}

#[test]
fn a_host_that_cannot_reach_the_registry_is_told_of_and_runs_what_it_ran() {
    let Some(scene) = scene(false) else { return };
    scene.deploy(0);
    scene.dock.version(2);
    let route = |verb: &str| {
        let via = scene.dock.machine().origin().to_string();
        let mut command = scene.dock.machine().command("ip");
        let done = command.args(["route", verb, "198.18.0.0/15", "via", &via]).status();
        assert!(done.is_ok_and(|status| status.success()));
    };
    route("del");
    let failed = scene.refused(&["`vm` could not take image", "then `pleach deploy uat`"]);
    println!("{}", failed.stderr);
    route("add");
    scene.deploy(0);
    assert_eq!(scene.dock.answers(), Some(2));
    assert_eq!(scene.references(None), [""; 0]);
}

#[test]
fn a_registry_that_is_cut_off_while_it_is_pushed_to_changes_nothing_and_the_next_push_goes_on() {
    let Some(scene) = scene(false) else { return };
    scene.registry.cut_after(300_000);
    let failed = scene.refused(&["could not push image", "curl -I https://"]);
    println!("{}", failed.stderr);
    scene.registry.mend();
    scene.deploy(0);
    assert_eq!(scene.dock.answers(), Some(1));
    assert_eq!(scene.references(Some(&scene.builder)), [""; 0], "no name of the push that failed is left");
}

#[test]
fn a_name_that_leads_to_another_image_in_the_registry_is_left_and_told() {
    let Some(scene) = scene(false) else { return };
    let first = scene.deploy(0);
    assert_eq!(scene.dock.answers(), Some(1));
    let start = format!("`{}/team/alpha:", scene.host);
    let name = first.stderr.split(&start).nth(1).and_then(|rest| rest.split('`').next()).expect("its tag").to_owned();
    let repository = format!("{}/team/alpha", scene.host);
    for path in
        [format!("/images/base:1/tag?repo={repository}&tag={name}"), format!("/images/{repository}/push?tag={name}")]
    {
        let said = scene.builder.engine.ask("POST", &path, "application/json", b"{}").expect("it answers");
        assert!(!said.contains("errorDetail"), "{said}");
    }
    scene.builder.engine.ask("DELETE", &format!("/images/{repository}:{name}"), "", &[]).expect("it answers");

    // The same commit with another setting: the same image again.
    scene.configure("{ port = 8080", "{ memory = \"64MiB\", port = 8080");
    scene.refused(&["is another image than", "it is image", "` in the registry, then `pleach deploy uat`"]);
    assert_eq!(scene.dock.answers(), Some(1));
}

#[test]
fn a_deployer_that_is_killed_while_an_image_is_pushed_or_pulled_goes_on() {
    let Some(scene) = scene(false) else { return };
    scene.deploy(0);
    for (version, place) in (2..).zip(["alpha@vm: build-image", "beta@vm: push"]) {
        scene.dock.version(version);
        let mut working = scene.dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place);
        working.signal(Signal::KILL);
        working.ends();
        let resumed = scene.dock.scene.pleach(&["resume"]);
        assert!(matches!(resumed.code, 0 | 110), "{place}: {}{}", resumed.stdout, resumed.stderr);
        scene.dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        assert_eq!(scene.dock.answers(), Some(version), "{place}");
        assert_eq!(scene.references(None), [""; 0], "{place}");
        assert_eq!(scene.references(Some(&scene.builder)), [""; 0], "{place}");
    }
}

#[test]
fn names_of_channels_lead_to_the_same_images_in_the_registry_and_go_back_with_a_deployment() {
    let Some(mut scene) = scene(true) else { return };
    scene.dock.scene.variables.push(("RIGHT".into(), PASSWORD.into()));
    scene.login("RIGHT");
    scene.dock.add_production();
    for (environment, channel) in [("uat", "uat"), ("prod", "prod")] {
        let head = format!("[environments.{environment}]\n");
        scene.configure(&head, &format!("{head}channel = \"{channel}\"\n"));
    }
    let deploy = |version: u32| {
        scene.dock.scene.commit("alpha", "VERSION", Some(&format!("{version}.0.0\n")));
        if version > 1 {
            scene.dock.version_of("alpha", version);
        }
        scene.deploy(0)
    };
    let said = deploy(1);
    let first = scene.tags();
    let digest = &first["uat-latest"];
    assert_eq!(
        first,
        ["uat-latest", "uat-v1.0.0"].map(|tag| (tag.to_owned(), digest.clone())).into(),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains(digest), "what was pushed: {}", said.stderr);

    let promote = ["promote", "uat", "prod", "--yes", "--only", "alpha"];
    scene.dock.scene.ends(0, &promote);
    let promoted = scene.tags();
    assert_eq!(
        (promoted.len(), &promoted["prod-v1.0.0"], &promoted["prod-latest"]),
        (4, digest, digest),
        "{promoted:#?}"
    );

    deploy(2);
    let second = scene.tags();
    assert_eq!(second["uat-latest"], second["uat-v2.0.0"]);
    assert!(second["uat-latest"] != *digest && second["prod-latest"] == *digest, "{second:#?}");
    let back = scene.dock.scene.ends(0, &["rollback", "uat", "--yes", "-v"]);
    let after = scene.tags();
    assert_eq!((&after["uat-latest"], &after["uat-v2.0.0"]), (digest, &second["uat-v2.0.0"]), "{}", back.stderr);
    assert!(back.stderr.contains("uat-v2.0.0` stays: no engine removes it"), "{}{}", back.stderr, back.stdout);

    // Where the registry is out of reach, services go live and back all the same. That is told, and made up for.
    deploy(3);
    scene.registry.cut_after(0);
    let back = scene.dock.scene.ends(0, &["rollback", "uat", "--yes", "-v"]);
    assert!(back.stderr.contains("names in the registry are as they were given"), "{}{}", back.stderr, back.stdout);
    assert_eq!(scene.dock.answer("alpha"), Some(1));
    scene.registry.mend();
    let third = scene.tags();
    assert_eq!(third["uat-latest"], third["uat-v3.0.0"], "{third:#?}");
    deploy(4);
    let fourth = scene.tags();
    assert_eq!(fourth["uat-latest"], fourth["uat-v4.0.0"], "{fourth:#?}");

    // Whoever has moved a tag since meant it.
    deploy(5);
    scene.registry.move_tag("team/alpha", "uat-latest", "uat-v2.0.0");
    let back = scene.dock.scene.ends(0, &["rollback", "uat", "--yes", "-v"]);
    assert!(back.stderr.contains("uat-latest` stays: somebody has moved it"), "{}{}", back.stderr, back.stdout);
    assert_eq!(scene.tags()["uat-latest"], second["uat-v2.0.0"]);

    // An engine that has nothing of it yet gives a name to what the registry has.
    let release = scene.dock.containers("alpha").iter().find_map(|seen| {
        let release = seen.name.strip_prefix("alpha-")?.get(..13)?;
        (release.starts_with("0001") && seen.state != "running").then(|| release.to_owned())
    });
    let elsewhere = DockerBed::new().expect("one was made before");
    elsewhere.machine().reach_all();
    scene.dock.scene.variables[0].1 = format!("unix://{}", elsewhere.engine.socket().display());
    let to = release.expect("the first release is kept");
    scene.dock.scene.ends(0, &["rollback", "uat", "alpha", "--to", &to, "--yes", "-v"]);
    assert_eq!(scene.tags()["uat-latest"], *digest);
    for bed in [None, Some(&scene.builder), Some(&elsewhere)] {
        assert_eq!(scene.references(bed), [""; 0]);
    }
    let kept = elsewhere.engine.ask("GET", "/images/json", "", &[]).expect("it answers");
    assert_eq!(kept.matches("\"Id\"").count(), 1, "its base alone: {kept}");
}

#[test]
fn an_engine_that_is_restarted_while_it_pulls_has_all_of_an_image_or_nothing_and_so_is_the_deployment() {
    let Some(mut scene) = scene(false) else { return };
    scene.deploy(0);
    for (version, killed) in [(2, false), (3, true)] {
        let (before, images) = (scene.dock.seen(), scene.images());
        scene.dock.large_version_of("alpha", version, 4 << 20);
        scene.dock.version_of("beta", version);
        scene.registry.still_after(1 << 20);
        let working = scene.dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
        scene.registry.wait_until_still();
        if killed {
            working.signal(Signal::KILL);
        }
        scene.dock.restart_engine();
        scene.registry.mend();
        let mut said = working.ends();
        let told = format!("{}\n{}{}", said.code, said.stdout, said.stderr);
        assert!(killed || said.stderr.contains("was lost while it was asked to pull image"), "{told}");
        if killed || matches!(said.code, 112 | 113) {
            said = scene.dock.scene.pleach(&["resume"]);
        }
        let told = format!("{told}\n{}\n{}{}", said.code, said.stdout, said.stderr);
        match said.code {
            0 => scene.dock.becomes(version),
            110 => {
                scene.dock.becomes(version - 1);
                assert_eq!(scene.dock.seen(), before, "{told}");
                assert_eq!(scene.images(), images, "{told}");
            }
            _ => panic!("{told}"),
        }
        scene.dock.require_settled(2);
        scene.deploy(0);
        scene.dock.becomes(version);
        assert_eq!(scene.references(None), [""; 0], "{told}");
        assert_eq!(scene.references(Some(&scene.builder)), [""; 0], "{told}");
    }
}

//! Images that go through a registry: pushed once where they are built, pulled by digest where they run.

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
        let found = std::process::Command::new("grep").args(["-rlF", PASSWORD]).arg(&place).output().expect("grep");
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

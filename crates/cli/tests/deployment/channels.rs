//! Names of images on the channels of environments: given once all is healthy, taken back with it, and never too many.

use std::collections::BTreeMap;

use pleach_testbed::docker::{DockerBed, Engine};
use rustix::process::Signal;
use serde_json::Value;

use crate::dock::Dock;
use crate::scene::told_in_four_parts;

/// Where names lead.
type Names = BTreeMap<String, String>;

/// The names of channels on an engine: those of Pleach's own are others.
fn names(engine: &Engine, service: &str) -> Names {
    let answer = engine.ask("GET", "/images/json", "", &[]).expect("the engine answers");
    let body = answer.split_once("\r\n\r\n").expect("a head and a body").1;
    let all: Vec<Value> = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let mut names = Names::new();
    for image in all {
        let id = image["Id"].as_str().unwrap_or_default().to_owned();
        let own = image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let own = own.filter(|name| name.starts_with(&format!("{service}:")));
        names.extend(own.map(|name| (name.to_owned(), id.clone())));
    }
    names
}

/// The tags alone.
fn tags(engine: &Engine, service: &str) -> Vec<String> {
    names(engine, service).into_keys().filter_map(|name| Some(name.split_once(':')?.1.to_owned())).collect()
}

/// A machine that is `uat` on a channel and, with a port offset, `prod` on another one; images are built elsewhere.
fn scene(target: &str) -> Option<(Dock, DockerBed)> {
    let mut dock = Dock::with("", target)?;
    let builder = DockerBed::new()?;
    dock.scene.variables = vec![("DOCKER_HOST".into(), format!("unix://{}", builder.engine.socket().display()))];
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let config = config.replace("[environments.uat]\n", "[environments.uat]\nchannel = \"uat\"\n");
    std::fs::write(&file, config).expect("written");
    let (live, config) = (dock.bed.at("root/prod"), dock.bed.at("config"));
    dock.target(&format!(
        "[environments.prod]\nconsent = \"yes\"\npromote-from = \"uat\"\nchannel = \"prod\"\nwatchdog = \"0s\"\n\
         retry = {{ attempts = 1 }}\n[environments.prod.targets.vm]\nkind = \"ssh\"\nhost = \"target\"\npath = \"{}\"\n\
         ssh-config = \"{}\"\nprogram = \"{}\"\nport-offset = 1\n{target}",
        live.display(),
        config.display(),
        env!("CARGO_BIN_EXE_pleach"),
    ));
    Some((dock, builder))
}

fn deploy(dock: &Dock, version: u32) {
    dock.scene.commit("alpha", "VERSION", Some(&format!("{version}.0.0\n")));
    if version > 1 {
        dock.version_of("alpha", version);
    }
    dock.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
}

/// What the running container of `alpha` is made of.
fn running(dock: &Dock) -> String {
    let running: Vec<_> = dock.containers("alpha").into_iter().filter(|seen| seen.state == "running").collect();
    assert_eq!(running.len(), 1, "{running:?}");
    running[0].image.clone()
}

/// What leads to the image that runs, on both engines; and the same names lead to the same there.
fn require_named(dock: &Dock, builder: &DockerBed, version: &str) {
    let (there, here) = (names(&dock.engine, "alpha"), names(&builder.engine, "alpha"));
    assert_eq!(there, here);
    let wanted = Some(running(dock));
    let of = |name: &str| there.get(name).cloned();
    assert_eq!((of("alpha:uat-latest"), of(&format!("alpha:uat-v{version}"))), (wanted.clone(), wanted), "{there:#?}");
}

#[test]
fn a_deployment_that_succeeded_gives_names_and_one_that_failed_or_was_taken_back_leaves_them_as_they_were() {
    let Some((dock, builder)) = scene("") else { return };
    dock.scene.commit("alpha", "VERSION", Some("1.0.0\n"));
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    println!("{}{}", said.stderr, said.stdout);
    require_named(&dock, &builder, "1.0.0");
    let tag = format!("uat-v{}", &dock.built_on(&builder.engine, "beta")[0]);
    assert_eq!(tags(&dock.engine, "beta"), ["uat-latest".to_owned(), tag], "without a version, the commit");
    assert!(said.stderr.contains("alpha@vm: channel done"), "{}", said.stderr);

    let before = [names(&dock.engine, "alpha"), names(&builder.engine, "alpha"), names(&dock.engine, "beta")];
    let seen = || [names(&dock.engine, "alpha"), names(&builder.engine, "alpha"), names(&dock.engine, "beta")];
    dock.scene.commit("alpha", "VERSION", Some("1.1.0\n"));
    dock.scene.commit("beta", "Dockerfile", Some("FROM base:1\nCMD [\"/bin/busybox\", \"false\"]\n"));
    dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    assert_eq!(seen(), before, "nothing is named before all is healthy");

    dock.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    require_named(&dock, &builder, "1.1.0");
    let back = dock.scene.ends(0, &["rollback", "uat", "--yes", "-v"]);
    assert_eq!(seen(), before, "{}{}", back.stderr, back.stdout);
    require_named(&dock, &builder, "1.0.0");

    // The same again, and back by switching: the version has been live, and keeps its name.
    dock.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    require_named(&dock, &builder, "1.1.0");
    let first: String =
        dock.containers("alpha")[0].name.chars().skip("alpha-".len()).take("0001-12345678".len()).collect();
    dock.scene.ends(0, &["rollback", "uat", "alpha", "--to", &first, "--yes"]);
    require_named(&dock, &builder, "1.0.0");
    assert_eq!(tags(&dock.engine, "alpha"), ["uat-latest", "uat-v1.0.0", "uat-v1.1.0"]);

    // A tag says it where no file does.
    dock.scene.commit("alpha", "VERSION", None);
    dock.scene.git(&["tag", "-a", "-m", "Two", "v2.0.0", "skill/alpha"]);
    dock.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    require_named(&dock, &builder, "2.0.0");

    // A version is one image: another one of the same version takes its name, which is told.
    dock.version_of("alpha", 3);
    dock.scene.git(&["tag", "-f", "v2.0.0", "skill/alpha"]);
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    require_named(&dock, &builder, "2.0.0");
    assert!((said.stdout + &said.stderr).contains("raise `VERSION`"), "it is told");
}

#[test]
fn promotion_names_the_very_image_on_the_other_channel_and_only_where_it_succeeded() {
    let Some((dock, builder)) = scene("") else { return };
    deploy(&dock, 1);
    let promote = ["promote", "uat", "prod", "--yes", "--only", "alpha"];
    let built = dock.built_on(&builder.engine, "alpha");
    dock.scene.ends(0, &promote);
    assert_eq!(dock.built_on(&builder.engine, "alpha"), built, "nothing was built for it");
    let wanted = names(&dock.engine, "alpha")["alpha:uat-v1.0.0"].clone();
    for engine in [&dock.engine, &builder.engine] {
        let names = names(engine, "alpha");
        assert_eq!(names.len(), 4, "{names:#?}");
        assert!(names.values().all(|image| *image == wanted), "{names:#?}");
        assert!(names.contains_key("alpha:prod-v1.0.0") && names.contains_key("alpha:prod-latest"), "{names:#?}");
    }

    // Somebody has a container of theirs by the name that production's is to have.
    deploy(&dock, 2);
    let containers: Vec<String> = dock.containers("alpha").into_iter().map(|seen| seen.name).collect();
    let parts = |name: &str| name.rsplit_once('-').map(|(front, mark)| (front.to_owned(), mark.to_owned()));
    let newest = containers.iter().find(|name| name.starts_with("alpha-0002-")).and_then(|name| parts(name));
    let (front, own) = newest.expect("the second release");
    let marks = containers.iter().filter_map(|name| parts(name)).map(|(_, mark)| mark);
    let name = format!("{front}-{}", marks.into_iter().find(|mark| *mark != own).expect("production's mark"));
    let path = format!("/containers/create?name={name}");
    let body = br#"{"Image":"alpha:uat-v1.0.0","Cmd":["/bin/busybox","true"]}"#;
    let made = dock.engine.ask("POST", &path, "application/json", body).expect("it answers");
    assert!(made.contains(" 201 "), "{made}");
    // Production is held where nothing else is said, and what happened is written down for whoever looks.
    let held = dock.scene.ends(111, &promote);
    told_in_four_parts(&held);
    let (_, file) = held.stderr.lines().find_map(|line| line.split_once("incident: ")).expect("it says where");
    let incident = std::fs::read_to_string(file).expect("it is written");
    assert!(incident.contains(&name) && incident.contains("`pleach rollback prod`"), "{incident}");
    let others = dock.scene.ends(102, &["promote", "uat", "prod", "--yes", "--only", "alpha"]);
    told_in_four_parts(&others);
    dock.scene.ends(0, &["rollback", "prod", "--yes"]);
    let prod = |engine: &Engine| -> Vec<String> {
        tags(engine, "alpha").into_iter().filter(|tag| tag.starts_with("prod")).collect()
    };
    for engine in [&dock.engine, &builder.engine] {
        assert_eq!(prod(engine), ["prod-latest", "prod-v1.0.0"]);
        assert_eq!(names(engine, "alpha")["alpha:prod-latest"], wanted);
    }

    // They take it away, and somebody removes what is proven from where it was built.
    dock.engine.ask("DELETE", &format!("/containers/{name}"), "", &[]).expect("it answers");
    let image = names(&builder.engine, "alpha")["alpha:uat-v2.0.0"].clone();
    let removed = builder.engine.ask("DELETE", &format!("/images/{image}?force=1"), "", &[]).expect("it answers");
    assert!(removed.contains(" 200 "), "{removed}");
    let promoted = dock.scene.ends(0, &promote);
    assert!(promoted.stderr.contains("came back from `vm` of `uat`"), "{}", promoted.stderr);
    for engine in [&dock.engine, &builder.engine] {
        assert_eq!(prod(engine), ["prod-latest", "prod-v1.0.0", "prod-v2.0.0"]);
        assert_eq!(names(engine, "alpha")["alpha:prod-latest"], image);
    }

    // A plan that was saved takes there only what is still proven when it is carried out.
    let plan = dock.scene.place().join("plan.json").display().to_string();
    let out = [&promote[..], &["--out", &plan]].concat();
    let carry_out = ["deploy", "prod", "--plan", &plan, "--yes"];
    deploy(&dock, 3);
    dock.scene.ends(0, &out);
    deploy(&dock, 4);
    let stale = dock.scene.ends(102, &carry_out);
    assert!(stale.stderr.contains("does not bring what is proven of `alpha`"), "{}", stale.stderr);
    dock.scene.ends(0, &out);
    dock.scene.ends(0, &carry_out);
    assert_eq!(prod(&dock.engine).last().map(String::as_str), Some("prod-v4.0.0"));
}

#[test]
fn of_the_versions_of_a_channel_the_newest_five_stay_and_what_something_needs() {
    let Some((dock, builder)) = scene("keep = 2\n") else { return };
    deploy(&dock, 1);
    dock.scene.ends(0, &["promote", "uat", "prod", "--yes", "--only", "alpha"]);
    deploy(&dock, 2);
    // Somebody makes a container of their own of it.
    let body = r#"{"Image":"alpha:uat-v2.0.0","Cmd":["/bin/busybox","true"]}"#;
    let made = dock.engine.ask("POST", "/containers/create", "application/json", body.as_bytes()).expect("it answers");
    assert!(made.contains(" 201 "), "{made}");
    (3..=8).for_each(|version| deploy(&dock, version));
    let versions = |engine: &Engine| -> Vec<String> {
        tags(engine, "alpha").iter().filter_map(|tag| tag.strip_prefix("uat-v").map(str::to_owned)).collect()
    };
    let newest = ["4.0.0", "5.0.0", "6.0.0", "7.0.0", "8.0.0"];
    let with = |more: &[&str]| more.iter().chain(&newest).map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(versions(&builder.engine), with(&["1.0.0"]), "`prod` needs the first where it is built");
    assert_eq!(versions(&dock.engine), with(&["1.0.0", "2.0.0"]), "and a container the second there");
    dock.scene.ends(0, &["promote", "uat", "prod", "--yes", "--only", "alpha"]);
    dock.scene.ends(0, &["rollback", "prod", "--yes"]);
    assert_eq!(tags(&dock.engine, "alpha").iter().filter(|tag| tag.starts_with("prod")).count(), 2, "as before");
}

#[test]
fn a_name_that_somebody_has_moved_since_stays_where_it_was_moved_to() {
    let Some((dock, builder)) = scene("") else { return };
    deploy(&dock, 1);
    deploy(&dock, 2);
    let moved = dock.engine.ask("POST", "/images/base:1/tag?repo=alpha&tag=uat-latest", "", &[]).expect("it answers");
    assert!(moved.contains(" 201 "), "{moved}");
    let base = names(&dock.engine, "base")["base:1"].clone();
    let back = dock.scene.ends(0, &["rollback", "uat", "--yes", "-v"]);
    assert_eq!(dock.answer("alpha"), Some(1));
    assert!(back.stderr.contains("somebody has moved it"), "{}{}", back.stderr, back.stdout);
    let there = names(&dock.engine, "alpha");
    assert_eq!(there["alpha:uat-latest"], base, "{there:#?}");
    assert!(!there.contains_key("alpha:uat-v2.0.0"), "{there:#?}");
    let here = names(&builder.engine, "alpha");
    assert_eq!((&here["alpha:uat-latest"], here.len()), (&running(&dock), 2), "nobody moved it here: {here:#?}");
    deploy(&dock, 3);
    require_named(&dock, &builder, "3.0.0");
}

#[test]
fn a_deployer_that_is_killed_while_it_names_images_leaves_names_that_lead_to_what_runs() {
    let Some((dock, builder)) = scene("") else { return };
    deploy(&dock, 1);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    for (version, place) in (2..).zip(["alpha@vm: retire", "alpha@vm: channel", "beta@vm: retire"]) {
        let before = names(&dock.engine, "alpha");
        dock.scene.commit("alpha", "VERSION", Some(&format!("{version}.0.0\n")));
        dock.version(version);
        let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place);
        working.signal(Signal::KILL);
        working.ends();
        let resumed = dock.scene.pleach(&["resume"]);
        let told = format!("{place}: {}\n{}{}", resumed.code, resumed.stdout, resumed.stderr);
        match resumed.code {
            0 => require_named(&dock, &builder, &format!("{version}.0.0")),
            110 => assert_eq!(names(&dock.engine, "alpha"), before, "{told}"),
            _ => panic!("{told}"),
        }
        dock.require_settled(2);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        require_named(&dock, &builder, &format!("{version}.0.0"));
        dock.scene.ends(0, &["rollback", "uat", "--yes"]);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    }
}

#[test]
fn an_engine_that_builds_and_cannot_be_asked_keeps_no_service_from_going_back() {
    let Some((dock, mut builder)) = scene("") else { return };
    deploy(&dock, 1);
    deploy(&dock, 2);
    builder.engine.kill();
    let back = dock.scene.ends(0, &["rollback", "uat", "--yes", "-v"]);
    assert_eq!(dock.answer("alpha"), Some(1));
    assert_eq!(names(&dock.engine, "alpha")["alpha:uat-latest"], running(&dock));
    assert!(back.stderr.contains("names where images are built are as they were given"), "{}", back.stderr);
}

#[test]
fn images_are_listed_as_each_engine_has_them_and_one_that_cannot_be_asked_hides_no_other() {
    let Some((mut dock, mut builder)) = scene("") else { return };
    assert_eq!(dock.scene.ends(0, &["images"]).stdout, "no image of any service\n");
    (1..=2).for_each(|version| deploy(&dock, version));
    dock.scene.ends(0, &["promote", "uat", "prod", "--yes", "--only", "alpha"]);
    let listed = dock.scene.ends(0, &["images"]);
    println!("{}", listed.stdout);
    assert_eq!(listed.stderr, "");
    let json = |arguments: &[&str]| -> Value {
        let said = dock.scene.ends(0, &[arguments, &["--json"]].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
    };
    let all = json(&["images"])["images"].clone();
    let rows = all.as_array().expect("a list");
    let of = |environment: &str| rows.iter().filter(|row| row["environment"] == *environment).collect::<Vec<_>>();
    let built: Vec<_> = rows.iter().filter(|row| row["target"].is_null()).collect();
    let (uat, prod) = (of("uat"), of("prod"));
    assert_eq!((uat.len(), prod.len(), built.len()), (2, 2, 2), "{all:#}");
    let newest = &uat[0];
    assert_eq!(newest["image"], names(&dock.engine, "alpha")["alpha:prod-latest"]);
    assert_eq!((&newest["version"], &newest["there"]), (&"2.0.0".into(), &true.into()), "{newest:#}");
    assert_eq!(newest["names"].as_array().map(Vec::len), Some(4), "both channels: {newest:#}");
    assert!(newest["current"].as_str().is_some_and(|release| release.starts_with("0002-")), "{newest:#}");
    assert_eq!((&uat[1]["current"], uat[1]["releases"].as_array().map(Vec::len)), (&Value::Null, Some(1)));
    assert_eq!(prod[0]["current"].as_str().map(|release| &release[..5]), Some("0001-"), "{all:#}");
    assert!(newest["commit"].as_str().is_some_and(|commit| commit.len() == 40), "{newest:#}");
    assert!(newest["size-bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{newest:#}");

    // Somebody removes an image that a kept release needs.
    let gone = uat[1]["image"].as_str().expect("an image").to_owned();
    let container = dock.containers("alpha").into_iter().find(|seen| seen.image == gone).expect("its container").name;
    for path in [format!("/containers/{container}?force=1"), format!("/images/{gone}?force=1")] {
        dock.engine.ask("DELETE", &path, "", &[]).expect("it answers");
    }
    let rows = json(&["images", "uat", "--only", "alpha"])["images"].clone();
    let row = rows.as_array().expect("a list").iter().find(|row| row["image"] == *gone && !row["target"].is_null());
    assert_eq!(row.map(|row| &row["there"]), Some(&Value::Bool(false)), "{rows:#}");

    builder.engine.kill();
    let listed = dock.scene.ends(0, &["images", "uat"]);
    assert!(listed.stdout.contains("uat/vm") && !listed.stdout.contains("(builder)"), "{}", listed.stdout);
    assert!(listed.stderr.contains("could not read the images where they are built"), "{}", listed.stderr);
    told_in_four_parts(&listed);
    builder.restart();
    dock.engine.kill();
    let listed = dock.scene.ends(0, &["images", "uat"]);
    assert!(listed.stdout.contains("(builder)") && !listed.stdout.contains("uat/vm"), "{}", listed.stdout);
    assert!(listed.stderr.contains("could not read the images of `alpha` on `vm`"), "{}", listed.stderr);
    told_in_four_parts(&listed);
    dock.restart_engine();
}

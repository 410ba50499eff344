//! Services that are Compose projects, on a host over SSH with an engine and a `docker compose` of its own.

use std::time::{Duration, Instant};

use crate::dock::Dock;
use crate::exported::unpack;
use crate::scene::told_in_four_parts;

/// A web server that answers with the files of the commit, and a database that has a volume.
pub(crate) const COMPOSE: &str = r#"services:
  web:
    build: .
    command: ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
    ports: ["127.0.0.1:${PORT:?}:8080"]
    depends_on:
      db: {condition: service_healthy}
      init: {condition: service_completed_successfully}
    volumes: ["./conf:/conf:ro"]
    restart: unless-stopped
    stop_signal: SIGKILL
  db:
    image: base:1
    command: ["/bin/sh", "-c", "echo ready >/data/ready; exec /bin/sleep 100000"]
    volumes: ["data:/data", "./db:/db:ro"]
    restart: unless-stopped
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "/bin/cat", "/data/ready"], interval: 1s}
  init:
    image: base:1
    command: ["/bin/echo", "done"]
volumes: {data: {}}
"#;

/// Service `alpha` is a project, and nothing else is deployed.
pub(crate) fn project(compose: &str) -> Option<Dock> {
    let dock = Dock::new()?;
    let config = pleach_testbed::compose::ensure().unwrap_or_else(|why| panic!("{why}"));
    let environment = config.map(|config| format!("environment = {{ DOCKER_CONFIG = \"{}\" }}\n", config.display()));
    let service = format!(
        "[services.alpha]\nbranch = \"skill/alpha\"\nport = {}\n{}compose = {{}}\n\
         health = {{ http = {{ path = \"/health\" }}, period = \"50ms\", success = 2, within = \"10s\" }}\n",
        dock.scene.port("alpha"),
        environment.unwrap_or_default(),
    );
    dock.configure(&service, "");
    for (file, text) in [("compose.yml", compose), ("conf/site", "one"), ("db/setup", "tables")] {
        dock.scene.commit("alpha", file, Some(text));
    }
    Some(dock)
}

/// The containers of the project: service, name, id, image and whether it runs.
pub(crate) fn members(dock: &Dock) -> Vec<(String, String, bool)> {
    let all = dock.ask("/containers/json?all=1");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let of =
        all.as_array().expect("a list").iter().filter(|one| one["Labels"]["com.docker.compose.project"] == "alpha");
    let mut members: Vec<(String, String, bool)> = of
        .map(|one| (text(&one["Labels"]["com.docker.compose.service"]), text(&one["Id"]), one["State"] == "running"))
        .collect();
    members.sort();
    members
}

/// Which services run, whatever their containers.
fn standing(members: &[(String, String, bool)]) -> Vec<(&str, bool)> {
    members.iter().map(|(service, _, runs)| (service.as_str(), *runs)).collect()
}

/// The id of a service's container.
fn id(dock: &Dock, service: &str) -> String {
    let members = members(dock);
    members.into_iter().find(|member| member.0 == service).unwrap_or_else(|| panic!("no `{service}`")).1
}

fn volumes(dock: &Dock) -> Vec<String> {
    let all = dock.ask("/volumes");
    let all = all["Volumes"].as_array().into_iter().flatten();
    all.filter_map(|one| one["Name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_project_is_resolved_pinned_and_started_and_only_what_changed_is_made_anew() {
    let Some(dock) = project(COMPOSE) else { return };
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    let begun = Instant::now();
    assert_eq!(dock.answer("alpha"), Some(1), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("db is healthy, init ended with 0, web runs"), "{}", said.stderr);
    let (web, db) = (id(&dock, "web"), id(&dock, "db"));
    dock.require_settled(1);
    let status = dock.scene.ends(0, &["status", "uat"]);
    assert!(status.stdout.contains("running  healthy"), "{}", status.stdout);
    let ps = dock.scene.ends(0, &["ps", "uat"]);
    assert!(ps.stdout.contains("alpha-web-1") && ps.stdout.contains("alpha-db-1"), "{}", ps.stdout);
    let logs = dock.scene.ends(0, &["logs", "alpha", "--service"]);
    assert_eq!(logs.stdout, "init-1 | done\n");
    let since = |when: &str| dock.scene.ends(0, &["logs", "alpha", "--service", "--since", when]).stdout;
    assert_eq!((since("1h"), since("2099-01-01")), (logs.stdout.clone(), String::new()));
    // `init` said it before `web` was there.
    assert_eq!(since("deployment"), logs.stdout);
    dock.scene.ends(0, &["logs", "--env", "uat", "--output", "../ticket.tar.gz"]);
    let ticket = unpack(&dock.scene.place().join("ticket.tar.gz"));
    assert_eq!(ticket["services/vm/alpha.log"], logs.stdout, "{:?}", ticket.keys());

    dock.version_of("alpha", 2);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answer("alpha"), Some(2));
    assert_ne!(id(&dock, "web"), web, "its image is another one");
    assert_eq!(id(&dock, "db"), db, "nothing of it changed");

    dock.scene.commit("alpha", "db/setup", Some("more tables"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_ne!(id(&dock, "db"), db, "it sees another file");
    assert!(begun.elapsed() < Duration::from_secs(120));

    let said = dock.scene.ends(0, &["rollback", "uat", "alpha", "--yes"]);
    assert_eq!(dock.answer("alpha"), Some(2), "{}", said.stderr);
    assert_eq!(
        dock.engine.ask("POST", &format!("/containers/{}/kill", id(&dock, "db")), "", &[]).map(drop).ok(),
        Some(())
    );
    let status = dock.scene.ends(0, &["status", "uat"]);
    assert!(status.stdout.contains("db ended with 137"), "{}", status.stdout);
    let ps = dock.scene.ends(0, &["ps", "uat"]);
    assert!(ps.stdout.contains("it ended with 137"), "{}", ps.stdout);
    // How it runs is for `status`; what it consists of is for `check`.
    dock.scene.ends(0, &["check", "uat"]);
    dock.engine.ask("DELETE", &format!("/containers/{}?force=1", id(&dock, "db")), "", &[]).expect("removed");
    let checked = dock.scene.ends(1, &["check", "uat"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(checked.contains("does not run as it was deployed: `db` has no container"), "{checked}");
    assert!(checked.contains("next: `pleach restart uat alpha`"), "{checked}");
    dock.scene.ends(0, &["restart", "uat", "--yes"]);
    dock.scene.ends(0, &["check", "uat"]);
    dock.require_settled(1);
    let started =
        |service: &str| dock.ask(&format!("/containers/{}/json", id(&dock, service)))["State"]["StartedAt"].clone();
    let before = (started("web"), started("db"));
    dock.scene.ends(0, &["restart", "uat", "alpha", "--part", "database", "--yes"]);
    assert_eq!(started("web"), before.0);
    assert_ne!(started("db"), before.1);
    let said = dock.scene.pleach(&["restart", "uat", "alpha", "--part", "redis", "--yes"]);
    assert!(said.code != 0 && said.stderr.contains("its services are db, init, web"), "{}", said.stderr);
    dock.require_settled(1);
    let kill = || dock.engine.ask("POST", &format!("/containers/{}/kill", id(&dock, "db")), "", &[]);
    kill().expect("asked");
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    dock.require_settled(1);
    assert!(dock.scene.ends(0, &["deploy", "uat", "--yes"]).stdout.contains("nothing to do"));
    let said = dock.scene.ends(0, &["stop", "uat", "--yes"]);
    assert!(dock.scene.ends(0, &["status", "uat"]).stdout.contains("stopped"));
    assert!(members(&dock).iter().all(|member| !member.2), "{}", said.stderr);
    assert_eq!(volumes(&dock), ["alpha_data"], "volumes stay");
}

#[test]
fn what_does_not_stand_is_taken_back_with_its_last_words() {
    let Some(dock) = project(COMPOSE) else { return };
    // The first one: nothing stays but the volume.
    let broken = COMPOSE.replace("exec /bin/sleep 100000", "exit 3").replace("    restart: unless-stopped\n", "");
    dock.scene.commit("alpha", "compose.yml", Some(&broken));
    let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&said);
    assert_eq!(members(&dock), [], "{}", said.stderr);
    assert_eq!(volumes(&dock), ["alpha_data"]);

    dock.scene.commit("alpha", "compose.yml", Some(COMPOSE));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let before = members(&dock);
    let worker =
        "  worker:\n    image: base:1\n    command: [\"/bin/sh\", \"-c\", \"echo dying words; exit 3\"]\nvolumes:";
    dock.scene.commit("alpha", "compose.yml", Some(&COMPOSE.replace("volumes: {", &format!("{worker} {{"))));
    dock.version_of("alpha", 2);
    let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("worker ended with 3") && said.stderr.contains("dying words"), "{}", said.stderr);
    assert_eq!(dock.answer("alpha"), Some(1));
    let after = members(&dock);
    assert_eq!(standing(&after), standing(&before));
    assert_eq!(id(&dock, "db"), before[0].1, "nobody touched it");
}

#[test]
fn what_is_wrong_with_a_project_is_told_before_anything_is_touched() {
    let Some(dock) = project(COMPOSE) else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let before = members(&dock);
    let refused = |compose: &str, wanted: &[&str]| {
        dock.scene.commit("alpha", "compose.yml", Some(compose));
        let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
        told_in_four_parts(&said);
        for word in wanted {
            assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
        }
        assert_eq!(members(&dock), before, "{}", said.stderr);
        assert_eq!(dock.answer("alpha"), Some(1));
    };
    refused(&COMPOSE.replace("command: [\"/bin/echo", "comand: [\"/bin/echo"), &["`compose.yml`, line 21: ", "comand"]);
    refused(&COMPOSE.replace("  db:\n", "  db: 3\n"), &["`compose.yml`, line "]);
    refused(&COMPOSE.replace("${PORT:?}", "${NOWHERE:?}"), &["NOWHERE is missing a value"]);
    refused(&COMPOSE.replace("./conf:", "./none:"), &["cannot have `none`", "shared = [\"none/\"]"]);
    refused(&COMPOSE.replace("./conf:", "../conf:"), &["it leads out of the release"]);
    refused(&COMPOSE.replace("image: base:1", "image: 127.0.0.1:9/none:1"), &["could not pull the images"]);
    refused(&COMPOSE.replace("build: .", "build: ./conf"), &["could not build the images"]);
    refused("services: {}\n", &["has no services"]);

    // That a port is taken is found when the container starts, and what was there comes back.
    let other = "  other:\n    image: base:1\n    ports: [\"127.0.0.1:${PORT}:81\"]\n  init:\n";
    let other = COMPOSE.replace("  init:\n", other);
    dock.scene.commit("alpha", "compose.yml", Some(&other));
    let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("already"), "{}", said.stderr);
    // `web` was made anew and is made anew again: its image holds all files of the commit.
    assert_eq!(standing(&members(&dock)), standing(&before));
    assert_eq!(dock.answer("alpha"), Some(1));
    let before = members(&dock);

    dock.scene.commit("alpha", "compose.yml", None);
    let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    assert!(said.stderr.contains("the commit has none of `compose.yaml`"), "{}", said.stderr);
    assert_eq!(members(&dock), before);
    dock.require_settled(1);

    // Without its image there is no way back to what is live.
    let web = id(&dock, "web");
    let image = dock.ask(&format!("/containers/{web}/json"))["Image"].as_str().expect("an image").to_owned();
    for gone in [format!("/containers/{web}?force=1"), format!("/images/{image}?force=1")] {
        let answer = dock.engine.ask("DELETE", &gone, "", &[]).expect("asked");
        assert!(answer.contains(" 204 ") || answer.contains(" 200 "), "{answer}");
    }
    dock.scene.commit("alpha", "compose.yml", Some(COMPOSE));
    let said = dock.scene.pleach(&["deploy", "uat", "--yes"]);
    assert!(said.stderr.contains("of `web` is no longer on the target's engine"), "{}", said.stderr);
    assert_eq!((said.code, members(&dock).len()), (110, before.len() - 1), "{}", said.stderr);
}

#[test]
fn services_that_come_and_go_with_a_commit_go_and_come_with_the_way_back() {
    let worker = "  worker:\n    image: base:1\n    command: [\"/bin/sleep\", \"1000\"]\n    stop_signal: SIGKILL\n\
                  \x20   volumes: [\"./data:/data\"]\nvolumes: {";
    let larger = COMPOSE.replace("volumes: {", worker);
    let Some(dock) = project(&larger) else { return };
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    dock.scene.write("pleach.toml", &config.replace("compose = {}", "compose = {}\nshared = [\"data/\"]"));
    dock.scene.git(&["commit", "-qam", "Data that stay"]);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let worker = id(&dock, "worker");
    dock.version_of("alpha", 2);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(id(&dock, "worker"), worker, "what releases share has one place");

    dock.scene.commit("alpha", "compose.yml", Some(COMPOSE));
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert!(said.stderr.contains("worker stopped, no longer in the Compose files"), "{}", said.stderr);
    let stays = |runs: bool| members(&dock).contains(&("worker".to_owned(), worker.clone(), runs));
    assert!(stays(false), "named, stopped, not removed");
    dock.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert!(stays(true), "the very container");

    // A release that was not the last one: what it has not is stopped as well.
    dock.version_of("alpha", 3);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    dock.require_settled(1);
    let status = dock.scene.ends(0, &["status", "uat"]);
    let current = status.stdout.split_whitespace().find(|word| word.starts_with("000")).expect("a release").to_owned();
    dock.scene.commit("alpha", "compose.yml", Some(&larger));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(stays(true));
    dock.scene.ends(0, &["rollback", "uat", "alpha", "--to", &current, "--yes"]);
    assert!(stays(false));
    assert_eq!(dock.answer("alpha"), Some(3));
}

#[test]
fn a_deployer_that_is_killed_goes_on_or_back() {
    let Some(mut dock) = project(COMPOSE) else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let db = id(&dock, "db");
    let (version, place) = (2, "alpha@vm: up");
    dock.version_of("alpha", version);
    let killed = |dock: &Dock| {
        let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place.trim_end());
        working.signal(rustix::process::Signal::KILL);
        working.ends();
    };
    let before = members(&dock).len();
    killed(&dock);
    let back = dock.scene.pleach(&["rollback", "uat", "--yes"]);
    assert_eq!(back.code, 0, "{place}{}{}", back.stdout, back.stderr);
    assert_eq!(dock.answer("alpha"), Some(version - 1), "{place}{}", back.stderr);
    assert_eq!(members(&dock).len(), before, "{place}");
    dock.require_settled(1);
    killed(&dock);
    dock.scene.ends(0, &["resume"]);
    assert_eq!(dock.answer("alpha"), Some(version), "{place}");
    dock.require_settled(1);
    assert_eq!(id(&dock, "db"), db, "{place}");
    // Its engine goes away in the midst of it, and comes back with what it ran.
    let (version, place) = (3, "alpha@vm: up");
    dock.version_of("alpha", version);
    let said = dock.deploy_over_a_restart(place);
    let told = format!("{place}: {}\n{}{}", said.code, said.stdout, said.stderr);
    let wanted = match said.code {
        0 => version,
        110 => version - 1,
        _ => panic!("{told}"),
    };
    let begun = Instant::now();
    while dock.answer("alpha") != Some(wanted) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{wanted} does not come: {told}");
        std::thread::sleep(Duration::from_millis(50));
    }
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answer("alpha"), Some(version), "{told}");
    dock.require_settled(1);
}

/// Notes where it ran, and takes as long as somebody wants.
const MIGRATE: &str = "read nothing\necho \"$(cat /www/metadata) of $PLEACH_RUN with $LEVEL, $1\" >>/log/migrated\n\
                       echo \"level $LEVEL\"\nwhile [ -e /log/slow ]; do sleep 0.1; done\n";

#[test]
fn scripts_run_in_containers_of_their_own_that_nobody_leaves_behind() {
    let own = COMPOSE.replace("./conf:/conf:ro\"", "./conf:/conf:ro\", \"./log:/log\"");
    let Some(mut dock) = project(&own) else { return };
    dock.scene.variables.push(("LEVEL".into(), "a-level-unheard-of".into()));
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let configure = |container: &str| {
        let script = format!(
            "compose = {{}}\nshared = [\"log/\"]\nscripts = [{{ name = \"migrate\", file = \"migrate.sh\", undo = \"back.sh\", \
             container = \"{container}\", when = \"before-switch\", limit = \"4s\", arguments = [\"it's\"], \
             environment = {{ LEVEL = {{ secret = \"env:LEVEL\" }} }} }}]"
        );
        dock.scene.write("pleach.toml", &config.replace("compose = {}", &script));
        dock.scene.git(&["commit", "-qam", "A script"]);
    };
    configure("nobody");
    dock.scene.commit("alpha", "migrate.sh", Some(MIGRATE));
    dock.scene.commit("alpha", "back.sh", Some("echo back >>/log/migrated\n"));
    let refused = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("has no service `nobody`: it has `db`, `init`, `web`"), "{}", refused.stderr);
    configure("web");

    let log = dock.bed.at("root/live/alpha/shared/log");
    let migrated = || std::fs::read_to_string(log.join("migrated")).unwrap_or_default();
    let left = || -> Vec<String> {
        let all = dock.ask("/containers/json?all=1");
        let left = all.as_array().expect("a list").iter();
        let left = left.filter(|one| one["Labels"]["com.docker.compose.oneoff"] == "True");
        left.map(|one| one["Names"][0].to_string()).collect()
    };
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert!(said.stderr.contains("`migrate.sh` exited with 0"), "{}", said.stderr);
    assert!(!said.stderr.contains("unheard") && said.stderr.contains("level "), "{}", said.stderr);
    let noted = migrated();
    assert!(noted.starts_with("version 1 of ") && noted.ends_with("with a-level-unheard-of, it's\n"), "{noted}");
    assert_eq!(left(), Vec::<String>::new());
    let before = members(&dock);

    // It fails; it is not done in time; its deployer dies: each time it is taken back, and no container of it stays.
    dock.version_of("alpha", 2);
    dock.scene.commit("alpha", "migrate.sh", Some("echo no luck today; exit 3\n"));
    let failed = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&failed);
    assert!(failed.stderr.contains("no luck today") && failed.stderr.contains("exited with 3"), "{}", failed.stderr);
    assert_eq!(migrated(), format!("{noted}back\n"));

    dock.scene.commit("alpha", "migrate.sh", Some(MIGRATE));
    std::fs::write(log.join("slow"), "").expect("written");
    let late = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    assert!(late.stderr.contains("not done within its limit of 4s"), "{}", late.stderr);
    assert!(migrated().ends_with("it's\nback\n"), "{}", migrated());
    assert_eq!((left(), members(&dock)), (Vec::new(), before.clone()));

    let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("level ");
    assert_eq!(left().len(), 1, "{:?}", left());
    working.signal(rustix::process::Signal::KILL);
    working.ends();
    dock.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert!(migrated().ends_with("it's\nback\n"), "{}", migrated());
    assert_eq!((left(), members(&dock)), (Vec::new(), before));
    assert_eq!(dock.answer("alpha"), Some(1));
    dock.require_settled(1);

    std::fs::remove_file(log.join("slow")).expect("removed");
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!((dock.answer("alpha"), left()), (Some(2), Vec::new()));
}

#[test]
fn a_project_of_somebody_else_and_a_host_without_compose_are_left_alone() {
    let Some(dock) = project(COMPOSE) else { return };
    let place = dock.bed.at("root/elsewhere");
    std::fs::create_dir_all(&place).expect("made");
    std::fs::write(place.join("compose.yml"), "services:\n  old:\n    image: base:1\n    stop_signal: SIGKILL\n")
        .expect("written");
    let compose = |verb: &[&str]| {
        let mut command = dock.machine().command("docker");
        if let Some(config) = pleach_testbed::compose::ensure().expect("there") {
            command.env("DOCKER_CONFIG", config);
        }
        let output = command.args(["compose", "-p", "alpha", "--project-directory"]).arg(&place).args(verb).output();
        let output = output.expect("`docker` runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    compose(&["up", "-d"]);
    let before = members(&dock);
    let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("is run by somebody else") && said.stderr.contains("down"), "{}", said.stderr);
    assert_eq!(members(&dock), before);
    compose(&["down"]);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let doctor = dock.scene.pleach(&["doctor", "uat"]);
    assert!(doctor.stdout.contains("can run `alpha`"), "{}", doctor.stdout);

    let config = std::fs::read_to_string(dock.scene.root().join("pleach.toml")).expect("a config");
    let Some(at) = config.find("environment = ") else { return };
    let end = at + config[at..].find('\n').expect("a line");
    dock.scene.write("pleach.toml", &(config[..at].to_owned() + &config[end..]));
    dock.scene.git(&["commit", "-qam", "Without it"]);
    dock.version_of("alpha", 2);
    let said = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("`docker` there knows no `compose`"), "{}", said.stderr);
    assert_eq!(dock.answer("alpha"), Some(1));
    let doctor = dock.scene.pleach(&["doctor", "uat"]);
    assert!(doctor.stdout.contains("and `alpha` is a Compose project"), "{}", doctor.stdout);
}

#[test]
fn a_watchdog_starts_the_old_project_where_nobody_is_left_and_no_secret_is_told() {
    let done = "    command: [\"/bin/echo\", \"done\"]\n";
    let worded = COMPOSE.replace(done, &format!("{done}    environment: {{WORD: \"${{WORD:?}}\"}}\n"));
    let Some(mut dock) = project(&worded) else { return };
    let config = std::fs::read_to_string(dock.scene.root().join("pleach.toml")).expect("a config");
    let secret = "WORD = { secret = \"env:THE_WORD\" }";
    let config = match config.contains("environment = {") {
        true => config.replace("environment = {", &format!("environment = {{ {secret},")),
        false => config.replace("compose = {}", &format!("compose = {{}}\nenvironment = {{ {secret} }}")),
    };
    let config = config.replace("[environments.uat]\n", "[environments.uat]\nlease = \"8s\"\nwatchdog = \"10s\"\n");
    dock.scene.write("pleach.toml", &config);
    dock.scene.git(&["commit", "-qam", "A watchdog"]);
    dock.scene.variables.push(("THE_WORD".into(), "unspeakable-7".into()));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    for file in ["compose.yml", "compose.pleach.json", "compose.resolved.json"] {
        // `web` serves all that its image was built of.
        let served = dock.machine().get(dock.scene.port("alpha"), &format!("/{file}")).unwrap_or_default();
        assert_eq!(served.contains("services"), file == "compose.yml", "{file}: {served}");
    }
    let worker = "  worker:\n    image: base:1\n    stop_signal: SIGKILL\nvolumes: {";
    let text = std::fs::read_to_string(dock.bed.at("root/live/alpha/current/compose.yml")).expect("there");
    dock.scene.commit("alpha", "compose.yml", Some(&text.replace("volumes: {", worker)));
    dock.version_of("alpha", 2);
    let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm: health");
    working.signal(rustix::process::Signal::KILL);
    let said = working.ends();
    let begun = Instant::now();
    while dock.answer("alpha") != Some(1) {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody takes it back: {}", said.stderr);
        std::thread::sleep(Duration::from_millis(100));
    }
    let runs = |service: &str| members(&dock).iter().any(|member| member.0 == service && member.2);
    assert!(runs("web") && runs("db") && !runs("worker"));
    dock.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert!(members(&dock).iter().all(|member| member.0 != "worker"));
    dock.require_settled(1);

    let everything = std::process::Command::new("grep").args(["-rl", "unspeakable-7"]).arg(dock.scene.place()).output();
    let told = String::from_utf8_lossy(&everything.expect("`grep` runs").stdout).into_owned();
    assert_eq!(told, "", "where Pleach runs");
    let there = std::process::Command::new("grep").args(["-rl", "unspeakable-7"]).arg(dock.live()).output();
    let there = String::from_utf8_lossy(&there.expect("`grep` runs").stdout).into_owned();
    for file in there.lines() {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file).expect("there"));
        assert!(file.ends_with("compose.pleach.json") && mode & 0o777 == 0o600, "{file} {mode:o}");
    }
    assert!(!there.is_empty());
}

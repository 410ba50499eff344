//! Services that are containers: their life on a host with a Docker engine of its own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use pleach_testbed::docker::DockerBed;
use rustix::process::Signal;
use serde_json::Value;

use crate::dock::Dock;
use crate::exported::unpack;
use crate::scene::{SERVICES, Said, told_in_four_parts};

#[test]
fn containers_are_deployed_replaced_without_a_lost_request_rolled_back_and_stopped() {
    let limits = ", memory = \"64MiB\", cpus = 0.5, volumes = [\"data:/data\"], command = [\"/bin/busybox\", \"sh\", \"-c\", \
                  \"echo begins; /bin/busybox seq 60000; echo $PLEACH_SERVICE is up; exec /bin/busybox httpd -f -p $PORT -h /www\"]";
    let Some(mut dock) = Dock::with(limits, "") else { return };
    dock.scene.commit("alpha", "VERSION", Some("1.4.2\n"));
    dock.service("alpha", "environment = { TOKEN = { secret = \"env:TOKEN\" } }\n");
    dock.scene.variables.push(("TOKEN".into(), "spruce".into()));
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert_eq!(dock.answers(), Some(1), "{}{}", said.stdout, said.stderr);
    println!("{}{}{}", said.stderr, said.stdout, dock.scene.ends(0, &["ps", "uat"]).stdout);
    println!("{}", dock.require_settled(2).stdout);
    let nothing = dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(nothing.stdout.starts_with("nothing to do"), "{}", nothing.stdout);
    let first = dock.containers("alpha");
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].state, "running");
    let made = dock.ask(&format!("/containers/{}/json", first[0].name));
    assert_eq!(
        (&made["HostConfig"]["Memory"], &made["HostConfig"]["NanoCpus"]),
        (&(64 << 20).into(), &500_000_000.into())
    );
    assert_eq!(made["HostConfig"]["Binds"][0], "data:/data");
    let labels = &made["Config"]["Labels"];
    assert_eq!((&labels["pleach.service"], &labels["pleach.environment"]), (&"alpha".into(), &"uat".into()));
    assert!(labels["pleach.release"].as_str().is_some_and(|release| release.starts_with("0001-")), "{labels}");
    assert!(labels["org.opencontainers.image.revision"].is_string(), "the commit, from its image: {labels}");
    assert_eq!(labels["org.opencontainers.image.version"], "1.4.2", "from the file VERSION");
    let run = labels["pleach.run"].as_str().expect("the run").to_owned();
    assert!(dock.scene.ends(0, &["runs"]).stdout.contains(&run), "{labels}");

    let printed = dock.scene.ends(0, &["logs", "alpha", "--service", "-n", "1"]);
    assert_eq!(printed.stdout, "alpha is up\n", "its last line");
    let printed = dock.scene.ends(0, &["logs", "alpha", "--service"]);
    assert_eq!(printed.stdout.lines().count(), 60_002, "all of it, more than is read at a time");
    let since = |when: &str| dock.scene.ends(0, &["logs", "alpha", "--service", "--since", when]).stdout;
    assert_eq!((since("1h").lines().count(), since("deployment").lines().count()), (60_002, 60_002));
    assert_eq!(since("2099-01-01"), "");
    let printed = dock.scene.ends(0, &["logs", "alpha", "--service", "--json"]);
    assert_eq!(printed.stdout.lines().count(), 60_002);
    assert!(printed.stdout.contains("{\"line\":\"begins\",\"source\":\"uat/vm\"}"), "{}", printed.stdout);
    dock.scene.ends(0, &["logs", "--env", "uat", "--output", "../ticket.tar.gz"]);
    let ticket = unpack(&dock.scene.place().join("ticket.tar.gz"));
    let end = &ticket["services/vm/alpha.log"];
    let (begin, last) = (end.lines().next().unwrap_or_default(), end.lines().last().unwrap_or_default());
    assert_eq!((last, begin.starts_with("… what came before")), ("alpha is up", true), "{begin}");
    assert!(end.lines().count() > 2000, "{}", end.len());

    dock.version(2);
    dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
    assert_eq!(dock.answers(), Some(2));
    for service in SERVICES {
        let states: Vec<String> = dock.containers(service).into_iter().map(|seen| seen.state).collect();
        assert_eq!(states, ["exited", "running"], "the old one is kept as it ended");
    }

    let whole = dock.scene.ends(0, &["check", "uat"]);
    assert_eq!(whole.stdout, "no difference was found\n", "{}", whole.stderr);
    require_other_container_found(&dock);
    let back = dock.without_a_lost_request(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
    assert_eq!(dock.answers(), Some(1));
    assert!(back.stdout.contains("release `0002-") && !back.stdout.contains("nothing was sent"), "{}", back.stdout);
    let listed = dock.scene.ends(0, &["ps", "uat"]);
    assert_eq!(listed.stdout.matches("container `").count(), 2, "{}", listed.stdout);
    let listed = dock.scene.ends(0, &["--json", "ps", "uat"]).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap_or_else(|error| panic!("{error}: {listed}"));
    let processes = listed["processes"].as_array().cloned().unwrap_or_default();
    assert_eq!(processes.iter().filter(|process| process["pid"].is_u64()).count(), 2, "{listed:#}");
    let doctor = dock.scene.pleach(&["doctor", "uat"]);
    assert!(doctor.stdout.contains("its engine can be asked to run `alpha`"), "{}", doctor.stdout);
    dock.scene.ends(0, &["restart", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(1));
    let back = dock.containers("alpha");
    assert!(back.iter().any(|seen| seen.name == first[0].name && seen.state == "running"), "{back:?}");
    let now = || dock.ask(&format!("/containers/{}/json", first[0].name));
    assert_eq!(now()["Id"], made["Id"], "other runs start the very container again");

    // A secret that was changed reaches what is started next, and nobody else.
    dock.scene.variables.retain(|(name, _)| name != "TOKEN");
    dock.scene.variables.push(("TOKEN".into(), "larch".into()));
    let beta = dock.running("beta");
    dock.scene.ends(0, &["restart", "uat", "--yes"]);
    let now = dock.ask(&format!("/containers/{}/json", first[0].name));
    let variables = now["Config"]["Env"].to_string();
    assert!(variables.contains("TOKEN=larch") && !variables.contains("spruce"), "{variables}");
    assert_eq!(now["Config"]["Labels"]["pleach.run"], run.as_str(), "the run that made the release");
    assert_eq!((dock.answers(), dock.running("beta")), (Some(1), beta));

    dock.scene.ends(0, &["stop", "uat", "--yes"]);
    assert_eq!(dock.answers(), None);
    assert!(SERVICES.iter().all(|service| dock.containers(service).iter().all(|seen| seen.state == "exited")));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(2));
    dock.require_settled(2);
}

/// Somebody has put another container in the place of the current release's: it is found, and only there.
fn require_other_container_found(dock: &Dock) {
    let [old, new] = &dock.containers("alpha")[..] else { panic!("two containers") };
    dock.rename(&new.name, "aside");
    dock.rename(&old.name, &new.name);
    let found = dock.scene.ends(2, &["check", "uat"]);
    for words in ["is not that of release `0002-", "it is made of image", "its label `pleach.release` is `0001-"] {
        assert!(found.stdout.contains(words), "{words}: {}{}", found.stdout, found.stderr);
    }
    assert!(!found.stdout.contains("beta"), "{}", found.stdout);
    dock.rename(&new.name, &old.name);
    let gone = dock.scene.ends(1, &["check", "uat", "--only", "alpha"]);
    assert!(gone.stdout.contains("the engine has none of that name"), "{}", gone.stdout);
    dock.rename("aside", &new.name);
    dock.scene.ends(0, &["check", "uat"]);
}

/// Before, in and after what changes something, each time at another service.
const PLACES: [&str; 4] = ["beta@vm: image", "alpha@vm: start", "beta@vm: switch", "alpha@vm: retire"];

#[test]
fn a_deployer_that_is_killed_in_any_phase_leaves_all_new_or_all_old_containers() {
    let Some(dock) = Dock::new() else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    for (version, place) in (2..).zip(PLACES) {
        let old = dock.seen();
        dock.version(version);
        let (code, told) = dock.killed_at(place);
        match code {
            0 => assert_eq!(dock.answers(), Some(version), "{told}"),
            110 => assert_eq!(dock.seen(), old, "{told}"),
            _ => panic!("{told}"),
        }
        dock.require_settled(2);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        assert_eq!(dock.answers(), Some(version), "{told}");
    }
}

#[test]
fn what_cannot_be_built_or_does_not_stay_up_is_told_with_its_last_words_and_changes_nothing() {
    let Some(dock) = Dock::with(", memory = \"64MiB\"", "") else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let old = dock.seen();
    dock.version_of("alpha", 2);
    dock.scene.commit("beta", "flaps", Some(FLAPS));
    let ill = format!("FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /www\n{} \"echo I feel bad; exit 1\"]\n", check("10s"));
    let hangs =
        format!("FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /www\n{} \"exec /bin/busybox sleep 600\"]\n", check("1s"));
    for (dockerfile, words) in [
        ("FROM base:1\nRUN echo no luck today; exit 3\n", ["could not build `Dockerfile`", "no luck today"]),
        (
            "FROM base:1\nCMD [\"/bin/busybox\", \"sh\", \"-c\", \"echo I give up; exit 4\"]\n",
            [" times; the last time it exited with 4", "I give up"],
        ),
        ("FROM base:1\nCMD [\"/nothing\"]\n", ["could not start container", "/nothing"]),
        (
            "FROM base:1\nCMD [\"/bin/busybox\", \"sleep\", \"600\"]\nSTOPSIGNAL SIGKILL\n",
            ["is not healthy", "broke off"],
        ),
        (
            "FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /www\nCMD [\"/bin/busybox\", \"sh\", \"/www/flaps\"]\n",
            ["is not healthy", "because: GET /health"],
        ),
        (
            "FROM base:1\nCMD [\"/bin/busybox\", \"dd\", \"if=/dev/zero\", \"of=/dev/null\", \"bs=100M\"]\n",
            ["is not healthy", "more memory than it may have"],
        ),
        // Over HTTP both answer rightly all the time.
        (&ill, ["its `HEALTHCHECK` has", "I feel bad"]),
        (&hangs, ["its `HEALTHCHECK` has", "exceeded timeout"]),
    ] {
        dock.scene.commit("beta", "Dockerfile", Some(dockerfile));
        let failed = dock.without_a_lost_request(|| dock.scene.pleach(&["deploy", "uat", "--yes"]));
        assert_eq!(failed.code, 110, "{words:?}: {}{}", failed.stdout, failed.stderr);
        for word in words {
            assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
        }
        told_in_four_parts(&failed);
        assert_eq!(dock.seen(), old, "{words:?}: {}", failed.stderr);
        dock.require_settled(2);
    }
    let held = dock.scene.ends(111, &["deploy", "uat", "--yes", "--on-failure", "hold"]);
    let name = format!("docker logs --tail 50 {}", dock.containers("beta")[1].name);
    assert!(held.stderr.contains(&name), "where its log is: {}", held.stderr);
    dock.scene.ends(0, &["rollback", "uat", "--yes"]);

    // Well at first, and gone a while later, seven times: the engine starts it again, each time later, and it is told.
    let later = "FROM base:1\nCOPY . /www\nCMD [\"/bin/busybox\", \"sh\", \"-c\", \"busybox httpd -p 8080 -h /www; \
                 until busybox test -e /tmp/end; do sleep 1; done; echo >>/tmp/end; \
                 [ $(busybox wc -l </tmp/end) -lt 7 ] || busybox rm /tmp/end; exit 7\"]\n";
    let later = format!("{later}{} \"! busybox test -e /tmp/ill\"]\n", check("10s"));
    dock.scene.commit("beta", "Dockerfile", Some(&later));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    dock.require_settled(2);
    dock.exec(&dock.running("beta"), &["/bin/busybox", "touch", "/tmp/ill"]);
    let says = |command: &str| dock.scene.pleach(&[command, "uat"]).stdout;
    let begun = Instant::now();
    while !says("status").contains("its engine says unhealthy") || !says("ps").contains("its engine says unhealthy") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}{}", says("status"), says("ps"));
    }
    assert!(says("status").contains("unhealthy  "), "{}", says("status"));
    dock.exec(&dock.running("beta"), &["/bin/busybox", "touch", "/tmp/end"]);
    let begun = Instant::now();
    loop {
        let listed = dock.scene.ends(0, &["ps", "uat", "beta"]).stdout;
        if listed.contains("exited with 7") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{listed}");
        std::thread::sleep(Duration::from_millis(200));
    }
    dock.becomes_alone("beta", 1);
}

/// What the engine asks by itself, up to the line for the shell.
fn check(timeout: &str) -> String {
    format!("HEALTHCHECK --interval=200ms --timeout={timeout} --retries=2 CMD [\"/bin/busybox\", \"sh\", \"-c\",")
}

/// Answers rightly every other time.
const FLAPS: &str = "while :; do for said in '200 OK' '500 No'; do printf 'HTTP/1.0 %s\\r\\n\\r\\n' \"$said\" | busybox nc -l -p 8080; done; done\n";

#[test]
fn an_engine_that_is_restarted_brings_back_what_ran_and_a_deployment_in_its_midst_is_all_or_nothing() {
    let Some(mut dock) = Dock::new() else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    dock.restart_engine();
    dock.becomes(1);
    dock.require_settled(2);
    for (version, place) in (2..).zip(["alpha@vm: image", "alpha@vm: retire"]) {
        let before = dock.answers();
        dock.version(version);
        let said = dock.deploy_over_a_restart(place);
        let told = format!("{place}: {}\n{}{}", said.code, said.stdout, said.stderr);
        match said.code {
            0 => dock.becomes(version),
            110 => dock.becomes(before.expect("it answered")),
            _ => panic!("{told}"),
        }
        dock.require_settled(2);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        dock.becomes(version);
    }
}

#[test]
fn only_the_layers_that_a_host_lacks_travel_and_a_host_without_an_engine_is_told_of() {
    let Some(mut dock) = Dock::new() else { return };
    let Some(builder) = DockerBed::new() else { return };
    dock.scene.variables = vec![("DOCKER_HOST".into(), format!("unix://{}", builder.engine.socket().display()))];
    let first = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    println!("{}{}", first.stderr, first.stdout);
    assert!(first.stderr.contains("1 of its 2 layers"), "it has the base already: {}", first.stderr);
    assert_eq!(dock.answers(), Some(1));
    dock.version_of("alpha", 2);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!((dock.answer("alpha"), dock.answer("beta")), (Some(2), Some(1)));
    let same = |name: &str| dock.containers(name).iter().map(|seen| seen.image.clone()).collect::<Vec<_>>();
    let built = builder.engine.ask("GET", "/images/json", "", &[]).expect("it answers");
    assert!(same("alpha").iter().all(|image| built.contains(image.as_str())), "the same digest on both");

    // Where images are built there is none any more, as on another machine.
    let proven = same("alpha").pop().expect("an image");
    dock.add_production();
    builder.engine.ask("DELETE", &format!("/images/{proven}?force=1"), "", &[]).expect("it answers");
    let promoted = dock.scene.ends(0, &["promote", "uat", "prod", "--yes"]);
    assert!(promoted.stderr.contains("came back from `vm` of `uat`: "), "{}", promoted.stderr);
    let built = builder.engine.ask("GET", "/images/json", "", &[]).expect("it answers");
    assert!(built.contains(&proven) && dock.built_on(&builder.engine, "alpha").len() == 2, "{built}");
    dock.scene.ends(0, &["stop", "prod", "--yes"]);
    require_rights(&mut dock);

    dock.engine.kill();
    std::fs::remove_file(dock.engine.socket()).expect("it was there");
    let failed = dock.scene.pleach(&["deploy", "uat", "--yes"]);
    assert!(matches!(failed.code, 100 | 102), "{}: {}{}", failed.code, failed.stdout, failed.stderr);
    assert!(failed.stderr.contains("there is no Docker engine"), "{}", failed.stderr);
    assert!(failed.stderr.contains("systemctl start docker"), "{}", failed.stderr);
}

/// Somebody who may log in there and not use the engine is told so while it is planned.
fn require_rights(dock: &mut Dock) {
    dock.target(&format!(
        "[environments.guest.targets.vm]\nkind = \"ssh\"\nhost = \"guest\"\npath = \"{}\"\nssh-config = \"{}\"\n\
         program = \"{}\"\nport-offset = 2\n",
        dock.bed.at("guest").display(),
        dock.bed.at("config").display(),
        env!("CARGO_BIN_EXE_pleach"),
    ));
    let config = std::fs::read_to_string(dock.bed.at("config")).expect("a config");
    let guest = config.replace("Host target", "Host guest").replace("User root", "");
    dock.bed.write("config", &format!("{config}\n{guest}User pleach-guest\n"));
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    dock.bed.write("passwd", &format!("{users}pleach-guest:*:54321:54321::/:/bin/sh\n"));
    dock.machine().overlay(&dock.bed.at("passwd"), Path::new("/etc/passwd"));
    std::fs::set_permissions(dock.bed.at("."), Permissions::from_mode(0o755)).expect("set");
    let refused = dock.scene.ends(100, &["plan", "guest"]);
    told_in_four_parts(&refused);
    for words in
        ["cannot run as a container on `vm`", "the user may not use `/var/run/docker.sock`", "usermod -aG docker"]
    {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    let doctor = dock.scene.pleach(&["doctor", "guest"]);
    assert!(doctor.stdout.contains("the user may not use its engine"), "{}", doctor.stdout);
}

#[test]
fn a_host_whose_deployer_died_goes_back_to_the_old_containers_by_itself() {
    let Some(dock) = Dock::new() else { return };
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let watched = "[environments.uat]\nlease = \"8s\"\nwatchdog = \"10s\"\n";
    std::fs::write(&file, config.replace("[environments.uat]\n", watched)).expect("written");
    dock.scene.git(&["commit", "-qam", "A watchdog"]);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let running = || SERVICES.map(|name| dock.containers(name).iter().filter(|seen| seen.state == "running").count());
    dock.version(2);
    let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("beta@vm: verify");
    working.signal(Signal::KILL);
    working.ends();
    dock.becomes(1);
    let begun = std::time::Instant::now();
    while running() != [1, 1] {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:#?}", dock.seen());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let resumed = dock.scene.ends(110, &["resume"]);
    assert!(resumed.stderr.contains("the target took itself back"), "{}", resumed.stderr);
    dock.require_settled(2);
    assert!(SERVICES.iter().all(|name| dock.containers(name).len() == 1), "{:#?}", dock.seen());
}

#[test]
fn of_what_was_built_and_deployed_only_what_may_be_gone_back_to_is_kept() {
    let Some(dock) = Dock::with("", "keep = 2\n") else { return };
    for version in 2..=8 {
        dock.version_of("alpha", version);
        dock.scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
        assert_eq!(dock.answer("alpha"), Some(version));
    }
    let kept = |dock: &Dock| (dock.containers("alpha").len(), dock.image_names("alpha").len());
    assert_eq!(kept(&dock), (2, 2), "as `keep` says: {:#?}", dock.seen());
    assert_eq!(dock.built("alpha").len(), 5, "{:?}", dock.built("alpha"));
    dock.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert_eq!(dock.answer("alpha"), Some(7), "what is kept can be gone back to");
}

#[test]
fn what_is_proven_in_one_environment_goes_to_another_by_digest_and_nothing_else_does() {
    let Some(mut dock) = Dock::new() else { return };
    dock.add_production();
    let promote = ["promote", "uat", "prod", "--yes"];
    let refused = dock.scene.ends(102, &promote);
    assert!(refused.stderr.contains("`alpha` is not proven in `uat`"), "{}", refused.stderr);
    told_in_four_parts(&refused);
    let refused = dock.scene.ends(102, &["deploy", "prod", "--yes"]);
    assert!(refused.stderr.contains("`prod` takes only what is proven in `uat`"), "{}", refused.stderr);
    told_in_four_parts(&refused);
    let in_prod = |service: &str| {
        let answer = dock.machine().get(dock.scene.port(service) + 1, "/metadata")?;
        answer.lines().find_map(|line| line.strip_prefix("version ")?.trim().parse::<u32>().ok())
    };
    let images = |service: &str, state: &str| -> Vec<String> {
        let seen = dock.containers(service).into_iter().filter(|seen| seen.state == state);
        seen.map(|seen| seen.image).collect()
    };
    for version in 1..=2 {
        dock.version_of("alpha", version + 10);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        // What the branch names by now is not what was proven.
        dock.version_of("alpha", version + 20);
        let said = dock.scene.ends(0, &promote);
        assert_eq!(
            (in_prod("alpha"), in_prod("beta")),
            (Some(version + 10), Some(1)),
            "{}{}",
            said.stdout,
            said.stderr
        );
        let running = images("alpha", "running");
        assert_eq!((running.len(), &running[0]), (2, &running[1]), "the same digest in both");
        let again = dock.scene.ends(0, &promote);
        assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);
    }
    dock.scene.ends(0, &["rollback", "prod", "--yes"]);
    assert_eq!(in_prod("alpha"), Some(11));
    dock.scene.ends(0, &["stop", "prod", "--yes"]);
}

#[test]
fn on_the_machine_itself_containers_live_as_they_do_on_a_host() {
    let Some(mut dock) = Dock::new() else { return };
    dock.target("[environments.local.targets.here]\nkind = \"directory\"\npath = \"../live\"\n");
    // As somebody who works there: the engine is at its usual place.
    let there = |arguments: &[&str]| {
        let mut command = dock.machine().command("sh");
        command.args(["-c", "cd \"$1\" && shift && exec \"$@\"", "sh"]).arg(dock.scene.root());
        command.arg(env!("CARGO_BIN_EXE_pleach")).args(arguments).stdin(std::process::Stdio::null());
        let said = Said::of(command.output().expect("it runs"));
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.stdout, said.stderr);
        said
    };
    there(&["deploy", "local", "--yes"]);
    assert_eq!(dock.answers(), Some(1));
    dock.version(2);
    dock.without_a_lost_request(|| there(&["deploy", "local", "--yes"]));
    assert_eq!(dock.answers(), Some(2));
    let listed = there(&["ps", "local"]);
    assert!(listed.stdout.contains("container `alpha-0002-"), "{}", listed.stdout);
    there(&["restart", "local", "--yes"]);
    there(&["rollback", "local", "--yes"]);
    assert_eq!(dock.answers(), Some(1));
    there(&["stop", "local", "--yes"]);
    assert_eq!(dock.answers(), None);
}

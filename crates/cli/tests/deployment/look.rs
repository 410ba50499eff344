//! What `pleach ps` and `pleach version` tell is what is there, here and on a host.

use pleach_remote::process::{Identity, port_owner};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::host::Host;
use crate::scene::Scene;

fn kill(pid: u64) {
    let pid = u32::try_from(pid).unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    while Identity::of(pid).is_some() {
        std::thread::yield_now();
    }
}

fn json(scene: &Scene, arguments: &[&str]) -> Value {
    let said = scene.ends(0, &[arguments, &["--json"]].concat());
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

fn row<'a>(listing: &'a Value, kind: &str, service: &str) -> &'a Value {
    let rows = listing[kind].as_array().unwrap();
    rows.iter().find(|row| row["service"] == service).unwrap_or_else(|| panic!("no {service}: {listing}"))
}

#[test]
fn each_process_is_listed_with_what_it_takes_and_what_is_gone_is_told() {
    let scene = Scene::new();
    assert!(scene.ends(0, &["ps", "local"]).stdout.starts_with("no process"));
    scene.ends(0, &["deploy", "local", "--yes"]);
    let listing = json(&scene, &["ps", "local"]);
    for service in ["alpha", "beta"] {
        let row = row(&listing, "processes", service);
        assert!(row["release"].as_str().unwrap().starts_with("0001-"), "{row}");
        assert_eq!((&row["state"], &row["restarts"], &row["note"]), (&"running".into(), &0.into(), &Value::Null));
        let pid = u32::try_from(row["pid"].as_u64().unwrap()).unwrap();
        let private = row["address"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let owner = port_owner(private).and_then(|owner| owner.process).expect("it listens");
        assert_eq!(owner.0, pid, "the process that listens is the one that is told");
        let router = port_owner(scene.port(service)).and_then(|owner| owner.process).expect("it is routed");
        assert_eq!(row["router"], u64::from(router.0));
        assert_eq!(row["public"], format!("127.0.0.1:{}", scene.port(service)));
        assert!(row["memory-bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{row}");
    }
    let table = scene.ends(0, &["ps", "local", "alpha"]).stdout;
    assert!(table.starts_with("SERVICE  TARGET  RELEASE") && table.lines().count() == 2, "{table}");
    assert!(!table.contains("NOTE"), "nothing to note: {table}");

    kill(row(&listing, "processes", "alpha")["router"].as_u64().unwrap());
    let supervisor = Identity::of(u32::try_from(row(&listing, "processes", "beta")["pid"].as_u64().unwrap()).unwrap());
    assert!(supervisor.is_some());
    let record = scene.place().join("live/beta/run");
    let release = row(&listing, "processes", "beta")["release"].as_str().unwrap().to_owned();
    let record: Value = serde_json::from_slice(&std::fs::read(record.join(release + ".json")).unwrap()).unwrap();
    kill(record["supervisor"]["pid"].as_u64().unwrap());
    let table = scene.ends(0, &["ps", "local"]).stdout;
    let line = |service: &str| table.lines().find(|line| line.starts_with(service)).unwrap().to_owned();
    assert!(line("alpha").contains("its router is gone"), "{table}");
    assert!(line("beta").contains("its supervisor is gone"), "{table}");
    scene.ends(0, &["restart", "local", "--yes"]);
    assert!(!scene.ends(0, &["ps", "local"]).stdout.contains("gone"), "a restart mends both");
    let unknown = scene.ends(100, &["ps", "local", "alhpa"]);
    assert!(unknown.stderr.contains("did you mean `alpha`?"), "{}", unknown.stderr);
    scene.ends(0, &["stop", "local", "alpha", "--yes"]);
    assert!(!scene.ends(0, &["ps", "local"]).stdout.contains("alpha"), "what was stopped has no process");
}

#[test]
fn what_is_live_is_compared_with_the_branches_here() {
    let scene = Scene::new();
    let own = scene.ends(0, &["version"]).stdout;
    assert!(own.starts_with(&scene.ends(0, &["--version"]).stdout), "{own}");
    assert!(own.contains("journal form 1, plan form 1"), "{own}");
    assert!(json(&scene, &["version"])["services"].is_null());

    let absent = json(&scene, &["version", "local"]);
    assert_eq!(row(&absent, "services", "alpha")["commit"], Value::Null);
    scene.git(&["tag", "v1.4.2", "skill/alpha"]);
    scene.commit("beta", "VERSION", Some("v2.0.1\n"));
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.version("alpha", 3);
    let told = json(&scene, &["version", "local"]);
    let alpha = row(&told, "services", "alpha");
    assert_eq!((&alpha["behind"], &alpha["ahead"]), (&2.into(), &0.into()), "{alpha}");
    assert_eq!((&alpha["branch"], &alpha["subject"]), (&"skill/alpha".into(), &"Change service.json".into()));
    assert!(alpha["release"].as_str().unwrap().ends_with(&alpha["commit"].as_str().unwrap()[..8]), "{alpha}");
    assert_eq!(row(&told, "services", "beta")["behind"], 0);
    assert_eq!((&alpha["version"], &row(&told, "services", "beta")["version"]), (&"1.4.2".into(), &"2.0.1".into()));
    assert_eq!((&told["programs"][0]["target"], &told["programs"][0]["same"]), (&"here".into(), &true.into()));
    let table = scene.ends(0, &["version", "local"]).stdout;
    assert!(table.contains("2 behind") && table.contains("newest") && table.contains("this one"), "{table}");

    // The branch goes back to before what is live, as after `git reset`.
    scene.git(&["branch", "-f", "skill/beta", "skill/beta~1"]);
    assert_eq!(row(&json(&scene, &["version", "local"]), "services", "beta")["ahead"], 1);
    scene.git(&["branch", "-m", "skill/beta", "elsewhere"]);
    let gone = scene.ends(0, &["version", "local"]).stdout;
    assert!(gone.contains("no branch here"), "{gone}");
    scene.git(&["branch", "-m", "elsewhere", "skill/beta"]);
}

#[test]
fn a_host_tells_its_processes_and_its_program_and_one_that_is_down_hides_no_other() {
    let mut host = Host::with("program = \"\"");
    // A second target in the same environment that nobody can reach.
    let file = host.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        format!("{config}[environments.uat.targets.lost]\nkind = \"ssh\"\nhost = \"127.0.0.1\"\nport = 1\npath = \"/srv/x\"\n"),
    )
    .unwrap();
    let both = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &config).unwrap();
    let scene = &host.scene;
    let before = json(scene, &["version", "uat"]);
    assert_eq!(before["programs"][0]["version"], Value::Null, "nothing was put there yet: {before}");
    scene.ends(0, &["deploy", "uat", "--yes", "--only", "alpha"]);
    let there = json(scene, &["version", "uat"]);
    let program = &there["programs"][0];
    assert_eq!((&program["target"], &program["same"]), (&"vm".into(), &true.into()), "{program}");
    assert!(program["path"].as_str().unwrap().contains(&program["digest"].as_str().unwrap()[..12]), "{program}");
    let listing = json(scene, &["ps", "uat"]);
    let alpha = row(&listing, "processes", "alpha");
    assert!(alpha["memory-bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{alpha}");
    assert_eq!(alpha["target"], "vm");

    std::fs::write(&file, &both).unwrap();
    let some = scene.ends(0, &["ps", "uat"]);
    assert!(some.stdout.contains("alpha    vm "), "{}", some.stdout);
    assert!(some.stderr.contains("error: could not read the processes on `lost`"), "{}", some.stderr);
    let told = json(scene, &["ps", "uat"]);
    assert_eq!(told["unread"][0]["target"], "lost");
    let versions = scene.ends(0, &["version", "uat"]);
    assert!(versions.stderr.contains("error: could not look at `lost`"), "{}", versions.stderr);
    assert!(versions.stdout.contains("newest"), "{}", versions.stdout);
    std::fs::write(&file, &config).unwrap();

    host.bed.server.end();
    let down = host.scene.ends(0, &["ps", "uat"]);
    assert!(down.stderr.contains("could not read the processes on `vm`"), "{}", down.stderr);
    host.bed.restart("");
}

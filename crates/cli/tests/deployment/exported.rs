//! What `pleach logs --output` puts into an archive for those who were not there, and what it never does.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scene::{Scene, told_in_four_parts};

const SECRET: &str = "s3cret/ticket'word";

/// All that an archive holds by name, unpacked by the tool that people have.
pub(crate) fn unpack(archive: &Path) -> BTreeMap<String, String> {
    let place = tempfile::tempdir().expect("a directory");
    let unpacked = Command::new("tar").arg("-xzvf").arg(archive).arg("-C").arg(place.path()).output().expect("tar");
    assert!(unpacked.status.success() && unpacked.stderr.is_empty(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let names = String::from_utf8(unpacked.stdout).expect("text");
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).expect("text");
    names.lines().map(|name| (name.to_owned(), read(name))).collect()
}

/// A project whose `alpha` prints a secret that it was given, and whose `beta` is held at a version that cannot be built.
fn held() -> (Scene, String) {
    let mut scene = Scene::new();
    scene.variables.push(("TICKET".into(), SECRET.into()));
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let loud = config.replacen("run = \"", "environment = { T = { secret = \"env:TICKET\" } }\nrun = \"echo $T; ", 1);
    let loud = loud.replace("echo building;", "echo building; test -e broken && exit 3;");
    std::fs::write(&file, &loud).expect("written");
    scene.git(&["commit", "-qam", "Config"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.file("beta", "broken");
    scene.ends(111, &["deploy", "local", "--yes", "--on-failure", "hold"]);
    (scene, loud)
}

fn names(place: &Path) -> Vec<String> {
    let files = std::fs::read_dir(place).expect("listed").flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn an_archive_has_all_of_an_environment_but_its_secrets_and_says_what_is_missing() {
    let (scene, config) = held();
    let running = scene.instances();
    let log = running.iter().find(|file| file.components().any(|part| part.as_os_str() == "alpha")).expect("a log");
    assert!(std::fs::read_to_string(log).expect("text").contains(SECRET), "it did print it");
    // Nobody listens there.
    let far = "[environments.local.targets.far]\nkind = \"ssh\"\nhost = \"127.0.0.1\"\nport = 1\npath = \"/srv\"\n";
    scene.write("pleach.toml", &format!("{config}{far}"));
    let tickets = scene.place().join("tickets");
    std::fs::create_dir(&tickets).expect("made");
    let ticket = tickets.join("ticket.tar.gz");
    let export = ["logs", "--env", "local", "--output", "../tickets/ticket.tar.gz"];

    let said = scene.ends(1, &export);
    assert!(said.stdout.contains("what services printed  2"), "{}", said.stdout);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("could not ask `far`"), "{}", said.stderr);
    assert_eq!(ticket.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    let files = unpack(&ticket);
    let mut wanted: Vec<String> = Vec::new();
    for run in scene.runs() {
        let run = run.file_name().expect("named").to_string_lossy().into_owned();
        for name in ["events.jsonl", "report.json", "report.txt", "run.log"] {
            wanted.push(format!("runs/{run}/{name}"));
        }
        wanted.push(format!("runs/{run}/targets/here/beta.log"));
    }
    let newest = scene.newest_run();
    wanted.push(format!("runs/{newest}/incident.md"));
    let first = scene.runs().into_iter().find(|run| !run.ends_with(&newest)).expect("two runs");
    let first = first.file_name().expect("named").to_string_lossy().into_owned();
    wanted.push(format!("runs/{first}/targets/here/alpha.log"));
    let others = ["services/here/alpha.log", "services/here/beta.log", "status.json", "version.json"];
    wanted.extend(others.into_iter().chain(["MISSING.txt", "CONTENTS.txt"]).map(str::to_owned));
    wanted.sort();
    assert_eq!(files.keys().cloned().collect::<Vec<_>>(), wanted);
    assert!(files["MISSING.txt"].contains("could not ask `far`"), "{}", files["MISSING.txt"]);
    assert!(files["services/here/alpha.log"].starts_with("[secret]\n"), "{}", files["services/here/alpha.log"]);
    assert!(files[&format!("runs/{first}/targets/here/alpha.log")].contains("| building"));
    assert!(files[&format!("runs/{newest}/report.txt")].contains("beta"));
    let json = |name: &str| serde_json::from_str::<Value>(&files[name]).expect("json");
    assert_eq!(json("status.json")["services"].as_array().map(Vec::len), Some(4), "of `far` it is told too");
    assert!(json("version.json")["services"].is_array());
    for line in files[&format!("runs/{newest}/events.jsonl")].lines() {
        serde_json::from_str::<pleach_core::event::Event>(line).expect("an event");
    }
    let all: String = files.values().map(String::as_str).collect();
    assert!(!all.contains(SECRET) && !all.contains("ticket'word"));

    let packed = std::fs::read(&ticket).expect("read");
    told_in_four_parts(&scene.ends(102, &export));
    assert_eq!(std::fs::read(&ticket).expect("read"), packed, "it is not overwritten");
    scene.ends(1, &[&export[..], &["--force"]].concat());
    assert!(std::fs::read(&ticket).expect("read") == packed, "the same content gives the same archive");
    assert_eq!(names(&tickets), ["ticket.tar.gz"]);

    scene.write("pleach.toml", "[project");
    let one = scene.ends(1, &["--json", "logs", "--run", &first, "--output", "../tickets/one.tar.gz"]);
    let told: Value = serde_json::from_str(&one.stdout).expect("json");
    assert_eq!(told["missing"][0]["because"][0], "the config cannot be read");
    let files = unpack(&tickets.join("one.tar.gz"));
    assert!(files.contains_key(&format!("runs/{first}/run.log")) && files.len() == 8, "{:?}", files.keys());
    scene.write("pleach.toml", &config);
    scene.ends(0, &["rollback", "local", "--yes"]);
}

#[test]
fn what_ends_an_export_leaves_nothing_of_it_and_half_a_secret_is_not_shown() {
    let (scene, config) = held();
    let running = scene.instances();
    let log = running.iter().find(|file| file.components().any(|part| part.as_os_str() == "alpha")).expect("a log");
    let tickets = scene.place().join("tickets");
    std::fs::create_dir(&tickets).expect("made");
    let export = ["logs", "--env", "local", "--output", "../tickets/ticket.tar.gz"];

    // The release's secret cannot be fetched here: what it printed stays away, the rest does not.
    let unknown = scene.under(&["env"], &export);
    assert_eq!(unknown.code, 1, "{}{}", unknown.stdout, unknown.stderr);
    assert!(unknown.stderr.contains("what `alpha` on `here` has printed") && unknown.stderr.contains("export TICKET"));
    let ticket = tickets.join("ticket.tar.gz");
    let files = unpack(&ticket);
    assert!(!files.contains_key("services/here/alpha.log") && files.contains_key("services/here/beta.log"));
    let packed = std::fs::read(&ticket).expect("read");

    let unchanged = |existing: bool| {
        assert_eq!(names(&tickets), if existing { vec!["ticket.tar.gz"] } else { Vec::new() });
        assert!(!existing || std::fs::read(&ticket).expect("read") == packed);
    };
    let forced = [&export[..], &["--force"]].concat();
    let full = scene.under(&["sh", "-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"], &forced);
    assert_eq!(full.code, 100, "{}", full.stderr);
    assert!(full.stderr.contains("File too large") && full.stderr.contains("what was there before is as it was"));
    told_in_four_parts(&full);
    unchanged(true);
    std::fs::remove_file(&ticket).expect("removed");
    let killed = scene.under(&["sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"], &export);
    assert_eq!(killed.code, -1, "by the signal itself: {}", killed.stderr);
    unchanged(false);

    let waits = config.replacen("\"env:TICKET\"", "\"command:echo asked >&2; exec sleep 60\"", 1);
    scene.write("pleach.toml", &waits);
    let mut working = scene.start(&export);
    let asked = working.says_or_ends("asked");
    scene.write("pleach.toml", &config);
    assert!(asked, "{:?}", working.ends());
    working.signal(rustix::process::Signal::TERM);
    let ended = working.ends();
    assert_eq!(ended.code, 143, "{}", ended.stderr);
    told_in_four_parts(&ended);
    unchanged(false);

    // The cut falls into a secret, wherever it falls: there is nothing else.
    let secrets = format!("{SECRET}\n").repeat((5 << 20) / (SECRET.len() + 1));
    std::io::Write::write_all(&mut std::fs::File::options().append(true).open(log).expect("there"), secrets.as_bytes())
        .expect("written");
    let said = scene.ends(0, &export);
    assert!(said.stdout.contains("of 1 only the end"), "{}", said.stdout);
    let files = unpack(&ticket);
    let alpha = &files["services/here/alpha.log"];
    let lines: Vec<&str> = alpha.lines().collect();
    assert!(lines[0].contains("left out") && lines[1..].iter().all(|line| *line == "[secret]"), "{}", lines[1]);
    assert!((4 << 20) - lines.len().saturating_sub(1) * (SECRET.len() + 1) <= SECRET.len(), "{} lines", lines.len());
    assert!(files["CONTENTS.txt"].contains("services/here/alpha.log  (only its end)"), "{}", files["CONTENTS.txt"]);
    scene.ends(0, &["rollback", "local", "--yes"]);
}

//! What was changed on a target by somebody else is found, named, and told how to look at; what was not is no finding.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::scene::{Said, Scene, told_in_four_parts};

/// No build, a file tree, and something shared of which copies are kept.
fn plain() -> Scene {
    let scene = Scene::new();
    let file = scene.root().join("pleach.toml");
    let config = fs::read_to_string(&file).expect("a config");
    let lines: Vec<&str> = config.lines().filter(|line| !line.starts_with("build = ")).collect();
    let shared = "[services.alpha]\nshared = [\"data/\"]\nsnapshot = [\"data/\"]\n";
    scene.write("pleach.toml", &lines.join("\n").replace("[services.alpha]\n", shared));
    scene.git(&["commit", "-qam", "Data, and no build"]);
    for name in ["folder/one", "folder/two", "data/first", "notes"] {
        scene.file("alpha", name);
    }
    scene
}

fn findings(said: &Said) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&said.stdout).expect("JSON");
    answer["findings"].as_array().expect("rows").clone()
}

/// Nothing differs, also in JSON.
fn require_whole(scene: &Scene) {
    let said = scene.ends(0, &["check", "local"]);
    assert_eq!(said.stdout, "no difference was found\n", "{}", said.stderr);
    assert_eq!(findings(&scene.ends(0, &["check", "local", "--json"])), Vec::<Value>::new());
}

/// Names, modes, times and contents of all that lies there.
fn all_of(place: &Path) -> String {
    let script = "find . -printf '%P %y %m %T@ %l\\n' | sort; find . -type f -exec sha256sum {} + | sort";
    let output = Command::new("sh").args(["-c", script]).current_dir(place).output().expect("find");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

/// A file of what the newest run keeps.
fn a_copy(service: &Path) -> PathBuf {
    let run = fs::read_dir(service.join(".pleach/kept")).expect("kept").flatten().next().expect("a run").path();
    let copies = fs::read_dir(run).expect("copies").flatten().map(|copy| copy.path());
    let copy = copies.into_iter().find(|path| path.to_string_lossy().contains("/copy.")).expect("a copy");
    if copy.is_dir() { fs::read_dir(copy).expect("a tree").flatten().next().expect("a file").path() } else { copy }
}

#[test]
fn what_somebody_changed_is_found_and_what_a_deployment_does_is_not() {
    let scene = plain();
    let never = scene.ends(2, &["check", "local"]);
    assert!(never.stdout.contains("`alpha` has no release here"), "{}", never.stdout);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let live = scene.place().join("live");
    fs::write(live.join("alpha/shared/data/second"), "of a service").expect("written");
    require_whole(&scene);
    let before = all_of(&live.join("alpha"));
    require_whole(&scene);
    assert_eq!(all_of(&live.join("alpha")), before, "nothing is written");

    scene.version("alpha", 2);
    let mut deploying = scene.start(&["deploy", "local", "--yes"]);
    let mut checks = 0;
    while !deploying.has_ended() {
        require_whole(&scene);
        checks += 1;
    }
    assert!(checks > 0);
    deploying.ends();
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
    require_whole(&scene);

    let current = live.join("alpha/current");
    fs::write(current.join("service.json"), fs::read_to_string(current.join("service.json")).unwrap() + " ").unwrap();
    fs::remove_dir_all(current.join("folder")).expect("removed");
    fs::create_dir(current.join("new")).expect("made");
    fs::write(current.join("new/intruder"), "x").expect("written");
    fs::remove_file(current.join("data")).expect("the link is removed");
    let first = fs::read_dir(live.join("alpha/releases")).unwrap().flatten().map(|entry| entry.path()).min().unwrap();
    fs::write(first.join("notes"), "other").expect("written");
    let copy = a_copy(&live.join("alpha"));
    let content = fs::read(&copy).expect("a copy");
    fs::write(&copy, [content.as_slice(), b"x"].concat()).expect("damaged");

    let said = scene.ends(6, &["check", "local", "--json"]);
    let rows = findings(&said);
    let row = |what: &str, part: &str, because: &str, next: &str| {
        let of = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let found =
            rows.iter().find(|row| of(row, "what").contains(what)).unwrap_or_else(|| panic!("{what}: {rows:#?}"));
        assert_eq!((of(found, "service"), of(found, "target")), ("alpha".into(), "here".into()));
        assert_eq!(of(found, "part"), part, "{found}");
        assert!(of(found, "because").contains(because), "{found}");
        assert!(of(found, "next").contains(next), "{found}");
        of(found, "next")
    };
    row("file `service.json` was changed in release `0002-", "release", "does not hold what commit", "git show");
    row("folder `new/` with 1 file was added to release `0002-", "release", "does not have it", "ls -la");
    row("file `data` is gone from release `0002-", "release", "commit", "ls -la");
    row("file `notes` was changed in release `0001-", "restore-point", "does not hold", "git show");
    row(
        "keeps of files cannot be put back",
        "restore-point",
        "its copy is damaged",
        "pleach deploy local --only alpha",
    );
    let next = row("folder `folder/` with 2 files is gone", "release", "has it", "git archive");
    let table = scene.ends(6, &["check", "local"]);
    assert!(table.stdout.contains("`service.json` was changed"), "{}", table.stdout);
    assert!(!table.stdout.contains("beta"), "{}", table.stdout);
    scene.ends(0, &["check", "local", "--only", "beta"]);

    // What it says to do can be pasted.
    let line = next.split('`').nth(1).expect("a command");
    let pasted = Command::new("sh").args(["-c", line]).current_dir(scene.root()).status().expect("sh");
    assert!(pasted.success(), "{line}");
    scene.ends(5, &["check", "local", "--only", "alpha"]);

    // What cannot be read is told and hides no other.
    let link = live.join("beta/current");
    let to = fs::read_link(&link).expect("a link");
    fs::remove_file(&link).expect("removed");
    fs::create_dir(&link).expect("made");
    let unread = scene.ends(6, &["check", "local"]);
    assert!(unread.stderr.contains("could not check all of `beta` on `here`"), "{}", unread.stderr);
    told_in_four_parts(&unread);
    assert!(unread.stdout.contains("`service.json` was changed"), "{}", unread.stdout);
    fs::remove_dir(&link).expect("removed");
    std::os::unix::fs::symlink(to, &link).expect("it is back");
}

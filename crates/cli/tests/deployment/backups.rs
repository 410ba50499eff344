//! `pleach backup` and `pleach restore`: what a service has beside its releases, kept by name.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::scene::{Scene, told_in_four_parts};

/// A project whose `alpha` has data, which is deployed with `one` in it.
fn with_data() -> Scene {
    let scene = Scene::new();
    let file = scene.root().join("pleach.toml");
    let config = fs::read_to_string(&file).expect("a config");
    let name = "[services.alpha]\n";
    let lines = format!("{name}shared = [\"data/\"]\nsnapshot = [\"data\"]\n");
    fs::write(&file, config.replacen(name, &lines, 1)).expect("written");
    scene.git(&["commit", "-qam", "Data"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
    write(&scene, "one");
    scene
}

fn shared(scene: &Scene) -> PathBuf {
    scene.place().join("live/alpha/shared")
}

fn write(scene: &Scene, text: &str) {
    fs::write(shared(scene).join("data/file"), text).expect("written");
}

fn data(scene: &Scene) -> String {
    fs::read_to_string(shared(scene).join("data/file")).expect("there")
}

fn listed(scene: &Scene) -> Vec<Value> {
    let listed = scene.ends(0, &["--json", "backup", "local", "--list"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    listed["backups"].as_array().expect("a list").clone()
}

fn newest(scene: &Scene) -> String {
    listed(scene)[0]["backup"].as_str().expect("a name").to_owned()
}

/// Makes one; gives its name.
fn back_up(scene: &Scene) -> String {
    let made = scene.ends(0, &["backup", "local"]);
    let name = newest(scene);
    assert!(made.stderr.contains(&format!("put it back with `pleach restore local {name}`")), "{}", made.stderr);
    name
}

#[test]
fn a_backup_comes_back_with_its_release_as_often_as_it_is_asked_for_until_it_is_removed() {
    let scene = Scene::new();
    let early = scene.ends(102, &["backup", "local"]);
    told_in_four_parts(&early);
    drop(scene);

    let scene = with_data();
    let backup = back_up(&scene);
    let text = scene.ends(0, &["backup", "local", "--list"]).stdout;
    assert!(text.contains("  1 path\n") && text.contains("  -\n") && text.contains(&backup), "{text}");
    let first = listed(&scene)[0]["release"].as_str().expect("a release").to_owned();
    for version in 2..8 {
        scene.version("alpha", version);
        scene.ends(0, &["deploy", "local", "--yes", "--only", "alpha"]);
    }
    assert!(scene.place().join("live/alpha/releases").join(&first).is_dir(), "its release stays");
    write(&scene, "two");

    // Data is replaced: somebody has to want that.
    let unasked = scene.ends(102, &["restore", "local", &backup]);
    told_in_four_parts(&unasked);
    assert_eq!(data(&scene), "two");
    let clients = scene.clients();
    let restored = scene.ends(0, &["restore", "local", &backup, "--yes"]);
    clients.all_were_answered();
    assert_eq!(
        (data(&scene).as_str(), scene.answers("alpha").as_deref()),
        ("one", Some("1.0.0")),
        "{}",
        restored.stderr
    );
    let aside = shared(&scene).join("data.pleach-replaced.0");
    assert_eq!(fs::read_to_string(aside.join("file")).expect("kept"), "two");
    assert!(restored.stderr.contains(&aside.display().to_string()), "{}", restored.stderr);

    // A backup later leaves nothing to take back.
    let later = back_up(&scene);
    let back = scene.ends(0, &["rollback", "local", "--yes"]);
    assert!(back.stderr.contains("since then only made a backup"), "{}", back.stderr);
    assert_eq!((data(&scene).as_str(), scene.answers("alpha").as_deref()), ("two", Some("7.0.0")));
    scene.ends(0, &["restore", "local", &backup, "alpha", "--yes"]);
    assert_eq!((data(&scene).as_str(), scene.answers("alpha").as_deref()), ("one", Some("1.0.0")));

    // One that is damaged is told, and puts nothing back.
    let copies = fs::read_dir(scene.place().join("live/alpha/.pleach/backups").join(&backup).join("files"));
    let copies =
        copies.expect("there").flatten().filter(|file| file.file_name().to_string_lossy().starts_with("copy."));
    for copy in copies {
        fs::write(copy.path(), "damaged").expect("written");
    }
    write(&scene, "three");
    let checked = scene.ends(1, &["check", "local"]);
    assert!(checked.stdout.contains(&format!("backup `{backup}` cannot be restored")), "{}", checked.stdout);
    let failed = scene.ends(110, &["restore", "local", &backup, "--yes"]);
    told_in_four_parts(&failed);
    assert_eq!((data(&scene).as_str(), scene.answers("alpha").as_deref()), ("three", Some("1.0.0")));

    told_in_four_parts(&scene.ends(102, &["backup", "local", "--remove", &backup]));
    scene.ends(0, &["backup", "local", "--remove", &backup, "--yes"]);
    assert!(listed(&scene).iter().all(|row| row["backup"] == later.as_str()), "{:?}", listed(&scene));
    let gone = scene.ends(102, &["restore", "local", &backup, "--yes"]);
    told_in_four_parts(&gone);
    scene.ends(0, &["check", "local"]);

    // One whose record is lost is none, and in nobody's way.
    let folder = scene.place().join("live/alpha/.pleach/backups").join(&later);
    fs::write(folder.join("backup.json"), "").expect("written");
    scene.ends(0, &["deploy", "local", "--yes"]);
    let checked = scene.ends(1, &["check", "local"]);
    assert!(checked.stdout.contains(&format!("backup `{later}` is not whole")), "{}", checked.stdout);
    fs::remove_dir_all(folder).expect("removed");
    scene.ends(0, &["check", "local"]);
    let status = scene.ends(0, &["status"]);
    assert!(!status.stdout.contains("resume") && !status.stdout.contains("lease"), "{}", status.stdout);
}

#[test]
fn a_backup_that_cannot_be_made_of_one_service_is_made_of_none_also_where_failures_are_held() {
    let scene = with_data();
    let file = scene.root().join("pleach.toml");
    let config = fs::read_to_string(&file).expect("a config");
    let config = config.replacen("snapshot = [\"data\"]", "snapshot = [\"data\", \"/dev/null\"]", 1);
    fs::write(&file, config.replacen("[environments.local]\n", "[environments.local]\non-failure = \"hold\"\n", 1))
        .expect("written");
    scene.git(&["commit", "-qam", "A device"]);
    let failed = scene.ends(110, &["backup", "local"]);
    told_in_four_parts(&failed);
    assert!(failed.stderr.contains("/dev/null: it is neither a file nor a directory nor a link"), "{}", failed.stderr);
    assert!(listed(&scene).is_empty());
    for service in ["alpha", "beta"] {
        let folder = scene.place().join("live").join(service).join(".pleach/backups");
        assert_eq!(fs::read_dir(folder).map_or(0, Iterator::count), 0, "{service}");
    }
    let status = scene.ends(0, &["status"]);
    assert!(!status.stdout.contains("resume") && !status.stdout.contains("lease"), "{}", status.stdout);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

/// Starts something, and kills it once its journal has so many records. `false` if it ended before.
fn killed(scene: &Scene, arguments: &[&str], records: usize) -> bool {
    let earlier = scene.runs();
    let mut working = scene.start(arguments);
    let reached = working.reaches(scene, &earlier, records);
    if reached {
        working.signal_if_alive(Signal::KILL);
    }
    working.ends();
    reached
}

#[test]
fn killed_anywhere_a_backup_is_whole_or_not_there_and_a_restore_is_all_or_nothing() {
    let scene = with_data();
    let backup = back_up(&scene);
    for records in 1.. {
        let before = listed(&scene).len();
        let reached = killed(&scene, &["backup", "local", "alpha"], records);
        scene.pleach(&["resume"]);
        let (all, made) = (listed(&scene), listed(&scene).len() - before);
        assert!(made <= 1, "{all:?}");
        let folders = fs::read_dir(scene.place().join("live/alpha/.pleach/backups")).expect("there").count();
        assert_eq!(
            folders,
            all.iter().filter(|row| row["service"] == "alpha").count(),
            "{records}: half a backup is left"
        );
        scene.ends(0, &["check", "local"]);
        if !reached {
            assert!(made == 1 && records > 3, "{records}");
            break;
        }
    }
    let mut old = 0;
    for (round, records) in (2..).step_by(3).enumerate() {
        let version = u32::try_from(round).expect("few") + 2;
        scene.version("alpha", version);
        scene.ends(0, &["deploy", "local", "--yes", "--only", "alpha"]);
        write(&scene, "two");
        let reached = killed(&scene, &["restore", "local", &backup, "alpha", "--yes"], records);
        let resumed = scene.pleach(&["resume"]);
        let now = (data(&scene), scene.answers("alpha").expect("an answer"));
        let is_old = now == ("two".to_owned(), format!("{version}.0.0"));
        assert!(is_old || now == ("one".to_owned(), "1.0.0".to_owned()), "{records}: {now:?}\n{}", resumed.stderr);
        old += usize::from(is_old);
        let status = scene.ends(0, &["status"]);
        assert!(!status.stdout.contains("resume") && !status.stdout.contains("lease"), "{records}: {}", status.stdout);
        if !reached {
            assert!(!is_old && round > 5, "{records}");
            break;
        }
    }
    println!("{old} ended as before");
}

#[test]
fn a_deployment_is_taken_back_with_its_data_once_and_never_to_a_release_without_its_data() {
    let scene = with_data();
    for (version, text) in [(2, "two"), (3, "three")] {
        scene.version("alpha", version);
        scene.ends(0, &["deploy", "local", "--yes"]);
        write(&scene, text);
    }
    scene.ends(0, &["rollback", "local", "alpha", "--yes"]);
    assert_eq!((scene.answers("alpha").as_deref(), data(&scene).as_str()), (Some("2.0.0"), "two"));

    // The copies of the run before went with the one that was taken back.
    let (runs, file) = (scene.runs().len(), shared(&scene).join("data/file"));
    let written = fs::metadata(&file).expect("there").modified().expect("a time");
    let refused = scene.ends(102, &["rollback", "local", "alpha", "--yes"]);
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("cannot be taken back with the data of `alpha`"), "{}", refused.stderr);
    assert_eq!((scene.answers("alpha").as_deref(), data(&scene).as_str()), (Some("2.0.0"), "two"));
    assert_eq!((scene.runs().len(), fs::metadata(&file).expect("there").modified().expect("a time")), (runs, written));
    assert!(scene.ends(0, &["resume"]).stdout.contains("nothing to resume"), "it did not begin");
    let advice = refused.stderr.split_once("`pleach rollback local alpha --to ").expect("advice").1;
    let release = advice.split('`').next().expect("named").to_owned();
    scene.ends(0, &["rollback", "local", "alpha", "--to", &release, "--yes"]);
    assert_eq!((scene.answers("alpha").as_deref(), data(&scene).as_str()), (Some("1.0.0"), "two"));
}

//! Named volumes of containers: kept before a deployment, put back when it is taken back, by whomever.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::composed::{COMPOSE, project};
use crate::dock::Dock;

/// What the first version makes of an empty volume.
const FIRST: &str = "[ -e /data/deep ] || { mkdir -p /data/deep/empty; echo one >/data/deep/file; ln -s deep/file /data/link;\n\
                     ln /data/deep/file /data/other; chmod 640 /data/deep/file; chown 1234:5678 /data/deep/file; chmod 700 /data/deep; }\n";

/// What a later one makes of that.
pub(crate) const LATER: &str = "rm -r /data/deep /data/link; echo two >/data/other; mkdir -p /data/more/.hidden; echo x >/data/more/x; chmod 777 /data\n";

/// Service `alpha` is a container that brings its volume up to date when it starts, and nothing else is deployed.
pub(crate) fn with_data(environment: &str) -> Option<Dock> {
    let dock = Dock::new()?;
    let service = format!(
        "[services.alpha]\nbranch = \"skill/alpha\"\nport = {}\nstop-grace = \"1s\"\nsnapshot = [\"volume:alpha-data\"]\n\
         image = {{ port = 8080, volumes = [\"alpha-data:/data\"], command = [\"/bin/busybox\", \"sh\", \"-c\", \
         \". /www/migrate; exec /bin/busybox httpd -f -p $PORT -h /www\"] }}\n\
         health = {{ http = {{ path = \"/health\" }}, period = \"20ms\", success = 2, within = \"2s\" }}\n",
        dock.scene.port("alpha"),
    );
    dock.configure(&service, "");
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let name = "[environments.uat]\n";
    dock.scene.write("pleach.toml", &config.replace(name, &format!("{name}{environment}")));
    dock.scene.git(&["commit", "-qam", "A volume", "--allow-empty"]);
    dock.scene.commit("alpha", "migrate", Some(FIRST));
    Some(dock)
}

/// The folder of a volume, as seen from here.
fn folder(dock: &Dock, volume: &str) -> PathBuf {
    let inspected = dock.ask(&format!("/volumes/{volume}"));
    let place = inspected["Mountpoint"].as_str().unwrap_or_else(|| panic!("no volume: {inspected}"));
    dock.machine().see(place.as_ref())
}

/// All that is in a volume: kinds, modes, owners, links, times and contents of files.
pub(crate) fn content(dock: &Dock, volume: &str) -> String {
    let script = "find . -printf '%P %y %m %U:%G %l\\n' | sort; find . -type f -printf '%P %n %Ts\\n' | sort; \
                  find . -type f -exec sha256sum {} + | sort";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder(dock, volume)).output().expect("find");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

/// The new container has changed the volume by then.
fn kill_once_it_started(dock: &Dock) {
    let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm: start done");
    working.signal(Signal::KILL);
    working.ends();
}

/// The runs whose copies are there.
fn copies(dock: &Dock) -> usize {
    std::fs::read_dir(dock.live().join("alpha/.pleach/volumes")).map_or(0, Iterator::count)
}

#[test]
fn a_volume_comes_back_with_all_that_was_in_it_whoever_takes_the_deployment_back() {
    let Some(dock) = with_data("lease = \"8s\"\nwatchdog = \"9s\"\n") else { return };
    let first = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert!(first.stderr.contains("volume `alpha-data` (not there)"), "{}", first.stderr);
    let before = content(&dock, "alpha-data");
    assert!(before.contains("deep/file f 640 1234:5678"), "{before}");
    let container = dock.containers("alpha");

    // By the run itself.
    dock.scene.commit("alpha", "migrate", Some(LATER));
    dock.scene.commit("alpha", "health", None);
    let failed = dock.scene.pleach(&["deploy", "uat", "--yes", "-v"]);
    println!("{}{}", failed.stderr, failed.stdout);
    assert_eq!(failed.code, 110, "{}", failed.stderr);
    assert!(
        failed.stderr.contains("equal copies are kept of volume `alpha-data` (1 file, 4 bytes)"),
        "{}",
        failed.stderr
    );
    assert_eq!(content(&dock, "alpha-data"), before);
    assert_eq!(dock.containers("alpha"), container, "the same one runs on it again");
    dock.require_settled(1);
    let aside = dock.live().join("alpha/.pleach/replaced");
    let kept = std::fs::read_dir(&aside).expect("kept").next().expect("of the run").expect("read").path();
    let listed = Command::new("tar").arg("-tf").arg(kept.join("alpha-data.tar")).output().expect("tar");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("volume/more/x"), "what was in it meanwhile is kept");

    // By the next one, after its deployer was killed.
    kill_once_it_started(&dock);
    let resumed = dock.scene.ends(110, &["resume"]);
    assert_eq!(content(&dock, "alpha-data"), before, "{}", resumed.stderr);
    dock.require_settled(1);

    // By the host itself.
    kill_once_it_started(&dock);
    until_taken_back(&dock);
    assert_eq!(content(&dock, "alpha-data"), before);
    dock.becomes_alone("alpha", 1);
    dock.scene.pleach(&["rollback", "uat", "--yes"]);
    assert_eq!(content(&dock, "alpha-data"), before);
    assert_eq!(dock.containers("alpha"), container);

    // What somebody else runs on it would be ended: told before anything is touched.
    let other = r#"{"Image":"base:1","Cmd":["/bin/sleep","1000"],"HostConfig":{"Binds":["alpha-data:/x"]}}"#;
    dock.engine.ask("POST", "/containers/create?name=other", "application/json", other.as_bytes()).expect("made");
    dock.engine.ask("POST", "/containers/other/start", "", &[]).expect("started");
    let refused = dock.scene.pleach(&["deploy", "uat", "--yes"]);
    assert!(refused.code >= 100 && refused.stderr.contains("container `other`"), "{} {}", refused.code, refused.stderr);
    assert!(refused.stderr.contains("docker stop other"), "{}", refused.stderr);
    dock.engine.ask("DELETE", "/containers/other?force=1", "", &[]).expect("removed");

    // What succeeds keeps what is new, and needs no older copies.
    dock.scene.commit("alpha", "health", Some("ok"));
    dock.version_of("alpha", 2);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answer("alpha"), Some(2));
    assert!(content(&dock, "alpha-data").contains("more/.hidden d"));
    assert_eq!(copies(&dock), 1, "of the last run");

    // Taken back although it succeeded: the release before, with the data that it ran on.
    dock.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert_eq!((content(&dock, "alpha-data"), dock.answer("alpha")), (before, Some(1)));
    assert_eq!(dock.containers("alpha"), container, "the very container");
    dock.require_settled(1);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);

    // Kept by name, and put back with the release that it belongs to.
    dock.scene.commit("alpha", "migrate", Some("[ ! -e /data/poison ] || exit 1\n"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let kept = content(&dock, "alpha-data");
    let release = back_up(&dock);
    for (version, change) in [(3, "echo three >/data/three\n"), (4, "rm -r /data/more /data/other\n")] {
        dock.scene.commit("alpha", "migrate", Some(change));
        dock.version_of("alpha", version);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        assert_ne!(content(&dock, "alpha-data"), kept);
        let restored = dock.scene.ends(0, &["restore", "uat", &release, "--yes"]);
        assert!(restored.stderr.contains("1 volume as in backup"), "{}", restored.stderr);
        assert_eq!((content(&dock, "alpha-data"), dock.answer("alpha")), (kept.clone(), Some(2)));
        dock.require_settled(1);
    }
    // Of the same release: its container runs on it again.
    let poison = folder(&dock, "alpha-data").join("poison");
    std::fs::write(&poison, "x").expect("written");
    let poisoned = back_up(&dock);
    dock.scene.ends(0, &["restore", "uat", &release, "--yes"]);
    assert_eq!((content(&dock, "alpha-data"), dock.answer("alpha")), (kept.clone(), Some(2)));

    // Its release does not run on it: what is there now comes back, with the release that ran on it.
    dock.scene.commit("alpha", "migrate", Some("echo five >/data/five\n"));
    dock.version_of("alpha", 5);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let now = || (apart_from(&content(&dock, "alpha-data"), "five"), dock.answer("alpha"));
    let before = now();
    let failed = dock.scene.pleach(&["restore", "uat", &poisoned, "--yes", "-v"]);
    assert_eq!((failed.code, now()), (110, before.clone()), "{}", failed.stderr);
    dock.require_settled(1);
    // And where nobody is left who could see that.
    let mut working = dock.scene.start(&["restore", "uat", &release, "--yes", "-v"]);
    working.says("alpha@vm: put-back done");
    working.signal(Signal::KILL);
    working.ends();
    assert!(!folder(&dock, "alpha-data").join("five").exists());
    until_taken_back(&dock);
    dock.becomes_alone("alpha", 5);
    assert_eq!(now(), before);
    dock.scene.pleach(&["rollback", "uat", "--yes"]);
    assert_eq!(now(), before);
    dock.require_settled(1);
    dock.scene.ends(0, &["check", "uat"]);
    let archive = dock.live().join("alpha/.pleach/backups").join(&release).join("volumes/0.tar");
    std::fs::OpenOptions::new().append(true).open(archive).expect("there").set_len(100).expect("cut");
    let checked = dock.scene.ends(1, &["check", "uat"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(checked.contains(&format!("backup `{release}` cannot be restored: ")), "{checked}");
    assert!(dock.ask("/containers/json?all=1").to_string().find("pleach-volume").is_none(), "nothing of ours is left");
}

/// Until the host has done by itself what its deployer can no longer do.
fn until_taken_back(dock: &Dock) {
    let begun = Instant::now();
    loop {
        let status: Value =
            serde_json::from_str(&dock.scene.ends(0, &["status", "uat", "--json"]).stdout).expect("JSON");
        if status["watchdogs"].as_array().is_some_and(|all| all.iter().any(|one| one["phase"] == "restored")) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not take itself back: {status:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Makes a backup; gives its name.
fn back_up(dock: &Dock) -> String {
    dock.scene.ends(0, &["backup", "uat"]);
    let listed = dock.scene.ends(0, &["backup", "uat", "--list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed["backups"][0]["volumes"].as_array().map(Vec::len), Some(1), "{listed:#}");
    listed["backups"][0]["backup"].as_str().expect("a name").to_owned()
}

#[test]
fn a_volume_of_a_project_comes_back_while_nothing_of_it_runs() {
    let Some(dock) = project(COMPOSE) else { return };
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    dock.scene.write("pleach.toml", &config.replace("compose = {}\n", "compose = {}\nsnapshot = [\"volume:data\"]\n"));
    dock.scene.git(&["commit", "-qam", "A volume"]);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let before = content(&dock, "alpha_data");
    assert!(before.contains("ready f"), "{before}");

    dock.version_of("alpha", 2);
    let later = COMPOSE.replace("echo ready >/data/ready;", "echo later >/data/ready; echo x >/data/more;");
    dock.scene.commit("alpha", "compose.yml", Some(&later));
    dock.scene.commit("alpha", "health", None);
    let failed = dock.scene.pleach(&["deploy", "uat", "--yes", "-v"]);
    println!("{}{}", failed.stderr, failed.stdout);
    assert_eq!(failed.code, 110, "{}", failed.stderr);
    assert_eq!(dock.answer("alpha"), Some(1));
    let after = content(&dock, "alpha_data");
    // The old database writes its file again when it starts.
    let apart_from_time = |text: &str| apart_from(text, "ready");
    assert_eq!(apart_from_time(&after), apart_from_time(&before));
    dock.require_settled(1);

    let backup = back_up(&dock);
    dock.scene.commit("alpha", "health", Some("ok"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(content(&dock, "alpha_data").contains("more f") && dock.answer("alpha") == Some(2));
    dock.scene.ends(0, &["restore", "uat", &backup, "--yes"]);
    assert_eq!(apart_from_time(&content(&dock, "alpha_data")), apart_from_time(&before));
    assert_eq!(dock.answer("alpha"), Some(1));
    dock.require_settled(1);

    // A release that does not run on what it was backed up with.
    let careful =
        COMPOSE.replace("echo ready >/data/ready;", "[ -e /data/poison ] && exit 1; echo ready >/data/ready;");
    dock.scene.commit("alpha", "compose.yml", Some(&careful));
    dock.version_of("alpha", 3);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let poison = folder(&dock, "alpha_data").join("poison");
    std::fs::write(&poison, "x").expect("written");
    let poisoned = back_up(&dock);
    std::fs::remove_file(&poison).expect("removed");
    dock.scene.commit("alpha", "compose.yml", Some(&later));
    dock.version_of("alpha", 4);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    let now = || {
        let content = content(&dock, "alpha_data");
        (apart_from(&apart_from_time(&content), "more"), dock.answer("alpha"))
    };
    let before = now();
    let failed = dock.scene.pleach(&["restore", "uat", &poisoned, "--yes", "-v"]);
    assert_eq!((failed.code, now()), (110, before), "{}", failed.stderr);
    dock.require_settled(1);
}

/// Without the time of a file that is written again whenever something starts.
fn apart_from(content: &str, file: &str) -> String {
    let time = format!("{file} 1 ");
    content.lines().filter(|line| !line.starts_with(&time)).collect::<Vec<_>>().join("\n")
}

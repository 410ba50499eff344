//! Volumes are kept and put back by the executable on the target, whenever it is killed.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pleach_remote::docker::Engine;
use serde_json::{Value, json};

use crate::bed::{eventually, shared, shell};

/// What is in the volume first, with owners, modes, links and a name that is no text.
const FIRST: &str = "cd /data && mkdir -p deep/empty && echo one >deep/file && ln deep/file hard && ln -s deep/file soft && \
                     ln -s /nowhere lost && chown 70000:5678 deep/file && chmod 4750 deep/file && chmod 1777 . && \
                     printf x >\"$(printf 'a\\377 b')\"";

/// What becomes of it.
const LATER: &str =
    "cd /data && rm -r deep soft hard && echo two >soft && mkdir -p lost2/.hidden && echo x >lost2/x && chmod 700 .";

fn supervise(words: &[&str], request: &Value) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach-remote-probe"));
    command.arg("supervise").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("it starts");
    let written = child.stdin.take().expect("piped").write_all(request.to_string().as_bytes());
    written.expect("it reads");
    child
}

fn answer(words: &[&str], request: &Value) -> Value {
    let output = supervise(words, request).wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
}

/// Starts a container that has the volume, and waits until it has run a line.
async fn start_on(engine: &Engine, volume: &str, name: &str, line: &str) {
    let base = engine.image("base:1").await.expect("asked").expect("there").id;
    let mut spec = shell(name, &base, &format!("({line}) && echo done; exec /bin/busybox sleep 1000"));
    spec.volumes = vec![format!("{volume}:/data")];
    spec.labels.insert("pleach.directory".into(), "/srv/volume-test".into());
    engine.ensure_container(&spec).await.expect("made");
    engine.ensure_started(name).await.expect("started");
    eventually(async || (engine.last_lines(name, 1).await.expect("read") == ["done"]).then_some(())).await;
}

async fn run_on(engine: &Engine, volume: &str, name: &str, line: &str) {
    start_on(engine, volume, name, line).await;
    engine.ensure_stopped(name, Duration::ZERO).await.expect("stopped");
    engine.ensure_no_container(name).await.expect("removed");
}

/// Asks for a volume to be kept; gives its digest.
fn keep(socket: &Path, place: &Path, volume: &str) -> String {
    let request = json!({
        "place": place, "socket": socket, "holder": "volume-holder", "owner": { "service": "/srv/volume-test" },
        "volumes": [volume],
    });
    let told = answer(&["keep-volumes"], &request);
    told["done"][0]["before"]["tree"]["digest"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[tokio::test]
async fn a_volume_is_as_it_was_wherever_whoever_puts_it_back_is_killed() {
    let Some((bed, engine)) = shared().await else { return };
    let (folder, volume) = (tempfile::tempdir().expect("a folder"), "volume-killed");
    let (socket, all, aside) = (bed.engine.socket(), folder.path().join("volumes"), folder.path().join("replaced"));
    run_on(&engine, volume, "volume-first", FIRST).await;
    let wanted = keep(socket, &all.join("run-0"), volume);
    let mut cut = 0;
    for (at, delay) in [1_u64, 50, 100, 150, 250].into_iter().enumerate() {
        let run = format!("run-{at}");
        assert_eq!(keep(socket, &all.join(&run), volume), wanted, "before {run}");
        run_on(&engine, volume, "volume-later", LATER).await;
        start_on(&engine, volume, "volume-user", "true").await;
        let request = json!({
            "all": all, "aside": aside, "socket": socket, "holder": "volume-holder",
            "owner": { "service": "/srv/volume-test" }, "stop-grace": "0s",
        });
        let mut first = supervise(&["put-back-volumes", &run], &request);
        std::thread::sleep(Duration::from_millis(delay));
        cut += usize::from(first.try_wait().expect("asked").is_none());
        first.kill().expect("killed");
        first.wait().expect("it ends");
        let told = answer(&["put-back-volumes", &run], &request);
        assert_eq!(told["done"]["changed"], true, "{told}");
        assert_eq!(keep(socket, &folder.path().join("seen"), volume), wanted, "after {delay} ms: {told}");
        assert!(!engine.container("volume-user").await.expect("asked").expect("there").runs(), "{told}");
        let kept = aside.join(&run).join("volume-killed.tar");
        let listed = Command::new("tar").arg("-tf").arg(&kept).output().expect("tar").stdout;
        assert!(String::from_utf8_lossy(&listed).contains("lost2/x"), "what was in it is kept, also behind a kill");
        let again = answer(&["put-back-volumes", &run], &request);
        assert_eq!(again, told, "twice is once");
        engine.ensure_no_container("volume-user").await.expect("removed");
    }
    assert!(cut > 1, "it was killed under way only {cut} times");
    assert!(engine.container("volume-holder").await.expect("asked").is_none());
    assert!(engine.container("volume-holder-empty").await.expect("asked").is_none());

    // One that was not there is emptied; one that is gone is made again.
    let none = json!({
        "place": all.join("none"), "socket": socket, "holder": "volume-holder", "volumes": ["volume-made"],
        "owner": { "service": "/srv/volume-test" },
    });
    assert!(answer(&["keep-volumes"], &none)["done"][0]["before"].is_null());
    run_on(&engine, "volume-made", "volume-later", "echo x >/data/x").await;
    let request = |holder: &str| {
        json!({
            "all": all, "aside": aside, "socket": socket, "holder": holder, "stop-grace": "0s",
            "owner": { "service": "/srv/volume-test" },
        })
    };
    let told = answer(&["put-back-volumes", "none"], &request("volume-holder"));
    assert_eq!((&told["done"]["changed"], &told["done"]["stopped"]), (&true.into(), &false.into()), "{told}");
    run_on(&engine, "volume-made", "volume-later", "test -z \"$(ls -A /data)\"").await;
    assert_eq!(keep(socket, &all.join("gone"), volume), wanted);
    bed.engine.ask("DELETE", &format!("/volumes/{volume}"), "", &[]).expect("removed");
    assert_eq!(answer(&["put-back-volumes", "gone"], &request("volume-holder"))["done"]["changed"], true);
    assert_eq!(keep(socket, &folder.path().join("seen"), volume), wanted);
}

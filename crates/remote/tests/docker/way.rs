//! An engine is reached here and through a host, and why one is not reached is told with what mends it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_remote::docker::{Engine, EngineError, EngineWay};
use pleach_remote::ssh::{Destination, Link};
use pleach_testbed::docker::{Engine as Daemon, TOO_OLD, answer_all, machine};
use pleach_testbed::sshd::SshBed;

use crate::bed::shared;

async fn refusal(way: EngineWay) -> (EngineError, Failure) {
    let error = Engine::connect(way.clone()).await.expect_err("no engine");
    let failure = Failure::from(Engine::connect(way).await.expect_err("no engine"));
    assert!(!failure.because.is_empty() || matches!(error, EngineError::TooOld { .. }), "{failure:?}");
    assert_eq!(failure.state.as_deref(), Some("nothing was touched"));
    (error, failure)
}

#[tokio::test]
async fn the_newest_api_that_both_sides_know_is_spoken() {
    let Some((bed, engine)) = shared().await else { return };
    let said = bed.engine.ask("GET", "/version", "", &[]).expect("it answers");
    let facts = engine.facts();
    assert!(said.contains(&format!("\"ApiVersion\":\"{}\"", facts.api)), "{facts:?} {said}");
    assert!(said.contains(&format!("\"Version\":\"{}\"", facts.version)), "{facts:?} {said}");
    assert!(facts.platform.starts_with("linux/"), "{facts:?}");
    assert!(engine.image("base:1").await.expect("asked").is_some());
    assert!(engine.image("nothing:1").await.expect("asked").is_none());
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_with_what_starts_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let place = folder.path().join("none.sock");
    let (error, failure) = refusal(EngineWay::socket(&place)).await;
    assert!(matches!(error, EngineError::Absent { .. }), "{error:?}");
    assert_eq!(failure.what, "there is no Docker engine on `this machine`");
    assert!(failure.next.expect("a command").contains("`sudo systemctl start docker`"));
    // One that was killed leaves its socket behind.
    drop(UnixListener::bind(&place).expect("a socket"));
    let (error, _) = refusal(EngineWay::socket(&place)).await;
    assert!(matches!(error, EngineError::Absent { .. }), "{error:?}");
}

#[tokio::test]
async fn an_engine_whose_api_is_too_old_or_is_none_is_told_with_what_it_speaks() {
    let folder = tempfile::tempdir().expect("a directory");
    let old = folder.path().join("old.sock");
    answer_all(&old, TOO_OLD);
    let (error, failure) = refusal(EngineWay::socket(&old)).await;
    assert!(matches!(error, EngineError::TooOld { .. }), "{error:?}");
    assert_eq!(failure.kind, Kind::Unsupported);
    assert!(failure.what.ends_with("it speaks API 1.26"), "{}", failure.what);
    assert!(failure.next.expect("a command").contains("19.03"));
    let other = folder.path().join("other.sock");
    answer_all(&other, "hello");
    let failure = Failure::from(Engine::connect(EngineWay::socket(&other)).await.expect_err("no engine"));
    assert_eq!(failure.kind, Kind::Internal, "{failure:?}");
}

/// A host with a server, a user's config that leads to it, and no engine yet.
fn host() -> Option<SshBed> {
    Some(SshBed::on(machine()?, ""))
}

fn link(bed: &SshBed) -> std::sync::Arc<Link> {
    Link::to(Destination { config: Some(bed.at("config")), ..Destination::new("target") })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_engine_is_reached_through_its_socket_and_what_is_wrong_with_it_is_looked_at_there() {
    let Some(bed) = tokio::task::spawn_blocking(host).await.expect("made") else { return };
    let way = EngineWay::on(link(&bed));
    let (error, failure) = refusal(way.clone()).await;
    assert!(matches!(error, EngineError::Absent { .. }), "{error:?}");
    assert_eq!(failure.what, "there is no Docker engine on `target`");
    let next = failure.next.expect("a command");
    assert!(next.contains("ssh") && next.contains("'sudo systemctl start docker'"), "{next}");

    let daemon = Daemon::start(bed.machine());
    daemon.make_base("base");
    let engine = Engine::connect(way).await.expect("it answers");
    assert_eq!(engine.place(), "target");
    assert!(engine.image("base:1").await.expect("asked").is_some());
    let asked: Vec<_> = (0..16).map(|_| engine.image("base:1")).collect();
    assert!(futures_util::future::join_all(asked).await.iter().all(|found| matches!(found, Ok(Some(_)))));
}

/// Set for the process that is asked as another user.
const ASKED: &str = "PLEACH_TEST_SOCKET";
const USER: &str = "pleach-tester";

fn is_root() -> bool {
    std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).expect("/proc") == 0
}

async fn require_no_rights(way: EngineWay) {
    let (error, failure) = refusal(way).await;
    assert!(matches!(error, EngineError::NoRights { .. }), "{error:?}");
    assert!(failure.what.starts_with("no right to use the Docker engine of `"), "{}", failure.what);
    let next = failure.next.expect("a command");
    assert!(next.contains("usermod -aG docker") && next.contains("log in anew"), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_on_the_socket_is_told_how_to_get_them() {
    if let Some(place) = std::env::var_os(ASKED) {
        return require_no_rights(EngineWay::socket(place)).await;
    }
    let folder = tempfile::tempdir().expect("a directory");
    let open = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
    open(folder.path(), 0o755);
    let place = folder.path().join("docker.sock");
    let _listener = UnixListener::bind(&place).expect("a socket");
    if !is_root() {
        open(&place, 0);
        return require_no_rights(EngineWay::socket(place)).await;
    }
    open(&place, 0o600);
    // Here: this very test, as another user, wherever its program is.
    let (own, program) = (std::env::current_exe().expect("a program"), folder.path().join("test"));
    std::fs::hard_link(&own, &program).or_else(|_| std::fs::copy(&own, &program).map(|_| ())).expect("copied");
    let name = "way::a_user_without_rights_on_the_socket_is_told_how_to_get_them";
    let mut asked = tokio::process::Command::new("setpriv");
    asked.args(["--reuid", "65534", "--clear-groups"]).arg(&program).args(["--exact", name]).env(ASKED, &place);
    let output = asked.output().await.expect("`setpriv` runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    // On a host: somebody who may log in there.
    let Some(bed) = tokio::task::spawn_blocking(host).await.expect("made") else { return };
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    bed.write("passwd", &format!("{users}{USER}:*:54321:54321::/:/bin/sh\n"));
    bed.machine().overlay(&bed.at("passwd"), Path::new("/etc/passwd"));
    bed.configure(&format!("User {USER}"));
    open(&bed.at("."), 0o755);
    require_no_rights(EngineWay::socket_on(link(&bed), &place)).await;
}

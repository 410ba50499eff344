//! What goes wrong while an image is on its way leaves the host as it was, is told, and is made good by doing it again.

use std::sync::{Arc, Mutex};

use pleach_core::error::{Failure, Kind};
use pleach_remote::docker::{BringError, Engine, EngineError, EngineWay, bring_image};
use pleach_testbed::docker::{Engine as Daemon, machine};
use pleach_testbed::machine::Machine;

use crate::bed::{between, engine, layered, shared, shell};

/// An engine that has nothing, on a disk of this size.
fn bare(size: Option<&str>) -> Option<(Daemon, Machine)> {
    let machine = machine()?;
    if let Some(size) = size {
        machine.disk("/dev/shm/data".as_ref(), size);
    }
    Some((Daemon::start(&machine), machine))
}

async fn other(size: Option<&'static str>) -> Option<(Daemon, Machine)> {
    tokio::task::spawn_blocking(move || bare(size)).await.expect("made")
}

async fn behind(folder: &tempfile::TempDir) -> Engine {
    Engine::connect(EngineWay::socket(folder.path().join("between"))).await.expect("it answers")
}

/// So much text that nothing makes small.
fn large(bytes: usize) -> String {
    let mut state = 7_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 40) % 26).expect("small"))
    };
    (0..bytes).map(next).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_lost_in_mid_load_has_nothing_of_it_and_takes_it_the_next_time() {
    let Some((_, here)) = shared().await else { return };
    let Some((daemon, machine)) = other(None).await else { return };
    let image = layered(&here, &["lost", &large(4 << 20)], &[]).await;
    let folder = tempfile::tempdir().expect("a directory");
    let daemon = Arc::new(Mutex::new(daemon));
    let (killed, socket) = (daemon.clone(), daemon.lock().expect("held").socket().to_owned());
    let mut passed = 0;
    let count = move |bytes: &[u8]| {
        passed += bytes.len();
        if passed > 2 << 20 {
            killed.lock().expect("held").kill();
        }
    };
    between(&socket, &folder.path().join("between"), count, |_| {});
    let there = behind(&folder).await;
    let names = ["bad-lost:1".to_owned()];
    let failure = Failure::from(bring_image(&here, &there, &image.id, &names).await.expect_err("it was lost"));
    assert_eq!(failure.kind, Kind::UnknownOutcome, "{failure:?}");
    assert!(failure.because[0].contains("was lost while it was asked to load"), "{failure:?}");
    assert!(failure.next.expect("a command").contains("`docker version`"));
    let daemon = tokio::task::spawn_blocking(move || {
        daemon.lock().expect("held").restart(&machine);
        (daemon, machine)
    });
    let (daemon, _machine) = daemon.await.expect("it starts");
    let there = {
        let daemon = daemon.lock().expect("held").socket().to_owned();
        Engine::connect(EngineWay::socket(daemon)).await.expect("it answers")
    };
    assert!(there.image(image.id.as_str()).await.expect("asked").is_none());
    bring_image(&here, &there, &image.id, &names).await.expect("brought");
    assert_eq!(there.image(&names[0]).await.expect("asked").expect("there").layers, image.layers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_is_told_and_what_ran_before_runs() {
    let Some((_, here)) = shared().await else { return };
    let Some((daemon, _machine)) = other(Some("24m")).await else { return };
    let there = engine(&daemon).await;
    let small = layered(&here, &["full"], &[]).await;
    bring_image(&here, &there, &small.id, &["bad-full:1".to_owned()]).await.expect("brought");
    there.ensure_container(&shell("bad-full", &small.id, "exec sleep 600")).await.expect("made");
    there.ensure_started("bad-full").await.expect("started");
    let image = layered(&here, &["full", &large(24 << 20)], &[]).await;
    let names = ["bad-full:1".to_owned()];
    let failure = Failure::from(bring_image(&here, &there, &image.id, &names).await.expect_err("it is full"));
    assert_eq!(failure.kind, Kind::Rejected, "{failure:?}");
    assert!(failure.because[0].ends_with("its disk is full"), "{failure:?}");
    assert!(failure.next.expect("a command").contains("`docker system df`"));
    assert!(there.container("bad-full").await.expect("asked").expect("there").runs());
    assert_eq!(there.image(&names[0]).await.expect("asked").expect("there").id, small.id, "the name has not moved");
    // What had arrived is gone: there is room for something smaller.
    let fits = layered(&here, &["full", &large(4 << 20)], &[]).await;
    bring_image(&here, &there, &fits.id, &names).await.expect("brought");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_match_its_digest_is_not_brought() {
    let Some((bed, here)) = shared().await else { return };
    let Some((daemon, _machine)) = other(None).await else { return };
    let there = engine(&daemon).await;
    let image = layered(&here, &["written by nobody else"], &[]).await;
    let folder = tempfile::tempdir().expect("a directory");
    let change = |bytes: &mut [u8]| {
        let wanted = b"written by nobody else";
        if let Some(at) = bytes.windows(wanted.len()).position(|part| part == wanted) {
            bytes[at] = b'W';
        }
    };
    between(bed.engine.socket(), &folder.path().join("between"), |_| {}, change);
    let changed = behind(&folder).await;
    let error = bring_image(&changed, &there, &image.id, &["bad-digest:1".to_owned()]).await.expect_err("changed");
    assert!(matches!(error, BringError::NotTheImage { .. }), "{error:?}");
    let failure = Failure::from(error);
    assert_eq!(failure.because, [format!("it has no layer `{}`", image.layers[1])]);
    assert!(there.image(image.id.as_str()).await.expect("asked").is_none());
    assert!(there.image("bad-digest:1").await.expect("asked").is_none());
    bring_image(&here, &there, &image.id, &[]).await.expect("the true one is brought");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_and_images_that_somebody_prunes_in_between_are_sent_after_all() {
    let Some((_, here)) = shared().await else { return };
    let Some((daemon, _machine)) = other(None).await else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let socket = daemon.socket().to_owned();
    let first = layered(&here, &["pruned one"], &[]).await;
    let second = layered(&here, &["pruned one", "pruned two"], &[]).await;
    let (remove, named) = (format!("/images/{}", first.id), format!("/images/{}", second.id));
    let (done, removed) = (Arc::new(Mutex::new(Vec::new())), daemon);
    let seen = done.clone();
    let prune = move |bytes: &[u8]| {
        let mut seen = seen.lock().expect("held");
        for (sign, path) in [(&b"/images/load"[..], &remove), (&b"/tag?"[..], &named)] {
            if !seen.contains(&sign) && bytes.windows(sign.len()).any(|part| part == sign) {
                seen.push(sign);
                let answer = removed.ask("DELETE", path, "", &[]).expect("it answers");
                assert!(answer.contains(" 200 "), "{answer}");
            }
        }
    };
    let whole = Engine::connect(EngineWay::socket(&socket)).await.expect("it answers");
    bring_image(&here, &whole, &first.id, &[]).await.expect("brought");
    between(&socket, &folder.path().join("between"), prune, |_| {});
    let there = behind(&folder).await;
    let brought = bring_image(&here, &there, &second.id, &["bad-pruned:1".to_owned()]).await.expect("brought");
    assert_eq!(done.lock().expect("held").len(), 2, "both were removed in between");
    assert_eq!((brought.layers_there, brought.layers_sent), (0, 3));
    assert_eq!(whole.image("bad-pruned:1").await.expect("asked").expect("there").layers, second.layers);
}

#[tokio::test]
async fn an_image_that_is_not_here_is_not_looked_for_there() {
    let Some((_, here)) = shared().await else { return };
    let id = format!("sha256:{}", "0".repeat(64)).try_into().expect("a digest");
    let error = bring_image(&here, &here, &id, &[]).await.expect_err("there is none");
    let told = |error: &BringError| match error {
        BringError::Engine { source, .. } => matches!(**source, EngineError::NotFound { .. }),
        _ => false,
    };
    assert!(told(&error), "{error:?}");
    assert!(Failure::from(error).next.is_some());
}

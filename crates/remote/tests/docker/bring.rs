//! An image comes to another engine without any registry: only the layers that are missing travel.

use std::time::Duration;

use pleach_core::port::{Containers as _, ImageId};
use pleach_remote::docker::{DockerContainers, Engine, EngineWay, bring_image};
use pleach_remote::ssh::{Destination, Link};
use pleach_testbed::docker::{Engine as Daemon, machine};
use pleach_testbed::sshd::SshBed;

use crate::bed::{eventually, layered, shared, shell};

/// A host with an engine that has nothing, reached through SSH.
pub(crate) fn host() -> Option<(SshBed, Daemon)> {
    let bed = SshBed::on(machine()?, "");
    let daemon = Daemon::start(bed.machine());
    Some((bed, daemon))
}

pub(crate) async fn engine_of(bed: &SshBed) -> Engine {
    let link = Link::to(Destination { config: Some(bed.at("config")), ..Destination::new("target") });
    Engine::connect(EngineWay::on(link)).await.expect("it answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_layers_that_a_host_lacks_travel_and_the_image_is_the_same_there() {
    let Some((own, here)) = shared().await else { return };
    let Some((bed, mut daemon)) = tokio::task::spawn_blocking(host).await.expect("made") else { return };
    let there = engine_of(&bed).await;
    let (large, name) = ("x".repeat(1 << 20), "bring-shop:1".to_owned());
    let first = layered(&here, &["bring one", &large], &[]).await;
    let whole = bring_image(&here, &there, &first.id, std::slice::from_ref(&name)).await.expect("brought");
    assert_eq!((whole.layers_there, whole.layers_sent), (0, 3));
    assert!(whole.bytes > 2 << 20, "{whole:?}");
    let found = there.image(&name).await.expect("asked").expect("there");
    assert_eq!((&found.id, &found.layers), (&first.id, &first.layers));

    // The same again: nothing travels, and another name is one request.
    let names = [name.clone(), "registry.example:5000/bring-shop:prod".to_owned()];
    let again = bring_image(&here, &there, &first.id, &names).await.expect("brought");
    assert_eq!((again.layers_there, again.layers_sent, again.bytes), (3, 0, 0));
    assert_eq!(there.require_image(&first.id).await.expect("there").names.len(), 2);

    // One layer differs, and what is below it is there.
    let second = layered(&here, &["bring one", &large, "bring three"], &[]).await;
    let thin = bring_image(&here, &there, &second.id, std::slice::from_ref(&name)).await.expect("brought");
    assert_eq!((thin.layers_there, thin.layers_sent), (3, 1));
    assert!(thin.bytes < 64 << 10, "{thin:?}");
    assert_eq!(there.image(&name).await.expect("asked").expect("there").id, second.id, "the name has moved");
    assert_eq!(there.require_image(&second.id).await.expect("there").layers, second.layers);

    // A layer that is there below another one is not there for this image.
    let third = layered(&here, &["bring other", &large], &[]).await;
    let changed = bring_image(&here, &there, &third.id, &[]).await.expect("brought");
    assert_eq!((changed.layers_there, changed.layers_sent), (1, 2));

    // Several at once: what they have in common travels once, and what is not there is told for itself.
    let common = "y".repeat(1 << 20);
    let mut wanted = vec![ImageId::new(format!("sha256:{}", "0".repeat(64))).expect("an id")];
    for name in ["bring a", "bring b", "bring c", "bring d"] {
        wanted.push(layered(&here, &[&common, name], &[]).await.id);
    }
    let link = Link::to(Destination { config: Some(bed.at("config")), ..Destination::new("target") });
    let containers = DockerContainers::new(EngineWay::socket(own.engine.socket()), EngineWay::on(link));
    let all = futures_util::future::join_all(wanted.iter().map(|image| containers.bring(image))).await;
    let failure = all[0].as_ref().expect_err("there is none");
    assert!(failure.what.contains("sha256:000000"), "{failure:?}");
    let brought: Vec<_> = all[1..].iter().map(|brought| brought.as_ref().expect("brought")).collect();
    assert!(brought.iter().all(|brought| brought.layers() == 3 && brought.layers_sent > 0), "{brought:?}");
    let bytes: u64 = brought.iter().map(|brought| brought.bytes).sum();
    assert!((1 << 20..3 << 19).contains(&bytes), "{bytes}: {brought:?}");
    for image in &wanted[1..] {
        assert!(there.image(image.as_str()).await.expect("asked").is_some());
    }

    // What was brought is whole: it runs, also after the engine was started again.
    daemon.restart(bed.machine());
    let there = engine_of(&bed).await;
    there.ensure_container(&shell("bring-shop", &second.id, "cat /www/2; echo; exec sleep 600")).await.expect("made");
    there.ensure_started("bring-shop").await.expect("started");
    assert!(there.require_container("bring-shop").await.expect("there").runs());
    let said = async || there.last_lines("bring-shop", 1).await.expect("a log").pop();
    assert_eq!(eventually(said).await, "bring three");
    there.ensure_stopped("bring-shop", Duration::ZERO).await.expect("stopped");
    there.ensure_no_container("bring-shop").await.expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_layer_twice_in_an_image_travels_once() {
    let Some((_, here)) = shared().await else { return };
    let Some((bed, _daemon)) = tokio::task::spawn_blocking(host).await.expect("made") else { return };
    let there = engine_of(&bed).await;
    let files: [(&str, &str); 2] = [
        ("Dockerfile", "FROM base:1\nCOPY a /www/a\nRUN [\"/bin/busybox\", \"true\"]\nCOPY a /www/a\n"),
        ("a", "twice"),
    ];
    let built = here.build(&crate::bed::build(&[], &[]), &crate::bed::Tree::of(&files)).await.expect("built");
    let image = here.require_image(&built.image).await.expect("there");
    let brought = bring_image(&here, &there, &image.id, &[]).await.expect("brought");
    let distinct: std::collections::BTreeSet<_> = image.layers.iter().collect();
    assert_eq!(brought.layers_sent, distinct.len());
    assert_eq!(there.require_image(&image.id).await.expect("there").layers, image.layers);
}

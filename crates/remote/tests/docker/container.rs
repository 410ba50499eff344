//! Containers are made, started, watched, stopped and removed, each of it twice without harm.

use std::net::Ipv4Addr;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_remote::docker::{Container, ContainerSpec, ContainerState, Engine, HealthState, Made, Published, label};

use crate::bed::{Tree, build, eventually, shared, shell};

async fn base(engine: &Engine) -> pleach_remote::docker::ImageId {
    engine.image("base:1").await.expect("asked").expect("there").id
}

async fn remove(engine: &Engine, name: &str) {
    engine.ensure_stopped(name, Duration::ZERO).await.expect("stopped");
    engine.ensure_no_container(name).await.expect("removed");
}

#[tokio::test]
async fn a_container_is_what_its_spec_says_and_doing_it_twice_changes_nothing() {
    let Some((bed, engine)) = shared().await else { return };
    let mut spec = shell(
        "container-whole",
        &base(&engine).await,
        "echo $WHO >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www",
    );
    spec.variables.insert("WHO".into(), "it is me".into());
    spec.labels = label::labels([(label::SERVICE, Some("whole")), (label::RELEASE, Some("0001-aa"))]);
    spec.ports = vec![Published { container: 8080, host: Ipv4Addr::UNSPECIFIED.into(), port: 0 }];
    spec.memory = Some(64 << 20);
    spec.millicpus = Some(500);
    assert_eq!(engine.ensure_container(&spec).await.expect("made"), Made::Now);
    assert_eq!(engine.container("container-whole").await.expect("asked").expect("there").state, ContainerState::Made);
    assert_eq!(engine.ensure_container(&spec).await.expect("made"), Made::Before);
    for _ in 0..2 {
        engine.ensure_started("container-whole").await.expect("started");
    }
    let running = engine.require_container("container-whole").await.expect("there");
    assert_eq!((running.runs(), running.health, running.image), (true, None, spec.image.clone()));
    assert!(running.started.is_some() && running.address.is_some());
    let port = running.ports[&8080];
    let page = eventually(async || bed.machine().get(port, "/index.html")).await;
    assert_eq!(page, "it is me\n");
    let inspected = bed.engine.ask("GET", "/containers/container-whole/json", "", &[]).expect("it answers");
    for limit in ["\"Memory\":67108864", "\"NanoCpus\":500000000", "\"Name\":\"unless-stopped\""] {
        assert!(inspected.contains(limit), "{limit}: {inspected}");
    }
    let listed = engine.containers(&spec.labels).await.expect("listed");
    assert_eq!(listed, [engine.container("container-whole").await.expect("asked").expect("there")]);

    // Made from something else, or with another value, it is left alone.
    let mut set = spec.clone();
    set.variables.insert("WHO".into(), "it is you".into());
    assert_eq!(set.digest(), spec.digest(), "values may be secret");
    for other in [ContainerSpec { memory: Some(32 << 20), ..spec.clone() }, set] {
        let failure = Failure::from(engine.ensure_container(&other).await.expect_err("another one is there"));
        assert_eq!(failure.kind, Kind::Conflict);
    }
    assert!(engine.container("container-whole").await.expect("asked").expect("there").runs());

    let failure = Failure::from(engine.ensure_no_container("container-whole").await.expect_err("it runs"));
    assert_eq!(failure.kind, Kind::Conflict, "{failure:?}");
    for _ in 0..2 {
        engine.ensure_stopped("container-whole", Duration::from_secs(1)).await.expect("stopped");
    }
    let ended = engine.container("container-whole").await.expect("asked").expect("there");
    assert!(matches!(ended.state, ContainerState::Ended { .. }), "{ended:?}");
    for _ in 0..2 {
        engine.ensure_no_container("container-whole").await.expect("removed");
    }
    engine.ensure_stopped("container-whole", Duration::ZERO).await.expect("it is gone");
    assert!(engine.container("container-whole").await.expect("asked").is_none());
}

/// A container of this name, once it was seen like this.
async fn seen(engine: &Engine, name: &str, wanted: impl Fn(&Container) -> bool) -> Container {
    eventually(async || engine.container(name).await.expect("asked").filter(&wanted)).await
}

#[tokio::test]
async fn a_container_that_ends_is_seen_with_its_code_and_its_last_words() {
    let Some((_, engine)) = shared().await else { return };
    engine
        .ensure_container(&shell("container-ends", &base(&engine).await, "echo no config; exit 7"))
        .await
        .expect("made");
    engine.ensure_started("container-ends").await.expect("started");
    let ended = |one: &Container| {
        matches!(one.state, ContainerState::Restarting { code: 7, .. } | ContainerState::Ended { code: 7, .. })
    };
    seen(&engine, "container-ends", ended).await;
    assert_eq!(engine.last_lines("container-ends", 1).await.expect("a log"), ["no config"]);
    remove(&engine, "container-ends").await;
}

#[tokio::test]
async fn the_engines_own_check_is_seen_to_pass_and_to_fail_with_what_it_printed() {
    let Some((_, engine)) = shared().await else { return };
    let check = "HEALTHCHECK --interval=100ms --timeout=1s --retries=2 CMD [\"/bin/busybox\", \"sh\", \"-c\", \
                 \"test -e /tmp/up || { echo no such file; exit 1; }\"]\n";
    let dockerfile = format!("FROM base:1\n{check}");
    let tree = Tree::of(&[("Dockerfile", &dockerfile)]);
    let image = engine.build(&build(&[], &["checked:1"]), &tree).await.expect("built").image;
    let health = |one: &Container| one.health.as_ref().map(|health| health.state);
    for (name, text, wanted) in [
        ("container-healthy", "touch /tmp/up; exec sleep 600", HealthState::Healthy),
        ("container-ill", "exec sleep 600", HealthState::Unhealthy),
    ] {
        engine.ensure_container(&shell(name, &image, text)).await.expect("made");
        engine.ensure_started(name).await.expect("started");
        let seen = seen(&engine, name, |one| health(one) == Some(wanted)).await.health.expect("a check");
        assert_eq!(seen.every, Period::millis(100));
        match seen.complaint() {
            None => assert_eq!((wanted, seen.failures), (HealthState::Healthy, 0)),
            Some(words) => {
                assert!(words.contains("has failed ") && seen.failures >= 2, "{words}");
                assert_eq!(seen.output, ["no such file"]);
            }
        }
        remove(&engine, name).await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_in_the_engines_words() {
    let Some((_, engine)) = shared().await else { return };
    let image = base(&engine).await;
    let port = |name: &str| {
        let mut spec = shell(name, &image, "exec sleep 600");
        spec.ports = vec![Published { container: 80, host: Ipv4Addr::LOCALHOST.into(), port: 7777 }];
        spec
    };
    for name in ["container-port1", "container-port2"] {
        engine.ensure_container(&port(name)).await.expect("made");
    }
    engine.ensure_started("container-port1").await.expect("started");
    let failure = Failure::from(engine.ensure_started("container-port2").await.expect_err("it is taken"));
    assert_eq!(failure.what, "could not start container `container-port2` on `this machine`");
    assert!(failure.because[0].contains("port is already allocated"), "{failure:?}");
    assert!(failure.next.expect("a command").contains("journalctl"));
    remove(&engine, "container-port1").await;
    remove(&engine, "container-port2").await;
}

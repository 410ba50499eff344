//! Containers are made, started, watched, stopped and removed, each of it twice without harm.

use std::net::Ipv4Addr;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_remote::docker::{ContainerSpec, ContainerState, Engine, HealthCheck, HealthState, Made, Published, label};

use crate::bed::{eventually, shared, shell};

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
    let running = engine.wait_until_healthy("container-whole").await.expect("it runs");
    assert_eq!((running.health, running.image.clone()), (HealthState::NoCheck, spec.image.clone()));
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

    // Made from something else, it is left alone.
    let other = ContainerSpec { memory: Some(32 << 20), ..spec.clone() };
    let failure = Failure::from(engine.ensure_container(&other).await.expect_err("another one is there"));
    assert_eq!(failure.kind, Kind::Conflict);
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

#[tokio::test]
async fn a_container_that_ends_is_told_with_its_code_and_its_last_words() {
    let Some((_, engine)) = shared().await else { return };
    engine
        .ensure_container(&shell("container-ends", &base(&engine).await, "echo no config; exit 7"))
        .await
        .expect("made");
    engine.ensure_started("container-ends").await.expect("started");
    // It may be seen while it still runs.
    let failure = eventually(async || engine.wait_until_healthy("container-ends").await.err().map(Failure::from)).await;
    assert_eq!(failure.what, "container `container-ends` does not stay up");
    assert_eq!(failure.because, ["it exited with 7"]);
    assert_eq!(failure.output.last().map(String::as_str), Some("no config"));
    remove(&engine, "container-ends").await;
}

#[tokio::test]
async fn a_container_that_asks_for_more_memory_than_it_may_have_is_told() {
    let Some((_, engine)) = shared().await else { return };
    let mut spec =
        shell("container-memory", &base(&engine).await, "exec /bin/busybox dd if=/dev/zero of=/dev/null bs=100M");
    // What starts a container needs some of it too.
    spec.memory = Some(32 << 20);
    engine.ensure_container(&spec).await.expect("made");
    engine.ensure_started("container-memory").await.expect("started");
    // It may be seen while it still runs.
    let failure =
        eventually(async || engine.wait_until_healthy("container-memory").await.err().map(Failure::from)).await;
    let [because] = failure.because.as_slice() else { panic!("{failure:?}") };
    assert!(
        // An engine may hear of the end before it hears of its reason.
        because == "it asked for more memory than it may have" || because.starts_with("it was killed (exit code 137)"),
        "{failure:?}"
    );
    remove(&engine, "container-memory").await;
}

fn check(command: &str) -> Option<HealthCheck> {
    Some(HealthCheck {
        command: ["/bin/busybox", "sh", "-c", command].map(str::to_owned).to_vec(),
        interval: Period::millis(100),
        timeout: Period::seconds(5),
        retries: 2,
        start: Period::ZERO,
    })
}

#[tokio::test]
async fn the_engines_own_check_is_waited_for_and_its_refusal_is_told() {
    let Some((_, engine)) = shared().await else { return };
    let image = base(&engine).await;
    let mut spec = shell("container-healthy", &image, "touch /tmp/up; exec sleep 600");
    spec.health = check("test -e /tmp/up");
    engine.ensure_container(&spec).await.expect("made");
    engine.ensure_started("container-healthy").await.expect("started");
    assert_eq!(engine.wait_until_healthy("container-healthy").await.expect("healthy").health, HealthState::Healthy);
    let mut spec = shell("container-ill", &image, "echo I feel bad; exec sleep 600");
    spec.health = check("exit 1");
    engine.ensure_container(&spec).await.expect("made");
    engine.ensure_started("container-ill").await.expect("started");
    let failure = Failure::from(engine.wait_until_healthy("container-ill").await.expect_err("it never is"));
    assert_eq!(failure.what, "container `container-ill` is not healthy");
    assert_eq!(failure.output, ["I feel bad"]);
    assert!(engine.container("container-ill").await.expect("asked").expect("there").runs(), "it is left as it is");
    remove(&engine, "container-healthy").await;
    remove(&engine, "container-ill").await;
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

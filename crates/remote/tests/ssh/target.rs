//! A host as a target.

use pleach_core::config::{HostLimits, TotalLimits};
use pleach_core::error::Kind;
use pleach_core::plan::PlannedTarget;
use pleach_core::port::FencingToken;
use pleach_core::target::{Facet, Facts, Target};
use pleach_core::testing::conformance;
use pleach_remote::local::Fence;
use pleach_remote::open_target;
use pleach_remote::ssh::{Link, SshSettings, SshTarget};

use crate::bed::Bed;

fn settings(bed: &Bed) -> SshSettings {
    SshSettings {
        host: "target".into(),
        path: bed.at("root"),
        port: None,
        user: None,
        config: Some(bed.at("config")),
        program: "/usr/bin/pleach".into(),
        install: false,
        docker_socket: None,
        limits: HostLimits::default(),
        total_limits: TotalLimits::default(),
    }
}

async fn target(bed: &Bed) -> SshTarget {
    let (environment, name) = ("uat".parse().expect("a name"), "vm".parse().expect("a name"));
    SshTarget::new(environment, name, settings(bed), bed.link().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_token_is_refused_on_every_facet() {
    let bed = Bed::new("");
    std::fs::create_dir(bed.at("scratch")).expect("made");
    conformance::fencing(&target(&bed).await, &bed.at("scratch")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_is_the_one_that_a_directory_on_that_machine_has() {
    let bed = Bed::new("");
    let (target, here) = (target(&bed).await, Fence::new(bed.at("root")));
    here.raise(FencingToken(7)).expect("raised");
    assert_eq!(target.fence(FencingToken(6)).await.expect_err("older").kind, Kind::Conflict);
    target.fence(FencingToken(8)).await.expect("raised");
    here.raise(FencingToken(7)).expect_err("older");
    bed.write("root/.pleach/fence", "x\n");
    let failure = target.fence(FencingToken(9)).await.expect_err("damaged");
    assert!(failure.what.contains("holds `x`"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_of_the_host_and_changes_nothing() {
    let bed = Bed::new("");
    let target = target(&bed).await;
    let facts = target.probe().await.expect("reached");
    assert_eq!(facts["host/user"], crate::bed::user());
    assert!(facts["host/clock-offset"].as_i64().is_some_and(|offset| offset.abs() <= 2), "{facts:?}");
    assert!(facts["host/free-bytes"].as_u64().is_some_and(|free| free > 0));
    assert!(!facts.contains_key("host/missing"), "{facts:?}");
    assert_eq!(facts["root"], bed.at("root").display().to_string());
    assert_eq!(std::fs::read_dir(bed.at("root")).expect("there").count(), 0, "looking leaves nothing behind");
    assert_eq!(target.facets(), [Facet::Shell, Facet::Files, Facet::Http, Facet::Containers]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_leads_to_its_target_and_settings_that_make_no_sense_are_refused() {
    let bed = Bed::new("");
    let environment = "uat".parse().expect("a name");
    let planned = |kind: &str, settings| PlannedTarget {
        name: "vm".parse().expect("a name"),
        kind: kind.into(),
        settings,
        expects: Facts::new(),
    };
    let plan = planned("ssh", serde_json::to_value(settings(&bed)).expect("plain data"));
    let opened = open_target(&environment, &plan).expect("opened");
    opened.probe().await.expect("reached");
    let plan = planned("ssh", serde_json::json!({ "host": 3 }));
    assert_eq!(open_target(&environment, &plan).map(|_| ()).expect_err("nonsense").kind, Kind::Rejected);
    let other = planned("moon", serde_json::json!({}));
    assert_eq!(open_target(&environment, &other).map(|_| ()).expect_err("not ours").kind, Kind::Unsupported);
    // Several targets on one host share its connections.
    let link = Link::new(bed.host().await);
    let name = |name: &str| name.parse().expect("a name");
    let one = SshTarget::new(environment.clone(), name("one"), settings(&bed), link.clone());
    let two = SshTarget::new(environment, name("two"), settings(&bed), link.clone());
    one.probe().await.expect("reached");
    two.probe().await.expect("reached");
    assert_eq!(link.connections(), 1);
}

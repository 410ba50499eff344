//! A host gets images for the platform that its engine runs, or none.

use pleach_core::error::Failure;
use pleach_core::plan::{Operation, Plan};
use pleach_core::port::ImageId;
use pleach_core::target::Facts;
use serde_json::json;

use crate::project::{Form, PROBE, Project};

/// A plan for a host whose engine runs `host`, of images that are built on `builder`; of an empty one nothing is known.
fn plan(project: &Project, host: &str, builder: &str) -> Result<Plan, Vec<Failure>> {
    let mut facts = Facts::from([("root".to_owned(), json!(project.live)), ("program".to_owned(), json!(PROBE))]);
    for (name, platform) in [("docker/platform", host), ("docker/builder", builder)] {
        if !platform.is_empty() {
            facts.insert(name.to_owned(), json!(platform));
        }
    }
    project.plan_with(facts, Operation::Deploy, 1)
}

/// What the plan has built, as people read it; and as the step reads it.
fn built_for(plan: &Plan) -> (bool, Option<String>) {
    let steps = || plan.stages.iter().flat_map(|stage| &stage.lanes).flat_map(|lane| &lane.steps);
    let step = steps().find(|step| step.name.as_str() == "build-image").expect("an image is built");
    let platform = step.parameters.get("platform").map(|value| value.as_str().expect("text").to_owned());
    (step.summary.contains(" for linux/"), platform)
}

fn refused(planned: Result<Plan, Vec<Failure>>) -> Failure {
    let failure = planned.expect_err("refused").remove(0);
    assert_eq!(failure.state.as_deref(), Some("nothing was touched"), "{failure:?}");
    assert!(!failure.because.is_empty() && failure.next.is_some(), "{failure:?}");
    failure
}

const AMD: &str = "linux/amd64";
const ARM: &str = "linux/arm64";

#[test]
fn an_image_is_built_for_what_the_host_runs_and_where_that_is_the_builders_own_as_ever() {
    let mut project = Project::with(Form::Contained, "");
    let built = |project: &Project, host, builder| built_for(&plan(project, host, builder).expect("a plan"));
    assert_eq!(built(&project, AMD, AMD), (false, None));
    assert_eq!(built(&project, ARM, AMD), (true, Some(ARM.to_owned())));
    // Whoever is not asked in time keeps no plan from being made: the step asks again.
    assert_eq!(built(&project, "", AMD), (false, None));
    assert_eq!(built(&project, AMD, ""), (false, None));
    project.change("image = {", "image = { platforms = [\"linux/amd64\", \"linux/arm/v7\"],");
    assert_eq!(built(&project, AMD, AMD), (false, None));
    assert_eq!(built(&project, "linux/arm", AMD), (true, Some("linux/arm/v7".to_owned())));
    assert_eq!(built(&project, AMD, ARM), (true, Some(AMD.to_owned())));
}

#[test]
fn a_host_of_a_platform_that_an_image_is_not_made_for_is_refused_before_anything_is_touched() {
    let mut project = Project::with(Form::Contained, "");
    project.change("image = {", "image = { platforms = [\"linux/amd64\"],");
    let failure = refused(plan(&project, ARM, AMD));
    assert_eq!(failure.what, "service `api` has no image for `here`");
    assert!(failure.because[0].contains("its engine runs `linux/arm64`"), "{failure:?}");
    assert!(failure.next.expect("a way").contains("services.api.image.platforms"));
}

#[test]
fn what_is_proven_on_a_platform_goes_to_hosts_of_that_platform_alone() {
    let mut project = Project::with(Form::Contained, "");
    let image = |digit: char| ImageId::new(format!("sha256:{}", digit.to_string().repeat(64))).expect("a digest");
    project.proven = [(AMD.to_owned(), image('1')), (ARM.to_owned(), image('2'))].into();
    for (host, digit) in [(AMD, '1'), (ARM, '2')] {
        let plan = format!("{:?}", plan(&project, host, AMD).expect("a plan"));
        assert!(plan.contains(image(digit).digits()), "{host}: {plan}");
    }
    let failure = refused(plan(&project, "linux/s390x", AMD));
    assert_eq!(failure.what, "no image of `api` is proven for `here`");
    assert!(failure.because[0].contains("is for `linux/amd64` and `linux/arm64`"), "{failure:?}");
    // Where nobody told, the step looks.
    project.proven = [(String::new(), image('3'))].into();
    let plan = format!("{:?}", plan(&project, ARM, AMD).expect("a plan"));
    assert!(plan.contains(image('3').digits()), "{plan}");
}

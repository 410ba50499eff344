//! The same input gives the same plan, the plan is whole, and every reason against one is told at once.

#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests that use parts of it")]
use std::collections::BTreeSet;

use crate::plan::{THREE, World, commit, outline, service, step, target};
use pleach_core::config::EnvironmentConfig;
use pleach_core::period::Period;
use pleach_core::phase::Reversal;
use pleach_core::plan::{Draft, OnFailure, Operation, Turn, mismatches};
use pleach_core::target::Facet;
use pleach_core::word::{EnvironmentName, PhaseName, ReleaseId, SnapshotId};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn services_are_deployed_level_by_level_and_finished_together() {
    let world = World::of(THREE);
    let expected = [
        "deploy-1: db@here",
        "deploy-2: api@here api@there",
        "deploy-3: web@here web@there",
        "finish: api@here api@there db@here web@here web@there",
    ];
    assert_eq!(outline(&world.require_plan()), expected);
}

#[test]
fn services_stop_in_the_opposite_order() {
    let mut world = World::of(THREE);
    world.operation = Operation::Stop;
    assert_eq!(
        outline(&world.require_plan())[..3],
        ["stop-1: web@here web@there", "stop-2: api@here api@there", "stop-3: db@here"]
    );
}

#[test]
fn a_switch_goes_through_the_recipe_like_a_deployment() {
    let mut world = World::of(THREE);
    world.only = vec![service("db")];
    world.operation = Operation::Switch { release: ReleaseId::new("0003-abcdabcd").expect("an id") };
    world.drafts(|request, mut draft| {
        if let Operation::Switch { release } = request.operation {
            draft.release = Some(release.clone());
        }
        draft
    });
    let plan = world.require_plan();
    assert_eq!(outline(&plan), ["switch: db@here", "finish: db@here"]);
    assert!(plan.lanes().all(|lane| lane.release.as_ref().is_some_and(|release| release.as_str() == "0003-abcdabcd")));
}

#[test]
fn the_gatekeeper_goes_first_with_all_its_services_and_stopping_asks_for_none() {
    let mut world = World::of(THREE);
    world.config.environments.values_mut().for_each(|one| one.gatekeeper = Some(target("there")));
    let expected = [
        "gate-1: api@there",
        "gate-2: web@there",
        "deploy-1: db@here",
        "deploy-2: api@here",
        "deploy-3: web@here",
        "finish: api@here api@there db@here web@here web@there",
    ];
    assert_eq!(outline(&world.require_plan()), expected);
    world.only = vec![service("web")];
    assert_eq!(outline(&world.require_plan())[..2], ["gate: web@there", "deploy: web@here"]);
    world.operation = Operation::Stop;
    assert_eq!(outline(&world.require_plan())[..1], ["stop: web@here web@there"]);
}

#[test]
fn a_target_that_can_take_itself_back_is_watched_from_before_the_first_change_until_all_is_healthy() {
    let mut world = World::of(THREE);
    world.drafts(|request, draft| match request.target.as_str() {
        "there" => Draft { way_back: vec![json!(request.service)], ..draft },
        _ => draft,
    });
    assert!(world.require_plan().snapshots.iter().all(|snapshot| snapshot.service.is_some()), "not unless asked for");
    world.config.environments.values_mut().for_each(|one| one.watchdog = Some(Period::seconds(90)));
    let plan = world.require_plan();
    let watched: Vec<_> = plan.snapshots.iter().filter(|snapshot| snapshot.service.is_none()).collect();
    assert_eq!(watched.len(), 1, "one for the target, whatever goes there");
    assert_eq!(watched[0].target, target("there"));
    assert_eq!(watched[0].parameters, json!({ "within": "1m 30s", "way-back": ["api", "web"] }));
    for lane in plan.lanes().filter(|lane| lane.id.as_str().starts_with("finish/")) {
        let confirms = lane.steps[0].name.as_str() == "confirm";
        assert_eq!(confirms, lane.target == target("there"), "{}", lane.id);
    }
}

#[test]
fn production_is_watched_unless_somebody_turns_it_off() {
    let config = World::of(THREE).config;
    let environment = config.environments.values().next().expect("one");
    let of = |name: &str, watchdog: Option<Period>| {
        EnvironmentConfig { watchdog, ..environment.clone() }.watchdog(&EnvironmentName::new(name).expect("a name"))
    };
    assert_eq!([of("prod", None), of("production", None)], [Some(Period::seconds(600)); 2]);
    assert_eq!([of("uat", None), of("prod", Some(Period::ZERO))], [None; 2]);
    assert_eq!(of("uat", Some(Period::seconds(60))), Some(Period::seconds(60)));
}

#[test]
fn what_fails_in_production_is_held_for_a_person_unless_the_config_says_otherwise() {
    let config = World::of(THREE).config;
    let environment = config.environments.values().next().expect("one");
    let of = |name: &str, on_failure: Option<OnFailure>| {
        let name = EnvironmentName::new(name).expect("a name");
        EnvironmentConfig { on_failure, ..environment.clone() }.policy(&name).on_failure
    };
    assert_eq!([of("prod", None), of("production", None)], [OnFailure::Hold; 2]);
    assert_eq!([of("uat", None), of("prod", Some(OnFailure::UnwindRun))], [OnFailure::UnwindRun; 2]);
}

#[test]
fn a_service_waits_only_for_selected_ones_and_one_level_has_no_number() {
    let mut world = World::of(THREE);
    world.only = vec![service("web")];
    assert_eq!(outline(&world.require_plan()), ["deploy: web@here web@there", "finish: web@here web@there"]);
}

#[test]
fn what_is_as_wanted_already_has_no_lane_no_snapshot_and_no_expectation() {
    let mut world = World::of(THREE);
    let current = |digit: char| json!(commit(digit).short());
    world.facts.insert(target("there"), [("api".into(), current('a')), ("web".into(), current('c'))].into());
    let plan = world.require_plan();
    assert!(plan.lanes().all(|lane| lane.target == target("here")), "{:?}", outline(&plan));
    assert!(plan.snapshots.iter().all(|snapshot| snapshot.target == target("here")));
    assert_eq!(plan.targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>(), ["here"]);
    assert_eq!(plan.services.len(), 3);

    world.drafts(|_, _| pleach_core::plan::Draft::default());
    assert!(world.require_plan().is_empty() && world.require_plan().stages.is_empty());
}

#[test]
fn a_lane_without_steps_of_a_turn_is_left_out() {
    let mut world = World::of(THREE);
    world.drafts(|request, mut draft| {
        draft.steps.retain(|step| (step.turn == Turn::Finish) == (request.service.as_str() == "db"));
        draft
    });
    assert_eq!(
        outline(&world.require_plan()),
        ["deploy-1: api@here api@there", "deploy-2: web@here web@there", "finish: db@here"]
    );
}

#[test]
fn retries_and_policy_are_those_of_the_environment() {
    let plan = World::of(THREE).require_plan();
    assert!(plan.lanes().flat_map(|lane| &lane.steps).all(|step| step.retry.attempts == 4));
    assert_eq!(plan.policy.failure_budget, Some(1));
    assert_eq!(plan.policy.batch.len(), 2);
}

#[test]
fn names_that_do_not_exist_are_told_with_the_nearest_one() {
    let mut world = World::of(THREE);
    world.only = vec![service("wbe"), service("unheard-of"), service("wbe"), service("api")];
    assert_eq!(
        world.refusals(),
        [
            "there is no service `unheard-of` | the services are `api`, `db`, `web` | look with `pleach status` what there is",
            "there is no service `wbe` | the services are `api`, `db`, `web` | did you mean `web`? then `pleach plan local --only web`",
        ]
    );
    world.environment = EnvironmentName::new("locla").expect("a name");
    assert_eq!(
        world.refusals(),
        ["there is no environment `locla` | the environments are `empty`, `local` | did you mean `local`?"]
    );
}

#[test]
fn a_service_that_does_not_go_to_the_environment_is_refused_by_name() {
    let mut world = World::of(THREE);
    world.environment = EnvironmentName::new("empty").expect("a name");
    world.only = vec![service("db")];
    assert_eq!(
        world.refusals(),
        [concat!(
            "service `db` does not go to environment `empty` | none of its `targets` is a target of `empty`",
            " | add one of them to `services.db.targets` in `pleach.toml`"
        )]
    );
}

#[test]
fn everything_that_was_not_read_is_told_at_once_and_only_once() {
    let mut world = World::of(THREE);
    world.sources.remove(&service("web"));
    world.facts.remove(&target("here"));
    world.targets.remove(&target("there"));
    let refusals = world.refusals();
    let what: Vec<&str> = refusals.iter().filter_map(|line| line.split(" | ").next()).collect();
    assert_eq!(
        what,
        [
            "no facts were read from target `here` of environment `local`",
            "no settings were made for target `there` of environment `local`",
            "no commit was read for service `web`",
        ]
    );
}

#[test]
fn a_phase_is_refused_on_a_target_that_lacks_a_facet() {
    let mut world = World::of(THREE);
    world.only = vec![service("db")];
    world.targets.get_mut(&target("here")).expect("a target").facets = vec![Facet::Files];
    let refusals = world.refusals();
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(
        refusals[0].starts_with("step `build` of service `db` cannot work on target `here` | the target lacks `shell`")
    );
    assert!(refusals[1].starts_with("step `stop-old` of service `db`"));
}

#[test]
fn a_phase_a_snapshot_and_a_kind_that_the_program_does_not_know_are_refused() {
    let mut world = World::of(THREE);
    world.only = vec![service("db")];
    world.drafts(|_, mut draft| {
        draft.steps[0].step.phase = PhaseName::new("dance").expect("a name");
        draft
    });
    assert!(world.refusals()[0].contains("no phase `dance`"));
    world.targets.get_mut(&target("here")).expect("a target").kind = "moon".into();
    assert!(world.refusals()[0].contains("no kind of target `moon`"));
}

#[test]
fn a_draft_that_the_engine_could_not_carry_out_is_a_defect_of_its_recipe() {
    let mut world = World::of(THREE);
    world.only = vec![service("db")];
    world.drafts(|_, mut draft| {
        let other = SnapshotId::new("data/api@here").expect("an id");
        draft.steps.push(step("build", "build", Turn::Finish, Reversal::Restore { snapshots: vec![other] }));
        draft.steps[1].step.time_limit = pleach_core::period::Period::ZERO;
        draft.snapshots.push(draft.snapshots[0].clone());
        draft.expects.insert("db".into(), json!("something else"));
        draft
    });
    let refusals = world.refusals();
    for defect in [
        "it takes snapshot `data` twice",
        "it has two steps `build`",
        "step `switch` has no time at all",
        "step `build` restores snapshot `data/api@here`, which is not taken",
        "`db` was `\"something else\"` and is now absent",
    ] {
        assert!(refusals.iter().any(|line| line.contains(defect)), "{defect}: {refusals:#?}");
    }
}

#[test]
fn services_that_wait_for_each_other_are_refused_also_in_a_config_that_no_file_gave() {
    let mut world = World::of(THREE);
    world.config.services.get_mut("db").expect("a service").after = vec![service("web")];
    assert!(world.refusals()[0].starts_with("services wait for each other: "), "{:?}", world.refusals());
}

/// A config of services that wait for earlier ones, on two targets.
fn config_text(after: &[Vec<prop::sample::Index>]) -> String {
    let mut text = String::from("[project]\nname = \"p\"\n");
    for (at, before) in after.iter().enumerate() {
        let names: BTreeSet<String> =
            before.iter().filter(|_| at > 0).map(|index| format!("\"s{:02}\"", index.index(at))).collect();
        let list: Vec<String> = names.into_iter().collect();
        text += &format!("[services.s{at:02}]\nbranch = \"b{at}\"\nafter = [{}]\n", list.join(", "));
    }
    for name in ["here", "there"] {
        text += &format!("[environments.local.targets.{name}]\nkind = \"directory\"\npath = \"../{name}\"\n");
    }
    text
}

proptest! {
    #[test]
    fn every_plan_is_whole_and_the_same_again(
        after in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..8),
        only in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        settled in prop::collection::vec(any::<bool>(), 16),
    ) {
        let mut world = World::of(&config_text(&after));
        let names: Vec<_> = world.config.services.keys().cloned().collect();
        world.only = only.iter().map(|index| index.get(&names).clone()).collect();
        for (at, name) in names.iter().enumerate() {
            for (on, facts) in world.facts.values_mut().enumerate() {
                let current = if settled[2 * at + on] { world.sources[name].commit.short() } else { "00000000" };
                facts.insert(name.to_string(), json!(current));
            }
        }
        let plan = world.require_plan();

        // The order and repetition of `only` do not matter.
        world.only.reverse();
        let again: Vec<_> = world.only.iter().chain(&world.only).cloned().collect();
        world.only = again;
        let second = world.require_plan();
        prop_assert_eq!(serde_json::to_string(&plan).expect("JSON"), serde_json::to_string(&second).expect("JSON"));
        prop_assert_eq!(plan.id(), second.id());

        // Read back, it is the same plan.
        let text = serde_json::to_string(&plan).expect("JSON");
        let read: pleach_core::plan::Plan = serde_json::from_str(&text).expect("a plan");
        prop_assert_eq!(read.id(), plan.id());

        // It holds for what it was made from.
        for target in &plan.targets {
            prop_assert_eq!(mismatches(target, &world.facts[&target.name]), []);
        }

        // Names are unique, and what is named is there.
        let lanes: Vec<_> = plan.lanes().collect();
        prop_assert_eq!(lanes.iter().map(|lane| &lane.id).collect::<BTreeSet<_>>().len(), lanes.len());
        let stages: BTreeSet<_> = plan.stages.iter().map(|stage| &stage.name).collect();
        prop_assert_eq!(stages.len(), plan.stages.len());
        let steps: Vec<_> = lanes
            .iter()
            .flat_map(|lane| lane.steps.iter().map(move |step| (&lane.service, &lane.target, &step.name)))
            .collect();
        prop_assert_eq!(steps.iter().collect::<BTreeSet<_>>().len(), steps.len());
        let snapshots: BTreeSet<_> = plan.snapshots.iter().map(|snapshot| &snapshot.id).collect();
        prop_assert_eq!(snapshots.len(), plan.snapshots.len());
        for lane in &lanes {
            prop_assert!(!lane.steps.is_empty());
            prop_assert!(plan.targets.iter().any(|target| target.name == lane.target));
            prop_assert!(plan.services.iter().any(|service| service.name == lane.service));
            for step in &lane.steps {
                if let Reversal::Restore { snapshots: named } = &step.reversal {
                    prop_assert!(named.iter().all(|id| snapshots.contains(id)));
                }
            }
        }

        // No service starts in the stage of one that it waits for, or earlier.
        let stage_of = |name: &str| {
            plan.stages.iter().position(|stage| {
                stage.name.as_str() != "finish" && stage.lanes.iter().any(|lane| lane.service.as_str() == name)
            })
        };
        for (name, config) in &world.config.services {
            for before in &config.after {
                if let (Some(later), Some(earlier)) = (stage_of(name.as_str()), stage_of(before.as_str())) {
                    prop_assert!(earlier < later);
                }
            }
        }
    }
}

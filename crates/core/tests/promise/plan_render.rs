//! A plan can be read back by whoever agrees to it.

#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests that use parts of it")]
use crate::plan::{THREE, World, service};
use pleach_core::plan::{Detail, Draft, render};

#[test]
fn the_short_form_has_one_line_a_lane() {
    insta::assert_snapshot!(render(&World::of(THREE).require_plan(), 80, Detail::Lanes));
}

#[test]
fn the_long_form_tells_each_step_and_its_way_back() {
    let mut world = World::of(THREE);
    world.only = vec![service("api"), service("db")];
    insta::assert_snapshot!(render(&world.require_plan(), 80, Detail::Steps));
}

#[test]
fn a_plan_without_work_says_so() {
    let mut world = World::of(THREE);
    world.drafts(|_, _| Draft::default());
    insta::assert_snapshot!(render(&world.require_plan(), 80, Detail::Steps));
}

#[test]
fn no_line_is_wider_than_asked_for_unless_a_word_is() {
    let plan = World::of(THREE).require_plan();
    for width in [40, 60, 80, 120] {
        for detail in [Detail::Lanes, Detail::Steps] {
            let text = render(&plan, width, detail);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let mut world = World::of(THREE);
    world.sources.values_mut().for_each(|source| source.subject = "harmless\u{1b}[2J\u{7}".into());
    let text = render(&world.require_plan(), 80, Detail::Steps);
    assert!(text.contains("harmless") && text.chars().all(|c| c == '\n' || !c.is_control()));
}

//! No law breaks under any of thousands of generated plans, scripts and faults.

use std::cell::Cell;

use pleach_core::testing::check_laws;
use pleach_core::testing::schedule::{Faults, Schedule, schedules};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Each generated schedule is run as it is, and killed after some of its records; gives the number of runs.
fn run(cases: u32, seed: u8) -> usize {
    let config = Config { cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let ran = Cell::new(0);
    let outcome = TestRunner::new_with_rng(config, rng).run(&schedules(), |schedule| {
        let Schedule { shape, script, faults } = schedule;
        let plan = shape.approved();
        let whole = check_laws(&plan, &script, &faults);
        let whole = whole.map_err(|broken| proptest::test_runner::TestCaseError::fail(broken.to_string()))?;
        ran.set(ran.get() + 1);
        let step = (whole.records / 4).max(1);
        for crash in (whole.records * 7 % step..whole.records).step_by(step) {
            check_laws(&plan, &script, &Faults::killed_after([crash, crash / 2])).map_err(|broken| {
                proptest::test_runner::TestCaseError::fail(format!("killed after {crash}: {broken}"))
            })?;
            ran.set(ran.get() + 1);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    ran.get()
}

#[test]
fn the_same_schedule_comes_to_the_same_report_each_time() {
    // Also over crashes: what a process does that goes on follows from the journal alone.
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]);
    let outcome = TestRunner::new_with_rng(config, rng).run(&schedules(), |Schedule { shape, script, faults }| {
        let reports =
            [(); 2].map(|()| check_laws(&shape.approved(), &script, &faults).map(|checked| checked.report).ok());
        proptest::prop_assert_eq!(&reports[0], &reports[1]);
        proptest::prop_assert!(reports[0].is_some());
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn no_law_breaks_under_a_first_series_of_schedules() {
    let ran = run(1_000, 1);
    assert!(ran >= 5_000, "{ran}");
}

#[test]
fn no_law_breaks_under_a_second_series_of_schedules() {
    let ran = run(1_000, 2);
    assert!(ran >= 5_000, "{ran}");
}

#[test]
fn no_law_breaks_under_a_third_series_of_schedules() {
    let ran = run(1_000, 3);
    assert!(ran >= 5_000, "{ran}");
}

#[test]
fn no_law_breaks_under_a_fourth_series_of_schedules() {
    let ran = run(1_000, 4);
    assert!(ran >= 5_000, "{ran}");
}

//! The promises of the crate, one file each, in one program so that it is linked once.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod config_problems;
mod config_robust;
mod config_schema;
mod engine_batches;
mod engine_cancellation;
mod engine_expectations;
mod engine_leases;
mod engine_limits;
mod engine_policies;
mod engine_retries;
mod engine_rollback;
mod engine_schedules;
mod journal_old_versions;
mod kit_conformance;
mod kit_exercise;
mod kit_faults;
mod kit_world;
mod law_01_before_not_after;
mod law_02_no_change_without_a_way_back;
mod law_03_half_done_is_undone;
mod law_04_unknown_is_a_state;
mod law_05_one_hand_at_a_time;
mod law_06_no_green_without_evidence;
mod law_07_undo_goes_on;
mod law_08_nothing_is_lost;
mod law_09_secrets_have_no_path;
mod law_10_killed_anywhere;
mod plan;
mod plan_make;
mod plan_render;

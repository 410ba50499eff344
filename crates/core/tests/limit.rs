//! Limits let through what they allow, and never more.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

use std::time::Duration;

use pleach_core::limit::{Concurrency, LimitError, Refused, SlidingWindow, TokenBucket};
use proptest::prelude::*;

/// Steps of time, also backwards: a clock may be set.
fn times() -> impl Strategy<Value = Vec<Duration>> {
    let step =
        prop_oneof![4 => Just(0_i64), 8 => 0..50_000_000_i64, 2 => 0..3_000_000_000_i64, 1 => -1_000_000_000..0_i64];
    prop::collection::vec(step, 1..300).prop_map(|steps| {
        let mut now: i64 = 0;
        let next = |step: i64| {
            now = (now + step).max(0);
            Duration::from_nanos(now.unsigned_abs())
        };
        steps.into_iter().map(next).collect()
    })
}

/// When each that was let through was, with time that never goes back.
fn passed(times: &[Duration], mut check: impl FnMut(Duration) -> Result<(), Refused>) -> Vec<Duration> {
    let mut latest = Duration::ZERO;
    let mut passed = Vec::new();
    for &now in times {
        latest = latest.max(now);
        if check(now).is_ok() {
            passed.push(latest);
        }
    }
    passed
}

proptest! {
    #[test]
    fn a_bucket_never_lets_more_through_than_burst_and_rate(
        times in times(), rate in 0.1..200.0_f64, burst in 1..20_u32,
    ) {
        let mut bucket = TokenBucket::new(rate, burst).expect("a rate");
        let passed = passed(&times, |now| bucket.check(now));
        for (first, begin) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let most = f64::from(burst) + rate * (*end - *begin).as_secs_f64();
                prop_assert!((last - first + 1) as f64 <= most + 1e-6);
            }
        }
    }

    #[test]
    fn a_bucket_lets_through_all_that_come_slower_than_its_rate(rate in 0.1..200.0_f64, burst in 1..20_u32) {
        let mut bucket = TokenBucket::new(rate, burst).expect("a rate");
        for turn in 0..100_u32 {
            prop_assert_eq!(bucket.check(Duration::from_secs_f64(1.000_001 / rate) * turn), Ok(()));
        }
    }

    #[test]
    fn a_window_is_never_exceeded_wherever_it_begins(times in times(), count in 1..20_u32, millis in 1..4000_u64) {
        let window = Duration::from_millis(millis);
        let mut limit = SlidingWindow::new(count, window).expect("a window");
        let passed = passed(&times, |now| limit.check(now));
        for (first, begin) in passed.iter().enumerate() {
            let within = passed[first..].iter().take_while(|at| **at < *begin + window).count();
            prop_assert!(within <= count as usize);
        }
    }

    #[test]
    fn a_window_refuses_only_what_would_exceed_it(times in times(), count in 1..20_u32, millis in 1..4000_u64) {
        let window = Duration::from_millis(millis);
        let mut limit = SlidingWindow::new(count, window).expect("a window");
        let (mut latest, mut log) = (Duration::ZERO, Vec::new());
        for now in times {
            latest = latest.max(now);
            let within = log.iter().filter(|at: &&Duration| **at + window > latest).count();
            prop_assert_eq!(limit.left(now) as usize, count as usize - within);
            prop_assert_eq!(limit.check(now).is_ok(), within < count as usize);
            if within < count as usize {
                log.push(latest);
            }
        }
    }

    #[test]
    fn what_is_refused_is_let_through_exactly_when_it_was_told(
        times in times(), rate in 0.1..200.0_f64, burst in 1..20_u32, millis in 1..4000_u64,
    ) {
        let mut bucket = TokenBucket::new(rate, burst).expect("a rate");
        let mut window = SlidingWindow::new(burst, Duration::from_millis(millis)).expect("a window");
        let tick = Duration::from_nanos(1);
        for now in times {
            if let Err(Refused { again: Some(again) }) = bucket.check(now) {
                prop_assert_eq!(bucket.left(now), 0);
                prop_assert!(bucket.clone().check(again - tick).is_err());
                prop_assert!(bucket.left(again) > 0);
                prop_assert_eq!(bucket.clone().check(again), Ok(()));
            }
            if let Err(Refused { again: Some(again) }) = window.check(now) {
                prop_assert!(window.clone().check(again - tick).is_err());
                prop_assert_eq!(window.clone().check(again), Ok(()));
            }
        }
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one_or_none(
        times in times(), rate in 0.1..200.0_f64, burst in 1..20_u32, count in 1..25_u32,
    ) {
        let mut many = TokenBucket::new(rate, burst).expect("a rate");
        let mut single = many.clone();
        // Only the one that refuses would see a time that went back.
        for now in passed(&times, |_| Ok(())) {
            let left = many.left(now);
            let answer = many.check_many(now, count);
            prop_assert_eq!(answer.is_ok(), left >= count);
            prop_assert_eq!(answer == Err(Refused { again: None }), count > burst);
            if answer.is_ok() {
                for _ in 0..count {
                    prop_assert_eq!(single.check(now), Ok(()));
                }
            }
            prop_assert_eq!(many.left(now), single.left(now));
        }
    }

    #[test]
    fn never_more_are_inside_than_there_are_places(moves in prop::collection::vec(any::<bool>(), 1..300), count in 1..9_u32) {
        let mut limit = Concurrency::new(count).expect("places");
        let mut inside = 0_u32;
        for enters in moves {
            if enters {
                let entered = limit.enter();
                prop_assert_eq!(entered, if inside < count { Ok(()) } else { Err(Refused { again: None }) });
                inside += u32::from(entered.is_ok());
            } else {
                limit.leave();
                inside = inside.saturating_sub(1);
            }
            prop_assert_eq!((limit.inside(), limit.left()), (inside, count - inside));
        }
    }
}

#[test]
fn fewer_places_send_nobody_out() {
    let mut limit = Concurrency::new(3).expect("places");
    for _ in 0..3 {
        limit.enter().expect("a place");
    }
    limit.resize(1);
    assert_eq!((limit.inside(), limit.left()), (3, 0));
    limit.leave();
    limit.leave();
    assert!(limit.enter().is_err());
    limit.leave();
    assert!(limit.enter().is_ok());
}

#[test]
fn limits_that_let_nothing_through_are_refused() {
    assert_eq!(Concurrency::new(0), Err(LimitError::Nothing));
    assert_eq!(SlidingWindow::new(0, Duration::from_secs(1)), Err(LimitError::Nothing));
    assert_eq!(SlidingWindow::new(1, Duration::ZERO), Err(LimitError::Window));
    assert_eq!(SlidingWindow::new(u32::MAX, Duration::from_secs(1)), Err(LimitError::TooMany(u32::MAX)));
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut bucket = TokenBucket::new(0.001, u32::MAX).expect("a rate");
    let mut window = SlidingWindow::new(1, Duration::MAX).expect("a window");
    for now in [Duration::ZERO, Duration::MAX, Duration::MAX, Duration::ZERO] {
        let _ = (bucket.check(now), bucket.check_many(now, u32::MAX), bucket.left(now));
        let _ = (window.check(now), window.left(now));
    }
}

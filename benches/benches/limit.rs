//! What a check of a limit takes, let through or refused, beside `governor`.
//!
//! `cargo bench -p pleach-bench --bench limit`

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use pleach_bench::{Figure, Table, Variant, describe_machine, in_turn};
use pleach_core::limit::{Concurrency, SlidingWindow, TokenBucket};

const CHECKS: u32 = 5_000_000;
const ROUNDS: usize = 5;

/// A thousand a second; time goes on by 0.9 ms a check, so nine of ten are let through.
const RATE: u32 = 1_000;
const TICK: Duration = Duration::from_micros(900);

fn main() {
    println!("{}", describe_machine());
    let variants = vec![
        Variant::new("token bucket", || bucket(false)),
        Variant::new("token bucket, all refused", || bucket(true)),
        Variant::new("sliding window of 1,000", || window(1_000)),
        Variant::new("sliding window of 100,000", || window(100_000)),
        Variant::new("concurrency, in and out", concurrency),
        Variant::new("governor, its clock given (peer)", peer),
    ];
    let figures = in_turn(ROUNDS, variants);
    let mut table = Table::new(
        format!("A check of a limit, {CHECKS} in a row, median of {ROUNDS}"),
        &["variant", "a check", "ratio to the peer"],
    );
    let peer = figures.last().expect("the peer");
    for figure in &figures {
        table.row(vec![figure.name.clone(), each(figure), format!("{:.2}", figure.ratio(peer))]);
    }
    table.print();
}

fn each(figure: &Figure) -> String {
    format!("{:.1} ns", figure.wall().as_nanos() as f64 / f64::from(CHECKS))
}

fn bucket(refused: bool) {
    let mut limit = TokenBucket::new(f64::from(RATE), 10).expect("a rate");
    let tick = if refused { Duration::ZERO } else { TICK };
    let (mut now, mut passed) = (Duration::ZERO, 0_u32);
    for _ in 0..CHECKS {
        now += tick;
        passed += u32::from(black_box(&mut limit).check(black_box(now)).is_ok());
    }
    assert!(if refused { passed == 10 } else { passed > CHECKS / 10 * 8 && passed < CHECKS });
}

fn window(count: u32) {
    let window = Duration::from_secs(u64::from(count / RATE));
    let mut limit = SlidingWindow::new(count, window).expect("a window");
    let (mut now, mut passed) = (Duration::ZERO, 0_u32);
    for _ in 0..CHECKS {
        now += TICK;
        passed += u32::from(black_box(&mut limit).check(black_box(now)).is_ok());
    }
    assert!(passed > CHECKS / 10 * 8 && passed < CHECKS);
}

fn concurrency() {
    let mut limit = Concurrency::new(8).expect("a number");
    for _ in 0..CHECKS {
        assert!(black_box(&mut limit).enter().is_ok());
        black_box(&mut limit).leave();
    }
}

/// Its own clock would read the time with each check, ours is given it.
fn peer() {
    let clock = FakeRelativeClock::default();
    let burst = NonZeroU32::new(10).expect("above 0");
    let quota = Quota::per_second(NonZeroU32::new(RATE).expect("above 0")).allow_burst(burst);
    let limit: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<_>> =
        RateLimiter::direct_with_clock(quota, clock.clone());
    let mut passed = 0_u32;
    for _ in 0..CHECKS {
        clock.advance(TICK);
        passed += u32::from(black_box(&limit).check().is_ok());
    }
    assert!(passed > CHECKS / 10 * 8 && passed < CHECKS);
}

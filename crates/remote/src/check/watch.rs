//! Asking until it is decided or the time is over.

use std::future::Future;
use std::time::Duration;

use pleach_core::config::Thresholds;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ask::Answer;
use super::streak::{Streak, Verdict};

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Healthy, unhealthy, or undecided when the time was over.
    pub verdict: Verdict,
    /// How often it was asked.
    pub tries: u32,
    /// The last answer; `None` if there was no time to ask.
    pub last: Option<Answer>,
    /// From the beginning, the initial delay included.
    pub elapsed: Duration,
}

/// Asks until the thresholds decide or `within` is over. A try that takes longer than `timeout` is a wrong answer.
///
/// `within` includes the initial delay. What is under way when it is over is given up.
pub async fn watch<F, Asked>(thresholds: &Thresholds, mut ask: F) -> Watched
where
    F: FnMut() -> Asked,
    Asked: Future<Output = Answer>,
{
    let started = Instant::now();
    let mut watched = Watched { verdict: Verdict::Undecided, tries: 0, last: None, elapsed: Duration::ZERO };
    let mut streak = Streak::new(thresholds);
    let asking = async {
        sleep(thresholds.initial_delay.0).await;
        loop {
            let limit = thresholds.timeout.0;
            let answer =
                timeout(limit, ask()).await.unwrap_or_else(|_| Answer::wrong(format!("no answer in {limit:?}")));
            watched.tries += 1;
            watched.verdict = streak.take(answer.is_right);
            let is_final = answer.is_final;
            watched.last = Some(answer);
            if watched.verdict != Verdict::Undecided {
                return;
            }
            if is_final {
                watched.verdict = Verdict::Unhealthy;
                return;
            }
            sleep(thresholds.period.0).await;
        }
    };
    tokio::select! {
        biased;
        () = asking => {}
        () = sleep_until(started + thresholds.within.0) => {}
    }
    watched.elapsed = started.elapsed();
    watched
}

#[cfg(test)]
mod tests {
    use pleach_core::period::Period;

    use super::*;

    fn thresholds() -> Thresholds {
        Thresholds {
            initial_delay: Period::seconds(3),
            period: Period::seconds(1),
            timeout: Period::seconds(2),
            success: 2,
            failure: 2,
            within: Period::seconds(20),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_try_waits_and_each_further_one_waits_its_period() {
        let watched = watch(&thresholds(), || async { Answer::right("200") }).await;
        assert_eq!((watched.verdict, watched.tries), (Verdict::Healthy, 2));
        assert_eq!(watched.elapsed, Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_hangs_is_a_wrong_answer_and_the_whole_has_an_end() {
        let watched = watch(&thresholds(), || async {
            std::future::pending::<()>().await;
            Answer::right("never")
        })
        .await;
        // Tries end at 5, 8, 11, 14, 17 and 20 s; the last one just in time.
        assert_eq!((watched.verdict, watched.tries), (Verdict::Undecided, 6));
        assert_eq!(watched.elapsed, Duration::from_secs(20));
        assert_eq!(watched.last.map(|answer| answer.seen), Some("no answer in 2s".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_flaps_is_asked_to_the_end_and_not_healthy() {
        let mut tries = 0;
        let watched = watch(&thresholds(), || {
            tries += 1;
            let is_right = tries % 2 == 1;
            async move { if is_right { Answer::right("200") } else { Answer::wrong("503") } }
        })
        .await;
        assert_eq!(watched.verdict, Verdict::Undecided);
        assert!(watched.tries >= 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_answer_ends_it_at_once() {
        let watched = watch(&thresholds(), || async { Answer::gone("it ended") }).await;
        assert_eq!((watched.verdict, watched.tries), (Verdict::Unhealthy, 1));
    }
}

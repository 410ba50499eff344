//! How many answers in a row decide.
//!
//! | state | answer | next |
//! |---|---|---|
//! | never right yet | wrong | never right yet, for as long as there is time |
//! | any | right, the `success`-th in a row | healthy |
//! | was right before | wrong, the `failure`-th in a row | unhealthy |
//!
//! Right and wrong by turns never make `success` in a row if that is two or more, so a service that flaps is not healthy.

use pleach_core::config::Thresholds;

/// What a row of answers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet decided.
    Undecided,
    /// Right often enough.
    Healthy,
    /// Wrong too often after it was right.
    Unhealthy,
}

/// Counts answers.
#[derive(Clone, Copy, Debug)]
pub struct Streak {
    success: u32,
    failure: u32,
    right: u32,
    wrong: u32,
    was_right: bool,
    verdict: Verdict,
}

impl Streak {
    /// No answer yet.
    pub fn new(thresholds: &Thresholds) -> Self {
        Self {
            success: thresholds.success.max(1),
            failure: thresholds.failure.max(1),
            right: 0,
            wrong: 0,
            was_right: false,
            verdict: Verdict::Undecided,
        }
    }

    /// Takes one answer; once it is decided nothing changes it.
    pub fn take(&mut self, is_right: bool) -> Verdict {
        if self.verdict != Verdict::Undecided {
            return self.verdict;
        }
        if is_right {
            (self.right, self.wrong, self.was_right) = (self.right + 1, 0, true);
        } else {
            (self.right, self.wrong) = (0, self.wrong + 1);
        }
        if self.right >= self.success {
            self.verdict = Verdict::Healthy;
        } else if self.was_right && self.wrong >= self.failure {
            self.verdict = Verdict::Unhealthy;
        }
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(success: u32, failure: u32, answers: &[bool]) -> Verdict {
        let mut streak = Streak::new(&Thresholds { success, failure, ..Thresholds::default() });
        answers.iter().fold(Verdict::Undecided, |_, answer| streak.take(*answer))
    }

    fn longest_first(answers: &[bool], wanted: bool, length: u32) -> Option<usize> {
        let mut row = 0;
        answers.iter().position(|answer| {
            row = if *answer == wanted { row + 1 } else { 0 };
            row == length
        })
    }

    proptest! {
        #[test]
        fn healthy_means_enough_in_a_row_before_too_many_wrong_ones(
            success in 1u32..5, failure in 1u32..5, answers in proptest::collection::vec(any::<bool>(), 0..40)
        ) {
            let healthy = longest_first(&answers, true, success);
            let first_right = answers.iter().position(|answer| *answer);
            let unhealthy = first_right.and_then(|at| Some(at + longest_first(&answers[at..], false, failure)?));
            let wanted = match (healthy, unhealthy) {
                (Some(healthy), Some(unhealthy)) if unhealthy < healthy => Verdict::Unhealthy,
                (Some(_), _) => Verdict::Healthy,
                (None, Some(_)) => Verdict::Unhealthy,
                (None, None) => Verdict::Undecided,
            };
            prop_assert_eq!(verdict(success, failure, &answers), wanted);
        }

        #[test]
        fn right_and_wrong_by_turns_is_never_healthy(success in 2u32..9, failure in 2u32..9, pairs in 1usize..50) {
            prop_assert_eq!(verdict(success, failure, &[true, false].repeat(pairs)), Verdict::Undecided);
        }

        #[test]
        fn a_service_that_was_never_right_is_waited_for(failure in 1u32..4, count in 0usize..50) {
            prop_assert_eq!(verdict(2, failure, &vec![false; count]), Verdict::Undecided);
        }
    }
}

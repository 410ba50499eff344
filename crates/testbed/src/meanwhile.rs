//! Something that goes on while a test does its work.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Does `again` over and over while `work` is under way, in a thread of its own, and at least once.
///
/// It ends also where `work` panics, whose panic is then told: a test that only sets a flag after its work would wait for
/// ever for a thread that nobody tells to stop. A panic of `again` is told once the work is done.
pub fn meanwhile<T>(again: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    meanwhile_all([again], work)
}

/// The same with several things that go on side by side.
pub fn meanwhile_all<T, A: FnMut() + Send>(all: impl IntoIterator<Item = A>, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let begin = |mut again: A| {
            scope.spawn(move || {
                loop {
                    again();
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                }
            })
        };
        let others: Vec<_> = all.into_iter().map(begin).collect();
        let done = catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::SeqCst);
        let others: Vec<_> = others.into_iter().map(|other| other.join()).collect();
        let done = done.unwrap_or_else(|panic| resume_unwind(panic));
        others.into_iter().for_each(|other| other.unwrap_or_else(|panic| resume_unwind(panic)));
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panics(run: impl FnOnce()) -> Option<&'static str> {
        catch_unwind(AssertUnwindSafe(run)).err().and_then(|panic| panic.downcast_ref().copied())
    }

    #[test]
    fn it_goes_on_until_the_work_is_done() {
        let mut count = 0;
        let seen = AtomicBool::new(false);
        let again = || {
            count += 1;
            seen.store(count > 2, Ordering::SeqCst);
        };
        let done = meanwhile(again, || {
            while !seen.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            "done"
        });
        assert_eq!(done, "done");
        assert!(count > 2);
    }

    #[test]
    fn a_panic_on_either_side_ends_both_and_is_told() {
        assert_eq!(panics(|| meanwhile(std::thread::yield_now, || panic!("the work"))), Some("the work"));
        assert_eq!(panics(|| meanwhile(|| panic!("beside it"), || ())), Some("beside it"));
    }
}

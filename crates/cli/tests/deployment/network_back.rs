//! A cable that is cut while a deployment is being taken back, or while somebody goes on with one, and mended: it ends all-new
//! or all-old.

use rustix::process::Signal;

use crate::far::{BOUND, Far};
use crate::interrupt::side_by_side;
use crate::scene::{Said, Working, told_in_four_parts};
use crate::steady::{DEPLOY, Steady};

/// What comes before the cable is cut for the first time.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// The new version dies, and is taken back.
    Failure,
    /// All is done but for the end of the old version when somebody interrupts it.
    Interrupt,
    /// Whoever deploys is killed in this step, and somebody goes on.
    Kill(&'static str),
}

/// In which words of the narration the cable is cut: the first time, and while somebody goes on with what that left.
const CASES: [(Before, &str, &str); 4] = [
    (Before::Failure, "alpha@vm: taking start back", "alpha@vm: taking start back"),
    (Before::Interrupt, "alpha@vm: taking switch back", "going on with run"),
    (Before::Kill("alpha@vm: start"), "alpha@vm: looking what became of start", "alpha@vm: "),
    (Before::Kill("alpha@vm: upload"), "alpha@vm: switch", "alpha@vm: "),
];

/// Cuts the cable in these words, and mends it when the command has come to its end.
fn cut(far: &Far, mut working: Working, place: &str) -> Said {
    working.says(place);
    far.machine().cut();
    let begun = std::time::Instant::now();
    let said = working.ends();
    let took = begun.elapsed();
    far.machine().mend();
    println!("cut in {place:?}: {} after {took:.1?}", said.code);
    assert!(took < BOUND, "{place}: {took:?}");
    told_in_four_parts(&said);
    said
}

fn resume(far: &Far) -> Working {
    far.scene.start(&["resume", "-v"])
}

#[test]
fn a_cable_that_is_cut_on_the_way_back_or_while_somebody_goes_on_leaves_all_new_or_all_old_once_it_is_mended() {
    if Far::new().is_none() {
        return;
    }
    side_by_side(CASES, |(before, first, second)| {
        let mut steady = Steady::new();
        steady.commit();
        if matches!(before, Before::Failure) {
            steady.far.scene.break_service("alpha");
        }
        let mut working = steady.far.scene.start(&DEPLOY);
        let far = &steady.far;
        let said = match before {
            Before::Failure => cut(far, working, first),
            Before::Interrupt => {
                working.says("alpha@vm: retire");
                working.signal(Signal::INT);
                cut(far, working, first)
            }
            Before::Kill(step) => {
                working.says(step);
                working.signal(Signal::KILL);
                working.ends();
                cut(far, resume(far), first)
            }
        };
        let unfinished = |said: &Said| {
            assert!(matches!(said.code, 112 | 113), "{before:?}: {}: {}{}", said.code, said.stdout, said.stderr);
            assert!(said.stderr.contains("`pleach resume"), "{before:?}: {}", said.stderr);
        };
        unfinished(&said);
        let again = cut(far, resume(far), second);
        // Where it could not even be begun, nothing was touched, and it waits as before.
        if again.code != 102 {
            unfinished(&again);
        }
        let resumed = far.scene.pleach(&["resume"]);
        let told = format!("{before:?}: {}\n{}{}", resumed.code, resumed.stdout, resumed.stderr);
        println!("{before:?}: then {}", resumed.code);
        match resumed.code {
            0 => steady.require_new(&told),
            110 | 130 => steady.require_old(&told),
            _ => panic!("{told}"),
        }
    });
}

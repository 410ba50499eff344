//! Signals to a deployment over SSH: before, in and after taking the lease, and in every phase. Afterwards all is new or all
//! is old, the lease is free, and nothing runs that should not.

use std::fs::File;
use std::time::Duration;

use rustix::process::Signal;

use crate::far::Far;
use crate::interrupt::side_by_side;
use crate::scene::{Said, Working};
use crate::steady::{DEPLOY, Steady};

/// When a signal comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The plan is shown, and nothing is held yet.
    Before,
    /// The lease lies on the machine, and its token is not let in yet.
    InLease,
    /// The narration says this.
    At(&'static str),
}

/// Each moment meets one of the signals that are caught, and most of them the one that is not. What stands in one row
/// happens on one machine.
const CASES: [&[(Moment, Signal)]; 4] = [
    &[
        (Moment::Before, Signal::INT),
        (Moment::InLease, Signal::TERM),
        (Moment::At("capturing"), Signal::HUP),
        (Moment::At("upload"), Signal::KILL),
        (Moment::At("start"), Signal::INT),
    ],
    &[
        (Moment::InLease, Signal::KILL),
        (Moment::At("build"), Signal::TERM),
        (Moment::At("health"), Signal::HUP),
        (Moment::At("switch"), Signal::KILL),
        (Moment::At("prune"), Signal::INT),
    ],
    &[
        (Moment::Before, Signal::KILL),
        (Moment::At("upload"), Signal::HUP),
        (Moment::At("switch"), Signal::TERM),
        (Moment::At("route"), Signal::KILL),
        (Moment::At("verify"), Signal::INT),
    ],
    &[
        (Moment::At("capturing"), Signal::KILL),
        (Moment::At("route"), Signal::INT),
        (Moment::At("retire"), Signal::TERM),
        (Moment::At("start"), Signal::KILL),
        (Moment::At("retire"), Signal::KILL),
    ],
];

impl Steady {
    /// Holds the deployment where its token would be let in.
    fn hold(&self) -> File {
        let lock = self.far.machine().see(&self.far.live().join(".pleach/fence.lock"));
        let lock = File::options().append(true).open(lock).expect("there since the first deployment");
        lock.lock().expect("locked");
        lock
    }

    /// Deploys another version, sends the signal in this moment, and goes on where that is needed.
    fn signalled(&mut self, moment: Moment, signal: Signal) {
        let at = format!("{signal:?} {moment:?}");
        self.commit();
        let runs = self.far.scene.runs().len();
        let held = matches!(moment, Moment::InLease).then(|| self.hold());
        let mut working = self.far.scene.start(&DEPLOY);
        match moment {
            Moment::Before => working.says("upload · "),
            Moment::InLease => self.until_leased(&working),
            Moment::At(step) => working.says(&format!("alpha@vm: {step}").replace("alpha@vm: capturing", "capturing")),
        }
        assert!(working.signal_if_alive(signal) || !matches!(moment, Moment::InLease), "{at}: it waits");
        if let (Some(held), false) = (held, signal == Signal::KILL) {
            working.says("nothing new is started");
            drop(held);
        }
        let said = working.ends();
        let told = format!("{at}: {}\n{}{}", said.code, said.stdout, said.stderr);
        let is_new = match said.code {
            0 => true,
            -1 if signal == Signal::KILL => self.goes_on(runs, &told),
            // Nothing was caught yet: it ended with the plan on the screen.
            -1 if matches!(moment, Moment::Before) => false,
            130 if signal == Signal::INT => taken_back(&said),
            143 if signal != Signal::INT => taken_back(&said),
            _ => panic!("{told}"),
        };
        println!("{at}: {}, then {}", said.code, if is_new { "new" } else { "old" });
        match moment {
            _ if is_new => self.require_new(&told),
            // Old releases that were removed are not brought back.
            Moment::At("prune") => {
                self.far.require_that(&told, |found| found.running().differences(&self.before().running()));
                self.require_settled(&told);
            }
            _ => self.require_old(&told),
        }
    }

    /// Waits until the machine knows who changes it.
    fn until_leased(&self, working: &Working) {
        let place = self.far.machine().see(&self.far.live().join(".pleach/lease/uat/vm"));
        let who = format!("\nprocess {}\n", working.id());
        let states = || std::fs::read_dir(&place).into_iter().flatten().flatten();
        while !states().any(|state| std::fs::read_to_string(state.path()).is_ok_and(|text| text.contains(&who))) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What whoever was killed has left is finished. Where no run had begun, there is nothing but the lease of the dead, which
    /// the next deployment takes over.
    fn goes_on(&self, runs: usize, told: &str) -> bool {
        if self.far.scene.runs().len() == runs {
            self.far.scene.ends(0, &["resume"]);
            self.far.scene.ends(0, &DEPLOY);
            return true;
        }
        let resumed = self.far.scene.pleach(&["resume"]);
        match resumed.code {
            0 => true,
            110 => false,
            code => panic!("{told}\n{code}: {}{}", resumed.stdout, resumed.stderr),
        }
    }
}

fn taken_back(said: &Said) -> bool {
    assert!(said.stdout.contains("interrupted, and taken back"), "{}", said.stdout);
    assert!(!said.stderr.contains("error:"), "an interrupt is no failure: {}", said.stderr);
    false
}

#[test]
fn a_signal_at_any_moment_over_ssh_ends_all_new_or_all_old_with_the_lease_free() {
    if Far::new().is_none() {
        return;
    }
    side_by_side(CASES, |cases| {
        let mut steady = Steady::new();
        cases.iter().for_each(|(moment, signal)| steady.signalled(*moment, *signal));
    });
}

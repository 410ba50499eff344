//! Strategies: plans, scripts and faults in all sizes that shrink well.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::{option, prop_oneof};

use super::law::{Faults, TakenBack};
use crate::engine::CancelRequest;
use crate::error::Kind;
use crate::period::Period;
use crate::plan::{BatchSize, Limits, OnFailure, Policy, Retry};
use crate::testing::{
    Act, CaptureAct, Fate, Interruption, LaneShape, Life, LookAct, Pace, PlanShape, Renewal, Script, SnapshotScript,
    SnapshotShape, StepScript, StepShape, Turns, UndoAct, Way,
};
use crate::word::{LaneId, SnapshotId, StepName, TargetName};

/// A plan, what its targets do, and what goes wrong around it.
#[derive(Clone)]
pub struct Schedule {
    /// The plan in short.
    pub shape: PlanShape,
    /// What the targets do.
    pub script: Script,
    /// What goes wrong.
    pub faults: Faults,
}

/// One step a line, and only what is out of the ordinary: a failed test is read by people.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.shape.plan();
        writeln!(f, "{:?}", plan.policy)?;
        for planned in &plan.snapshots {
            let script = self.script.snapshots.get(&planned.id).filter(|script| !script.is_smooth());
            writeln!(f, "{}: {script:?}", planned.id)?;
        }
        for lane in plan.lanes() {
            for step in &lane.steps {
                let script = self.script.steps.get(&(lane.id.clone(), step.name.clone()));
                write!(f, "{} {}: {:?} {:?} ", lane.id, step.name, step.reversal, step.retry)?;
                writeln!(f, "{:?}", script.filter(|script| !script.is_smooth()))?;
            }
        }
        for life in &self.faults.lives {
            writeln!(f, "{life:?}")?;
        }
        writeln!(f, "last: {:?}\nback: {:?}", self.faults.last, self.faults.back)
    }
}

/// All of it: 1 to 4 stages of 1 to 6 lanes of 1 to 5 steps on 1 to 4 targets, any policy, any fault.
pub fn schedules() -> impl Strategy<Value = Schedule> {
    let stages = vec(vec(lane(), 1..=6), 1..=4);
    let wholes = vec((0..4_usize, snapshot_script()), 0..=1);
    (stages, wholes, policy(), faults(), vec(snapshot_script(), 3)).prop_map(
        |(stages, wholes, policy, faults, dumps)| {
            let mut script = Script::smooth();
            let mut shape = PlanShape { policy, ..PlanShape::default() };
            for lanes in stages {
                let mut shapes: Vec<LaneShape> = Vec::new();
                for (service, target, steps) in lanes {
                    if shapes.iter().any(|lane| (lane.service, lane.target) == (service, target)) {
                        continue;
                    }
                    let stage = char::from(b'a' + u8::try_from(shape.stages.len()).unwrap_or_default());
                    for (at, (_, step)) in steps.iter().enumerate() {
                        let lane = LaneId::new(format!("{stage}/s{service}@t{target}")).expect("a lane id");
                        let name = StepName::new(format!("{stage}{at}")).expect("a name");
                        script.steps.insert((lane, name), step.clone());
                    }
                    let steps = steps.into_iter().map(|(shape, _)| shape).collect();
                    shapes.push(LaneShape { service, target, steps });
                }
                shape.stages.push(shapes);
            }
            for (target, whole) in wholes {
                let id = SnapshotId::new(format!("whole@t{target}")).expect("an id");
                script.snapshots.insert(id, whole);
                shape.snapshots.push(SnapshotShape { target });
            }
            let planned = shape.plan().snapshots;
            for (planned, dump) in planned.iter().filter(|planned| planned.service.is_some()).zip(dumps) {
                script.snapshots.insert(planned.id.clone(), dump);
            }
            Schedule { shape, script, faults }
        },
    )
}

fn lane() -> impl Strategy<Value = (usize, usize, Vec<(StepShape, StepScript)>)> {
    (0..6_usize, 0..4_usize, vec((step_shape(), step_script()), 1..=5))
}

fn step_shape() -> impl Strategy<Value = StepShape> {
    let way = prop_oneof![
        12 => Just(Way::Undo),
        3 => Just(Way::Nothing),
        2 => Just(Way::Restore),
        1 => Just(Way::ForwardOnly),
    ];
    (way, 1..=3_u32, select(vec![0_u64, 40, 900])).prop_map(|(way, attempts, backoff)| StepShape {
        way,
        time_limit: Period::seconds(2),
        retry: Retry { attempts, backoff: Period::millis(backoff), longest: Period::seconds(1) },
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::{Cancelled, Conflict, Internal, Rejected, Transient, UnknownOutcome, Unsupported};
    prop_oneof![
        4 => Just(Transient),
        3 => Just(UnknownOutcome),
        3 => Just(Rejected),
        1 => select(vec![Conflict, Cancelled, Unsupported, Internal]),
    ]
}

fn turns<T: Clone + std::fmt::Debug + 'static>(
    good: T,
    trouble: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = Turns<T>> {
    (vec(trouble, 1..=most), any::<bool>()).prop_map(move |(first, for_ever)| {
        let then = if for_ever { first[first.len() - 1].clone() } else { good.clone() };
        Turns { first, then }
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => kind().prop_map(Act::Fail),
        3 => kind().prop_map(Act::Half),
        3 => kind().prop_map(Act::DoneThen),
        1 => select(vec![Act::Hang, Act::DoneThenHang, Act::Panic, Act::Silent, Act::Warn]),
    ]
}

fn look_act() -> impl Strategy<Value = LookAct> {
    prop_oneof![
        3 => kind().prop_map(LookAct::Fail),
        1 => select(vec![LookAct::Hang, LookAct::Panic, LookAct::Silent]),
    ]
}

fn undo_act() -> impl Strategy<Value = UndoAct> {
    prop_oneof![
        3 => kind().prop_map(UndoAct::Fail),
        3 => kind().prop_map(UndoAct::Half),
        3 => kind().prop_map(UndoAct::DoneThen),
        1 => select(vec![UndoAct::Hang, UndoAct::Panic, UndoAct::Silent]),
    ]
}

fn pace() -> impl Strategy<Value = Pace> {
    (0..4_u64, 0..9_u64, 0..4_u64).prop_map(|(before, between, after)| Pace { before, between, after })
}

fn step_script() -> impl Strategy<Value = StepScript> {
    let smooth = || {
        (pace(), proptest::bool::weighted(0.1), any::<bool>()).prop_map(|(pace, already_there, heeds_cancel)| {
            StepScript { pace, already_there, heeds_cancel, ..StepScript::default() }
        })
    };
    let apply = prop_oneof![2 => turns(Act::Change, act(), 3), 1 => Just(Turns::always(Act::Change))];
    let look = prop_oneof![3 => Just(Turns::always(LookAct::Truth)), 1 => turns(LookAct::Truth, look_act(), 2)];
    let undo = prop_oneof![2 => Just(Turns::always(UndoAct::Undo)), 1 => turns(UndoAct::Undo, undo_act(), 3)];
    let rough = (smooth(), apply, look, undo).prop_map(|(smooth, apply, look, undo)| StepScript {
        apply,
        look,
        undo,
        ..smooth
    });
    prop_oneof![8 => smooth(), 1 => rough]
}

fn snapshot_script() -> impl Strategy<Value = SnapshotScript> {
    let act = || {
        turns(
            CaptureAct::Succeed,
            prop_oneof![
                3 => kind().prop_map(CaptureAct::Fail),
                1 => select(vec![CaptureAct::Hang, CaptureAct::Panic, CaptureAct::Silent]),
            ],
            2,
        )
    };
    let good = || Just(Turns::always(CaptureAct::Succeed));
    let turns = || prop_oneof![20 => good(), 1 => act()];
    (turns(), turns(), turns(), pace()).prop_map(|(capture, prove, discard, pace)| SnapshotScript {
        capture,
        prove,
        discard,
        pace,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let on_failure = select(vec![OnFailure::UnwindRun, OnFailure::UnwindLane, OnFailure::Hold]);
    let rate = option::weighted(0.15, select(vec![0.5, 3.0, 200.0]));
    let limits = (1..=5_u32, 1..=3_u32, rate).prop_map(|(parallel, per_target, starts_per_second)| Limits {
        parallel,
        per_target,
        starts_per_second,
    });
    let size = prop_oneof![(1..=3_u32).prop_map(BatchSize::Lanes), (1..=100_u8).prop_map(BatchSize::Percent)];
    let batch = prop_oneof![1 => Just(Vec::new()), 1 => vec(size, 1..=3)];
    let budget = option::weighted(0.3, 0..=2_u32);
    let pause = select(vec![0_u64, 0, 5]);
    let lease = select(vec![1_u64, 6, 60]);
    (on_failure, limits, batch, budget, pause, lease).prop_map(
        |(on_failure, limits, batch, failure_budget, pause, lease)| Policy {
            on_failure,
            limits,
            batch,
            failure_budget,
            pause: Period::seconds(pause),
            lease: Period::seconds(lease),
        },
    )
}

fn faults() -> impl Strategy<Value = Faults> {
    let last = option::weighted(0.25, (0..60_usize, stop())).prop_map(|stop| {
        let interruptions = stop.into_iter().map(|(at, request)| (at, Interruption::Stop(request))).collect();
        Life { interruptions, ..Life::quiet() }
    });
    let back = option::weighted(0.3, (vec(0..12_usize, 0..=2), life()))
        .prop_map(|back| back.map(|(lanes, life)| TakenBack { lanes, life }));
    (vec(life(), 0..=3), last, back).prop_map(|(lives, last, back)| Faults { lives, last, back })
}

fn life() -> impl Strategy<Value = Life> {
    let records = || prop_oneof![1 => 0..8_usize, 2 => 0..40_usize, 1 => 0..120_usize];
    let fate = prop_oneof![
        6 => records().prop_map(Fate::KilledAfter),
        1 => records().prop_map(Fate::BrokenAfter),
        1 => records().prop_map(Fate::BrokenUnnoticedAfter),
        2 => Just(Fate::Good),
    ];
    let killed_after = option::weighted(0.2, (0..2_000_u64).prop_map(Duration::from_millis));
    let interruption = prop_oneof![
        3 => stop().prop_map(Interruption::Stop),
        1 => Just(Interruption::Stop(CancelRequest::Leave)),
        1 => (0..4_usize).prop_map(|target| {
            Interruption::LosesLease(TargetName::new(format!("t{target}")).expect("a name"))
        }),
        1 => select(vec![Renewal::Fail, Renewal::Hang]).prop_map(Interruption::Renewals),
        1 => (-100_000..100_000_i64).prop_map(|by| Interruption::ClockJumps(SignedDuration::from_secs(by))),
    ];
    let interruptions = prop_oneof![2 => Just(Vec::new()), 1 => vec((records(), interruption), 1..=2)];
    (fate, interruptions, killed_after).prop_map(|(fate, interruptions, killed_after)| Life {
        fate,
        interruptions,
        killed_after,
    })
}

fn stop() -> impl Strategy<Value = CancelRequest> {
    prop_oneof![Just(CancelRequest::Gently("SIGINT".into())), Just(CancelRequest::AtOnce("SIGINT".into()))]
}

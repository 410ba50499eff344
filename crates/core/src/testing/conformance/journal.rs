//! What every journal must do.

use std::sync::Arc;

use jiff::Timestamp;

use crate::error::Kind;
use crate::journal::{Entry, FORMAT, Outcome, Record};
use crate::port::{Journal, Runs};
use crate::testing::PlanShape;
use crate::word::{PlanId, RunId};

fn record(second: i64, entry: Entry) -> Record {
    Record { at: Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH), entry }
}

fn run(name: &str) -> RunId {
    RunId::new(name).expect("a name")
}

fn marks(second: i64, marks: std::ops::Range<u32>) -> Vec<Record> {
    let mark = |batch| Entry::BatchReleased { stage: crate::word::StageName::new("a").expect("a name"), batch };
    marks.map(|at| record(second, mark(at))).collect()
}

async fn replay(journal: &dyn Journal) -> Vec<Record> {
    let replay = journal.replay().await.expect("a journal can be read back");
    assert_eq!(replay.torn, None, "nothing was torn");
    replay.records
}

/// Runs the suite. `reopen` gives the same place as a new process would see it; it is empty at first.
pub async fn journal(reopen: impl AsyncFn() -> Arc<dyn Runs>) {
    let runs = reopen().await;
    assert_eq!(runs.list().await.expect("an empty place can be listed"), []);
    let missing = runs.open(&run("absent")).await.err().expect("there is no such run");
    assert!(missing.next.is_some(), "whoever asks for a run that is not there is told what to do: {missing:?}");

    let approved = PlanShape::wide(2, 2).approved();
    let plan: PlanId = approved.id().clone();
    let first = run("0001-first");
    let journal = runs.create(&first, &plan).await.expect("a journal can be begun");
    assert_eq!(replay(journal.as_ref()).await, []);
    let begun = Entry::RunStarted { format: FORMAT, run: first.clone(), plan: Arc::new(approved) };
    let mut told = vec![record(1, begun)];
    journal.append(told.clone()).await.expect("a record can be appended");
    journal.append(Vec::new()).await.expect("nothing can be appended too");
    // The wall clock jumps back: order is the place in the journal.
    told.extend(marks(-7, 0..500));
    journal.append(told[1..].to_vec()).await.expect("many records can be appended");
    assert_eq!(replay(journal.as_ref()).await, told);
    let again = runs.create(&run("0002-again"), &plan).await.err().expect("a plan is used once");
    assert_eq!(again.kind, Kind::Conflict, "{again:?}");

    concurrent_appends_stay_whole(journal.as_ref(), &mut told).await;
    drop(journal);
    drop(runs);
    let runs = reopen().await;
    let journal = runs.open(&first).await.expect("a new process opens it");
    assert_eq!(replay(journal.as_ref()).await, told, "what was appended is durable");
    let again = runs.create(&run("0003-again"), &plan).await.err().expect("also for a new process a plan is used once");
    assert_eq!(again.kind, Kind::Conflict, "{again:?}");
    let listed = runs.list().await.expect("runs can be listed");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].run, &listed[0].plan, listed[0].outcome), (&first, &plan, None));
    let end = record(9, Entry::RunFinished { outcome: Outcome::Held });
    journal.append(vec![end.clone()]).await.expect("it goes on");
    told.push(end);
    assert_eq!(replay(journal.as_ref()).await, told);
    assert_eq!(runs.list().await.expect("runs can be listed")[0].outcome, Some(Outcome::Held));

    let later = run("0004-later");
    let other = PlanShape::wide(1, 1).approved();
    let journal = runs.create(&later, other.id()).await.expect("another plan is another run");
    let begun = Entry::RunStarted { format: FORMAT, run: later.clone(), plan: Arc::new(other) };
    journal.append(vec![record(100, begun)]).await.expect("a record can be appended");
    let listed: Vec<RunId> = runs.list().await.expect("listed").into_iter().map(|entry| entry.run).collect();
    assert_eq!(listed, [later, first], "the newest run is the first in the list");
}

/// Appends of several lanes at once: each stays together and all are there.
async fn concurrent_appends_stay_whole(journal: &dyn Journal, told: &mut Vec<Record>) {
    let lane = async |lane: u32| {
        for batch in 0..5 {
            let first = (lane * 5 + batch) * 3 + 1_000;
            journal.append(marks(2, first..first + 3)).await.expect("lanes append at once");
        }
    };
    tokio::join!(lane(0), lane(1), lane(2), lane(3), lane(4), lane(5));
    let now = replay(journal).await;
    assert_eq!(now.len(), told.len() + 90);
    assert_eq!(now[..told.len()], told[..]);
    for three in now[told.len()..].chunks(3) {
        let numbers: Vec<u32> = three
            .iter()
            .filter_map(|record| match record.entry {
                Entry::BatchReleased { batch, .. } => Some(batch),
                _ => None,
            })
            .collect();
        assert!(numbers[1] == numbers[0] + 1 && numbers[2] == numbers[0] + 2, "an append was torn apart: {numbers:?}");
    }
    *told = now;
}

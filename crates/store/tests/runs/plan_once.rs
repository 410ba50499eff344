//! A plan is used once, whoever asks at the same time and wherever the first was killed.

use std::fs;

use pleach_core::error::Kind;
use pleach_core::port::Runs;
use pleach_store::FileRuns;

use crate::support::{Part, begun, block_on, folder, part_argument, plan, record, run};

#[tokio::test]
async fn a_claim_of_a_run_that_never_began_is_void() {
    let folder = folder();
    let runs = FileRuns::open(folder.path()).unwrap();
    let (approved, id) = plan(1);
    drop(runs.create(&run("0001"), &id).await.unwrap());
    let failure = runs.open(&run("0001")).await.err().unwrap();
    assert_eq!((failure.kind, failure.what.as_str()), (Kind::Rejected, "run `0001` never began"));

    // As after a kill between the claim and the journal.
    fs::remove_dir_all(runs.run_dir(&run("0001"))).unwrap();
    drop(runs.create(&run("0002"), &id).await.unwrap());

    // As after a kill while the first record was written.
    let path = runs.journal_path(&run("0002"));
    let torn = [&fs::read(&path).unwrap()[..], b"{\"crc\":\"00"].concat();
    fs::write(&path, torn).unwrap();
    let journal = runs.create(&run("0003"), &id).await.unwrap();
    journal.append(vec![begun(&run("0003"), approved, 1)]).await.unwrap();
    drop(journal);
    let failure = runs.create(&run("0004"), &id).await.err().unwrap();
    assert_eq!(failure.kind, Kind::Conflict);
    assert!(failure.what.ends_with("was used by run `0003`"), "{failure}");
    assert!(failure.next.unwrap().contains("`pleach plan "));
    assert!(!runs.run_dir(&run("0004")).exists(), "a refused run leaves nothing");
}

#[tokio::test]
async fn the_same_run_can_be_begun_again_if_it_never_began() {
    let folder = folder();
    let runs = FileRuns::open(folder.path()).unwrap();
    let (approved, id) = plan(1);
    drop(runs.create(&run("0001"), &id).await.unwrap());
    let journal = runs.create(&run("0001"), &id).await.unwrap();
    journal.append(vec![begun(&run("0001"), approved, 1)]).await.unwrap();
    let (_, other) = plan(2);
    let failure = runs.create(&run("0001"), &other).await.err().unwrap();
    assert_eq!((failure.kind, failure.what.as_str()), (Kind::Conflict, "run `0001` is there already"));
    runs.create(&run("0002"), &other).await.expect("the other plan was not used by this");
}

#[tokio::test]
async fn a_plan_whose_run_is_damaged_stays_used() {
    let folder = folder();
    let runs = FileRuns::open(folder.path()).unwrap();
    let (approved, id) = plan(1);
    let journal = runs.create(&run("0001"), &id).await.unwrap();
    journal.append(vec![begun(&run("0001"), approved, 1), record(1)]).await.unwrap();
    drop(journal);
    let path = runs.journal_path(&run("0001"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(runs.create(&run("0002"), &id).await.err().unwrap().kind, Kind::Conflict);
}

#[tokio::test]
async fn a_run_that_is_being_begun_keeps_its_plan() {
    let folder = folder();
    let runs = FileRuns::open(folder.path()).unwrap();
    let (_, id) = plan(1);
    let _held = runs.create(&run("0001"), &id).await.unwrap();
    assert_eq!(runs.create(&run("0002"), &id).await.err().unwrap().kind, Kind::Conflict, "it has no first record yet");
    assert_eq!(runs.list().await.unwrap(), [], "nor is it in the list");
}

/// One of those that race below.
#[test]
fn part_use_each_plan() {
    let Some(folder) = part_argument() else { return };
    let me = std::process::id();
    block_on(async {
        let runs = FileRuns::open(&folder).unwrap();
        for lanes in 1..=PLANS {
            let (approved, id) = plan(lanes);
            let run = run(&format!("{lanes:04}-{me}"));
            if let Ok(journal) = runs.create(&run, &id).await {
                journal.append(vec![begun(&run, approved, 1)]).await.unwrap();
                println!("used {lanes}");
            }
        }
        println!("used 0");
    });
}

const PLANS: usize = 12;

#[test]
fn of_processes_that_race_for_plans_exactly_one_gets_each() {
    let folder = folder();
    let mut parts: Vec<Part> = (0..3).map(|_| Part::start("plan_once::part_use_each_plan", folder.path())).collect();
    let mut used: Vec<u64> = Vec::new();
    for part in &mut parts {
        used.extend(std::iter::from_fn(|| part.told("used ").filter(|plan| *plan > 0)));
    }
    used.sort_unstable();
    assert_eq!(used, (1..=PLANS as u64).collect::<Vec<_>>());
}

/// The killed half of the test below.
#[test]
fn part_claim_until_killed() {
    let Some(folder) = part_argument() else { return };
    block_on(async {
        let runs = FileRuns::open(&folder).unwrap();
        let _held = runs.create(&run("0001"), &plan(1).1).await.unwrap();
        println!("claimed 1");
        let _ = std::io::stdin().read_line(&mut String::new());
    });
}

#[tokio::test]
async fn a_living_process_keeps_its_claim_and_a_killed_one_loses_it() {
    let folder = folder();
    let mut part = Part::start("plan_once::part_claim_until_killed", folder.path());
    assert_eq!(part.told("claimed "), Some(1));
    let runs = FileRuns::open(folder.path()).unwrap();
    let (_, id) = plan(1);
    assert_eq!(runs.create(&run("0002"), &id).await.err().unwrap().kind, Kind::Conflict);
    part.kill();
    runs.create(&run("0002"), &id).await.unwrap();
}

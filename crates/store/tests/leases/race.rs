//! Of processes that race for a lease exactly one holds it at a time, and tokens strictly grow.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use pleach_core::error::Kind;
use pleach_core::port::Leases;
use pleach_store::FileLeases;

use crate::support::{Part, block_on, clock, folder, part_argument, request};

const ROUNDS: usize = 100;

/// Made while the lease is held; it can be made by one alone.
fn inside(folder: &Path) -> std::path::PathBuf {
    folder.join("inside")
}

/// One of the two that race: takes the lease again and again, and writes down its token while it holds it.
#[test]
fn part_race() {
    let Some(folder) = part_argument() else { return };
    let leases = FileLeases::open(&folder, clock()).unwrap();
    let mut log = OpenOptions::new().create(true).append(true).open(folder.join("tokens")).unwrap();
    block_on(async {
        for _ in 0..ROUNDS {
            let lease = loop {
                match leases.acquire(&request("run-1")).await {
                    Ok(lease) => break lease,
                    Err(refused) => assert_eq!(refused.kind, Kind::Conflict, "{refused:?}"),
                }
                tokio::task::yield_now().await;
            };
            fs::create_dir(inside(&folder)).expect("nobody else holds it");
            writeln!(log, "{}", lease.token).unwrap();
            leases.renew(&lease).await.expect("it is still held");
            fs::remove_dir(inside(&folder)).unwrap();
            leases.release(&lease).await.unwrap();
        }
    });
    println!("won {ROUNDS}");
}

#[test]
fn of_two_processes_that_race_exactly_one_holds_it_each_time() {
    let folder = folder();
    let mut parts = [(); 2].map(|()| Part::start("race::part_race", folder.path()));
    for part in &mut parts {
        assert_eq!(part.told("won "), Some(ROUNDS as u64), "it won each round in the end");
        assert!(part.child.wait().unwrap().success());
    }
    let tokens = fs::read_to_string(folder.path().join("tokens")).unwrap();
    let tokens: Vec<u64> = tokens.lines().map(|token| token.parse().unwrap()).collect();
    assert_eq!(tokens.len(), 2 * ROUNDS);
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_tasks_that_race_exactly_one_gets_it() {
    let folder = folder();
    let mut last = 0;
    for round in 0..25 {
        let racers = (0..4).map(|racer| {
            let leases = FileLeases::open(folder.path(), clock()).unwrap();
            tokio::spawn(async move { leases.acquire(&request(&format!("run-{round}-{racer}"))).await })
        });
        let mut won = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            won.extend(racer.await.unwrap());
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert!(won[0].token.0 > last);
        last = won[0].token.0;
        FileLeases::open(folder.path(), clock()).unwrap().release(&won[0]).await.unwrap();
    }
}

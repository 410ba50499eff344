//! `kill -9` in front of each single command of the guard, and many at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

use crate::bench::{Bench, guard, request_text, run, word};

/// Runs the script and kills it in front of its command number `$1`.
const KILL_AT: &str = r#"set -T; n=0; at=$1; shift
trap 'n=$((n + 1)); [ "$n" -ne "$at" ] || kill -9 $$' DEBUG; . "$@""#;

struct Case<'a> {
    operation: &'a [&'a str],
    stdin: &'a str,
    /// What `show` prints as token and newest seen, before and after.
    old: (&'a str, &'a str),
    new: (&'a str, &'a str),
}

/// What lies in a place, without the process ids in the names of drafts: what the next who comes finds.
fn traces(place: &Path) -> BTreeSet<(String, usize)> {
    let entries = fs::read_dir(place).into_iter().flatten().map(|entry| entry.expect("entry").path());
    let name = |path: &Path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with("draft.") { "draft".to_owned() } else { name }
    };
    entries.map(|path| (name(&path), fs::read(&path).expect("readable").len())).collect()
}

fn refill(place: &Path, model: &Path) {
    let _ = fs::remove_dir_all(place);
    fs::create_dir(place).expect("made");
    for entry in fs::read_dir(model).expect("there") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), place.join(entry.file_name())).expect("copied");
    }
}

/// Each number at which what is left behind differs from what the number before leaves, and the last: the operation's end.
/// What a command leaves does not go away again but for something new, so that what lies between two equal ones is equal.
fn turns(kill_at: impl Fn(usize) -> (Option<i32>, BTreeSet<(String, usize)>)) -> BTreeSet<usize> {
    let mut end = 64;
    while kill_at(end).0.is_none() {
        end *= 2;
        assert!(end < 10_000, "the operation never ends");
    }
    let (mut found, mut open) = (BTreeSet::from([1, end]), vec![((1, kill_at(1)), (end, kill_at(end)))]);
    while let Some((low, high)) = open.pop() {
        if low.1 == high.1 {
            continue;
        }
        if high.0 - low.0 == 1 {
            found.insert(high.0);
            continue;
        }
        let middle = low.0 + (high.0 - low.0) / 2;
        let middle = (middle, kill_at(middle));
        open.extend([(low, middle.clone()), (middle, high)]);
    }
    found
}

/// Kills the operation at its commands, on a fresh copy of what `prepare` made. Whenever that left something new,
/// looks that the state is the old or the new one, that the operation can be done again, and that the next who asks gets
/// the lease with a greater token.
fn survives(prepare: impl Fn(&dyn Fn(&[&str], &str)), case: &Case<'_>) {
    let bench = Bench::new();
    let script = bench.script();
    let (model, place) = (bench.folder.path().join("model"), bench.folder.path().join("place"));
    prepare(&|arguments, stdin| {
        let mut all = vec![arguments[0], model.to_str().expect("text")];
        all.extend(&arguments[1..]);
        assert_eq!(guard(&script, &all, stdin).0, Some(0), "{arguments:?}");
    });
    fs::create_dir_all(&model).expect("made");
    let call = |arguments: &[&str], stdin: &str| {
        let mut all = vec![arguments[0], place.to_str().expect("text")];
        all.extend(&arguments[1..]);
        guard(&script, &all, stdin)
    };
    let kill_at = |at: usize| {
        refill(&place, &model);
        let number = at.to_string();
        let mut argv = vec!["bash", "-c", KILL_AT, "bash", &number, script.to_str().expect("text")];
        argv.push(case.operation[0]);
        argv.push(place.to_str().expect("text"));
        argv.extend(&case.operation[1..]);
        (run(&argv, case.stdin).0, traces(&place))
    };
    let (mut found, mut known) = (BTreeSet::new(), BTreeSet::new());
    for at in turns(kill_at) {
        let (code, left) = kill_at(at);
        known.insert(left);
        let (_, printed) = call(&["show"], "");
        let state = (word(&printed, "token").expect("whole"), word(&printed, "seen").expect("whole"));
        let state = (state.0.as_str(), state.1.as_str());
        assert!(state == case.old || state == case.new, "killed at {at}: {printed}");
        found.insert(state == case.new);
        if code.is_some() {
            assert_eq!((code, state), (Some(0), case.new), "not killed at all");
            continue;
        }
        if state == case.old {
            assert_eq!(call(case.operation, case.stdin).0, Some(0), "killed at {at}, and again");
        }
        let (_, printed) = call(&["show"], "");
        let (holder, newest) = (word(&printed, "token").expect("whole"), word(&printed, "seen").expect("whole"));
        let (code, printed) = call(&["take"], &request_text("next", &format!("proof {holder}\n")));
        assert_eq!(code, Some(0), "killed at {at}: the lease is stuck");
        let token: u64 = word(&printed, "token").expect("whole").parse().expect("a number");
        assert!(token > newest.parse().expect("a number"), "killed at {at}");
    }
    assert!(known.len() > 2, "it was killed before its effect, in it and after it: {known:?}");
    assert!(found.contains(&true));
}

#[test]
fn a_take_that_is_killed_anywhere_leaves_the_old_state_or_the_new() {
    let (first, second) = (request_text("r1", ""), request_text("r2", "proof 1\n"));
    survives(|_| {}, &Case { operation: &["take"], stdin: &first, old: ("0", "0"), new: ("1", "1") });
    let over = Case { operation: &["take"], stdin: &second, old: ("1", "1"), new: ("2", "2") };
    survives(|call| call(&["take"], &first), &over);
}

#[test]
fn a_release_or_break_that_is_killed_anywhere_leaves_the_old_state_or_the_new() {
    let first = request_text("r1", "");
    let release = Case { operation: &["release", "1"], stdin: "", old: ("1", "1"), new: ("0", "1") };
    survives(|call| call(&["take"], &first), &release);
    let broken = Case { operation: &["break", "1"], stdin: "", old: ("1", "1"), new: ("0", "2") };
    survives(|call| call(&["take"], &first), &broken);
}

#[test]
fn a_raise_or_seizure_that_is_killed_anywhere_leaves_the_old_state_or_the_new() {
    let first = request_text("r1", "");
    let raise = Case { operation: &["raise", "5"], stdin: "", old: ("1", "1"), new: ("0", "5") };
    survives(|call| call(&["take"], &first), &raise);
    let back = request_text("w", "restorer w\n");
    let seize = Case { operation: &["seize", "1"], stdin: &back, old: ("1", "1"), new: ("2", "2") };
    survives(|call| call(&["take"], &first), &seize);
}

#[test]
fn old_states_are_cleared_away() {
    let bench = Bench::new();
    let (script, place) = (bench.script(), bench.place());
    let place = place.to_str().expect("text");
    assert_eq!(guard(&script, &["take", place], &request_text("r1", "")).0, Some(0));
    for _ in 0..33 {
        assert_eq!(guard(&script, &["renew", place, "1"], "").0, Some(0));
    }
    let left = fs::read_dir(place).expect("there").count();
    assert!(left < 40, "{left} files: what was left behind is cleared away");
}

#[test]
fn a_renewal_that_clears_old_states_away_and_is_killed_anywhere_keeps_the_lease() {
    let first = request_text("r1", "");
    let renew = Case { operation: &["renew", "1"], stdin: "", old: ("1", "1"), new: ("1", "1") };
    let prepare = |call: &dyn Fn(&[&str], &str)| {
        call(&["take"], &first);
        // The next one clears away.
        (0..30).for_each(|_| call(&["renew", "1"], ""));
    };
    survives(prepare, &renew);
}

#[test]
fn of_many_who_take_at_once_one_gets_it() {
    let bench = Bench::new();
    let (script, place) = (bench.script(), bench.place());
    for round in 1..=3_u64 {
        let codes: Vec<_> = thread::scope(|scope| {
            let takers: Vec<_> = (0..24)
                .map(|taker| {
                    let (script, place) = (&script, &place);
                    scope.spawn(move || {
                        let place = place.to_str().expect("text");
                        let shell = [["dash", ""], ["busybox", "sh"]][taker % 2];
                        let mut argv: Vec<&str> = shell.into_iter().filter(|word| !word.is_empty()).collect();
                        argv.extend([script.to_str().expect("text"), "take", place]);
                        run(&argv, &request_text(&format!("r{taker}"), "")).0
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().expect("no panic")).collect()
        });
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 75))), "{codes:?}");
        let place = place.to_str().expect("text");
        assert_eq!(guard(&script, &["release", place, &round.to_string()], "").0, Some(0));
    }
}

#[test]
fn many_who_take_turns_are_never_two_at_a_time_and_no_token_is_given_twice() {
    let bench = Bench::new();
    let (script, place) = (bench.script(), bench.place());
    let room = bench.folder.path().join("room");
    let turns = |taker: usize, script: &Path, place: &str| {
        let mut tokens = Vec::new();
        while tokens.len() < 8 {
            let (code, printed) = guard(script, &["take", place], &request_text(&format!("r{taker}"), ""));
            if code != Some(0) {
                assert_eq!(code, Some(75));
                continue;
            }
            fs::create_dir(&room).expect("nobody else is in");
            let token = word(&printed, "token").expect("whole");
            fs::remove_dir(&room).expect("still there");
            assert_eq!(guard(script, &["release", place, &token], "").0, Some(0));
            tokens.push(token.parse::<u64>().expect("a number"));
        }
        assert!(tokens.is_sorted(), "they only grow");
        tokens
    };
    let place = place.to_str().expect("text");
    let tokens: Vec<u64> = thread::scope(|scope| {
        let (turns, script) = (&turns, &script);
        let takers: Vec<_> = (0..6).map(|taker| scope.spawn(move || turns(taker, script, place))).collect();
        takers.into_iter().flat_map(|taker| taker.join().expect("no panic")).collect()
    });
    let distinct: BTreeSet<u64> = tokens.iter().copied().collect();
    assert_eq!(distinct, (1..=48).collect());
}

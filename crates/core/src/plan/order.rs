//! The order of services: which must be done before which.

use std::collections::{BTreeMap, BTreeSet};

use crate::word::ServiceName;

/// Services that wait for each other in a circle: each waits for the next, the last one for the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("services wait for each other: {}", .0.iter().chain(.0.first()).map(|name| format!("`{name}`"))
    .collect::<Vec<_>>().join(" after "))]
pub struct Cycle(pub Vec<ServiceName>);

/// The services in levels: each waits only for services of earlier levels and stands in the first level where that is
/// so. What a service waits for counts only if it is one of `after`'s keys. Services of a level are in their names' order.
pub fn levels(after: &BTreeMap<ServiceName, BTreeSet<ServiceName>>) -> Result<Vec<Vec<ServiceName>>, Cycle> {
    let mut level_of: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    let mut levels: Vec<Vec<ServiceName>> = Vec::new();
    while level_of.len() < after.len() {
        let waits = |name: &ServiceName| {
            after[name].iter().any(|before| after.contains_key(before) && !level_of.contains_key(before))
        };
        let (waiting, ready): (Vec<_>, Vec<_>) =
            after.keys().filter(|name| !level_of.contains_key(name)).partition(|name| waits(name));
        if ready.is_empty() {
            return Err(find_cycle(after, &waiting.into_iter().collect()));
        }
        level_of.extend(ready.iter().map(|name| (*name, levels.len())));
        levels.push(ready.into_iter().cloned().collect());
    }
    Ok(levels)
}

/// One circle among `waiting`, each of which waits for another of them. It starts with its first name, so that the same
/// circle is always told in the same words.
fn find_cycle(after: &BTreeMap<ServiceName, BTreeSet<ServiceName>>, waiting: &BTreeSet<&ServiceName>) -> Cycle {
    let mut path: Vec<&ServiceName> = Vec::new();
    let mut next = waiting.first().copied();
    while let Some(name) = next {
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            let circle = &path[start..];
            let first = circle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
            return Cycle(circle[first..].iter().chain(&circle[..first]).map(|name| (*name).clone()).collect());
        }
        path.push(name);
        next = after[name].iter().find(|before| waiting.contains(before));
    }
    Cycle(path.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).expect("a name")
    }

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<ServiceName, BTreeSet<ServiceName>> {
        edges.iter().map(|(name, after)| (service(name), after.iter().map(|a| service(a)).collect())).collect()
    }

    #[test]
    fn a_cycle_is_named_from_its_first_service_and_without_those_that_only_wait_for_it() {
        let cycle = levels(&graph(&[("a", &["d"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"])])).expect_err("a cycle");
        assert_eq!(cycle.to_string(), "services wait for each other: `b` after `c` after `d` after `b`");
        let own = levels(&graph(&[("a", &["a"])])).expect_err("a cycle");
        assert_eq!(own.to_string(), "services wait for each other: `a` after `a`");
    }

    proptest! {
        #[test]
        fn each_service_stands_right_after_the_last_that_it_waits_for(
            edges in proptest::collection::btree_map(0u8..12, proptest::collection::btree_set(0u8..14, 0..4), 0..12)
        ) {
            let name = |n: &u8| service(&format!("s{n:02}"));
            let after: BTreeMap<_, BTreeSet<_>> =
                edges.iter().map(|(n, before)| (name(n), before.iter().map(name).collect())).collect();
            match levels(&after) {
                Ok(levels) => {
                    let place = |name: &ServiceName| levels.iter().position(|level| level.contains(name));
                    prop_assert_eq!(levels.iter().map(Vec::len).sum::<usize>(), after.len());
                    for (name, before) in &after {
                        let last = before.iter().filter_map(place).max();
                        prop_assert_eq!(place(name), Some(last.map_or(0, |level| level + 1)));
                    }
                }
                Err(Cycle(circle)) => {
                    for (at, name) in circle.iter().enumerate() {
                        prop_assert!(after[name].contains(&circle[(at + 1) % circle.len()]));
                    }
                }
            }
        }
    }
}

//! The name that somebody may have meant.

/// The candidate that `name` is most likely a slip of: at most a third of its characters are wrong, swapped, missing or
/// too many. Of several equally near ones it is the first; `None` if none is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let longest = name.chars().count();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= longest.max(candidate.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be changed, added, removed or swapped with their neighbour; case and `_` for `-` are free.
fn distance(one: &str, other: &str) -> usize {
    let plain = |text: &str| -> Vec<char> { text.to_lowercase().replace('_', "-").chars().collect() };
    let (one, other) = (plain(one), plain(other));
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        for (slip, meant) in [
            ("helth", "health"),
            ("braNch", "branch"),
            ("on_failure", "on-failure"),
            ("prot", "port"),
            ("shard", "shared"),
        ] {
            let keys = ["after", "branch", "health", "on-failure", "path", "port", "shared"];
            assert_eq!(nearest(slip, keys), Some(meant), "{slip}");
        }
        assert_eq!(nearest("replicas", ["after", "branch", "port"]), None);
        assert_eq!(nearest("", ["a"]), Some("a"));
        assert_eq!(nearest("x", []), None);
    }
}

//! Lists of patterns, as `ssh_config(5)` describes them under PATTERNS.

/// What a list says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// It is in the list.
    Named,
    /// It is not, or a `!` takes it out.
    Not,
}

/// Whether a list names `name`, which is in lower case. One match with `!` outweighs all others.
pub(super) fn listed<'a>(patterns: impl IntoIterator<Item = &'a str>, name: &str) -> Listed {
    let mut found = Listed::Not;
    for pattern in patterns {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        if fits(pattern.to_lowercase().as_bytes(), name.as_bytes()) {
            if negated {
                return Listed::Not;
            }
            found = Listed::Named;
        }
    }
    found
}

/// `*` is any text, `?` any one byte. In time proportional to the product of the lengths, whatever the pattern.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[here] => {
                at += 1;
                here += 1;
            }
            _ => match &mut star {
                // The last star takes one byte more.
                Some((after, from)) => {
                    *from += 1;
                    (at, here) = (*after + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negated_match_outweighs_all_others() {
        let list = ["*.example.org", "!db.example.org"];
        assert_eq!(listed(list, "web.example.org"), Listed::Named);
        assert_eq!(listed(list, "db.example.org"), Listed::Not);
        assert_eq!(listed(["!db.example.org", "*.example.org"], "db.example.org"), Listed::Not);
        assert_eq!(listed(["!x"], "y"), Listed::Not, "a list of exceptions alone names nothing");
    }

    #[test]
    fn stars_and_question_marks_match_as_in_ssh() {
        for (pattern, name, fit) in [
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("?", "", false),
            ("web??", "web01", true),
            ("[10.0.0.*]:2022", "[10.0.0.7]:2022", true),
            ("[10.0.0.*]:2022", "10.0.0.7", false),
            ("HOST", "host", true),
        ] {
            assert_eq!(listed([pattern], name) == Listed::Named, fit, "{pattern} {name}");
        }
        let long = "a*".repeat(40) + "b";
        assert_eq!(listed([long.as_str()], &"a".repeat(2000)), Listed::Not, "and in good time");
    }
}

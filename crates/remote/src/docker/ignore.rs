//! What `.dockerignore` keeps out of a build.
//!
//! The rules are those of Docker's builder (“.dockerignore file” in its reference): patterns as Go's `filepath.Match` has them,
//! with `**` for any number of folders; what lies below a match is matched; the last pattern that matches decides, and `!` takes
//! back. The file itself and the Dockerfile are always sent, for the engine reads them.

/// The file's patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// Whether it keeps out, or takes back.
    keeps_out: bool,
    pattern: Vec<String>,
}

impl Ignore {
    /// From the file's content.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#'));
        let rules = lines.filter_map(|line| {
            let line = line.trim();
            let (keeps_out, line) = line.strip_prefix('!').map_or((true, line), |rest| (false, rest.trim()));
            let mut pattern = Vec::new();
            for part in line.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(pattern.pop()),
                    part => pattern.push(part.to_owned()),
                }
            }
            if pattern.is_empty() { None } else { Some(Rule { keeps_out, pattern }) }
        });
        Self { rules: rules.collect() }
    }

    /// Whether a file, relative to the context and with `/`, is kept out.
    pub(super) fn keeps_out(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        // Whatever lies below a match is matched as well.
        let matches = |rule: &Rule| (1..=parts.len()).any(|depth| path_matches(&rule.pattern, &parts[..depth]));
        self.rules.iter().rev().find(|rule| matches(rule)).is_some_and(|rule| rule.keeps_out)
    }
}

fn path_matches(pattern: &[String], parts: &[&str]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            // At the end it stands for at least one name, else for none or more folders.
            if rest.is_empty() {
                !parts.is_empty()
            } else {
                (0..=parts.len()).any(|skip| path_matches(rest, &parts[skip..]))
            }
        }
        (Some((first, rest)), Some((part, others))) => {
            let (first, part): (Vec<char>, Vec<char>) = (first.chars().collect(), part.chars().collect());
            name_matches(&first, &part) && path_matches(rest, others)
        }
        _ => false,
    }
}

fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => {
            let rest = rest.iter().position(|one| *one != '*').map_or(&[][..], |at| &rest[at..]);
            (0..=name.len()).any(|skip| name_matches(rest, &name[skip..]))
        }
        Some(('?', rest)) => !name.is_empty() && name_matches(rest, &name[1..]),
        Some(('[', rest)) => {
            let Some((first, others)) = name.split_first() else { return false };
            let Some((found, behind)) = class(rest, *first) else { return false };
            found && name_matches(behind, others)
        }
        Some(('\\', rest)) if !rest.is_empty() => name.first() == rest.first() && name_matches(&rest[1..], &name[1..]),
        Some((one, rest)) => name.first() == Some(one) && name_matches(rest, &name[1..]),
    }
}

/// Whether a class, whose `[` has been read, has a character, and what stands behind it; nothing where it has no end.
fn class(mut pattern: &[char], wanted: char) -> Option<(bool, &[char])> {
    let negated = pattern.first() == Some(&'^');
    if negated {
        pattern = &pattern[1..];
    }
    let mut found = false;
    let mut at = 0;
    loop {
        let low = *pattern.get(at)?;
        match low {
            ']' if at > 0 => return Some((found != negated, &pattern[at + 1..])),
            '\\' => at += 1,
            _ => {}
        }
        let low = *pattern.get(at)?;
        let mut high = low;
        if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|end| *end != ']') {
            high = pattern[at + 2];
            at += 2;
        }
        found |= (low..=high).contains(&wanted);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_dockers_reference() {
        for (text, path, out) in [
            ("*/temp*", "somedir/temporary.txt", true),
            ("*/temp*", "somedir/temp", true),
            ("*/temp*", "temp", false),
            ("*/*/temp*", "somedir/subdir/temporary.txt", true),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("**/*.go", "main.go", true),
            ("**/*.go", "a/b/main.go", true),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
            ("/foo/bar/", "foo/bar/baz", true),
            ("# foo\nbar", "# foo", false),
            ("a[b-d]", "ac", true),
            ("a[^b-d]", "ac", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("node_modules", "x/node_modules/y", false),
            ("**/node_modules", "x/node_modules/y", true),
            ("docs/**", "docs/a/b", true),
            ("**\n!app", "app/x", false),
            ("**\n!app", "other", true),
            ("./x/../y", "y", true),
            ("  spaced  ", "spaced", true),
            ("a[", "a[", false),
        ] {
            assert_eq!(Ignore::parse(text).keeps_out(path), out, "{text:?} and {path}");
        }
    }
}

//! Which version a commit of a service is.

use crate::word::CommitId;

/// The most that is kept of what a file says: the rest of an image's name has room beside it.
const LONGEST: usize = 60;

/// The version that names of images bear: the first line of the service's file `VERSION`; else the highest of the commit's tags
/// of the form `vX.Y.Z` or `X.Y.Z`; else the short commit. Without the `v` in front, and with `-` for what no such name may hold.
pub fn version_of(file: Option<&str>, tags: &[String], commit: &CommitId) -> String {
    let written = file.and_then(|text| written(text.lines().next()?));
    let tagged = || tags.iter().filter_map(|tag| numbers(tag)).max().map(|[x, y, z]| format!("{x}.{y}.{z}"));
    written.or_else(tagged).unwrap_or_else(|| commit.short().to_owned())
}

fn written(line: &str) -> Option<String> {
    let line = line.trim();
    let text = line.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(line);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let text: String = text.chars().map(allowed).take(LONGEST).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// The numbers of `vX.Y.Z` or `X.Y.Z`.
fn numbers(tag: &str) -> Option<[u64; 3]> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    let parts: Option<Vec<u64>> = text.split('.').map(number).collect();
    parts?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_the_file_says_else_the_highest_tag_else_the_commit() {
        let commit = CommitId::new("ab12cd34".repeat(5)).expect("an id");
        let tags = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let some = tags(&["v1.9.0", "1.10.0", "v1.10", "latest", "v1.2.3-rc1", "v1..3"]);
        assert_eq!(version_of(Some("1.4.2\n"), &some, &commit), "1.4.2");
        assert_eq!(version_of(Some(" v2.0.0-rc.1+5 \nmore\n"), &some, &commit), "2.0.0-rc.1-5");
        assert_eq!(version_of(Some("vanilla"), &[], &commit), "vanilla");
        for nothing in [None, Some(""), Some("\n1.0.0\n"), Some("  \n")] {
            assert_eq!(version_of(nothing, &some, &commit), "1.10.0", "{nothing:?}");
            assert_eq!(version_of(nothing, &tags(&["v1", "x"]), &commit), "ab12cd34");
        }
        assert_eq!(version_of(Some(&"9".repeat(200)), &[], &commit).len(), LONGEST);
    }
}

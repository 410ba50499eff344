//! The `ident` attribute: `$Id$` becomes `$Id: HEX $`.
//!
//! `gix-filter` 0.36 leaves out the space before the last dollar, and what is expanded already; git would then show the
//! file as changed by somebody. This follows git's `convert.c` and runs first, so that `gix` finds nothing to expand.

use gix::ObjectId;
use gix::bstr::ByteSlice as _;

/// The content with every keyword expanded to `id`, the id of the content; nothing when there is none.
pub(crate) fn expand(mut source: &[u8], id: ObjectId) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut any = false;
    while let Some(dollar) = source.find_byte(b'$') {
        out.extend_from_slice(&source[..=dollar]);
        source = &source[dollar + 1..];
        let Some(after) = source.strip_prefix(b"Id") else { continue };
        let rest = match after.first() {
            Some(b'$') => &after[1..],
            Some(b':') => {
                let Some(end) = after.find_byte(b'$') else { break };
                let inner = &after[1..end];
                // Over a line break, or with words inside: another system's keyword.
                let space = inner.iter().skip(1).position(|byte| *byte == b' ').map(|at| at + 1);
                if inner.contains(&b'\n') || space.is_some_and(|at| at + 1 < inner.len()) {
                    continue;
                }
                &after[end + 1..]
            }
            _ => continue,
        };
        out.extend_from_slice(format!("Id: {id} $").as_bytes());
        source = rest;
        any = true;
    }
    out.extend_from_slice(source);
    any.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_expanded_as_git_does() {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        let long = format!("$Id: {id} $");
        for (from, to) in [
            ("a $Id$ b", Some(format!("a {long} b"))),
            ("$Id: old $", Some(long.clone())),
            ("$Id:$ $Id$", Some(format!("{long} {long}"))),
            ("$Id: of another system $", None),
            ("$Id: broken\n$", None),
            ("$Idea$ $ Id", None),
            ("$Id: open", None),
        ] {
            let found = expand(from.as_bytes(), id).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert_eq!(found, to, "{from:?}");
        }
    }
}

//! The one printer of failures: what, because, state, next, and the last lines of the command that failed.

use std::io::Write as _;

use pleach_core::error::Failure;

use super::{Paint, Style};

/// Writes a failure to standard error.
pub(crate) fn tell_failure(failure: &Failure, paint: Paint) {
    // With standard error closed there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(failure_text(failure, paint).as_bytes());
}

/// A failure in its four parts, with a line end.
pub(crate) fn failure_text(failure: &Failure, paint: Paint) -> String {
    let mut text = format!("{} {}\n", paint.paint(Style::Bad, "error:"), failure.what);
    let mut part = |name: &str, words: &str| {
        let mut lines = words.lines();
        text.push_str(&format!("  {} {}\n", paint.paint(Style::Bold, name), lines.next().unwrap_or_default()));
        lines.for_each(|line| text.push_str(&format!("    {line}\n")));
    };
    failure.because.iter().for_each(|cause| part("because:", cause));
    if let Some(state) = &failure.state {
        part("state:", state);
    }
    if let Some(next) = &failure.next {
        part("next:", next);
    }
    if !failure.output.is_empty() {
        text.push_str(&format!("  {}\n", paint.paint(Style::Bold, "its last lines:")));
        let bar = paint.paint(Style::Dim, "|");
        failure.output.iter().for_each(|line| text.push_str(&format!("    {bar} {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use pleach_core::error::Kind;

    use super::*;

    #[test]
    fn a_failure_is_told_in_its_parts() {
        let failure = Failure::new(Kind::Rejected, "could not build `nl-sql` on `here`")
            .because("`make` ended with exit code 2")
            .because("no rule to make target `all`")
            .state("taken back; release `0007-ab12cd34` still answers")
            .next("mend the build, then `pleach deploy local`")
            .output(["cc -o main".to_owned(), "make: *** [all] Error 1".to_owned()]);
        assert_eq!(
            failure_text(&failure, Paint::Plain),
            "error: could not build `nl-sql` on `here`\n  because: `make` ended with exit code 2\n  because: no rule to \
             make target `all`\n  state: taken back; release `0007-ab12cd34` still answers\n  next: mend the build, then \
             `pleach deploy local`\n  its last lines:\n    | cc -o main\n    | make: *** [all] Error 1\n"
        );
    }
}

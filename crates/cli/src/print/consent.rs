//! Who agreed to a run, when, and what was answered.

use pleach_core::plan::Consent;

use super::{Paint, Style, clean, moment_text};
use crate::deployment::ANSWERS;

/// A line, and one more for each answer in the order of the questions.
pub(crate) fn consent_text(consent: &Consent, paint: Paint) -> String {
    let mut text = format!(
        "{} by {} on {}, {}\n",
        paint.paint(Style::Dim, "agreed"),
        clean(&consent.by),
        moment_text(consent.at),
        consent.how
    );
    let place = |name: &String| ANSWERS.iter().position(|known| known == name).unwrap_or(ANSWERS.len());
    let mut answers: Vec<_> = consent.answers.iter().collect();
    answers.sort_by_key(|(name, _)| place(name));
    let width = answers.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, answer) in answers {
        text.push_str(&format!("  {}  {}\n", paint.paint(Style::Bold, format!("{name:width$}")), clean(answer)));
    }
    text
}

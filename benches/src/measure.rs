//! Rounds, medians and the table.

use std::time::{Duration, Instant};

/// One way to do the same thing.
pub struct Variant<'a> {
    /// Its name in the table.
    pub name: String,
    /// Brings the scene back to the start; not timed.
    pub prepare: Box<dyn FnMut() + 'a>,
    /// What is timed.
    pub run: Box<dyn FnMut() + 'a>,
    /// Whether it did what it had to; not timed.
    pub check: Box<dyn FnMut() -> bool + 'a>,
}

impl<'a> Variant<'a> {
    /// A variant that needs no preparation.
    pub fn new(name: impl Into<String>, run: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), prepare: Box::new(|| {}), run: Box::new(run), check: Box::new(|| true) }
    }

    /// Prepares before each round, untimed.
    #[must_use]
    pub fn prepared(mut self, prepare: impl FnMut() + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Looks after each round, untimed, whether it did what it had to.
    #[must_use]
    pub fn checked(mut self, check: impl FnMut() -> bool + 'a) -> Self {
        self.check = Box::new(check);
        self
    }
}

/// What was measured of one variant.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// Wall time of each round.
    pub rounds: Vec<Duration>,
    /// Processor time of this process and its ended children, of each round.
    pub processor: Vec<Duration>,
}

impl Figure {
    /// The median wall time.
    pub fn wall(&self) -> Duration {
        median(&self.rounds)
    }

    /// The median of the rounds' own ratios to `other`.
    pub fn ratio(&self, other: &Self) -> f64 {
        middle(self.rounds.iter().zip(&other.rounds).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()))
    }

    /// The same for processor time.
    pub fn processor_ratio(&self, other: &Self) -> f64 {
        middle(self.processor.iter().zip(&other.processor).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()))
    }
}

/// The middle of a list of times; of an even number the later of the two.
pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn middle(ratios: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = ratios.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs all variants in turn, `rounds` times, after one round that is not counted.
///
/// # Panics
/// When a variant did not do what it had to.
pub fn in_turn(rounds: usize, mut variants: Vec<Variant<'_>>) -> Vec<Figure> {
    let empty = |variant: &Variant<'_>| Figure { name: variant.name.clone(), rounds: vec![], processor: vec![] };
    let mut figures: Vec<Figure> = variants.iter().map(empty).collect();
    for round in 0..=rounds {
        for (variant, figure) in variants.iter_mut().zip(&mut figures) {
            (variant.prepare)();
            let processor = crate::machine::processor_time();
            let begin = Instant::now();
            (variant.run)();
            let elapsed = begin.elapsed();
            let processor_then = crate::machine::processor_time();
            assert!((variant.check)(), "{}: it did not do what it had to", variant.name);
            if round > 0 {
                figure.rounds.push(elapsed);
                figure.processor.push(processor_then.saturating_sub(processor));
            }
        }
    }
    figures
}

/// A Markdown table on standard output.
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    title: String,
}

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Adds a row for each figure: median, spread, processor time and both ratios to the last figure, the peer.
    pub fn figures(&mut self, figures: &[Figure]) {
        let Some(peer) = figures.last() else { return };
        for figure in figures {
            let least = figure.rounds.iter().min().copied().unwrap_or_default();
            let most = figure.rounds.iter().max().copied().unwrap_or_default();
            self.row(vec![
                figure.name.clone(),
                format!("{:.3} s", figure.wall().as_secs_f64()),
                format!("{:.3}–{:.3}", least.as_secs_f64(), most.as_secs_f64()),
                format!("{:.3} s", median(&figure.processor).as_secs_f64()),
                format!("{:.2}", figure.ratio(peer)),
                format!("{:.2}", figure.processor_ratio(peer)),
            ]);
        }
    }

    /// The columns that [`figures`](Self::figures) fills.
    pub const FIGURES: [&'static str; 6] = ["variant", "wall", "min–max", "processor", "wall ratio", "processor ratio"];

    /// Prints it.
    #[allow(clippy::print_stdout, reason = "the table is the benchmark's answer")]
    pub fn print(&self) {
        println!("\n### {}\n", self.title);
        println!("| {} |", self.columns.join(" | "));
        println!("|{}", "---|".repeat(self.columns.len()));
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

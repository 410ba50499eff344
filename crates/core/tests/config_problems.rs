//! Every problem of a config is told at once, with its place, what was expected and the name that was meant.

use pleach_core::config::{Style, parse};

const GOOD: &str = include_str!("config/good.toml");

#[test]
fn a_good_config_is_read() {
    if let Err(errors) = parse("pleach.toml", GOOD) {
        panic!("{}", errors.render(100, Style::Plain));
    }
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let bad =
        "[project]\nname = 1\nmian = \"x\"\n[services.api]\nafter = [\"wbe\"]\n[services.web]\nbranch = \"web\"\n";
    let errors = parse("pleach.toml", bad).expect_err("four problems");
    let places: Vec<(usize, usize)> = errors.problems.iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(2, 8), (3, 1), (4, 1), (5, 10)], "{}", errors.render(100, Style::Plain));
}

//! Every problem of a config is told at once, with its place, what was expected and the name that was meant.

use pleach_core::config::{Style, parse};

/// Each with the problems that it must have, and no others: below `=== name` the file, then what is told.
const BAD: &str = include_str!("config/bad.txt");

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

/// Good as it is: what the cases below add to or change.
const BASE: &str = "[project]\nname = \"p\"\n";

#[test]
fn each_bad_config_is_told_exactly() {
    let mut out = String::new();
    for case in BAD.split("\n=== ").skip(1) {
        let (name, text) = case.split_once('\n').expect("a name and a file");
        let whole = if text.contains("[project]") || name.starts_with("raw") {
            text.to_owned()
        } else {
            format!("{BASE}{text}")
        };
        let errors = parse("pleach.toml", whole.trim_end()).expect_err(name);
        out += &format!("=== {name}\n{}\n", errors.render(100, Style::Plain).trim_end());
    }
    let told =
        out.replace("  state: nothing was touched\n  next: edit `pleach.toml`, then look with `pleach doctor`\n", "");
    insta::assert_snapshot!(told);
}

//! The rules of the house, as a test: who may depend on whom, what core may not touch, how large files may be.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// All Rust sources below `folder`, without what is built.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Names under `[dependencies]` and `[build-dependencies]` of a crate.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a crate has a manifest");
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = matches!(line.trim(), "[dependencies]" | "[build-dependencies]");
        } else if inside && let Some((name, _)) = line.split_once(['.', '=']) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

/// A file's code without its comments and without its test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source is text");
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn adapters_know_core_and_never_each_other() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("crates/core", &[] as &[&str]),
        ("crates/git", &["pleach-core"]),
        ("crates/remote", &["pleach-core"]),
        ("crates/store", &["pleach-core"]),
        ("crates/cli", &["pleach-core", "pleach-git", "pleach-remote", "pleach-store"]),
        ("crates/testbed", &[]),
    ]);
    for folder in fs::read_dir(root().join("crates")).expect("crates").flatten() {
        let name = format!("crates/{}", folder.file_name().to_string_lossy());
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("say here what `{name}` may depend on"));
        let ours = dependencies(&name).into_iter().filter(|name| name == "pleach" || name.starts_with("pleach-"));
        for dependency in ours {
            assert!(allowed.contains(&dependency.as_str()), "`{name}` may not depend on `{dependency}`");
        }
    }
}

#[test]
fn core_is_pure() {
    let banned = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "SystemTime",
        "std::thread::sleep",
        "tokio::fs",
        "tokio::net",
        "tokio::process",
        "tokio::signal",
        "println!",
        "eprintln!",
        "std::io::stdout",
        "std::io::stderr",
    ];
    for path in sources(&root().join("crates/core/src")) {
        let code = code(&path);
        for word in banned {
            assert!(!code.contains(word), "{} uses `{word}`: core is pure", path.display());
        }
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let tokio = manifest.lines().find(|line| line.starts_with("tokio = ")).expect("tokio is a workspace dependency");
    for feature in ["net", "fs", "process", "signal", "full"] {
        assert!(!tokio.contains(&format!("\"{feature}\"")), "core would get tokio's `{feature}`: {tokio}");
    }
}

#[test]
fn lists_of_modules_hold_no_logic() {
    for path in sources(&root().join("crates")) {
        let is_list = path.ends_with("mod.rs") || path.ends_with("lib.rs");
        if !is_list || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for line in code(&path).lines() {
            assert!(!line.trim_start().starts_with("fn "), "{} holds logic: `{}`", path.display(), line.trim());
        }
    }
}

#[test]
fn files_stay_small() {
    let mut sizes: Vec<(usize, PathBuf)> = sources(&root().join("crates"))
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "src"))
        .map(|path| (fs::read_to_string(&path).expect("a source is text").lines().count(), path))
        .collect();
    sizes.sort();
    let at = |part: usize| sizes[(sizes.len() - 1) * part / 100].0;
    assert!(at(50) <= 200, "the median file has {} lines", at(50));
    assert!(at(90) <= 500, "one file in ten has more than {} lines", at(90));
    let (largest, path) = sizes.last().expect("there are sources");
    assert!(*largest <= 1000, "{} has {largest} lines", path.display());
}

#[test]
fn a_phase_or_port_never_retries_what_the_engine_retries() {
    for path in sources(&root().join("crates/remote/src")) {
        let code = code(&path);
        assert!(!code.contains("backon") && !code.contains("retry_"), "{} retries: the engine does", path.display());
    }
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("the section is there");
    for line in section.split("\n[").next().unwrap_or_default().lines() {
        let is_dependency = line.contains('=') && !line.starts_with('#') && !line.starts_with("pleach-");
        assert!(!is_dependency || line.contains(" # "), "say why: `{line}`");
    }
}

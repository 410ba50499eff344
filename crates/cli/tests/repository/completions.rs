//! Completions and man pages come from the same definitions as the arguments.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::sample::Sample;

#[test]
fn a_shell_can_read_its_completions() {
    let sample = Sample::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sample.done(&["completions", shell]);
        for word in ["worktree", "deploy", "rollback", "restart", "ps", "version"] {
            assert!(script.contains(word), "{shell} knows no `{word}`");
        }
        assert!(!script.contains("supervise"), "{shell} offers what only Pleach starts");
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash runs");
    let script = sample.done(&["completions", "bash"]);
    bash.stdin.take().expect("piped").write_all(script.as_bytes()).expect("written");
    assert!(bash.wait().expect("ended").success());
}

#[test]
fn each_command_has_a_man_page() {
    let sample = Sample::new(&[]);
    assert!(sample.done(&["man"]).contains(".TH pleach 1"));
    sample.done(&["man", "--dir", "man"]);
    let names: Vec<String> = std::fs::read_dir(sample.root().join("man"))
        .expect("made")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    for page in ["pleach.1", "pleach-deploy.1", "pleach-worktree.1", "pleach-worktree-add.1"] {
        assert!(names.iter().any(|name| name == page), "{page} is missing: {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("supervise")), "{names:?}");
}

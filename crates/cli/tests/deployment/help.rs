//! The help texts, as people read them.

use std::process::Command;

#[test]
fn the_help_of_each_command() {
    let commands = [
        "", "plan", "deploy", "status", "logs", "verify", "approve", "resume", "rollback", "stop", "restart", "ps",
        "images", "version", "check", "runs", "report",
    ];
    for command in commands {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let output = Command::new(env!("CARGO_BIN_EXE_pleach"))
            .args(&words)
            .env("COLUMNS", "100")
            .output()
            .expect("pleach runs");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        insta::assert_snapshot!(if command.is_empty() { "pleach" } else { command }, text);
    }
}

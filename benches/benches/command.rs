//! From start to exit: `pleach --version`, `plan` of 1,000 lanes, `status`, beside `git status`.
//!
//! `cargo build --release -p pleach && cargo bench -p pleach-bench --bench command`

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pleach_bench::{Table, Variant, describe_machine, git, in_turn, pleach, scratch};

const SERVICES: usize = 100;
const TARGETS: usize = 10;

fn main() {
    println!("{}", describe_machine());
    let pleach = pleach();
    let folder = scratch("command");
    let repository = folder.path().join("repository");
    make(&repository, &folder.path().join("targets"));
    let run = |arguments: &'static [&'static str]| {
        let (pleach, repository) = (pleach.clone(), repository.clone());
        move || start(&pleach, &repository, arguments)
    };
    let figures = in_turn(
        15,
        vec![
            Variant::new("pleach --version", run(&["--version"])),
            Variant::new(format!("pleach plan of {} lanes", SERVICES * TARGETS), run(&["plan", "local"])),
            Variant::new(format!("pleach status of {} lanes", SERVICES * TARGETS), run(&["status", "local"])),
            Variant::new("git status (peer)", || git(&repository, &["status", "--short"])),
        ],
    );
    let mut table = Table::new("Command: start to exit, median of 15", &Table::FIGURES);
    table.figures(&figures);
    table.print();
}

fn start(pleach: &Path, repository: &Path, arguments: &[&str]) {
    let output = Command::new(pleach)
        .args(arguments)
        .current_dir(repository)
        .stdin(Stdio::null())
        .output()
        .expect("pleach starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn make(repository: &Path, targets: &Path) {
    git(Path::new("."), &["init", "-q", "-b", "main", &repository.to_string_lossy()]);
    let mut config = String::from("[project]\nname = \"bench\"\n");
    for service in 0..SERVICES {
        let _ = write!(config, "[services.s{service}]\nbranch = \"main\"\n");
    }
    for target in 0..TARGETS {
        let path = targets.join(target.to_string());
        let _ = write!(
            config,
            "[environments.local.targets.t{target}]\nkind = \"directory\"\npath = \"{}\"\n",
            path.display()
        );
    }
    std::fs::write(repository.join("pleach.toml"), config).expect("a config");
    git(repository, &["add", "."]);
    git(repository, &["commit", "-qm", "Bench"]);
}

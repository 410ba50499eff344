//! Secrets have no path into anything that is shown or kept, whatever a build or a service prints.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::scene::Scene;

pub(crate) const COUNT: usize = 30;

/// Thirty values, each with something that is written in more than one way.
pub(crate) fn canaries(word: &str) -> Vec<String> {
    let odd = ["/", "\"", " ", "ö", "+", "'", "\\", "%", "=", "&"];
    (0..COUNT).map(|at| format!("{word}{at:02}{}{}x", odd[at % odd.len()], std::process::id())).collect()
}

/// Runs the command with the canaries in its environment, and gives all that it says.
fn pleach(scene: &Scene, canaries: &[String], code: i32, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    command.args(arguments).current_dir(scene.root()).stdin(Stdio::null());
    command.envs(canaries.iter().enumerate().map(|(at, value)| (format!("CANARY_{at}"), value)));
    let output = command.output().expect("pleach runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
    said
}

/// What a canary would be found by: a part that every way to write it keeps, and those that keep nothing.
fn forms(at: usize, canary: &str) -> Vec<String> {
    let hex = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![format!("canary{at:02}"), hex]
}

fn require_nowhere(place: &Path, wanted: &[String]) {
    for entry in std::fs::read_dir(place).expect("there").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            require_nowhere(&entry.path(), wanted);
        } else if kind.is_file() {
            // Packed objects of git are looked through below.
            let text = String::from_utf8_lossy(&std::fs::read(entry.path()).expect("read")).into_owned();
            let found = wanted.iter().find(|form| text.contains(form.as_str()));
            assert!(found.is_none(), "{found:?} in {}", entry.path().display());
        }
    }
}

#[test]
fn thirty_canaries_are_found_nowhere_though_builds_and_services_print_them_and_fail() {
    let scene = Scene::new();
    let canaries = canaries("canary");
    let (mut variables, mut prints) = (String::new(), String::from("env; "));
    for at in 0..COUNT {
        write!(variables, "C{at} = {{ secret = \"env:CANARY_{at}\" }}, ").expect("written");
        write!(
            prints,
            "printf '%s\\\\n' \\\"$C{at}\\\"; printf %s \\\"$C{at}\\\" | od -An -v -tx1 | tr -d ' \\\\n'; echo; "
        )
        .expect("written");
    }
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let loud = config.replacen(
        "build = \"echo building; ",
        &format!("environment = {{ {variables} }}\nbuild = \"{prints} test -e broken && exit 3; "),
        1,
    );
    assert_ne!(loud, config);
    let loud = loud.replacen("run = \"", &format!("run = \"{prints} test -e dies && exit 4; "), 1);
    std::fs::write(&file, loud).expect("written");
    let mut said = pleach(&scene, &canaries, 0, &["deploy", "local", "--yes", "-v"]);
    assert!(said.contains("C7=[secret]"), "the build did print them: {said}");
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "Config"]);
    scene.file("alpha", "dies");
    let died = pleach(&scene, &canaries, 110, &["deploy", "local", "--yes", "-v"]);
    assert!(died.contains("| C7=[secret]") || died.contains("| [secret]"), "the service's last lines: {died}");
    scene.file("alpha", "broken");
    let failed = pleach(&scene, &canaries, 110, &["deploy", "local", "--yes", "-v"]);
    assert!(failed.contains("| [secret]"), "the build's last lines: {failed}");
    said += &died;
    said += &failed;
    for words in [&["report"][..], &["status"], &["plan", "local"], &["--json", "report"], &["verify", "local"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
        command.args(words).current_dir(scene.root()).stdin(Stdio::null());
        command.envs(canaries.iter().enumerate().map(|(at, value)| (format!("CANARY_{at}"), value)));
        let output = command.output().expect("pleach runs");
        said += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
    }
    let wanted: Vec<String> = canaries.iter().enumerate().flat_map(|(at, canary)| forms(at, canary)).collect();
    for form in &wanted {
        assert!(!said.contains(form.as_str()), "{form} was said");
    }
    require_nowhere(&scene.root(), &wanted);
    require_nowhere(&scene.place().join("live/alpha/.pleach"), &wanted);
    let objects = Command::new("git")
        .args(["cat-file", "--batch", "--batch-all-objects", "--buffer"])
        .current_dir(scene.root())
        .output()
        .expect("git");
    let objects = String::from_utf8_lossy(&objects.stdout).into_owned();
    assert!(objects.contains("alpha"));
    assert!(wanted.iter().all(|form| !objects.contains(form.as_str())), "in a git object");
}

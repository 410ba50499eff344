//! The example of embedding does what the README says of it.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn a_program_that_embeds_pleach_deploys_and_takes_back() {
    let output = Command::new(example()).output().expect("the example starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let wanted =
        "deployed: Some(Succeeded)\nfront serves: Welcome\ntaken back: Some(RolledBack)\nfront is there: false\n";
    assert_eq!(said, wanted);
}

/// Built together with the tests, unless only some of them are asked for.
fn example() -> PathBuf {
    let program = std::env::current_exe().expect("this test");
    let path = program.ancestors().nth(2).expect("target/debug").join("examples/embed");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built =
            Command::new(cargo).args(["build", "--quiet", "--package", "pleach", "--example", "embed"]).status();
        assert!(built.expect("cargo starts").success());
    }
    path
}

//! A gigabyte of output: little of it is held, and what counts is told.

use std::process::{Command, Stdio};
use std::time::Duration;

use pleach_testbed::sshd::SshBed;

use crate::far::Far;
use crate::scene::{Said, told_in_four_parts};

/// The most memory of its own that the command may take.
const MOST: u64 = 100 << 20;

/// The memory that a process has of its own, in bytes.
fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

/// Runs the command; gives the most memory that it was seen to have.
fn watched(far: &Far, arguments: &[&str]) -> (Said, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    command.args(arguments).current_dir(far.scene.root()).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pleach starts");
    let process = child.id();
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while let Some(now) = memory(process) {
            most = now.max(most);
            std::thread::sleep(Duration::from_millis(20));
        }
        most
    });
    let output = child.wait_with_output().expect("it ended");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let code = output.status.code().unwrap_or(-1);
    (Said { code, stdout: text(output.stdout), stderr: text(output.stderr) }, watch.join().expect("watched"))
}

#[test]
fn a_gigabyte_of_output_of_a_build_takes_little_memory_and_its_end_is_told() {
    let far = Far::on(SshBed::new(""));
    let file = far.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let flood = "yes $(printf %0999d 0) | head -c 1000000000; echo; echo the end; exit 7";
    std::fs::write(file, config.replacen("echo building;", &format!("{flood};"), 1)).expect("written");
    let (said, most) = watched(&far, &["deploy", "uat", "--yes", "--only", "alpha"]);
    println!("{} MB", most >> 20);
    assert_eq!(said.code, 110, "{}{}", said.stdout, said.stderr);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("    | the end\n"), "{}", said.stderr);
    assert!(most > 0 && most < MOST, "{} MB", most >> 20);
    let log = far.scene.runs()[0].join("logs/alpha@vm.log");
    assert!(std::fs::read_to_string(log).expect("a log").contains("the end"));
}

#[test]
fn of_much_output_of_a_command_the_end_is_told() {
    let far = Far::on(SshBed::new(""));
    let script = "yes $(printf %0999d 0) | head -c 30000000; echo; echo the end";
    let (said, most) = watched(&far, &["exec", "uat", "--look", "--", "sh", "-c", script]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.ends_with("  the end\n"), "{} bytes", said.stdout.len());
    let left_out = said.stdout.lines().nth(1).expect("a second line");
    assert!(left_out.starts_with("  … 2") && left_out.ends_with(" lines before these are left out"), "{left_out}");
    assert!(said.stdout.len() < 4 << 20, "{} bytes", said.stdout.len());
    assert!(most < MOST, "{} MB", most >> 20);
}

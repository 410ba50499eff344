//! A machine that boots anew in the middle of a deployment that is made from it: whoever held it before is proven to be gone by
//! the boot's id alone, and what is known of processes of that boot is said of no process of this one.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::far::Far;
use crate::interrupt::side_by_side;
use crate::scene::{Said, Working};

/// A boot's id that no machine has had.
const BOOT: &str = "0b007000-1111-4222-8333-444444444444";

/// How far the deployment is, and how somebody goes on.
const CASES: [(&str, &str); 4] = [
    ("alpha@vm | building", "rollback"),
    ("alpha@vm: start", "resume"),
    ("alpha@vm: switch", "resume"),
    ("alpha@vm: retire", "resume"),
];

/// Processes that have nothing to do with any deployment.
struct Innocents(Vec<Child>);

impl Innocents {
    /// One that got the number that a process of the boot before had, so that all but the boot says that it is that one.
    fn next(&mut self, far: &Far) -> (u32, u64) {
        let mut sleep = far.machine().command("sleep");
        let child = sleep.arg("600").process_group(0).stdin(Stdio::null()).spawn().expect("nsenter runs");
        let process = child.id();
        self.0.push(child);
        // It is `nsenter` until it has become what it is told to be, and starts no second time.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
        let (_, behind) = stat.rsplit_once(") ").expect("a stat");
        (process, behind.split(' ').nth(19).expect("a start").parse().expect("a number"))
    }

    /// Puts one into each record of a process below a folder.
    fn take_over(&mut self, far: &Far, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                self.take_over(far, &path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(&path)
                && let Some(record) = self.record(far, &text)
            {
                fs::write(&path, record).expect("written");
            }
        }
    }

    /// The same record of another process: of a command, of a lease on the machine, or of anything in JSON.
    fn record(&mut self, far: &Far, text: &str) -> Option<String> {
        if let ["running", _, _, _, boot] = text.split_whitespace().collect::<Vec<_>>().as_slice() {
            let (process, start) = self.next(far);
            return Some(format!("running {process} {process} {start} {boot}\n"));
        }
        if text.contains("\nboot ") && text.contains("\nprocess ") && !text.contains("token 0\n") {
            let (process, start) = self.next(far);
            let line = |line: &str| match line.split(' ').next() {
                Some("process") => format!("process {process}\n"),
                Some("start") => format!("start {start}\n"),
                _ => format!("{line}\n"),
            };
            return Some(text.lines().map(line).collect());
        }
        let mut record = serde_json::from_str::<Value>(text).ok()?;
        self.replace(far, &mut record).then(|| record.to_string())
    }

    fn replace(&mut self, far: &Far, value: &mut Value) -> bool {
        let Some(fields) = value.as_object_mut() else { return false };
        for names in [["pid", "start"], ["process", "process_start"]] {
            if fields.contains_key("boot") && names.iter().all(|name| fields.contains_key(*name)) {
                let (process, start) = self.next(far);
                fields.insert(names[0].into(), process.into());
                fields.insert(names[1].into(), start.into());
                return true;
            }
        }
        let replaced: Vec<bool> = fields.values_mut().map(|field| self.replace(far, field)).collect();
        replaced.contains(&true)
    }

    fn require_all_run(&mut self) {
        for child in &mut self.0 {
            assert!(child.try_wait().expect("asked").is_none(), "{} was ended, and is nobody's", child.id());
        }
    }
}

impl Drop for Innocents {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The command as somebody runs it who has logged in there.
fn there(far: &Far, arguments: &[&str]) -> Command {
    let mut command = far.machine().command("sh");
    command.args(["-c", "cd \"$0\" && exec \"$@\""]).arg(far.scene.root()).arg(env!("CARGO_BIN_EXE_pleach"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn ends(far: &Far, arguments: &[&str]) -> Said {
    Said::of(there(far, arguments).output().expect("nsenter runs"))
}

/// Ends all that runs there, and boots.
fn reboot(far: &mut Far) -> Innocents {
    far.machine().lose_power();
    let mut boot = fs::File::create(far.bed.at("boot")).expect("made");
    writeln!(boot, "{BOOT}").expect("written");
    far.machine().overlay(&far.bed.at("boot"), Path::new("/proc/sys/kernel/random/boot_id"));
    let mut innocents = Innocents(Vec::new());
    let live = far.machine().see(&far.live());
    innocents.take_over(far, &live);
    let services = innocents.0.len();
    innocents.take_over(far, &far.scene.root().join(".git/pleach/leases"));
    assert!(services >= 5 && innocents.0.len() > services, "of services, routers and leases: {services}");
    far.bed.restart("");
    innocents
}

fn rebooted_at(place: &str, back: &str) {
    let mut far = Far::new().expect("one was made before");
    if place.ends_with("retire") {
        // The old release takes so long to end that the run is surely in that step.
        far.scene.file("alpha", "stubborn");
    }
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    let old = far.manifest();
    far.version(2);
    if back == "rollback" {
        far.scene.slow_down("alpha");
    }
    let mut deploying = there(&far, &["deploy", "uat", "--yes", "-v", "--only", "alpha"]);
    let mut working = Working::of(&mut deploying);
    working.says(place);
    let mut innocents = reboot(&mut far);
    working.ends();
    // From here it is the boot that it was.
    let refused = far.scene.pleach(&["resume"]);
    assert_eq!(refused.code, 103, "{place}: within one boot that process is alive: {}", refused.stderr);
    let status = ends(&far, &["status", "uat"]);
    assert!(!status.stdout.contains("healthy"), "{place}: {}", status.stdout);
    let said = match back {
        "rollback" => ends(&far, &["rollback", "uat", "--yes"]),
        _ => ends(&far, &["resume"]),
    };
    let told = format!("{place}: {}\n{}{}", said.code, said.stdout, said.stderr);
    println!("{place}: {back} ended with {}, beside {} innocents", said.code, innocents.0.len());
    let alpha = far.version_of("alpha");
    match (back, said.code) {
        ("resume", 0) => assert_eq!(alpha.as_deref(), Some("2.0.0"), "{told}"),
        ("resume", 110) | ("rollback", 0) => {
            far.require_files(&old, &told);
            assert_eq!(alpha.as_deref(), Some("1.0.0"), "{told}");
        }
        _ => panic!("{told}"),
    }
    assert_eq!(ends(&far, &["lease", "list"]).stdout, "no lease is held\n", "{told}");
    innocents.require_all_run();
    if back == "rollback" {
        far.scene.git(&["branch", "-qf", "skill/alpha", "skill/alpha~1"]);
    }
    let after = ends(&far, &["deploy", "uat", "--yes"]);
    assert_eq!(after.code, 0, "{told}\n{}{}", after.stdout, after.stderr);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"), "{told}");
    innocents.require_all_run();
    // What runs there was begun in that boot, and is stopped in it.
    let stopped = ends(&far, &["stop", "uat", "--yes"]);
    assert_eq!(stopped.code, 0, "{}{}", stopped.stdout, stopped.stderr);
}

#[test]
fn after_a_boot_the_lease_of_the_one_before_is_taken_over_and_its_processes_are_nobody() {
    if Far::new().is_none() {
        return;
    }
    side_by_side(CASES, |(place, back)| rebooted_at(place, back));
}

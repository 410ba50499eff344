//! Secrets have no path into anything that is shown, kept or run on either end of a deployment over SSH, though builds and
//! services print them in many forms and fail.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pleach_testbed::meanwhile::meanwhile;

use crate::far::Far;
use crate::secrets::{COUNT, canaries};

/// What each begins with; others look for others at the same time.
const WORD: &str = "goldie";

/// What a canary would be found by, in whatever it was written: a part that quoting for shells, JSON and URLs keeps, the same
/// part in base64 wherever it begins, in hexadecimal, and with all of it percent-encoded.
fn forms(at: usize) -> Vec<Vec<u8>> {
    let part = format!("{WORD}{at:02}");
    let hex: String = part.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = part.bytes().map(|byte| format!("%{byte:02x}")).collect();
    // Three bytes become four letters: of each way to begin, the groups that hold nothing else.
    let begins = [WORD, &part[2..], &part[1..7]].map(base64);
    let [hexes, percents] = [hex, percent].map(|form| [form.to_uppercase(), form]);
    let forms = [part].into_iter().chain(hexes).chain(percents).chain(begins);
    forms.map(String::into_bytes).collect()
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups =
        text.as_bytes().chunks_exact(3).map(|three| three.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)));
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| char::from(LETTERS[group >> shift & 63]))).collect()
}

/// The first form that is found.
fn found<'a>(bytes: &[u8], forms: &'a [Vec<u8>]) -> Option<&'a str> {
    let form = forms.iter().find(|form| holds(bytes, form));
    form.map(|form| std::str::from_utf8(form).expect("text"))
}

fn holds(bytes: &[u8], form: &[u8]) -> bool {
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == form[0]);
    begins.into_iter().any(|(at, _)| bytes[at..].starts_with(form))
}

/// No file below holds one. What a service itself writes into its log is its own.
fn require_nowhere(place: &Path, forms: &[Vec<u8>]) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(place).expect("there").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            files += require_nowhere(&path, forms);
        } else if kind.is_file() && !(place.ends_with("alpha/run") && path.extension().is_some_and(|end| end == "log"))
        {
            let found = found(&fs::read(&path).expect("read"), forms);
            assert!(found.is_none(), "{found:?} in {}", path.display());
            files += 1;
        }
    }
    files
}

/// Looks at the arguments and variables of all processes, here and on the machine. Adds who was given secrets on purpose:
/// builds and services, by their first word.
fn look_at_processes(given: &mut BTreeSet<String>, forms: &[Vec<u8>]) {
    for process in fs::read_dir("/proc").expect("proc").flatten() {
        let read = |file: &str| fs::read(process.path().join(file)).unwrap_or_default();
        if !process.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let (line, variables) = (read("cmdline"), read("environ"));
        let told = String::from_utf8_lossy(&line).replace('\0', " ");
        let in_line = found(&line, forms);
        assert!(in_line.is_none(), "{in_line:?} in the arguments of `{told}`");
        if let Some(form) = found(&variables, forms) {
            assert!(holds(&variables, b"PLEACH_RELEASE="), "{form} in the variables of `{told}`");
            let program = told.split(' ').next().unwrap_or_default();
            assert!(!program.ends_with("pleach"), "{form} in the variables of `{told}`");
            given.insert(program.to_owned());
        }
    }
    std::thread::sleep(Duration::from_millis(10));
}

/// Gives thirty secrets to a service, whose build and process print them in many forms, and fail if they are told to.
fn make_loud(far: &Far) {
    let (mut variables, mut prints) = (String::new(), String::from("env; "));
    for (at, canary) in canaries(WORD).iter().enumerate() {
        far.bed.write(&format!("secret-{at:02}"), canary);
        let file = far.bed.at(&format!("secret-{at:02}"));
        write!(variables, "C{at} = {{ secret = \"file:{}\" }}, ", file.display()).expect("written");
        let value = format!("printf %s \\\"$C{at}\\\"");
        write!(
            prints,
            "{value}; echo; {value} | od -An -v -tx1 | tr -d ' \\n'; echo; {value} | base64 -w 0; echo; (set -x; : \\\"$C{at}\\\"); "
        )
        .expect("written");
    }
    let file = far.scene.root().join("pleach.toml");
    let config = fs::read_to_string(&file).expect("a config");
    let loud = config.replacen(
        "build = \"echo building; ",
        &format!("environment = {{ {variables} }}\nbuild = \"{prints} test -e broken && exit 3; "),
        1,
    );
    let loud = loud.replacen("run = \"", &format!("run = \"{prints} test -e dies && exit 4; "), 1);
    assert_ne!(loud, config);
    fs::write(&file, loud).expect("written");
    far.scene.git(&["commit", "-qam", "Secrets"]);
}

#[test]
fn thirty_canaries_are_found_on_neither_end_though_builds_and_services_print_them_over_ssh_and_fail() {
    let Some(far) = Far::new() else { return };
    make_loud(&far);
    let forms: Vec<Vec<u8>> = (0..COUNT).flat_map(forms).collect();
    let mut said = String::new();
    let mut run = |code: i32, arguments: &[&str]| {
        let one = far.scene.ends(code, arguments);
        let one = one.stdout + &one.stderr;
        said += &one;
        one
    };
    let mut given = BTreeSet::new();
    meanwhile(
        || look_at_processes(&mut given, &forms),
        || {
            let built = run(0, &["deploy", "uat", "--yes", "-v"]);
            assert!(built.contains("C7=[secret]"), "the build did print them: {built}");
            far.scene.file("alpha", "dies");
            let died = run(110, &["deploy", "uat", "--yes", "-v"]);
            assert!(died.contains("| C7=[secret]") || died.contains("| [secret]"), "its last lines: {died}");
            far.scene.file("alpha", "broken");
            let failed = run(110, &["deploy", "uat", "--yes", "-v", "--json"]);
            assert!(failed.contains("[secret]"), "the build's last lines: {failed}");
            for words in
                [&["report"][..], &["status", "uat"], &["plan", "uat"], &["--json", "report"], &["logs", "alpha"]]
            {
                run(0, words);
            }
            // Both services lack documentation.
            run(2, &["verify", "uat"]);
        },
    );
    assert!(!given.is_empty(), "the service is given them, and was seen");
    println!("given on purpose: {given:?}");
    let shown = found(said.as_bytes(), &forms);
    assert!(shown.is_none(), "{shown:?} was said: {said}");
    let live = far.machine().see(&far.live());
    let files = [require_nowhere(&far.scene.root(), &forms), require_nowhere(&live, &forms)];
    assert!(files.iter().all(|files| *files > 20), "{files:?}");
    let log = fs::read_dir(live.join("alpha/run")).expect("there").flatten().map(|file| file.path());
    let own = log.filter(|file| file.extension().is_some_and(|end| end == "log"));
    assert!(
        own.map(|file| fs::read(file).expect("read")).any(|log| found(&log, &forms).is_some()),
        "it did print them"
    );
    let objects = ["cat-file", "--batch", "--batch-all-objects", "--buffer"];
    let objects = Command::new("git").args(objects).current_dir(far.scene.root()).output().expect("git").stdout;
    assert!(holds(&objects, b"alpha") && found(&objects, &forms).is_none(), "in a git object");
}

#[test]
fn a_canary_is_found_in_whatever_it_is_written() {
    let canary = &canaries(WORD)[7];
    let forms = forms(7);
    for before in ["", "x", "xy"] {
        let text = format!("{before}{canary}");
        let padded = format!("{text}{}", "x".repeat((3 - text.len() % 3) % 3));
        assert!(found(base64(&padded).as_bytes(), &forms).is_some(), "{before:?}");
    }
    let hex: String = canary.bytes().map(|byte| format!("{byte:02X}")).collect();
    for text in [hex, format!("{canary:?}"), format!("'{canary}'")] {
        assert!(found(text.as_bytes(), &forms).is_some(), "{text}");
    }
    assert!(found(WORD.as_bytes(), &forms).is_none());
}

//! What images are built with, and what for: secrets that stay nowhere, and the platform that the target's engine runs.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pleach_testbed::between::between;

use crate::dock::Dock;
use crate::scene::{Said, told_in_four_parts};

const VARIABLE: &str = "PLEACH_TRIAL_PIP";
const SECRET: &str = "a-canary-in-a-build";
/// Of SECRET, by SHA-256.
const DIGEST: &str = "b3cdcf169b4ad8339ed6449a979f65fa2ac24bc7c86a4cbe77ed63c37d8e0c2d";

/// Runs a line in a step that may read the secret.
fn mounting(line: &str) -> String {
    format!(
        "FROM base:1\nSTOPSIGNAL SIGKILL\nRUN --mount=type=secret,id=pip,required=true [\"/bin/busybox\", \"sh\", \"-c\", \
         \"{line}\"]\nCOPY . /www\n"
    )
}

/// Whether a text lies in any file below these.
fn is_kept(dock: &Dock, text: &str, places: &[&Path]) -> bool {
    let found = dock.machine().command("grep").args(["-rqF", text]).args(places).status().expect("it runs");
    assert!(matches!(found.code(), Some(0..=2)), "{found}");
    found.code() == Some(0)
}

/// All that git keeps of a project, unpacked.
fn objects(root: &Path) -> String {
    let mut command = Command::new("git");
    command.args(["cat-file", "--batch", "--batch-all-objects", "--buffer"]).current_dir(root);
    String::from_utf8_lossy(&command.output().expect("git").stdout).into_owned()
}

#[test]
fn a_secret_reaches_the_build_of_an_image_and_is_nowhere_else_and_an_image_fits_the_engine_that_runs_it() {
    let Some(mut dock) = Dock::with(&format!(", secrets = {{ pip = \"env:{VARIABLE}\" }}"), "") else { return };
    let mut told = String::new();
    let mut ends = |dock: &Dock, code: i32, arguments: &[&str]| -> Said {
        let said = dock.scene.pleach(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.stdout, said.stderr);
        told += &format!("{}{}", said.stdout, said.stderr);
        said
    };
    dock.scene.commit("alpha", "Dockerfile", Some(&mounting("busybox sha256sum < /run/secrets/pip > /www/sum")));

    let doctor = dock.scene.pleach(&["doctor", "uat"]);
    assert!(doctor.stdout.contains(&format!("secret env:{VARIABLE}")), "{}", doctor.stdout);
    let failed = ends(&dock, 110, &["deploy", "uat", "--yes"]);
    assert!(failed.stderr.contains(VARIABLE), "{}", failed.stderr);
    told_in_four_parts(&failed);
    assert_eq!(dock.answer("alpha"), None);

    dock.scene.variables.push((VARIABLE.to_owned(), SECRET.to_owned()));
    ends(&dock, 0, &["deploy", "uat", "--yes", "-v"]);
    assert_eq!(dock.answers(), Some(1));
    let sum = dock.machine().get(dock.scene.port("alpha"), "/sum").expect("it answers");
    assert!(sum.contains(DIGEST), "the step had it: {sum}");
    // Its value is no reason to build again.
    dock.scene.variables.push((VARIABLE.to_owned(), format!("{SECRET}-2")));
    let again = ends(&dock, 0, &["deploy", "uat", "--yes"]);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);

    dock.scene.commit("alpha", "Dockerfile", Some(&mounting("echo pip says $(cat /run/secrets/pip); exit 3")));
    let failed = ends(&dock, 110, &["deploy", "uat", "--yes", "-v"]);
    assert!(failed.stderr.contains("pip says [secret]"), "its last words: {}", failed.stderr);
    told_in_four_parts(&failed);
    for words in [&["report"][..], &["status"], &["plan", "uat"], &["--json", "report"], &["images", "uat"]] {
        let said = dock.scene.pleach(words);
        told += &format!("{}{}", said.stdout, said.stderr);
    }
    assert!(!told.contains(SECRET), "{told}");
    let (root, live) = (dock.scene.root(), dock.live());
    let places = [root.as_path(), &live, Path::new("/dev/shm"), Path::new("/run")];
    assert!(is_kept(&dock, "pip says", &places), "what looks for it looks at the journal");
    assert!(is_kept(&dock, DIGEST, &places[2..]), "and at what the engine keeps");
    assert!(!is_kept(&dock, SECRET, &places));
    assert!(!objects(&root).contains(SECRET));
    fits_the_engine(&mut dock);
}

/// The same engine behind a socket that says that it runs on another processor, once it is told to.
fn fits_the_engine(dock: &mut Dock) {
    let arm = dock.bed.at("arm.sock");
    let lies = Arc::new(AtomicBool::new(true));
    let lie = lies.clone();
    between(
        dock.engine.socket(),
        &arm,
        |_| {},
        move |answer| {
            let own = b"\"Arch\":\"amd64\"";
            while lie.load(Ordering::Relaxed)
                && let Some(at) = answer.windows(own.len()).position(|window| window == own)
            {
                answer[at + 8..at + 13].copy_from_slice(b"arm64");
            }
        },
    );
    let (config, path) = (dock.bed.at("config"), dock.bed.at("root/far"));
    dock.target(&format!(
        "[environments.far]\nwatchdog = \"0s\"\nretry = {{ attempts = 1 }}\n[environments.far.targets.arm]\nkind = \"ssh\"\n\
         host = \"target\"\npath = \"{}\"\nssh-config = \"{}\"\nprogram = \"{}\"\nport-offset = 1\n\
         docker-socket = \"{}\"\n",
        path.display(),
        config.display(),
        env!("CARGO_BIN_EXE_pleach"),
        arm.display(),
    ));
    let far = ["deploy", "far", "--only", "beta", "--yes", "-v"];
    // Marked as what it is not, it runs on both.
    let dockerfile = "FROM --platform=linux/amd64 base:1 AS base\nFROM scratch\nCOPY --from=base / /\nCOPY . /www\n\
                      STOPSIGNAL SIGKILL\nCMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
    dock.scene.commit("beta", "Dockerfile", Some(dockerfile));
    dock.scene.ends(0, &far);
    assert!(dock.built("beta").iter().any(|tag| tag.ends_with("_linux_arm64")), "{:?}", dock.built("beta"));
    let running = dock.containers("beta").into_iter().filter(|seen| seen.state == "running");
    let platforms = running.map(|seen| dock.ask(&format!("/images/{}/json", seen.image))["Architecture"].clone());
    let mut platforms: Vec<String> = platforms.map(|one| one.as_str().expect("text").to_owned()).collect();
    platforms.sort();
    assert_eq!(platforms, ["amd64", "arm64"], "one on each");
    let nothing = dock.scene.ends(0, &far);
    assert!(nothing.stdout.starts_with("nothing to do"), "{}", nothing.stdout);

    // Before anything is touched, where that is known.
    let before = dock.seen();
    let refused = |arguments: &[&str], what: &str| {
        let refused = dock.scene.pleach(arguments);
        assert!(matches!(refused.code, 100 | 102), "{arguments:?}: {}: {}", refused.code, refused.stderr);
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
        told_in_four_parts(&refused);
        assert_eq!(dock.seen(), before);
        println!("$ pleach {}\n{}", arguments.join(" "), refused.stderr);
    };
    refused(&["promote", "uat", "far", "--only", "beta", "--yes"], "no image of `beta` is proven for `arm`");
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let narrow = config.replace("secrets =", "platforms = [\"linux/amd64\"], secrets =");
    std::fs::write(&file, narrow).expect("written");
    refused(&far, "service `beta` has no image for `arm`");
    let doctor = dock.scene.pleach(&["doctor", "far"]);
    assert!(doctor.stdout.contains("linux/arm64"), "{}", doctor.stdout);
    std::fs::write(&file, config).expect("written");

    // And before anything is sent, where it has become another one since the plan was made.
    dock.version_of("beta", 9);
    lies.store(false, Ordering::Relaxed);
    dock.scene.ends(0, &["plan", "far", "--only", "beta", "--out", "../plan.json"]);
    dock.scene.ends(0, &["approve", "../plan.json", "--yes"]);
    lies.store(true, Ordering::Relaxed);
    let failed = dock.scene.ends(110, &["deploy", "far", "--plan", "../plan.json"]);
    assert!(failed.stderr.contains("of `beta` does not run on `arm`"), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("it is for `linux/amd64`, and the engine there runs `linux/arm64`"),
        "{}",
        failed.stderr
    );
    told_in_four_parts(&failed);
    assert_eq!(dock.seen(), before);
    dock.scene.ends(0, &["stop", "far", "--yes"]);
}

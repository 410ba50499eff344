//! Commands and scripts as another user: by a `sudo` that asks for nothing over SSH, and by one that asks for a password.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::host::{Host, require_nowhere};
use crate::scene::{Said, Scene};

const WHO: &str = "#!/bin/bash\necho \"who $(id -un) $1 $PLEACH_SERVICE ${#TOKEN}\"\ncat version.txt\n";
const SLOW: &str = "sleep 300 &\necho $! $$ $(id -un) >&2\nwait\n";

/// The password `open sesame`.
const SHADOW: &str = "ada:$6$pleachtest$N5QOJOis0dwx4dgFOG1Cx72HDSWkxrAJDs3h80WWv/iwGpxn4Lv6aE/J6kJA5UK9WyzxuzeSiwQnx4KOhJWly0:19000:0:99999:7:::";

/// A user with a password, known in a mount namespace of its own alone; then the command as that user.
const AS_ADA: &str = "for file in passwd shadow sudoers; do mount --bind \"$1/$file\" \"/etc/$file\" || exit 99; done\n\
                      shift; HOME=/nonexistent exec setpriv --reuid=47110 --regid=47110 --clear-groups \"$@\"";

/// Only root can become others and make users.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn require_gone(said: &Said) {
    // On a busy machine it is ended before it has begun.
    let ids = said.stderr.lines().find(|line| line.ends_with(" root")).unwrap_or_default();
    let ids = ids.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
    for process in ids {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

/// Adds a script of `alpha` to the config.
fn add_script(scene: &Scene, script: &str, text: &str) {
    scene.commit("alpha", "script.sh", Some(text));
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let lines = format!(
        "branch = \"skill/alpha\"\nscripts = [{{ name = \"who\", file = \"script.sh\", reversal = \"nothing\", {script} }}]\n"
    );
    std::fs::write(&file, config.replace("branch = \"skill/alpha\"\n", &lines)).expect("written");
    scene.git(&["commit", "-qam", "Scripts"]);
}

#[test]
fn a_script_runs_as_another_user_of_the_host_with_its_variables() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    std::fs::set_permissions(host.bed.at(""), std::fs::Permissions::from_mode(0o755)).expect("changed");
    host.bed.write("secret", "canary it's");
    host.scene.commit("alpha", "version.txt", Some("one\n"));
    let token = format!("environment = {{ TOKEN = {{ secret = \"file:{}\" }} }}", host.bed.at("secret").display());
    add_script(&host.scene, &format!("sudo = \"nobody\", trace = true, arguments = [\"a b\"], {token}"), WHO);
    let said = host.scene.ends(0, &["deploy", "uat", "--yes", "-v", "--only", "alpha"]);
    assert!(said.stderr.contains("who nobody a b alpha 11"), "{}", said.stderr);
    assert!(said.stderr.contains("| one"), "in its release: {}", said.stderr);
    let doctor = host.scene.pleach(&["doctor", "uat"]);
    assert!(doctor.stdout.contains("asks for no password"), "{}", doctor.stdout);
    require_nowhere(&host.live(), "canary");
}

#[test]
fn a_sudo_that_asks_is_given_the_password_and_what_it_runs_is_ended_in_time() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let etc = scene.place().join("etc");
    std::fs::create_dir(&etc).expect("made");
    let write = |name: &str, text: &str, mode: u32| {
        std::fs::write(etc.join(name), text).expect("written");
        std::fs::set_permissions(etc.join(name), std::fs::Permissions::from_mode(mode)).expect("changed");
    };
    let of = |name: &str| std::fs::read_to_string(Path::new("/etc").join(name)).expect("there");
    write("passwd", &format!("{}ada:x:47110:47110::/tmp:/bin/sh\n", of("passwd")), 0o644);
    write("shadow", &format!("{}{SHADOW}\n", of("shadow")), 0o600);
    write("sudoers", "root ALL=(ALL:ALL) ALL\nada ALL=(ALL:ALL) ALL\n", 0o440);
    let as_ada = |code: i32, arguments: &[&str]| {
        let owned = |path: &Path, owner: &str| {
            let owned = Command::new("chown").args(["-R", owner]).arg(path).status().expect("chown runs");
            assert!(owned.success());
        };
        owned(&scene.root(), "47110:47110");
        let live = scene.place().join("live");
        std::fs::create_dir_all(&live).expect("made");
        owned(&live, "47110:47110");
        let namespace = ["unshare", "--mount", "sh", "-c", AS_ADA, "sh", etc.to_str().expect("text")];
        let said = scene.under(&namespace, arguments);
        // Git does not work for root on what is another's.
        owned(&scene.root(), "0:0");
        assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
        said
    };
    std::fs::set_permissions(scene.place(), std::fs::Permissions::from_mode(0o755)).expect("changed");
    scene.commit("alpha", "version.txt", Some("one\n"));
    add_script(&scene, "sudo = \"root\", arguments = [\"a b\"]", WHO);
    let deploy = ["deploy", "local", "--yes", "-v", "--only", "alpha"];
    let refused = as_ada(110, &deploy);
    assert!(refused.stderr.contains("sudo: a password is required"), "{}", refused.stderr);

    std::fs::write(scene.place().join("password"), "open sesame\n").expect("written");
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let password = config.replace("path = \"../live\"", "path = \"../live\", sudo-password = \"file:../password\"");
    assert_ne!(password, config);
    std::fs::write(&file, &password).expect("written");
    let said = as_ada(0, &deploy);
    assert!(said.stderr.contains("who root a b alpha 0"), "{}", said.stderr);
    assert!(!said.stderr.contains("sesame") && !said.stdout.contains("sesame"));
    require_nowhere(&scene.root(), "open sesame");
    require_nowhere(&scene.place().join("live"), "open sesame");

    // Nobody but root may end what root runs.
    scene.git(&["commit", "-qam", "Password"]);
    add_slow(&scene);
    let late = as_ada(110, &deploy);
    assert!(late.stderr.contains("was not done within its limit of 1s"), "{}", late.stderr);
    require_gone(&late);
}

fn add_slow(scene: &Scene) {
    scene.commit("alpha", "script.sh", Some(SLOW));
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    std::fs::write(&file, config.replace("arguments = [\"a b\"]", "limit = \"1s\"")).expect("written");
}

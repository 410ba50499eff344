//! Logins as they are found on real hosts: shells that are not POSIX's, banners, users without rights.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};

use pleach_testbed::machine::Machine;
use pleach_testbed::sshd::SshBed;

use crate::far::Far;

/// A user of this id is on no machine.
const USER: u32 = 64_123;

/// Names that shells and options are made of.
const NAMES: [&str; 8] = ["a b", "it's \"it\"", "$(touch pwned)", "`id`;&|", "line\nbreak", "-rf", "--", "é\\n*?~!#"];

/// A machine with one more user, whom `sudo` does not know, for each shell; nobody outside knows them.
fn with_users(shells: &[(&str, &str)]) -> Option<Far> {
    let bed = SshBed::on(Machine::new()?, "PrintMotd yes\nPermitUserEnvironment no");
    let mut users = std::fs::read_to_string("/etc/passwd").expect("users");
    for (name, shell) in shells {
        writeln!(users, "{name}:x:{USER}:{USER}::{}:{shell}", bed.at("root").display()).expect("written");
    }
    bed.write("passwd", &users);
    bed.machine().overlay(&bed.at("passwd"), "/etc/passwd".as_ref());
    // A key is read as the user who logs in.
    std::fs::set_permissions(bed.at(""), std::fs::Permissions::from_mode(0o755)).expect("set");
    chown(bed.at("root"), Some(USER), Some(USER)).expect("given");
    for file in [".profile", ".bashrc", ".cshrc", ".config/fish/config.fish"] {
        let file = bed.at("root").join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, "echo '*** Welcome, $USER ***'\n").expect("written");
    }
    Some(Far::on(bed))
}

fn log_in(far: &Far, user: &str) {
    far.bed.configure(&format!("User {user}"));
}

#[test]
fn whatever_the_login_shell_is_names_arrive_as_they_are_and_what_it_prints_does_not_count() {
    let shells =
        [("in-dash", "/bin/dash"), ("in-bash", "/bin/bash"), ("in-tcsh", "/bin/tcsh"), ("in-fish", "/usr/bin/fish")];
    let Some(far) = with_users(&shells) else { return };
    for (user, shell) in shells {
        log_in(&far, user);
        let told = far.scene.ends(0, &["exec", "uat", "--", "printenv", "SHELL"]);
        assert_eq!(told.stdout, format!("vm\n  {shell}\n"));
        let print = ["exec", "uat", "--look", "--", "printf", "<%s>\\n"];
        let told = far.scene.ends(0, &[&print[..], &NAMES].concat());
        let lines: Vec<&str> = told.stdout.lines().skip(1).map(|line| &line[2..]).collect();
        assert_eq!(lines.join("\n"), NAMES.map(|name| format!("<{name}>")).join("\n"), "{shell}");
        let place = far.bed.at("root").display().to_string();
        let script = "cd \"$1\" && shift && for name; do : >./\"$name\" || exit 1; done";
        let make = ["exec", "uat", "--", "sh", "-c", script, "sh", &place];
        far.scene.ends(0, &[&make[..], &NAMES].concat());
        for name in NAMES {
            std::fs::remove_file(far.bed.at("root").join(name)).unwrap_or_else(|_| panic!("{shell}: {name}"));
        }
    }
    assert!(!far.bed.at("root/pwned").exists());
}

#[test]
fn a_user_without_sudo_deploys_from_a_shell_that_is_not_posix() {
    let Some(far) = with_users(&[("in-fish", "/usr/bin/fish")]) else { return };
    log_in(&far, "in-fish");
    let doctor = far.scene.pleach(&["doctor", "uat"]);
    assert!(doctor.stdout.contains("asks for a password, or is not there"), "{}", doctor.stdout);
    far.scene.file("alpha", "-a 'b' $(c)\nd");
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    far.version(2);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"));
    let odd = far.live().join("alpha/current").join("-a 'b' $(c)\nd");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(odd).expect("it is there")), USER);
    far.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"));
    far.require_settled(2);
}

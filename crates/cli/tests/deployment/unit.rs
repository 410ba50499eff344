//! A service that systemd keeps running, from `current`, on a machine whose first process it really is.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pleach_testbed::machine::Machine;
use pleach_testbed::sshd::SshBed;
use rustix::process::Signal;

use crate::far::{BOUND, Far};
use crate::scene::told_in_four_parts;

/// A machine on which `alpha` is a unit, which systemd restarts when it ends and starts with the machine. `policy` stands in
/// the table of the environment.
fn with_unit(policy: &str) -> Option<Far> {
    let far = Far::on(SshBed::on(Machine::with_systemd()?, ""));
    let file = far.scene.root().join("pleach.toml");
    let config = fs::read_to_string(&file).expect("a config");
    let (front, behind) = config.split_once("run = \"").expect("alpha is the first");
    let (run, behind) = behind.split_once('\n').expect("a line");
    let program = run.rsplit_once("exec '").expect("a program").1.split('\'').next().expect("quoted");
    let commands = "start = \"systemctl reset-failed alpha; systemctl restart alpha\"\nstop = \"systemctl stop alpha\"";
    let config = format!("{front}{commands}\n{}", behind.replacen("within = \"20s\"", "within = \"6s\"", 1));
    let config = config.replace("[environments.uat]\n", &format!("[environments.uat]\n{policy}"));
    fs::write(file, config).expect("written");
    far.scene.git(&["commit", "-qam", "A unit"]);
    let unit = format!(
        "[Unit]\nStartLimitIntervalSec=60\n\n[Service]\nWorkingDirectory={}\nEnvironment=PORT={}\nExecStart={program}\nRestart=always\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        far.live().join("alpha/current").display(),
        far.scene.port("alpha"),
    );
    fs::write(far.machine().see(Path::new("/etc/systemd/system/alpha.service")), unit).expect("written");
    systemctl(&far, &["enable", "alpha"]);
    Some(far)
}

fn systemctl(far: &Far, words: &[&str]) -> String {
    let output = far.machine().command("systemctl").args(words).stdin(Stdio::null()).output().expect("nsenter runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The process that systemd keeps running.
fn process(far: &Far) -> u32 {
    let process = systemctl(far, &["show", "--value", "-p", "MainPID", "alpha"]);
    process.parse().expect("a number")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_unit_that_runs_from_current_is_restarted_with_it_and_again_with_the_old_one_where_the_new_one_is_not_healthy() {
    let Some(far) = with_unit("") else { return };
    let scene = &far.scene;
    let deploy = ["deploy", "uat", "--yes", "--only", "alpha"];
    let plan = scene.ends(0, &["plan", "uat", "--only", "alpha"]);
    assert!(plan.stdout.contains("switch · restart · health"), "{}", plan.stdout);
    scene.ends(0, &deploy);
    let first = process(&far);
    assert_eq!(far.version_of("alpha").as_deref(), Some("1.0.0"));

    scene.version("alpha", 2);
    scene.ends(0, &deploy);
    let second = process(&far);
    assert_ne!(second, first);
    assert_eq!(far.version_of("alpha").as_deref(), Some("2.0.0"));

    // It ends at once, and after a few times systemd gives it up and refuses to start it for a minute.
    scene.break_service("alpha");
    let broken = scene.ends(110, &deploy);
    told_in_four_parts(&broken);
    assert!(broken.stderr.contains("is not healthy"), "{}", broken.stderr);
    assert!(broken.stderr.contains("the log of whatever keeps `alpha` running"), "{}", broken.stderr);
    assert_eq!(far.version_of("alpha").as_deref(), Some("2.0.0"), "{}", broken.stderr);
    let third = process(&far);
    assert_ne!(third, second, "it was ended, and began again");

    scene.ends(0, &["restart", "uat", "alpha", "--yes"]);
    assert_ne!(process(&far), third);
    assert_eq!(far.version_of("alpha").as_deref(), Some("2.0.0"));
    let status = scene.ends(0, &["status", "uat"]);
    assert_eq!(status.stdout.matches("healthy").count(), 1, "{}", status.stdout);
    scene.ends(0, &["stop", "uat", "--yes"]);
    assert_eq!(process(&far), 0);
}

#[test]
fn a_machine_that_boots_anew_takes_itself_back_although_nobody_is_there_any_more() {
    let Some(mut far) = with_unit("lease = \"8s\"\nwatchdog = \"10s\"\n") else { return };
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    far.version(2);
    far.scene.slow_down("beta");
    let mut working = far.scene.start(&["deploy", "uat", "--yes"]);
    until("the new release", || far.version_of("alpha").as_deref() == Some("2.0.0"));
    assert!(working.signal_if_alive(Signal::KILL), "it waits for the other one");
    working.ends();
    far.bed.reboot("");
    until("a boot", || systemctl(&far, &["list-units", "pleach-watchdog-*.service"]).contains("running"));
    until("the old release", || far.version_of("alpha").as_deref() == Some("1.0.0"));
    until("the end", || {
        let units = fs::read_dir(far.machine().see(Path::new("/etc/systemd/system"))).expect("units").flatten();
        !units.into_iter().any(|unit| unit.file_name().to_string_lossy().starts_with("pleach"))
    });

    let told = far.scene.ends(0, &["status", "uat"]);
    assert!(told.stdout.contains("`vm` in `uat` took itself back"), "{}", told.stdout);
    assert!(told.stdout.contains(": nobody had confirmed"), "{}", told.stdout);
    let resumed = far.scene.ends(110, &["resume"]);
    assert!(resumed.stderr.contains("the target took itself back"), "{}", resumed.stderr);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"), "also the one that Pleach keeps running: {}", resumed.stderr);
    far.require_settled(2);
    assert_eq!(systemctl(&far, &["is-system-running"]), "running");
}

/// HAProxy as distributions install it: a unit that is told by HAProxy itself when it is ready, and is reloaded by `systemctl reload
/// haproxy`, which is what Pleach does unless it is told otherwise.
fn with_haproxy() -> Option<Far> {
    let far = Far::on(SshBed::on(Machine::with_systemd()?, ""));
    let folder = far.bed.at("proxy");
    fs::create_dir_all(&folder).expect("made");
    let path = |name: &str| folder.join(name).display().to_string();
    let (socket, own, file) = (path("admin.sock"), path("haproxy.cfg"), path("pleach.cfg"));
    let settings = format!(
        "global\n  stats socket {socket} level admin mode 600\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  \
         timeout server 5s\n"
    );
    fs::write(&own, settings).expect("written");
    fs::write(&file, "").expect("written");
    let unit = format!(
        "[Service]\nType=notify\nExecStart=/usr/sbin/haproxy -Ws -f {own} -f {file}\n\
         ExecReload=/usr/sbin/haproxy -Ws -f {own} -f {file} -c -q\nExecReload=/bin/kill -USR2 $MAINPID\nKillMode=mixed\n\
         Restart=always\nSuccessExitStatus=143\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    fs::write(far.machine().see(Path::new("/etc/systemd/system/haproxy.service")), unit).expect("written");
    systemctl(&far, &["enable", "--now", "haproxy"]);
    let file_name = far.scene.root().join("pleach.toml");
    let config = fs::read_to_string(&file_name).expect("a config");
    let proxy =
        format!("[environments.uat.targets.vm.proxy]\nsocket = \"{socket}\"\nfile = \"{file}\"\nconfig = \"{own}\"\n");
    fs::write(file_name, config + &proxy).expect("written");
    far.scene.git(&["commit", "-qam", "A proxy"]);
    Some(far)
}

#[test]
fn a_haproxy_that_systemd_runs_is_reloaded_by_it_and_keeps_what_it_was_told() {
    let Some(far) = with_haproxy() else { return };
    let deploy = ["deploy", "uat", "--yes"];
    far.scene.ends(0, &deploy);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"));
    far.version(2);
    let said = far.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert!(said.stderr.contains("switch · lead · verify"), "{}", said.stderr);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"));
    // By others: each starts a worker that knows the file alone.
    for word in ["reload", "restart"] {
        systemctl(&far, &[word, "haproxy"]);
        until("an answer", || far.version_of("alpha").as_deref() == Some("2.0.0"));
        assert_eq!(far.answers().as_deref(), Some("2.0.0"), "{word}");
        far.scene.ends(0, &["check", "uat"]);
    }
    far.scene.ends(0, &["rollback", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"));
    far.require_settled(2);

    // One that is stopped is told before anything is touched, with how it is started.
    systemctl(&far, &["stop", "haproxy"]);
    let refused = far.scene.pleach(&deploy);
    assert!(refused.code != 0 && refused.stderr.contains("could not reach HAProxy"), "{}", refused.stderr);
    told_in_four_parts(&refused);
    systemctl(&far, &["start", "haproxy"]);
    far.scene.ends(0, &deploy);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"));
    assert_eq!(systemctl(&far, &["is-active", "haproxy"]), "active");
}

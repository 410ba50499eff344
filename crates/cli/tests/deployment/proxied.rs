//! Services that a real HAProxy on their host leads to: containers and processes take turns behind it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pleach_testbed::machine::Machine;
use pleach_testbed::sshd::kill;

use crate::dock::Dock;
use crate::scene::{SERVICES, told_in_four_parts};

/// A HAProxy on a machine, as an operator has set it up; it ends when it is dropped.
pub(crate) struct Haproxy {
    master: Child,
}

impl Haproxy {
    pub(crate) fn start(machine: &Machine, folder: &std::path::Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let (own, file, pid) = (path("haproxy.cfg"), path("pleach.cfg"), path("haproxy.pid"));
        // One that was killed has left it.
        let _ = std::fs::remove_file(machine.see(&folder.join("admin.sock")));
        let master = machine
            .command("haproxy")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-W", "-p", &pid, "-f", &own, "-f", &file])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`haproxy` starts; `cargo testbed` installs it");
        let begun = Instant::now();
        while !machine.see(&folder.join("admin.sock")).exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "HAProxy does not come");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { master }
    }

    pub(crate) fn end(&mut self) {
        kill(self.master.id(), "TERM");
        let _ = self.master.wait();
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.end();
    }
}

/// A project whose ports are HAProxy's, with its first release.
pub(crate) fn proxied() -> Option<(Haproxy, Dock)> {
    let dock = with_haproxy_down()?;
    let haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(1));
    Some((haproxy, dock))
}

/// The same, before anything was started.
pub(crate) fn with_haproxy_down() -> Option<Dock> {
    let mut dock = Dock::new()?;
    let folder = dock.bed.at("proxy");
    std::fs::create_dir_all(&folder).expect("made");
    let path = |name: &str| folder.join(name).display().to_string();
    let own = format!(
        "global\n  stats socket {} level admin mode 600\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  \
         timeout server 5s\n",
        path("admin.sock")
    );
    std::fs::write(folder.join("haproxy.cfg"), own).expect("written");
    std::fs::write(folder.join("pleach.cfg"), "").expect("written");
    let reload = format!("kill -USR2 $(cat {})", path("haproxy.pid"));
    dock.target(&format!(
        "[environments.uat.targets.vm.proxy]\nsocket = \"{}\"\nfile = \"{}\"\nconfig = \"{}\"\n\
         reload = [\"sh\", \"-c\", \"{reload}\"]\n",
        path("admin.sock"),
        path("pleach.cfg"),
        path("haproxy.cfg"),
    ));
    Some(dock)
}

#[test]
fn releases_take_turns_behind_haproxy_without_a_lost_request_also_backwards_and_over_its_restart() {
    let Some((mut haproxy, dock)) = proxied() else { return };
    let plan = dock.scene.ends(0, &["plan", "uat"]);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);
    dock.require_settled(2);
    dock.version(2);
    let said = dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]));
    assert_eq!(dock.answers(), Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("switch · lead · verify"), "{}", said.stderr);
    let held = std::fs::read_to_string(dock.bed.at("proxy/pleach.cfg")).expect("there");
    assert_eq!(held.matches("disabled").count(), 2, "the old ones are out of the file: {held}");

    dock.without_a_lost_request(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
    assert_eq!(dock.answers(), Some(1));
    dock.require_settled(2);
    let listed = dock.scene.ends(0, &["ps", "uat"]);
    for service in SERVICES {
        assert!(listed.stdout.contains(&format!("127.0.0.1:{}", dock.scene.port(service))), "{}", listed.stdout);
    }
    dock.scene.ends(0, &["restart", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(1));

    // What somebody has told HAProxy and not its file.
    dock.scene.ends(0, &["check", "uat"]);
    let weights = say(&dock, "show servers state");
    let used = weights.lines().find(|line| line.contains("alpha") && line.split(' ').nth(7) == Some("256"));
    let used: Vec<&str> = used.unwrap_or_else(|| panic!("{weights}")).split(' ').collect();
    say(&dock, &format!("set weight {}/{} 100", used[1], used[3]));
    let checked = dock.scene.ends(1, &["check", "uat"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(checked.contains("HAProxy does not run what its file says of 127.0.0.1:"), "{checked}");
    say(&dock, &format!("set weight {}/{} 256", used[1], used[3]));
    dock.scene.ends(0, &["check", "uat"]);

    haproxy.end();
    let down = dock.scene.pleach(&["status", "uat"]);
    assert!(!down.stdout.contains("healthy") || down.stdout.contains("unhealthy"), "{}", down.stdout);
    let refused = dock.scene.pleach(&["deploy", "uat", "--yes"]);
    assert!(matches!(refused.code, 100 | 102), "{}: {}{}", refused.code, refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("could not reach HAProxy by its socket"), "{}", refused.stderr);
    told_in_four_parts(&refused);
    haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    // As its file says.
    dock.becomes(1);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(2));
    require_slow_requests_drained(&dock);

    dock.scene.ends(0, &["stop", "uat", "--yes"]);
    assert_eq!(dock.answers(), None);
    let held = std::fs::read_to_string(dock.bed.at("proxy/pleach.cfg")).expect("there");
    assert!(!held.contains("frontend"), "{held}");
    drop(haproxy);
}

/// Answers for as many seconds as it is asked for, a line in each, and with its version at the end.
const SLOW: &str = "#!/bin/busybox sh\nprintf 'Status: 200 OK\\r\\n\\r\\nbegins\\n'\n\
    for at in $(busybox seq $QUERY_STRING); do sleep 1; echo $at; done\nbusybox cat /www/metadata\n";

/// Asks `alpha` for an answer that takes so many seconds; gives what waits for the rest of it, once it has begun.
fn ask_slowly(dock: &Dock, seconds: u32) -> impl FnOnce() -> String {
    let mut netcat = dock.machine().command("busybox");
    netcat.args(["nc", "127.0.0.1", &dock.scene.port("alpha").to_string()]);
    let mut netcat = netcat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut request = netcat.stdin.take().expect("piped");
    write!(request, "GET /cgi-bin/slow?{seconds} HTTP/1.0\r\n\r\n").expect("asked");
    let mut answer = BufReader::new(netcat.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("begins\n") {
        assert!(answer.read_line(&mut text).expect("read") > 0, "{text}");
    }
    move || {
        answer.read_to_string(&mut text).expect("read");
        drop(request);
        netcat.wait().expect("it ended");
        text
    }
}

/// What takes its time is answered whole by the release that began, for as long as `drain` says, and for no longer.
fn require_slow_requests_drained(dock: &Dock) {
    let cgi = "RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cd /www && busybox mkdir cgi-bin && busybox mv slow cgi-bin && \
               busybox chmod 755 cgi-bin/slow\"]";
    let dockerfile = format!("FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /www\n{cgi}\n");
    dock.scene.commit("alpha", "Dockerfile", Some(&dockerfile));
    dock.scene.commit("alpha", "slow", Some(SLOW));
    dock.service("alpha", "drain = \"30s\"\n");
    dock.version_of("alpha", 3);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);

    let slow = ask_slowly(dock, 12);
    dock.version_of("alpha", 4);
    let said = dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
    let answer = slow();
    assert!(answer.contains("\n12\nversion 3\n"), "{answer}{}", said.stderr);
    assert!(!said.stderr.contains("had not ended"), "{}", said.stderr);

    let slow = ask_slowly(dock, 600);
    let file = dock.scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    std::fs::write(file, config.replace("drain = \"30s\"", "drain = \"1s\"")).expect("written");
    dock.scene.git(&["commit", "-qam", "Less patience"]);
    dock.version_of("alpha", 5);
    let said = dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
    assert!(said.stderr.contains("requests had not ended after 1s, so they were cut"), "{}", said.stderr);
    let answer = slow();
    assert!(!answer.contains("version"), "{answer}");
    assert_eq!((dock.answer("alpha"), dock.answer("beta")), (Some(5), Some(2)));
}

#[test]
fn a_broken_release_and_a_killed_deployer_leave_the_proxy_as_it_was_or_as_it_was_to_be() {
    let Some((_haproxy, dock)) = proxied() else { return };
    let file = || std::fs::read_to_string(dock.bed.at("proxy/pleach.cfg")).expect("there");
    let (old, before, ran) = (dock.seen(), file(), used(&dock));
    dock.version_of("alpha", 2);
    dock.scene.commit("beta", "Dockerfile", Some("FROM base:1\nCMD [\"/bin/busybox\", \"false\"]\n"));
    let failed = dock.without_a_lost_request(|| dock.scene.pleach(&["deploy", "uat", "--yes"]));
    assert_eq!(failed.code, 110, "{}{}", failed.stdout, failed.stderr);
    assert_eq!(dock.seen(), old, "{}", failed.stderr);
    assert_eq!((addresses(&file()), used(&dock)), (addresses(&before), ran), "{}", failed.stderr);
    dock.require_settled(2);
    dock.scene.git(&["branch", "-qf", "skill/beta", "skill/beta~1"]);
    for (version, place) in (3..).zip(["alpha@vm: lead", "beta@vm: verify", "alpha@vm: retire"]) {
        let (old, before) = (dock.seen(), file());
        dock.version(version);
        let (code, told) = dock.killed_at(place);
        match code {
            0 => assert_eq!(dock.answers(), Some(version), "{told}"),
            110 => assert_eq!((dock.seen(), addresses(&file())), (old, addresses(&before)), "{told}"),
            _ => panic!("{told}"),
        }
        dock.require_settled(2);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        assert_eq!(dock.answers(), Some(version), "{told}");
    }
    assert_ne!(addresses(&before), addresses(&file()));
    assert!(SERVICES.iter().all(|service| dock.answer(service).is_some()));
}

#[test]
fn a_proxy_that_is_down_at_first_leaves_nothing_behind_and_one_that_somebody_has_changed_is_never_emptied() {
    let Some(dock) = with_haproxy_down() else { return };
    let failed = dock.scene.ends(110, &["deploy", "uat", "--yes"]);
    told_in_four_parts(&failed);
    for service in SERVICES {
        assert!(!dock.machine().see(&dock.live().join(service).join("run/proxy.json")).exists(), "{service}");
        assert!(dock.containers(service).is_empty(), "{:?}", dock.containers(service));
    }
    let _haproxy = Haproxy::start(dock.machine(), &dock.bed.at("proxy"));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(1));

    // Now all requests of `beta` go nowhere, and none of its servers is the one.
    let file = std::fs::read_to_string(dock.bed.at("proxy/pleach.cfg")).expect("there");
    let name = file.lines().find_map(|line| line.strip_prefix("backend ").filter(|name| name.contains("-beta")));
    let name = name.expect("its backend").split(' ').next().expect("a word").to_owned();
    for server in ["blue", "green"] {
        let said = format!("set server {name}/{server} weight 0");
        let mut socket = std::os::unix::net::UnixStream::connect(dock.bed.at("proxy/admin.sock")).expect("it listens");
        std::io::Write::write_all(&mut socket, format!("{said}\n").as_bytes()).expect("said");
        std::io::copy(&mut socket, &mut std::io::sink()).expect("heard");
    }
    assert_eq!(dock.answer("beta"), None);
    // A script behind `lead` fails, so what `lead` did is taken back.
    dock.scene.commit("beta", "no.sh", Some("exit 3\n"));
    let config = std::fs::read_to_string(dock.scene.root().join("pleach.toml")).expect("a config");
    let script = "scripts = [{ name = \"no\", file = \"no.sh\", when = \"after-switch\", reversal = \"nothing\" }]\n";
    dock.scene.write("pleach.toml", &config.replace("[services.beta]\n", &format!("[services.beta]\n{script}")));
    dock.scene.git(&["commit", "-qam", "A script"]);
    let failed = dock.scene.ends(110, &["deploy", "uat", "--yes", "-v"]);
    assert!(failed.stderr.contains("beta@vm: taking lead back"), "{}", failed.stderr);
    dock.becomes(1);
}

/// The servers that HAProxy gives requests to: backend, address, port and weight.
pub(crate) fn used(dock: &Dock) -> Vec<String> {
    let state = say(dock, "show servers state");
    let lines = state.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // One that its file began with as disabled is marked so (4) also once it was enabled, and stands (2) from then on.
    let takes = |words: &[&str]| words[5] == "2" && matches!(words[6], "0" | "4") && words[7] != "0";
    let mut used: Vec<String> = lines
        .filter(|words| words.len() > 18 && takes(words) && !words[0].starts_with('#'))
        .map(|words| format!("{} {}:{} {}", words[1], words[4], words[18], words[7]))
        .collect();
    used.sort();
    assert_eq!(used.len(), SERVICES.len(), "{state}");
    used
}

/// Tells HAProxy something, as somebody else would.
fn say(dock: &Dock, command: &str) -> String {
    let socket = dock.machine().see(&dock.bed.at("proxy/admin.sock"));
    let mut stream = UnixStream::connect(socket).expect("its socket");
    stream.write_all(format!("{command}\n").as_bytes()).expect("said");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// What servers are used, whichever of the two names they have.
pub(crate) fn addresses(file: &str) -> Vec<String> {
    let used = file.lines().filter(|line| line.trim_start().starts_with("server ") && !line.contains("disabled"));
    let mut used: Vec<String> = used.filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned)).collect();
    used.sort();
    used
}

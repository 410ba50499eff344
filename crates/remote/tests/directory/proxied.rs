//! Faults around the calls of a deployment behind a HAProxy, with a part of the requests first: it ends all-new or all-old, what the
//! proxy holds and what its file says are what the report says, and the service answers all the time.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pleach_core::testing::faulty::Fault;
use pleach_testbed::sshd::kill;

use crate::faults::Told;
use crate::machine::{Came, Scene, trial};
use crate::project::{Form, Project};

const NAME: &str = "proxied::a_fault_while_a_proxy_leads_elsewhere_ends_all_new_or_all_old_in_it_and_in_its_file";

/// What a step or snapshot may take where a call of it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(5);

/// Of the cases every so many is tried, always the same ones; 1 tries all.
const STRIDE: usize = 19;

/// A HAProxy, as an operator has set it up; it ends when it is dropped.
struct Haproxy {
    folder: tempfile::TempDir,
    master: Child,
}

impl Haproxy {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let own = format!(
            "global\n  stats socket {} level admin mode 600\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  \
             timeout server 5s\n",
            at("admin.sock").display()
        );
        fs::write(at("haproxy.cfg"), own).unwrap();
        fs::write(at("pleach.cfg"), "").unwrap();
        let mut haproxy = Command::new("haproxy");
        haproxy.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-W").arg("-p").arg(at("haproxy.pid"));
        haproxy.arg("-f").arg(at("haproxy.cfg")).arg("-f").arg(at("pleach.cfg"));
        let master = haproxy.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !at("admin.sock").exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "HAProxy does not come");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { folder, master }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        kill(self.master.id(), "TERM");
        let _ = self.master.wait();
    }
}

/// The servers that HAProxy gives requests to, and those that its file says: address and weight.
fn used(folder: &Path) -> [Vec<String>; 2] {
    let mut stream = UnixStream::connect(folder.join("admin.sock")).unwrap();
    stream.write_all(b"show servers state\n").unwrap();
    let mut state = String::new();
    stream.read_to_string(&mut state).unwrap();
    let rows = state.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect::<Vec<_>>());
    // One that its file began with as disabled is marked so (4) also once it was enabled.
    let takes = |row: &Vec<&str>| row.len() > 18 && row[5] == "2" && matches!(row[6], "0" | "4") && row[7] != "0";
    let held = rows.filter(takes).map(|row| format!("{}:{} {}", row[4], row[18], row[7]));
    let file = fs::read_to_string(folder.join("pleach.cfg")).unwrap();
    let lines = file.lines().filter(|line| line.trim_start().starts_with("server ") && !line.contains("disabled"));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let written = words.filter(|words| words[4] != "0").map(|words| format!("{} {}", words[2], words[4]));
    let mut both = [held.collect::<Vec<_>>(), written.collect()];
    both.iter_mut().for_each(|used| used.sort());
    both
}

async fn deploy(scene: &mut Scene, folder: &Path, fault: Option<(usize, Fault)>, at: &str) -> Came {
    let before = scene.project.current().is_some().then(|| used(folder));
    let listener = before.is_some().then(|| scene.project.listen());
    let came = scene.deploy(fault, at).await;
    let (heard, about) = (listener.map(|listener| listener.heard()).unwrap_or_default(), &came.about);
    let [held, written] = used(folder);
    assert_eq!((held.len(), &held), (1, &written), "{about}");
    if came.told == Told::Old {
        assert_eq!(before.as_ref().map(|[held, _]| held), Some(&held), "{about}");
    }
    for answer in heard {
        let (status, release) = answer.unwrap_or_else(|| panic!("nobody answered: {about}"));
        let known = [&came.old, &came.new].map(|known| known.as_ref() == Some(&release));
        assert!(status == 200 && known.contains(&true), "{status} {release}: {about}");
    }
    let wanted = came.wanted().clone().unwrap_or_default();
    assert_eq!(scene.project.answer(), Some((200, wanted)), "{about}");
    came
}

#[test]
fn a_fault_while_a_proxy_leads_elsewhere_ends_all_new_or_all_old_in_it_and_in_its_file() {
    // Nothing of the proxy is asked before the new release was asked for its health.
    let picks = |calls: &[String]| {
        let asked = calls.iter().position(|call| call == "http.send").expect("it is asked");
        (asked..calls.len()).filter(|at| calls[*at] == "shell.run").collect()
    };
    let haproxy = std::cell::OnceCell::new();
    let form = || {
        let proxy: &Haproxy = haproxy.get_or_init(Haproxy::start);
        Project::new(Form::Contained).behind(proxy.folder.path()).with_canary("1s")
    };
    let folder = || haproxy.get().unwrap().folder.path().to_owned();
    let came = trial(NAME, STRIDE, STEP_LIMIT, form, picks, async |scene: &mut Scene, fault, at: &str| {
        deploy(scene, &folder(), fault, at).await
    });
    // How many calls a canary makes is not always the same, so which of them are tried is not either.
    assert!(came.is_none_or(|(new, _)| new > 0), "{came:?}");
}

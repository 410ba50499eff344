//! A project whose environment `uat` is a directory on a machine of its own, and what that machine looks like.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pleach_testbed::machine::Machine;
use pleach_testbed::sshd::SshBed;

use crate::scene::{SERVICES, Said, Scene};

/// A machine is given up sooner than by itself, and what failed is not tried again.
const IMPATIENT: &str = "ConnectTimeout 3\nServerAliveInterval 1\nServerAliveCountMax 2";
const RETRY: &str = "retry = { attempts = 1, backoff = \"50ms\" }\n";

/// The longest that anything may take here before it says what is wrong.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

/// A project with a machine.
pub(crate) struct Far {
    pub(crate) scene: Scene,
    pub(crate) bed: SshBed,
}

/// What lies and runs on a machine: modes, sizes or contents, and where links lead, by path; processes by their arguments.
/// Releases are named in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest(BTreeMap<String, String>);

impl Far {
    /// None where no machine can be made, which is said.
    pub(crate) fn new() -> Option<Self> {
        Self::with("")
    }

    /// `lines` stand in the server's config.
    pub(crate) fn with(lines: &str) -> Option<Self> {
        Some(Self::on(SshBed::on(Machine::new()?, lines)))
    }

    pub(crate) fn on(bed: SshBed) -> Self {
        let far = Self { scene: Scene::new(), bed };
        far.bed.configure(IMPATIENT);
        let file = far.scene.root().join("pleach.toml");
        let config = fs::read_to_string(&file).expect("a config");
        let uat = format!(
            "{config}[environments.uat]\n{RETRY}[environments.uat.targets.vm]\nkind = \"ssh\"\nhost = \"target\"\n\
             path = \"{}\"\nssh-config = \"{}\"\nprogram = \"{}\"\n",
            far.live().display(),
            far.bed.at("config").display(),
            env!("CARGO_BIN_EXE_pleach"),
        );
        fs::write(file, uat).expect("written");
        far.scene.git(&["commit", "-qam", "A machine"]);
        far
    }

    /// From now on, what failed in passing is tried so often in all.
    pub(crate) fn retry(&self, attempts: u32) {
        let file = self.scene.root().join("pleach.toml");
        let config = fs::read_to_string(&file).expect("a config");
        fs::write(file, config.replace("attempts = 1", &format!("attempts = {attempts}"))).expect("written");
    }

    /// From now on, so many releases are kept.
    pub(crate) fn keep(&self, releases: u32) {
        let file = self.scene.root().join("pleach.toml");
        let config = fs::read_to_string(&file).expect("a config");
        let kept = config.replace("kind = \"ssh\"\n", &format!("kind = \"ssh\"\nkeep = {releases}\n"));
        fs::write(file, kept).expect("written");
    }

    pub(crate) fn machine(&self) -> &Machine {
        self.bed.machine()
    }

    /// Where the target lies, on the machine.
    pub(crate) fn live(&self) -> PathBuf {
        self.bed.at("root/live")
    }

    /// A new version of all services.
    pub(crate) fn version(&self, version: u32) {
        SERVICES.iter().for_each(|service| self.scene.version(service, version));
    }

    /// The version that all services answer with, on the machine.
    pub(crate) fn answers(&self) -> Option<String> {
        let answers = SERVICES.map(|service| self.version_of(service));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "they belong together: {answers:?}");
        answers[0].clone()
    }

    /// What `status` says: nothing is left to be done or held, and so many services are healthy.
    pub(crate) fn require_settled(&self, healthy: usize) -> Said {
        let status = self.scene.ends(0, &["status", "uat"]);
        let words = status.stdout.split_whitespace();
        assert_eq!(words.filter(|word| *word == "healthy").count(), healthy, "{}", status.stdout);
        for word in ["resume", "lease"] {
            assert!(!status.stdout.contains(word), "{word}: {}", status.stdout);
        }
        status
    }

    /// The version that one service answers with, on the machine.
    pub(crate) fn version_of(&self, service: &str) -> Option<String> {
        let answer = self.machine().get(self.scene.port(service), "/metadata")?;
        let (_, behind) = answer.split_once("\"version\": \"")?;
        behind.split('"').next().map(str::to_owned)
    }

    /// Waits for what ends by itself, and tells where it does not become this.
    pub(crate) fn require(&self, wanted: &Manifest, at: &str) {
        self.require_that(at, |found| found.differences(wanted));
    }

    /// Waits until nothing is told to be wrong any more, and tells it where that does not come.
    pub(crate) fn require_that(&self, at: &str, wrong: impl Fn(&Manifest) -> String) {
        let begun = Instant::now();
        loop {
            let told = wrong(&self.manifest());
            if told.is_empty() {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "{at}: what lies and runs there is not what it has to be:\n{told}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same of what lies there, without records of processes.
    pub(crate) fn require_files(&self, wanted: &Manifest, at: &str) {
        let (found, wanted) = (self.manifest().files(), wanted.files());
        let told = found.differences(&wanted);
        assert!(told.is_empty(), "{at}: what lies there is not what it has to be:\n{told}");
    }

    /// What lies below the target's directory and runs on the machine.
    pub(crate) fn manifest(&self) -> Manifest {
        let live = self.machine().see(&self.live());
        let mut names: Vec<(String, String)> = Vec::new();
        for service in SERVICES {
            let list = |folder: &str| {
                let files = fs::read_dir(live.join(service).join(folder)).into_iter().flatten().flatten();
                let mut files: Vec<String> =
                    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
                files.sort();
                files
            };
            let numbered = |names: Vec<String>, kind: &str| -> Vec<(String, String)> {
                let name = |(at, name): (usize, String)| (name, format!("{kind} {at}"));
                names.into_iter().enumerate().map(name).collect()
            };
            names.extend(numbered(list("releases"), "RELEASE"));
            names.extend(numbered(list(".pleach/pins"), "PIN"));
            names.push((self.scene.port(service).to_string(), format!("PORT of {service}")));
        }
        names.push((self.live().display().to_string(), "LIVE".to_owned()));
        let mut manifest = BTreeMap::new();
        walk(&live, &live, &mut manifest);
        for process in self.machine().processes() {
            let read = |file: &str| fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
            let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            // A server of the host's own is no part of the target, and neither is the shell of a connection: it ends with
            // that, which the server keeps for as long as it knows nothing of a cut. What it runs is told by itself.
            if line.is_empty() || read("comm").starts_with(b"sshd") || line.starts_with("/bin/sh -c __lc=") {
                continue;
            }
            let count = manifest.entry(format!("runs {line}")).or_insert_with(String::new);
            count.push('|');
        }
        let plain = |text: String| names.iter().fold(text, |text, (name, told)| text.replace(name, told));
        Manifest(manifest.into_iter().map(|(path, what)| (plain(path), plain(what))).collect())
    }
}

impl Manifest {
    /// The same with other words for the versions that releases of a service hold, in their order.
    pub(crate) fn plain(&self, service: &str, versions: [u32; 2]) -> Self {
        let word = |at: usize, version: u32| (format!("\"{version}.0.0\\"), format!("\"VERSION {at}\\"));
        let words = [word(0, versions[0]), word(1, versions[1])];
        let below = format!("{service}/");
        let told = |(path, what): (&String, &String)| {
            let what = words
                .iter()
                .filter(|_| path.starts_with(&below))
                .fold(what.clone(), |what, (from, to)| what.replace(from, to));
            (path.clone(), what)
        };
        Self(self.0.iter().map(told).collect())
    }

    /// What runs there alone.
    pub(crate) fn running(&self) -> Self {
        let running = self.0.iter().filter(|(path, _)| path.starts_with("runs "));
        Self(running.map(|(path, what)| (path.clone(), what.clone())).collect())
    }

    fn files(&self) -> Self {
        let files = self.0.iter().filter(|(path, _)| !path.starts_with("runs ") && !path.contains("/run/"));
        Self(files.map(|(path, what)| (path.clone(), what.clone())).collect())
    }

    /// What is missing and what is too much; nothing where both are the same.
    pub(crate) fn differences(&self, wanted: &Self) -> String {
        let mut text = String::new();
        let missing = wanted.0.iter().filter(|(path, what)| self.0.get(*path) != Some(*what));
        missing.for_each(|(path, what)| text += &format!("- {path}: {what}\n"));
        let surplus = self.0.iter().filter(|(path, what)| wanted.0.get(*path) != Some(*what));
        surplus.for_each(|(path, what)| text += &format!("+ {path}: {what}\n"));
        text
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let resumed = self.scene.pleach(&["resume"]);
        let stopped = self.scene.pleach(&["stop", "uat", "--yes"]);
        if std::thread::panicking() {
            eprintln!("{}{}{}{}", resumed.stdout, resumed.stderr, stopped.stdout, stopped.stderr);
        }
    }
}

fn walk(root: &Path, path: &Path, manifest: &mut BTreeMap<String, String>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let name = path.strip_prefix(root).expect("below").display().to_string();
    // Fence, lease and names of commands say which run came last, and they grow with each.
    if name == ".pleach" {
        return;
    }
    let mut what = format!("{:o} {} {}", metadata.mode(), metadata.uid(), metadata.gid());
    if metadata.is_symlink() {
        what += &format!(" -> {}", fs::read_link(path).expect("a link").display());
    } else if metadata.is_file() && name.contains("/releases/") && !name.contains("/.pleach/") {
        what += &format!(" {:?}", String::from_utf8_lossy(&fs::read(path).expect("read")));
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("read").flatten() {
            walk(root, &entry.path(), manifest);
        }
    }
    manifest.insert(name, what);
}

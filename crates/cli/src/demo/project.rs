//! The sample repository: main, five branches, a bare origin beside it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pleach_core::error::{Failure, Kind};

use super::sample::{BUILD_SH, MAIN_RS, SERVICES, config};

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// The directory that all of it is in.
    pub(super) place: PathBuf,
    /// The repository.
    pub(super) repository: PathBuf,
    /// The public ports, in the order of the services.
    pub(super) ports: Vec<u16>,
}

impl Project {
    /// Makes all of it in `place`, which is an empty directory.
    pub(super) fn make(place: &Path) -> Result<Self, Failure> {
        let place = place.canonicalize().map_err(|error| unwritable(place, &error))?;
        let project = Self { repository: place.join("skills"), ports: free_ports()?, place };
        project.git_in(&project.place, &["init", "--quiet", "--bare", "origin.git"])?;
        project.git_in(&project.place, &["init", "--quiet", "skills"])?;
        // Its own settings: signing, hooks and names of the user's stay out of a sample.
        for (key, value) in [
            ("user.name", "Pleach Demo"),
            ("user.email", "demo@pleach.invalid"),
            ("commit.gpgSign", "false"),
            ("tag.gpgSign", "false"),
            ("core.hooksPath", "/dev/null"),
            ("core.autocrlf", "false"),
        ] {
            project.git(&["config", key, value])?;
        }
        // In full: git takes a relative one from the worktree that it is called in.
        let origin = project.place.join("origin.git");
        project.git(&["remote", "add", "origin", &origin.to_string_lossy()])?;
        project.git(&["symbolic-ref", "HEAD", "refs/heads/main"])?;
        project.write("pleach.toml", &config(&project.ports))?;
        project.write("README.md", "# Skills\n\nFive small services, one branch each.\n")?;
        project.commit(&project.repository, "Say what is deployed, and where to")?;
        for sample in &SERVICES {
            project.git(&["switch", "--quiet", "-c", &sample.branch(), "main"])?;
            let directory = sample.directory();
            for (file, text) in [
                ("main.rs", MAIN_RS),
                ("build.sh", BUILD_SH),
                ("service.json", &sample.metadata("1.0.0")),
                ("README.md", &sample.readme()),
                (".gitignore", "/service\n"),
            ] {
                project.write(&format!("{directory}/{file}"), text)?;
            }
            project.commit(&project.repository, &format!("Add {}: {}", sample.name, sample.description))?;
        }
        project.git(&["switch", "--quiet", "main"])?;
        project.git(&["push", "--quiet", "--set-upstream", "origin", "--all"])?;
        project.git_in(&origin, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
        Ok(project)
    }

    /// Writes a file of the repository.
    fn write(&self, file: &str, text: &str) -> Result<(), Failure> {
        write(&self.repository.join(file), text)
    }

    /// Replaces a file in a service's worktree, commits it there, and gives the commands that a user would have typed.
    pub(super) fn change(&self, service: &str, file: &str, text: &str, subject: &str) -> Result<[String; 2], Failure> {
        let worktree = self.place.join("worktrees").join(service);
        write(&worktree.join("services").join(service).join(file), text)?;
        self.commit(&worktree, subject)?;
        self.git_in(&worktree, &["push", "--quiet", "origin", "HEAD"])?;
        Ok([
            format!("git -C ../worktrees/{service} commit -am \"{subject}\""),
            format!("git -C ../worktrees/{service} push"),
        ])
    }

    fn commit(&self, directory: &Path, subject: &str) -> Result<(), Failure> {
        self.git_in(directory, &["add", "--all"])?;
        self.git_in(directory, &["commit", "--quiet", "-m", subject]).map(|_| ())
    }

    /// Runs git in the repository.
    pub(super) fn git(&self, words: &[&str]) -> Result<String, Failure> {
        self.git_in(&self.repository, words)
    }

    fn git_in(&self, directory: &Path, words: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new("git");
        command.args(words).current_dir(directory).stdin(Stdio::null());
        // A hook or alias that started the demo would otherwise lead git to its own repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
            command.env_remove(name);
        }
        let failed = || Failure::new(Kind::Rejected, format!("could not run `git {}`", words.join(" ")));
        let output = command.output().map_err(|error| failed().because(error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        Err(failed().output(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned)))
    }

    /// The public port of a service.
    pub(super) fn port(&self, service: &str) -> u16 {
        let at = SERVICES.iter().position(|sample| sample.name == service);
        at.and_then(|at| self.ports.get(at)).copied().unwrap_or_default()
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let parent = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| unwritable(path, &error))
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Rejected, format!("could not write `{}`", path.display()))
        .because(error.to_string())
        .next("name a directory that can be written: `pleach demo --dir DIR`")
}

/// Ports that nobody listens on, below those that the system gives to connections.
fn free_ports() -> Result<Vec<u16>, Failure> {
    let listeners: Vec<TcpListener> =
        candidates().filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).take(SERVICES.len()).collect();
    let ports: Vec<u16> = listeners.iter().filter_map(|one| Some(one.local_addr().ok()?.port())).collect();
    if ports.len() == SERVICES.len() {
        return Ok(ports);
    }
    Err(Failure::new(Kind::Conflict, "found no free ports for the sample services on 127.0.0.1")
        .because("more than a thousand were tried")
        .next("look who listens with `ss -ltn`"))
}

/// From a place that depends on this process, so that two demos at once do not try the same ones.
fn candidates() -> impl Iterator<Item = u16> {
    let start = u16::try_from(std::process::id() % 1500).unwrap_or_default() * 8;
    (0..1200_u16).map(move |step| 20_000 + (start + step) % 12_000)
}

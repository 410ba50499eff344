//! Asking a target to keep files and to put them back.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, Command, Effect, ExitStatus, NoLines, Shell};

use crate::guard::{escape, text, unescape};

const SCRIPT: &str = concat!(
    include_str!("../guard/base.sh"),
    include_str!("keep.sh"),
    include_str!("put_back.sh"),
    include_str!("files.sh"),
);

// The text comes over standard input and is whole before any of it runs.
const LAUNCH: &str = r#"script=$(cat) && eval "$script""#;

// Once the copies are gone, all was taken back, or a later run has succeeded.
const BY_ITSELF: &str = r#"place=$1/$2; [ -e "$place" ] || exit 0; exec sh "$place/script" put-back "$place""#;

/// The copies of one run, in a folder on the target. A value: whoever calls it brings the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFiles {
    place: PathBuf,
}

/// How something is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// There was nothing.
    Absent,
    /// A symbolic link, as where it points.
    Link,
    /// A file, as a copy.
    File,
    /// A tree that shares its blocks with the original.
    Reflinks,
    /// A tree in an archive: `tar`, `tar.gz` or `tar.zst`.
    Archive(String),
}

/// One path that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPath {
    /// Where it is put back.
    pub path: PathBuf,
    /// How it is kept.
    pub form: Form,
}

impl fmt::Display for KeptPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.form {
            Form::Absent => write!(f, "`{path}` (nothing)"),
            Form::Link => write!(f, "`{path}` (a link)"),
            Form::File => write!(f, "`{path}` (a file)"),
            Form::Reflinks => write!(f, "`{path}` (reflinks)"),
            Form::Archive(kind) => write!(f, "`{path}` ({kind})"),
        }
    }
}

/// What putting back did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// What this call put back.
    pub paths: Vec<PathBuf>,
    /// Where what stood in the way lies now.
    pub aside: Vec<PathBuf>,
    /// Whether this or an earlier call had to put something back.
    pub changed: bool,
}

impl KeptFiles {
    /// The copies in `place`, an absolute path.
    pub fn new(place: impl Into<PathBuf>) -> Self {
        Self { place: place.into() }
    }

    /// The text of the script.
    pub fn script() -> &'static str {
        SCRIPT
    }

    /// The command by which a target puts back by itself what the run named `run` keeps in `folder`.
    pub(crate) fn by_itself(folder: &Path, run: &str) -> Vec<String> {
        ["sh", "-c", BY_ITSELF, "pleach", &text(folder), run].map(str::to_owned).to_vec()
    }

    /// Copies what lies at `paths` and proves the copies; an earlier attempt is replaced.
    ///
    /// # Errors
    /// A path is not absolute, cannot be read, changes all the time, or there is no room; nothing is left behind then.
    pub async fn keep(&self, shell: &dyn Shell, call: Call<'_>, paths: &[PathBuf]) -> Result<Vec<KeptPath>, Failure> {
        let usable = |path: &Path| path.is_absolute() && path.to_str().is_some_and(|text| !text.ends_with('/'));
        if let Some(path) = paths.iter().find(|path| !usable(path)) {
            return Err(Failure::new(Kind::Internal, format!("`{}` cannot be kept", path.display())));
        }
        let kept = listed(&self.ask(shell, call, Effect::Write, "keep", paths).await?);
        if kept.len() == paths.len() {
            return Ok(kept);
        }
        let told = format!("the target tells of {} of {} paths", kept.len(), paths.len());
        Err(Failure::new(Kind::UnknownOutcome, "could not keep all files").because(told))
    }

    /// The copies are whole, and there is nothing in the way of putting them back.
    ///
    /// # Errors
    /// They are not, or something is.
    pub async fn prove(&self, shell: &dyn Shell, call: Call<'_>) -> Result<Vec<KeptPath>, Failure> {
        Ok(listed(&self.ask(shell, call, Effect::Read, "prove", &[]).await?))
    }

    /// Puts back what is not as it was. What was put back once is left alone from then on.
    ///
    /// # Errors
    /// One of them cannot be put back; the others may have been.
    pub async fn put_back(&self, shell: &dyn Shell, call: Call<'_>) -> Result<PutBack, Failure> {
        let mut done = PutBack::default();
        for line in self.ask(shell, call, Effect::Write, "put-back", &[]).await?.lines() {
            match line.split_once(": ") {
                Some(("put back", path)) => done.paths.push(unescape(path).into()),
                Some(("put aside", path)) => done.aside.push(unescape(path).into()),
                _ => done.changed |= line == "changed",
            }
        }
        Ok(done)
    }

    /// Holds the same copies as `from` from now on, which stays as it is whatever is put back of them. What is here already is
    /// left as it is.
    ///
    /// # Errors
    /// There is no room, or `from` cannot be read; nothing is left behind then.
    pub async fn stage(&self, shell: &dyn Shell, call: Call<'_>, from: &Path) -> Result<(), Failure> {
        self.ask(shell, call, Effect::Write, "stage", &[from.to_owned()]).await.map(drop)
    }

    /// Removes the copies. Nothing left is fine.
    ///
    /// # Errors
    /// The target cannot be asked, or does not let them be removed.
    pub async fn discard(&self, shell: &dyn Shell, call: Call<'_>) -> Result<(), Failure> {
        self.ask(shell, call, Effect::Write, "discard", &[]).await.map(drop)
    }

    async fn ask(
        &self,
        shell: &dyn Shell,
        call: Call<'_>,
        effect: Effect,
        operation: &str,
        paths: &[PathBuf],
    ) -> Result<String, Failure> {
        let words = ["sh", "-c", LAUNCH, "pleach", operation, &text(&self.place)].map(str::to_owned);
        let argv = words.into_iter().chain(paths.iter().map(|path| escape(&text(path))));
        let mut command = if effect == Effect::Write { Command::write(argv) } else { Command::read(argv) };
        command.stdin = Some(Bytes::from_static(SCRIPT.as_bytes()));
        // Its answer is for this program.
        let output = shell.run(&command, Call { lines: &NoLines, ..call }).await?;
        let doing = operation.replace('-', " ");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = || said.lines().last().unwrap_or_default().trim_start_matches("pleach: ").to_owned();
        let room = format!("look on the target with `df -h '{0}'; df -i '{0}'`", self.place.display());
        match output.status {
            ExitStatus::Code(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            ExitStatus::Code(66) => {
                Err(Failure::new(Kind::Rejected, format!("could not {doing} files")).because(why()).next(
                    "mend that on the target, or take the path out of `snapshot` in `pleach.toml`, and make a new plan",
                ))
            }
            ExitStatus::Code(65 | 74) => {
                Err(Failure::new(Kind::Rejected, format!("could not {doing} files")).because(why()).next(room))
            }
            status => Err(Failure::new(Kind::UnknownOutcome, format!("could not {doing} files"))
                .because(format!("its script {}", crate::directory::told_status(status)))
                .next(room)
                .output(output.last_lines())),
        }
    }
}

fn listed(printed: &str) -> Vec<KeptPath> {
    let read = |line: &str| {
        let (what, rest) = line.split_once(' ')?;
        let (kind, path) = rest.split_once(' ')?;
        let form = match (what, kind) {
            ("absent", _) => Form::Absent,
            ("link", _) => Form::Link,
            ("file", _) => Form::File,
            ("tree", "directory") => Form::Reflinks,
            ("tree", kind) => Form::Archive(kind.to_owned()),
            _ => return None,
        };
        Some(KeptPath { path: unescape(path).into(), form })
    };
    printed.lines().filter_map(read).collect()
}

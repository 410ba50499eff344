//! From what is wanted to a file.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::Plan;
use pleach_core::port::RunEntry;
use pleach_core::word::{EnvironmentName, RunId};
use pleach_remote::LocalSecrets;
use pleach_remote::mask::Mask;

use super::archive::{Archive, Content, read_back};
use super::gather::{Gathered, Service, gather};
use super::journal::{Piece, file_end, files, told};
use super::secret::Fetched;
use super::{LOG_LIMIT, RUNS};
use crate::args::Globals;
use crate::deployment::block_on;
use crate::durable::{Draft, Existing};
use crate::exit::{Ended, Exit};
use crate::interrupt::Interrupts;
use crate::print::{Cell, Paint, Table, answer, bytes_text, failure_text, stdout_columns, tell_failure};
use crate::project::{Project, Workspace};

/// How many logs of services are read at a time; that many are held in memory.
const AT_A_TIME: usize = 4;

/// What is exported, and where to.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) scope: Scope,
    pub(crate) file: PathBuf,
    pub(crate) existing: Existing,
}

/// Of what.
#[derive(Debug)]
pub(crate) enum Scope {
    Environment(EnvironmentName),
    Run(RunId),
}

/// The runs and the environment that are exported.
struct Subject {
    environment: EnvironmentName,
    runs: Vec<RunId>,
    /// Of a run that is exported alone.
    plan: Option<Plan>,
}

/// Writes all that there is, says what is missing, and gives the file its name once it was read back.
pub(crate) fn export(wanted: &Wanted, globals: &Globals) -> Result<Exit, Ended> {
    let workspace = Workspace::open(globals)?;
    // Runs are told also where the config has become unreadable since.
    let project = Project::open(globals);
    let subject = Subject::find(&wanted.scope, &workspace, &project)?;
    // Of an environment without runs there is nothing but what the config leads to.
    let project = if subject.runs.is_empty() { Ok(project?) } else { project };
    let mut draft = Draft::begin(&wanted.file, wanted.existing).map_err(|error| unwritten(wanted, &error))?;
    let (contents, missing) = block_on(async {
        let interrupts = Interrupts::catch()?;
        tokio::select! {
            written = write(draft.file(), &subject, &workspace, project) => {
                Ok(written.map_err(|error| unwritten(wanted, &error))?)
            }
            (name, exit) = interrupts.first() => Err(Ended::with(exit, interrupted(wanted, name))),
        }
    })?;
    let packed = draft.file().metadata().map_or(0, |metadata| metadata.len());
    draft.publish().map_err(|error| unwritten(wanted, &error))?;
    tell(wanted, &contents, packed, &missing, globals);
    Ok(Exit::failed_checks(missing.len()))
}

impl Subject {
    fn find(scope: &Scope, workspace: &Workspace, project: &Result<Project, Ended>) -> Result<Self, Ended> {
        let entries = workspace.entries()?;
        match scope {
            Scope::Environment(environment) => {
                let here: Vec<&RunEntry> = entries.iter().filter(|entry| entry.environment == *environment).collect();
                if let (true, Ok(project)) = (here.is_empty(), project) {
                    project.require_environment(environment)?;
                }
                let mut runs: Vec<RunId> = here.iter().take(RUNS).map(|entry| entry.run.clone()).collect();
                runs.reverse();
                Ok(Self { environment: environment.clone(), runs, plan: None })
            }
            Scope::Run(run) => {
                let entry = entries.iter().find(|entry| entry.run == *run);
                let entry = entry.ok_or_else(|| crate::command::resume::unknown_run(workspace, run))?;
                let plan = workspace.state(run).ok().map(|state| state.plan().clone());
                Ok(Self { environment: entry.environment.clone(), runs: vec![run.clone()], plan })
            }
        }
    }
}

/// What has been written, and what could not be had.
type Written = (Vec<Content>, Vec<Failure>);

async fn write(
    file: &mut File,
    subject: &Subject,
    workspace: &Workspace,
    project: Result<Project, Ended>,
) -> io::Result<Written> {
    let gathered = match &project {
        Ok(project) => gather(project, &subject.environment, subject.plan.as_ref()).await,
        Err(_) => Gathered { missing: vec![no_config(&subject.environment)], ..Gathered::default() },
    };
    let root = workspace.repository.root();
    let fetched = Fetched::fetch(gathered.secrets, &LocalSecrets::new(root)).await;
    let mut writing = Writing { archive: Archive::new(file), mask: fetched.mask(), missing: gathered.missing };
    for run in &subject.runs {
        writing.run(workspace, run)?;
        // So that a signal is heard.
        tokio::task::yield_now().await;
    }
    for piece in gathered.pieces {
        writing.piece(piece)?;
    }
    writing.services(&gathered.services, &fetched).await?;
    writing.finish(subject)
}

struct Writing<'a> {
    archive: Archive<&'a mut File>,
    mask: Mask,
    missing: Vec<Failure>,
}

impl Writing<'_> {
    fn run(&mut self, workspace: &Workspace, run: &RunId) -> io::Result<()> {
        match told(workspace, run) {
            Ok(pieces) => pieces.into_iter().try_for_each(|piece| self.piece(piece))?,
            Err(failure) => self.missing.push(failure),
        }
        for (name, path) in files(workspace, run) {
            match file_end(&path) {
                Ok((text, is_cut)) => self.piece(Piece { name, text, is_cut })?,
                Err(failure) => self.missing.push(failure),
            }
        }
        Ok(())
    }

    async fn services(&mut self, services: &[Service], fetched: &Fetched) -> io::Result<()> {
        let unknown = |names: &_| fetched.unknown(names).cloned();
        let mut reading = stream::iter(services).map(|service| service.read(unknown)).buffered(AT_A_TIME);
        while let Some(read) = reading.next().await {
            match read {
                Ok(piece) => piece.into_iter().try_for_each(|piece| self.piece(piece))?,
                Err(failure) => self.missing.push(failure),
            }
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece) -> io::Result<()> {
        let masked = self.mask.text(&piece.text);
        if !piece.is_cut {
            return self.archive.add(&piece.name, &masked, false);
        }
        let text = format!("… what came before is left out: only the end of a log is exported\n{masked}");
        self.archive.add(&piece.name, &text, true)
    }

    /// Tells in the archive what it has and has not, and reads it back.
    fn finish(mut self, subject: &Subject) -> io::Result<Written> {
        if !self.missing.is_empty() {
            let text: String = self.missing.iter().map(|failure| failure_text(failure, Paint::Plain)).collect();
            self.piece(Piece::whole("MISSING.txt", text))?;
        }
        let text = contents_text(subject, self.archive.contents());
        self.piece(Piece::whole("CONTENTS.txt", text))?;
        let (file, contents) = self.archive.finish()?;
        read_back(file, &contents)?;
        Ok((contents, self.missing))
    }
}

fn contents_text(subject: &Subject, contents: &[Content]) -> String {
    let environment = &subject.environment;
    let mut text = match (&subject.plan, subject.runs.as_slice()) {
        (Some(_), [run]) => format!("Run `{run}` in `{environment}`, and the services that it deployed.\n"),
        _ => format!("Environment `{environment}`, and its last runs, at most {RUNS}.\n"),
    };
    let _ = writeln!(
        text,
        "Of each log the last {} MiB, of what an engine keeps of a container less. Secrets are shown as `[secret]`.\n",
        LOG_LIMIT >> 20
    );
    for Content { name, bytes, cut } in contents {
        let _ = writeln!(text, "{bytes:>10}  {name}{}", if *cut { "  (only its end)" } else { "" });
    }
    text
}

fn tell(wanted: &Wanted, contents: &[Content], packed: u64, missing: &[Failure], globals: &Globals) {
    let file = wanted.file.display().to_string();
    if globals.json {
        let told = serde_json::json!({ "file": file, "bytes": packed, "contents": contents, "missing": missing });
        answer(&format!("{told:#}\n"));
    } else {
        let mut table = Table::new(["WHAT", "FILES", "SIZE", ""]);
        for (what, is_in) in parts() {
            let files: Vec<&Content> = contents.iter().filter(|content| is_in(&content.name)).collect();
            let cut = files.iter().filter(|content| content.cut).count();
            let cells = [
                what.to_owned(),
                files.len().to_string(),
                bytes_text(files.iter().map(|content| content.bytes).sum()),
                if cut > 0 { format!("of {cut} only the end") } else { String::new() },
            ];
            table.row(cells.map(Cell::from));
        }
        answer(&table.text(Paint::of_stdout(globals.color), stdout_columns()));
        answer(&format!("{file}: {} files, {}\n", contents.len(), bytes_text(packed)));
    }
    for failure in missing {
        tell_failure(failure, Paint::of_stderr(globals.color));
    }
}

/// What it is called, and whether a file of that name belongs to it.
type Part = (&'static str, fn(&str) -> bool);

/// What people are told of the contents, and which files each of it is.
fn parts() -> [Part; 3] {
    [
        ("what runs said", |name| name.starts_with("runs/")),
        ("what services printed", |name| name.starts_with("services/")),
        ("what stands where", |name| !name.contains('/')),
    ]
}

fn unwritten(wanted: &Wanted, error: &io::Error) -> Failure {
    let file = wanted.file.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Failure::new(Kind::Conflict, format!("`{file}` is there already"))
            .state("it is as it was")
            .next("name another file, or replace it with `--force`");
    }
    let next = match error.kind() {
        io::ErrorKind::NotFound => format!("`mkdir -p {}`, or name another file", quoted(wanted.file.parent())),
        _ => "make room there, or name a file elsewhere with `--output`".to_owned(),
    };
    Failure::new(Kind::Rejected, format!("could not write `{file}`"))
        .because(error.to_string())
        .state(unchanged(wanted))
        .next(next)
}

fn interrupted(wanted: &Wanted, signal: &str) -> Failure {
    Failure::new(Kind::Cancelled, format!("could not write `{}`", wanted.file.display()))
        .because(signal)
        .state(unchanged(wanted))
        .next("run the same command again")
}

const fn unchanged(wanted: &Wanted) -> &'static str {
    match wanted.existing {
        Existing::Keep => "nothing was written, and no part of it is left",
        Existing::Replace => "what was there before is as it was, and no part of the new one is left",
    }
}

fn quoted(path: Option<&Path>) -> String {
    pleach_core::error::quote_path(path.unwrap_or(Path::new("."))).to_string()
}

fn no_config(environment: &EnvironmentName) -> Failure {
    Failure::new(Kind::Rejected, format!("could not ask the targets of `{environment}`"))
        .because("the config cannot be read")
        .state("how they stand and what services printed is not in the archive")
        .next("`pleach config check`")
}

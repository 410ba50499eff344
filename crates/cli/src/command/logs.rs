//! `pleach logs`: what a run said of a service, or what the service itself says; or all of that in one file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::Plan;
use pleach_core::word::{EnvironmentName, RunId, ServiceName};
use pleach_remote::directory::{OutputMark, OutputPart, output_mark_since, read_output};

use super::resume::unknown_run;
use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::durable::Existing;
use crate::exit::{Ended, Exit};
use crate::export::{Scope, Wanted, export};
use crate::observe::log_file;
use crate::print::{answer, narrate};
use crate::project::{Project, Workspace};
use crate::since::Since;
use crate::standing::ServiceOutput;

/// How often a file that is followed is looked at.
const PACE: Duration = Duration::from_millis(150);

/// How often a target is asked for more.
const FAR_PACE: Duration = Duration::from_millis(500);

/// Arguments of `pleach logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose: a service, or an environment with all of its services
    #[arg(value_name = "SERVICE|ENVIRONMENT", required_unless_present = "output")]
    whose: Option<ServiceName>,
    /// Only in this environment
    #[arg(short, long, value_name = "ENVIRONMENT")]
    env: Option<EnvironmentName>,
    /// Of this run; the last one with the service if none is named
    #[arg(long, value_name = "RUN", conflicts_with = "service_output")]
    run: Option<RunId>,
    /// Go on as lines come, until the run ends or you interrupt
    #[arg(short, long)]
    follow: bool,
    /// What the service itself printed, instead of what the run said
    #[arg(id = "service_output", long = "service")]
    service_output: bool,
    /// Of what the service itself printed only this: `10m`, `2d`, `2026-11-22 10:00`, or since its `deployment`
    #[arg(long, value_name = "WHEN", requires = "service_output")]
    since: Option<Since>,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Write all that tells of the environment, or of the run, into this archive (`.tar.gz`): logs, reports, events,
    /// status; without secrets
    #[arg(long, value_name = "FILE", conflicts_with_all = ["whose", "service_output", "follow", "lines", "targets"])]
    output: Option<PathBuf>,
    /// Replace the archive if it is there already
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    on: On,
}

/// Whose logs are shown.
enum Whose {
    Service(ServiceName),
    /// Of all services there.
    Environment(EnvironmentName),
}

impl Whose {
    /// The environment of that name, where no service is called so. What was deployed once may stand in no config any more.
    fn of(name: &ServiceName, globals: &Globals, args: &Args) -> Self {
        let environment = EnvironmentName::new(name.as_str()).ok().filter(|_| args.env.is_none());
        let is_one = |environment: &EnvironmentName| {
            Project::open(globals).is_ok_and(|Project { config, .. }| {
                config.environments.contains_key(environment) && !config.services.contains_key(name)
            })
        };
        environment.filter(is_one).map_or_else(|| Self::Service(name.clone()), Self::Environment)
    }

    fn environment<'a>(&'a self, args: &'a Args) -> Option<&'a EnvironmentName> {
        match self {
            Self::Service(_) => args.env.as_ref(),
            Self::Environment(environment) => Some(environment),
        }
    }

    fn is(&self, service: &ServiceName) -> bool {
        match self {
            Self::Service(one) => one == service,
            Self::Environment(_) => true,
        }
    }
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service(name) => write!(f, "`{name}`"),
            Self::Environment(name) => write!(f, "any service in `{name}`"),
        }
    }
}

/// A file to show, and what to call it if there are several.
struct Source {
    name: String,
    path: PathBuf,
}

/// How lines are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As they are.
    Text,
    /// Each as an object of its own, with its `source`.
    Json,
}

impl Form {
    fn tell(self, source: &str, text: &str) {
        match self {
            Self::Text => answer(text),
            Self::Json => {
                let line = |line| format!("{}\n", serde_json::json!({ "source": source, "line": line }));
                answer(&text.lines().map(line).collect::<String>());
            }
        }
    }
}

/// Finds the files, shows their ends, and follows them if asked to.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    if let Some(file) = &args.output {
        return export(&wanted(&args, file, globals)?, globals);
    }
    let Some(name) = &args.whose else { return Ok(Exit::DONE) };
    let form = if globals.json { Form::Json } else { Form::Text };
    let whose = Whose::of(name, globals, &args);
    if args.service_output {
        show_outputs(&whose, &args, globals, form)?;
        return Ok(Exit::DONE);
    }
    let workspace = Workspace::open(globals)?;
    let (run, sources) = run_sources(&workspace, &whose, &args)?;
    if !globals.quiet {
        narrate(&format!("run {run}"));
    }
    let mut ends = Vec::new();
    for source in &sources {
        if sources.len() > 1 && form == Form::Text {
            answer(&format!("==> {}\n", source.name));
        }
        ends.push(show(source, args.lines, form)?);
    }
    if args.follow {
        follow(&workspace, &run, &sources, ends, form)?;
    }
    Ok(Exit::DONE)
}

/// What goes into an archive: one environment or one run.
fn wanted(args: &Args, file: &Path, globals: &Globals) -> Result<Wanted, Ended> {
    let scope = match (&args.env, &args.run) {
        (Some(environment), None) => Scope::Environment(environment.clone()),
        (None, Some(run)) => Scope::Run(run.clone()),
        _ => {
            let failure = Failure::new(Kind::Rejected, "it is not said what to export")
                .because("an archive is of one environment or of one run")
                .state("nothing was written")
                .next("name it with `--env ENVIRONMENT`, or with `--run RUN` as `pleach runs` shows it");
            return Err(Ended::wrong(failure));
        }
    };
    let file = globals.directory.as_ref().map_or_else(|| file.to_owned(), |directory| directory.join(file));
    Ok(Wanted { scope, file, existing: if args.force { Existing::Replace } else { Existing::Keep } })
}

fn run_sources(workspace: &Workspace, whose: &Whose, args: &Args) -> Result<(RunId, Vec<Source>), Ended> {
    let (run, plan) = match &args.run {
        Some(run) if !workspace.runs.journal_path(run).exists() => return Err(unknown_run(workspace, run)),
        Some(run) => (run.clone(), workspace.state(run)?.plan().clone()),
        None => last_run_with(workspace, whose, args)?,
    };
    let run_dir = workspace.runs.run_dir(&run);
    let mut sources: Vec<Source> = Vec::new();
    for lane in plan.lanes().filter(|lane| whose.is(&lane.service) && args.on.takes(&lane.target)) {
        let path = log_file(&run_dir, &lane.service, &lane.target);
        if sources.iter().all(|source| source.path != path) {
            sources.push(Source { name: format!("{}@{}", lane.service, lane.target), path });
        }
    }
    if sources.is_empty() {
        let there = if args.on.targets.is_empty() { "" } else { " there" };
        return Err(Ended::wrong(no_log(whose, &format!("run {run} has no lane of it{there}"))));
    }
    Ok((run, sources))
}

fn last_run_with(workspace: &Workspace, whose: &Whose, args: &Args) -> Result<(RunId, Plan), Ended> {
    let here = |environment: &EnvironmentName| whose.environment(args).is_none_or(|wanted| wanted == environment);
    for entry in workspace.entries()?.iter().filter(|entry| here(&entry.environment)) {
        let plan = workspace.state(&entry.run)?.plan().clone();
        if plan.lanes().any(|lane| whose.is(&lane.service)) {
            return Ok((entry.run.clone(), plan));
        }
    }
    Err(Ended::wrong(no_log(whose, "no run has deployed it yet")))
}

fn no_log(whose: &Whose, why: &str) -> Failure {
    Failure::new(Kind::Rejected, format!("there is no log of {whose}"))
        .because(why)
        .state("nothing was touched")
        .next("see all services with `pleach status`, and all runs with `pleach runs`")
}

/// What the services themselves printed, wherever they run.
fn show_outputs(whose: &Whose, args: &Args, globals: &Globals, form: Form) -> Result<(), Ended> {
    let environment = whose.environment(args);
    let project = Project::open_on(globals, environment, &args.on)?;
    if let Whose::Service(service) = whose {
        project.require_services(std::slice::from_ref(service))?;
    }
    block_on(async {
        let outputs = crate::standing::outputs(&project, |service| whose.is(service), environment).await?;
        let mut shown = Vec::new();
        for output in &outputs {
            let mark = match &args.since {
                None => OutputMark::Start,
                Some(Since::Deployment) => output_mark_since(&output.status, None)?,
                Some(Since::Moment(moment)) => output_mark_since(&output.status, Some(*moment))?,
            };
            if let Some(part) = read(output, &mark, args.lines).await? {
                shown.push(Shown { output, part });
            }
        }
        if shown.is_empty() {
            let why = "it has not printed anything where Pleach keeps it running";
            return Err(Ended::wrong(no_log(whose, why)));
        }
        let several = shown.len() > 1 && form == Form::Text;
        for one in &mut shown {
            if several {
                answer(&format!("==> {}\n", one.output.name));
            }
            one.tell(form).await?;
            if !args.follow {
                form.tell(&one.output.name, &one.part.text);
            }
        }
        if !args.follow {
            return Ok(());
        }
        loop {
            tokio::time::sleep(FAR_PACE).await;
            for one in &mut shown {
                one.read_on().await?;
                one.tell(form).await?;
            }
        }
    })
}

/// What a service prints on one target: the part that was read last, as far as it was not shown.
struct Shown<'a> {
    output: &'a ServiceOutput,
    part: OutputPart,
}

impl Shown<'_> {
    /// Shows what has been read, and what is behind it up to now. As JSON the begin of a line waits for its end.
    async fn tell(&mut self, form: Form) -> Result<(), Ended> {
        loop {
            let text = &mut self.part.text;
            let whole = match form {
                Form::Text => text.len(),
                Form::Json => text.rfind('\n').map_or(0, |at| at + 1),
            };
            form.tell(&self.output.name, &text[..whole]);
            text.drain(..whole);
            if !self.part.more {
                return Ok(());
            }
            self.read_on().await?;
        }
    }

    async fn read_on(&mut self) -> Result<(), Ended> {
        let Some(next) = read(self.output, &self.part.mark, None).await? else {
            self.part.more = false;
            return Ok(());
        };
        let untold = std::mem::take(&mut self.part.text);
        self.part = OutputPart { text: untold + &next.text, ..next };
        Ok(())
    }
}

async fn read(output: &ServiceOutput, mark: &OutputMark, lines: Option<usize>) -> Result<Option<OutputPart>, Ended> {
    match output.target.shell() {
        Some(shell) => Ok(read_output(shell, &output.status, mark, lines).await?),
        None => Ok(None),
    }
}

/// Shows a file, or its last lines, and tells where it ended.
fn show(source: &Source, lines: Option<usize>, form: Form) -> Result<u64, Ended> {
    let path = &source.path;
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(Failure::new(Kind::Rejected, format!("could not read `{}`", path.display()))
                .because(error.to_string())
                .state("nothing was touched")
                .into());
        }
    };
    let text = String::from_utf8_lossy(&content);
    match lines {
        Some(lines) => {
            let all: Vec<&str> = text.lines().collect();
            let last = &all[all.len().saturating_sub(lines)..];
            form.tell(&source.name, &last.iter().map(|line| format!("{line}\n")).collect::<String>());
        }
        None => form.tell(&source.name, &text),
    }
    Ok(u64::try_from(content.len()).unwrap_or(u64::MAX))
}

/// Shows what is added, until the run ends.
fn follow(workspace: &Workspace, run: &RunId, sources: &[Source], mut ends: Vec<u64>, form: Form) -> Result<(), Ended> {
    loop {
        // Looked at first: what was written before the end is then shown below.
        let ended = workspace.state(run)?.outcome().is_some();
        for (source, end) in sources.iter().zip(&mut ends) {
            *end = show_from(source, *end, form);
        }
        if ended {
            return Ok(());
        }
        std::thread::sleep(PACE);
    }
}

fn show_from(source: &Source, end: u64, form: Form) -> u64 {
    let Ok(mut file) = File::open(&source.path) else { return end };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    // A file that became shorter was begun anew.
    let from = if length < end { 0 } else { end };
    let mut added = Vec::new();
    if length > from && file.seek(SeekFrom::Start(from)).is_ok() && file.read_to_end(&mut added).is_ok() {
        if form == Form::Json {
            // The rest of a line comes later.
            let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            added.truncate(whole);
        }
        form.tell(&source.name, &String::from_utf8_lossy(&added));
    }
    from + u64::try_from(added.len()).unwrap_or(0)
}

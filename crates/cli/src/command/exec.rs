//! `pleach exec`: the same command on every target of an environment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pleach_core::engine::run_errand;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Command, CommandOutput, ExitStatus, LeaseRequest, Leases, LineSink, Stream};
use pleach_core::word::{EnvironmentName, RunId, TargetName};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::interrupt::Interrupts;
use crate::print::{Paint, Style, answer, clean, tell_failure};
use crate::project::Project;

/// How long a target waits for a renewal before it takes the command's right to change it for lost.
const LEASE: Duration = Duration::from_secs(60);

/// Arguments of `pleach exec`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    #[command(flatten)]
    on: On,
    /// It changes nothing: run it without a lease, also while somebody deploys
    #[arg(long)]
    look: bool,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

type Answers = BTreeMap<TargetName, Result<Ran, Failure>>;

/// A command that ran to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ran {
    output: CommandOutput,
    /// Lines of both streams that were printed first and are not kept.
    left_out: [u64; 2],
}

/// Counts the lines of both streams.
#[derive(Default)]
struct Count([AtomicU64; 2]);

impl LineSink for Count {
    fn line(&self, stream: Stream, _: &str) {
        self.0[usize::from(stream == Stream::Stderr)].fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn of(&self, output: CommandOutput) -> Ran {
        let mut left_out = [0; 2];
        for ((left_out, count), kept) in left_out.iter_mut().zip(&self.0).zip([&output.stdout, &output.stderr]) {
            // A line of which only the end is kept counts as there.
            let lines = kept.split_inclusive(|byte| *byte == b'\n').count() as u64;
            *left_out = count.load(Ordering::Relaxed).saturating_sub(lines);
        }
        Ran { output, left_out }
    }
}

/// Runs it everywhere, side by side, and shows equal answers once. The exit code is the number of targets that it failed on.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    let answers = block_on(ask_all(&project, &args))?;
    if globals.json {
        let rows: Vec<Value> = answers.iter().map(|(name, ran)| row(name, ran)).collect();
        answer(&format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default()));
    } else {
        tell(&answers, globals);
    }
    // Another holds it, or has taken it away while the command ran.
    let leased = |ran: &Result<Ran, Failure>| ran.as_ref().is_err_and(|one| one.kind == Kind::Conflict);
    if !answers.is_empty() && answers.values().all(leased) {
        return Ok(Exit::LEASED);
    }
    let failed = answers.values().filter(|ran| !ran.as_ref().is_ok_and(|ran| ran.output.succeeded())).count();
    Ok(Exit::failed_checks(failed))
}

async fn ask_all(project: &Project, args: &Args) -> Result<Answers, Ended> {
    let planned = project.planned_targets(&args.environment, &[])?;
    let workspace = &project.workspace;
    let (targets, there) = workspace.open_with_leases(&args.environment, &planned)?;
    let leases: Arc<dyn Leases> = Arc::new(workspace.share(&args.environment, &planned, there));
    let name = format!("exec-{}", workspace.now().strftime("%Y%m%d-%H%M%S"));
    let run = RunId::new(&name)
        .map_err(|error| Failure::new(Kind::Internal, format!("could not name `{name}`")).because(error.to_string()))?;
    let command = if args.look { Command::read(&args.command).alone() } else { Command::write(&args.command) };
    let cancel = Interrupts::catch()?.cancel();
    let mut running = JoinSet::new();
    for (name, target) in targets {
        let (leases, command, cancel) = (leases.clone(), command.clone(), cancel.clone());
        let request = LeaseRequest {
            environment: args.environment.clone(),
            target: name.clone(),
            run: run.clone(),
            reason: format!("runs `{}`", args.command.join(" ")),
            lifetime: LEASE,
        };
        running.spawn(async move {
            let count = Count::default();
            let ran = run_errand(target.as_ref(), leases.as_ref(), &request, &command, &count, &cancel).await;
            (name, ran.map(|output| count.of(output)))
        });
    }
    Ok(running.join_all().await.into_iter().collect())
}

fn row(name: &TargetName, ran: &Result<Ran, Failure>) -> Value {
    match ran {
        Ok(Ran { output, left_out: [stdout, stderr] }) => {
            let (code, by) = match output.status {
                ExitStatus::Code(code) => (Some(code), None),
                ExitStatus::Signal(signal) => (None, Some(signal)),
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            json!({
                "target": name, "code": code, "signal": by, "stdout": text(&output.stdout), "stderr": text(&output.stderr),
                "lines-left-out": { "stdout": stdout, "stderr": stderr },
            })
        }
        Err(failure) => json!({ "target": name, "failure": failure }),
    }
}

/// Targets that gave the same answer stand together, the largest group first.
fn tell(answers: &Answers, globals: &Globals) {
    let paint = Paint::of_stdout(globals.color);
    let mut groups: Vec<(&Ran, Vec<&str>)> = Vec::new();
    for (name, ran) in answers {
        let Ok(ran) = ran else { continue };
        match groups.iter_mut().find(|(other, _)| *other == ran) {
            Some((_, names)) => names.push(name.as_str()),
            None => groups.push((ran, vec![name.as_str()])),
        }
    }
    groups.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let mut text = String::new();
    for (Ran { output, left_out }, names) in groups {
        let (style, ended) = match output.status {
            ExitStatus::Code(0) => (Style::Good, String::new()),
            ExitStatus::Code(code) => (Style::Bad, format!(" exited with {code}")),
            ExitStatus::Signal(signal) => (Style::Bad, format!(" was ended by signal {signal}")),
        };
        text.push_str(&format!("{}{ended}\n", paint.paint(style, names.join(", "))));
        for (bytes, left_out) in [&output.stdout, &output.stderr].into_iter().zip(left_out) {
            if *left_out > 0 {
                let told = format!("… {left_out} lines before these are left out");
                text.push_str(&format!("  {}\n", paint.paint(Style::Dim, told)));
            }
            for line in String::from_utf8_lossy(bytes).lines() {
                text.push_str(&format!("  {}\n", clean(line)));
            }
        }
    }
    answer(&text);
    let paint = Paint::of_stderr(globals.color);
    for failure in answers.values().filter_map(|ran| ran.as_ref().err()) {
        tell_failure(failure, paint);
    }
}

//! `pleach init`: looks at the repository and proposes a `pleach.toml`.
//!
//! Reads git and writes one file, and that only where none is, or with `--force`. The proposal is parsed with the same
//! parser as every config before it is written, so that what `init` writes is never refused by the next command.

use std::io::Write as _;
use std::path::Path;

use pleach_core::config::FILE_NAME;
use pleach_core::error::{Explain as _, Failure, Kind};
use pleach_git::Repository;

use crate::args::Globals;
use crate::exit::{Ended, Exit};
use crate::init::{Proposal, ServiceProposal, Survey, propose, render, shown, told};
use crate::print::{Paint, Style, answer};
use crate::project::untouched;

/// Arguments of `pleach init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Replace a `pleach.toml` that is there; the old one is kept as `pleach.toml.bak`
    #[arg(long)]
    force: bool,
    /// Write the proposal to standard output and no file
    #[arg(long, conflicts_with = "force")]
    print: bool,
    /// Propose at most so many services
    #[arg(long, value_name = "N", default_value_t = 40)]
    limit: usize,
    /// Only these branches, a service each: a name, or its start followed by `*`, as in `work/*`
    #[arg(value_name = "BRANCH")]
    branches: Vec<String>,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let place = globals.directory.clone().unwrap_or_else(|| ".".into());
    let repository = Repository::discover(&place).map_err(|error| untouched(error.into()))?;
    let path = globals.config.clone().unwrap_or_else(|| repository.root().join(FILE_NAME));
    if path.exists() && !args.force && !args.print {
        return Err(Ended::refused(exists(&path)));
    }
    repository.require_commits().map_err(|error| untouched(error.into()))?;
    let mut survey = Survey::of(&repository).map_err(untouched)?;
    let all = survey.branches.iter().map(|seen| seen.name.clone()).collect::<Vec<_>>();
    if let Some(pattern) = survey.choose(&args.branches).first() {
        return Err(Ended::wrong(unmatched(pattern, &all)));
    }
    let proposal = propose(&survey, args.limit).map_err(untouched)?;
    let text = render(&proposal);
    check(&text)?;
    if !globals.quiet {
        tell(&proposal, Paint::of_stderr(globals.color));
    }
    if args.print {
        match globals.json {
            true => answer(&format!("{}\n", serde_json::json!({ "config": text }))),
            false => answer(&text),
        }
        return Ok(Exit::DONE);
    }
    write(&path, &text).map_err(|error| Ended::from(unwritable(&path, &error)))?;
    match globals.json {
        true => answer(&format!("{}\n", serde_json::json!({ "wrote": path }))),
        false => answer(&format!("wrote {}\n", path.display())),
    }
    Ok(Exit::DONE)
}

/// Parses what was proposed.
fn check(text: &str) -> Result<(), Failure> {
    pleach_core::config::parse(FILE_NAME, text).map(|_| ()).map_err(|problems| {
        Failure::new(Kind::Internal, "the proposal is no config that Pleach can read")
            .because(problems.to_string())
            .output(problems.output())
            .state("nothing was written")
            .next("write `pleach.toml` by hand, and report this with the output of `pleach init --print`")
    })
}

/// Replaces the file in one step; the one before stays beside it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let aside = path.with_extension("toml.new");
    let mut file = std::fs::File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if path.exists() {
        std::fs::copy(path, path.with_extension("toml.bak"))?;
    }
    std::fs::rename(&aside, path)
}

fn exists(path: &Path) -> Failure {
    Failure::new(Kind::Conflict, format!("`{}` is there already", path.display()))
        .state("nothing was written")
        .next("see what would be proposed with `pleach init --print`, or replace the file with `pleach init --force`")
}

fn unmatched(pattern: &str, all: &[String]) -> Failure {
    let others = match all {
        [] => "there is no branch beside the main one".to_owned(),
        all => format!("there are {}", shown(all, 6)),
    };
    Failure::new(Kind::Rejected, format!("no branch matches `{pattern}`"))
        .because(others)
        .state("nothing was written")
        .next("`git branch --all`, then `pleach init` with the names as git shows them, without the remote's")
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Rejected, format!("could not write `{}`", path.display()))
        .because(error.to_string())
        .state("the file is as it was")
        .next("`pleach init --print > /tmp/pleach.toml`, then put it where it belongs")
}

/// Says on standard error what was found and what to do next.
fn tell(proposal: &Proposal, paint: Paint) {
    let mut text = String::new();
    let services = &proposal.services;
    let plural = if services.len() == 1 { "service" } else { "services" };
    text.push_str(&format!(
        "{} {plural} in `{}`, merged into `{}`:\n\n",
        services.len(),
        proposal.project,
        proposal.main
    ));
    let width = services.iter().map(|service| service.name.as_str().len()).max().unwrap_or(0).min(32);
    for service in services {
        let (style, how) = summary(service);
        text.push_str(&format!("  {:<width$}  {}\n", service.name, paint.paint(style, how)));
        let place = if service.directory.is_empty() { "all of it".to_owned() } else { service.directory.clone() };
        let branch = match &service.remote {
            Some(remote) => format!("{} (on {remote})", service.branch),
            None => service.branch.clone(),
        };
        text.push_str(&format!("  {:<width$}  {}\n", "", paint.paint(Style::Dim, format!("{branch} · {place}"))));
    }
    if !proposal.stages.is_empty() {
        text.push_str(&format!("\nplaces for `pleach worktree add`: {}\n", shown(&proposal.stages, 6)));
    }
    for group in &proposal.others {
        text.push_str(&format!("left out: {}\n", told(group)));
    }
    for note in &proposal.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str("\nnext: read pleach.toml, then `pleach worktree add --all` and `pleach plan local`\n\n");
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn summary(service: &ServiceProposal) -> (Style, String) {
    let port = service.port.as_ref().map(|port| format!(" on {}", port.value)).unwrap_or_default();
    let recipe = &service.recipe;
    match (&recipe.run, &recipe.image, &service.description) {
        (Some(run), ..) => (Style::Good, format!("{}{port}", run.value.split(" --").next().unwrap_or(&run.value))),
        (None, Some(_), _) => (Style::Good, format!("a container{port}")),
        (None, None, _) if recipe.project.is_some() => (Style::Good, format!("a Compose project{port}")),
        (None, None, Some(description)) => (Style::Good, description.clone()),
        (None, None, None) => (Style::Busy, "files only: how it is started was not found".to_owned()),
    }
}

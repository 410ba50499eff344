//! `pleach config`: check the file, explain its keys, print its schema.

use clap::Subcommand;
use pleach_core::config::{KeyDescription, describe_key, keys, nearest, schema};
use pleach_core::error::{Failure, Kind};
use serde_json::json;

use crate::args::Globals;
use crate::exit::{Ended, Exit};
use crate::print::{Paint, Style, answer};
use crate::project::Project;

/// Arguments of `pleach config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What is done with the config.
#[derive(Debug, Subcommand)]
enum Action {
    /// Read `pleach.toml` and tell all that is wrong with it
    Check,
    /// Tell what a key means, or show all keys
    Explain {
        /// `services.NAME.health`, or the end of a key: `health`
        key: Option<String>,
    },
    /// Print the JSON Schema of `pleach.toml`, for editors
    ShowSchema,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    match args.action {
        Action::Check => check(globals),
        Action::Explain { key: Some(key) } => explain(&key, globals),
        Action::Explain { key: None } => all(globals),
        Action::ShowSchema => {
            answer(&format!("{:#}\n", schema()));
            Ok(Exit::DONE)
        }
    }
}

fn check(globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open(globals)?;
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let (services, environments) = (project.config.services.len(), project.config.environments.len());
    let path = project.config_path.display().to_string();
    if globals.json {
        answer(&format!(
            "{}\n",
            json!({"file": path, "services": services, "environments": environments, "problems": []})
        ));
    } else {
        answer(&format!(
            "{path}: {}, {}, no problem\n",
            count(services, "service"),
            count(environments, "environment")
        ));
    }
    Ok(Exit::DONE)
}

fn explain(key: &str, globals: &Globals) -> Result<Exit, Ended> {
    let found = describe_key(key);
    if found.is_empty() {
        let all = keys();
        let parts = all.iter().flat_map(|described| [described.key.as_str(), last(&described.key)]);
        let failure = Failure::new(Kind::Rejected, format!("there is no key `{key}`"));
        let failure = match nearest(key, parts).or_else(|| nearest(last(key), all.iter().map(|one| last(&one.key)))) {
            Some(near) => failure.next(format!("did you mean `pleach config explain {near}`?")),
            None => failure.next("`pleach config explain` shows all keys"),
        };
        return Err(Ended::wrong(failure));
    }
    if globals.json {
        answer(&format!("{}\n", json!(found)));
        return Ok(Exit::DONE);
    }
    let paint = Paint::of_stdout(globals.color);
    let texts: Vec<String> = found.iter().map(|described| told(described, paint)).collect();
    answer(&texts.join("\n"));
    Ok(Exit::DONE)
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn all(globals: &Globals) -> Result<Exit, Ended> {
    let keys = keys();
    if globals.json {
        answer(&format!("{}\n", json!(keys)));
        return Ok(Exit::DONE);
    }
    let paint = Paint::of_stdout(globals.color);
    let text: String =
        keys.iter().map(|one| format!("{}  {}\n", paint.paint(Style::Bold, &one.key), one.shape)).collect();
    answer(&text);
    Ok(Exit::DONE)
}

fn told(described: &KeyDescription, paint: Paint) -> String {
    let required = if described.required { ", required" } else { "" };
    let mut text = format!("{}  {}{required}\n", paint.paint(Style::Bold, &described.key), described.shape);
    for line in described.description.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(default) = &described.default {
        text.push_str(&format!("  {} {default}\n", paint.paint(Style::Dim, "default:")));
    }
    text.push_str(&format!(
        "  {} {} = {}\n",
        paint.paint(Style::Dim, "example:"),
        last(&described.key),
        described.example
    ));
    text
}

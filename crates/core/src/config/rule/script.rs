//! Scripts can be found, read by something, ended in time, and it is said how they are taken back.

use std::collections::BTreeMap;

use super::Finding;
use super::location::{leads_outside, outside};
use super::process::{user_name, variable_name};
use crate::config::{Config, Interpreter, KeyPath, ScriptConfig};
use crate::period::Period;
use crate::word::NAME_LIMIT;

/// What stands in front of the name in the name of the step.
const STEP: &str = "script-";

pub(super) fn scripts_can_run(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str(), "scripts"]);
        names_differ(&key, &service.scripts, found);
        for (at, script) in service.scripts.iter().enumerate() {
            self::script(&key.at(at), script, found);
            container(&key.at(at), script, service.compose.is_some(), found);
        }
    }
}

fn names_differ(key: &KeyPath, scripts: &[ScriptConfig], found: &mut Vec<Finding>) {
    // Their logs are files.
    let mut seen: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for (at, script) in scripts.iter().enumerate() {
        let name = script.name.as_str();
        if let Some((first, other)) = seen.insert(name.to_lowercase(), (at, name)) {
            let what = if other == name {
                format!("two scripts are called `{name}`")
            } else {
                format!("scripts `{other}` and `{name}` differ only in case")
            };
            let finding = Finding::new(key.at(at).at("name"), what).because_of(key.at(first).at("name"));
            found.push(finding.expected("expected another name"));
        }
    }
}

fn container(key: &KeyPath, script: &ScriptConfig, is_project: bool, found: &mut Vec<Finding>) {
    if script.container.is_none() {
        return;
    }
    if !is_project {
        let finding = Finding::new(key.at("container"), "`container` is for services with `compose`").at_key();
        found.push(finding.expected("expected `compose` in the service, or no `container`"));
    }
    if script.sudo.is_some() {
        let finding = Finding::new(key.at("container"), "`container` and `sudo` exclude each other").at_key();
        let finding = finding.because_of(key.at("sudo"));
        found.push(finding.expected("expected `sudo` in the service, where only another user may use the engine"));
    }
}

fn script(key: &KeyPath, script: &ScriptConfig, found: &mut Vec<Finding>) {
    let name = &script.name;
    if name.as_str().len() > NAME_LIMIT - STEP.len() {
        let what = format!("`{STEP}{name}` is too long for the name of a step");
        let most = format!("expected at most {} characters", NAME_LIMIT - STEP.len());
        found.push(Finding::new(key.at("name"), what).expected(most));
    }
    for (of, path) in [("file", Some(&script.file)), ("undo", script.undo.as_ref())] {
        if let Some((path, why)) = path.and_then(|path| Some((path, leads_outside(path)?))) {
            found.push(outside(key.at(of), path, why, "the repository"));
        }
    }
    if let Some(program) = &script.interpreter {
        match Interpreter::of(program) {
            None => found.push(
                Finding::new(key.at("interpreter"), format!("`{program}` is not known to read scripts")).expected(
                    "expected `sh`, `bash`, `dash`, `ksh`, `zsh`, `python3`, `perl`, `ruby` or `node`, or the path of one",
                ),
            ),
            Some(Interpreter::Program) if script.trace => {
                let finding = Finding::new(key.at("trace"), format!("`{program}` does not trace what it runs"));
                found.push(finding.because_of(key.at("interpreter")).expected("expected a shell, or no `trace`"));
            }
            Some(_) => {}
        }
    }
    found.extend(script.environment.keys().filter_map(|variable| variable_name(&key.at("environment"), variable)));
    found.extend(script.sudo.as_ref().and_then(|user| user_name(key.at("sudo"), user)));
    if script.limit == Period::ZERO {
        let finding = Finding::new(key.at("limit"), "the script would have no time at all");
        found.push(finding.expected("expected a length of time such as `10m`"));
    }
    match (&script.undo, script.reversal) {
        (Some(_), Some(_)) => {
            let finding = Finding::new(key.at("reversal"), "`undo` and `reversal` exclude each other").at_key();
            found.push(finding.because_of(key.at("undo")).expected("expected `undo` alone, or `reversal`"));
        }
        (None, None) => {
            let finding = Finding::new(key.clone(), format!("nothing tells how script `{name}` is taken back"));
            found.push(
                finding
                    .because_of(key.at("undo"))
                    .because_of(key.at("reversal"))
                    .expected("expected `undo` with a script, or `reversal` with `nothing` or `forward-only`"),
            );
        }
        _ => {}
    }
}

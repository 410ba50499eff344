//! Consent: what the environment's rule asks for, before anything is changed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use pleach_core::config::ConsentRule;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Consent, Plan};

use jiff::Timestamp;

use crate::exit::Ended;

/// What the command line says already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// `--yes`.
    Yes,
    /// Nothing.
    NotYet,
}

/// Gets consent to a plan that was shown, or refuses. `command` is what to type again.
pub(crate) fn ask_for_consent(
    plan: &Plan,
    rule: ConsentRule,
    answered: Answered,
    now: Timestamp,
    command: &str,
) -> Result<Consent, Ended> {
    let terminal = can_ask();
    let environment = plan.environment.as_str();
    let mut answers = BTreeMap::new();
    let how = match (rule, answered) {
        (ConsentRule::Yes, Answered::Yes) => "--yes",
        _ if !terminal => return Err(Ended::refused(no_terminal(plan, rule, command))),
        (ConsentRule::Yes | ConsentRule::Ask, _) => {
            if !says_yes(&format!("Do this in `{environment}`?")) {
                return Err(Ended::refused(declined(plan)));
            }
            "answered"
        }
        (ConsentRule::Typed, _) => {
            let question = format!("Type the environment's name, `{environment}`, to do this: ");
            let answer = ask(&question);
            if answer != environment {
                return Err(Ended::refused(declined(plan)));
            }
            answers.insert(question.trim_end_matches([':', ' ']).to_owned(), answer);
            "typed"
        }
    };
    Ok(Consent { plan: plan.id(), by: person(), at: now, how: how.to_owned(), answers })
}

/// Whether somebody is there who can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question that only a yes answers with yes.
pub(crate) fn says_yes(question: &str) -> bool {
    let answer = ask(&format!("{question} [y/N] "));
    matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

fn ask(question: &str) -> String {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let mut line = String::new();
    // The end of input is no answer.
    let _ = std::io::stdin().lock().read_line(&mut line);
    line.trim().to_owned()
}

fn no_terminal(plan: &Plan, rule: ConsentRule, command: &str) -> Failure {
    let environment = &plan.environment;
    let failure = Failure::new(Kind::Conflict, format!("nobody consented to plan `{}`", plan.id().short()))
        .state("nothing was touched");
    match rule {
        ConsentRule::Yes => failure
            .because("this is no terminal to ask in, and `--yes` was not given")
            .next(format!("read what stands above, then `{command} --yes`")),
        ConsentRule::Ask | ConsentRule::Typed if !command.starts_with("pleach deploy") => failure
            .because(format!("`{environment}` wants a person's answer, and this is no terminal to ask in"))
            .next(format!("`{command}` in a terminal")),
        ConsentRule::Ask | ConsentRule::Typed => failure
            .because(format!("`{environment}` wants a person's answer, and this is no terminal to ask in"))
            .next(format!(
                "`pleach plan {environment} --out plan.json`, in a terminal `pleach approve plan.json`, then `pleach deploy \
                 {environment} --plan plan.json`"
            )),
    }
}

fn declined(plan: &Plan) -> Failure {
    Failure::new(Kind::Conflict, format!("plan `{}` was declined", plan.id().short()))
        .because("the answer was not a yes")
        .state("nothing was touched")
}

/// Who is at the keyboard: the login, or the user's number where it has none.
pub(crate) fn person() -> String {
    let number = rustix::process::getuid().as_raw();
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty());
    // Services and containers often have no such variable.
    let users = || std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named.or_else(|| login(&users(), number)).unwrap_or_else(|| format!("uid {number}"))
}

/// The login of a user in the lines of passwd(5).
fn login(users: &str, number: u32) -> Option<String> {
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(number))?;
    line.first().map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_variables_has_the_login_of_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n+::::::\n";
        assert_eq!(login(users, 1000).as_deref(), Some("ada"));
        assert_eq!(login(users, 7), None);
    }
}

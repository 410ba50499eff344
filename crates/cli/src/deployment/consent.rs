//! Consent: what the environment's rule asks for, before anything is changed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use pleach_core::config::ConsentRule;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Consent, Plan};

use jiff::Timestamp;

use super::typed::{Questions, TYPED, ask_typed, unanswered};
use crate::exit::Ended;
use crate::print::clean;

/// How consent was given that the command line said already.
const YES: &str = "--yes";

/// What the command line says already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// `--yes`.
    Yes,
    /// Nothing.
    NotYet,
}

/// What consent is asked for, and how.
pub(crate) struct ConsentRequest<'a> {
    /// It was shown.
    pub(crate) plan: &'a Plan,
    pub(crate) rule: ConsentRule,
    pub(crate) answered: Answered,
    /// Where the rule is [`ConsentRule::Typed`].
    pub(crate) questions: Questions,
    pub(crate) now: Timestamp,
    pub(crate) again: Again<'a>,
}

/// What to type to do the same again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again<'a> {
    pub(crate) command: &'a str,
    /// What saves the plan of it as `plan.json`, where something does.
    pub(crate) saving: Option<&'a str>,
}

/// Gets consent to a plan that was shown, or refuses.
pub(crate) fn ask_for_consent(request: &ConsentRequest<'_>) -> Result<Consent, Ended> {
    let ConsentRequest { plan, rule, answered, questions, now, again } = request;
    let environment = plan.environment.as_str();
    let mut answers = BTreeMap::new();
    let how = match (rule, answered) {
        (ConsentRule::Yes, Answered::Yes) => YES,
        _ if !can_ask() => return Err(Ended::refused(no_terminal(plan, *rule, *again))),
        (ConsentRule::Yes | ConsentRule::Ask, _) => {
            if !says_yes(&format!("Do this in `{environment}`?")) {
                return Err(Ended::refused(declined(plan, "the answer was not a yes")));
            }
            "answered"
        }
        (ConsentRule::Typed, _) => {
            let answered = ask_typed(plan, questions, &mut |question| ask(question));
            answers = answered.map_err(|why| Ended::refused(declined(plan, &why)))?;
            TYPED
        }
    };
    Ok(Consent { plan: plan.id(), by: person(), at: *now, how: how.to_owned(), answers })
}

/// A consent that was given earlier is as much as the environment's rule wants now. `path` is the plan's.
pub(crate) fn require_enough(
    plan: &Plan,
    rule: ConsentRule,
    consent: &Consent,
    path: &std::path::Path,
) -> Result<(), Ended> {
    let environment = &plan.environment;
    let lacks = match rule {
        ConsentRule::Yes => None,
        ConsentRule::Ask => (consent.how == YES).then(|| format!("`{YES}` is not enough there")),
        ConsentRule::Typed if consent.how != TYPED => Some("its questions were not answered in a terminal".to_owned()),
        ConsentRule::Typed => unanswered(plan, &consent.answers).map(|name| format!("it does not answer `{name}`")),
    };
    let Some(lacks) = lacks else { return Ok(()) };
    let path = path.display();
    Err(Ended::refused(
        Failure::new(
            Kind::Conflict,
            format!("the consent to plan `{}` is not what `{environment}` wants", plan.id().short()),
        )
        .because(lacks)
        .state("nothing was touched")
        .next(format!("in a terminal `pleach approve {path}`, then `pleach deploy {environment} --plan {path}`")),
    ))
}

/// Whether somebody is there who can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question that only a yes answers with yes.
pub(crate) fn says_yes(question: &str) -> bool {
    ask(&format!("{question} [y/N] ")).is_some_and(|answer| is_yes(&answer))
}

pub(super) fn is_yes(answer: &str) -> bool {
    matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

/// A line of whoever is there, without spaces around it and without what steers a terminal; nothing at the end of input.
fn ask(question: &str) -> Option<String> {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).unwrap_or(0);
    (read > 0).then(|| clean(line.trim()).trim().to_owned())
}

fn no_terminal(plan: &Plan, rule: ConsentRule, Again { command, saving }: Again<'_>) -> Failure {
    let environment = &plan.environment;
    let failure = Failure::new(Kind::Conflict, format!("nobody consented to plan `{}`", plan.id().short()))
        .state("nothing was touched");
    if rule == ConsentRule::Yes {
        return failure
            .because("this is no terminal to ask in, and `--yes` was not given")
            .next(format!("read what stands above, then `{command} --yes`"));
    }
    failure.because(format!("`{environment}` wants a person's answer, and this is no terminal to ask in")).next(
        match saving {
            Some(saving) => format!(
                "`{saving}`, in a terminal `pleach approve plan.json`, then `pleach deploy {environment} --plan plan.json`"
            ),
            None => format!("`{command}` in a terminal"),
        },
    )
}

fn declined(plan: &Plan, why: &str) -> Failure {
    Failure::new(Kind::Conflict, format!("plan `{}` was declined", plan.id().short()))
        .because(why)
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

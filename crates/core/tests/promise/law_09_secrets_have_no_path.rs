//! Secrets have no path into what is printed, journaled or sent as an event.

use pleach_core::port::{Command, Effect, Secret};

const VALUE: &str = "hunter2-and-more";

#[test]
fn a_command_does_not_show_its_secrets() {
    let command =
        Command::script(Effect::Write, "psql").secret("PGPASSWORD", Secret::new(VALUE)).variable("PGUSER", "odoo");
    let shown = format!("{command:?} {command:#?}");
    assert!(shown.contains("odoo"), "what may be shown is shown");
    assert!(!shown.contains(VALUE));
}

#[test]
fn a_secret_goes_to_no_argument_of_a_script() {
    let command = Command::script(Effect::Read, format!("echo {VALUE}"));
    assert!(command.argv.iter().all(|argument| !argument.contains(VALUE)));
}

#[test]
fn a_name_that_is_a_secret_by_mistake_is_not_repeated() {
    let error = VALUE.parse::<pleach_core::port::SecretName>().expect_err("it has no scheme");
    assert!(!error.to_string().contains(VALUE) && !format!("{error:?}").contains(VALUE));
}

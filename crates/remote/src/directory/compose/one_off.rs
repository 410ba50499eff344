//! One-off containers: a script of the project runs in the image of a service of the Compose project.

use std::path::Path;

use pleach_core::config::ComposeConfig;
use pleach_core::word::{ReleaseId, ScriptName};

use super::line::{docker, pinned_line};
use crate::ssh::{quote_text, quote_words};

/// Where a script runs.
pub(in crate::directory) struct OneOff<'a> {
    pub(in crate::directory) socket: Option<&'a Path>,
    pub(in crate::directory) compose: &'a ComposeConfig,
    /// The service of the Compose project.
    pub(in crate::directory) service: &'a str,
    pub(in crate::directory) release: &'a ReleaseId,
    pub(in crate::directory) script: &'a ScriptName,
}

impl OneOff<'_> {
    /// The name of the container: no second one of it can be there, whoever was killed.
    fn container(&self) -> String {
        let project = self.compose.project.as_deref().unwrap_or_default();
        format!("{project}-{}-{}", self.release, self.script)
    }

    /// Removes the container, whatever it is doing.
    pub(in crate::directory) fn removal(&self) -> String {
        format!("{} rm -f {} >/dev/null 2>&1", docker(self.socket), quote_text(&self.container()))
    }

    /// The one line that runs `argv` there, as a person types it.
    pub(in crate::directory) fn line(&self, argv: &[String]) -> String {
        let (program, words) = argv.split_first().map_or(("sh", &[][..]), |(first, rest)| (first, rest));
        self.run("", &quote_text(program), &quote_words(words))
    }

    fn run(&self, options: &str, program: &str, words: &str) -> String {
        // Nothing else is started: the services that are there are those of the old release.
        let service = quote_text(self.service);
        let verb = format!("run --rm -T --no-deps {options}--entrypoint {program} {service} {words}");
        pinned_line(self.socket, self.compose, &verb)
    }

    /// The command that runs `argv` there with its standard input and these variables of its own. Asked to end, it takes the container
    /// with it, of which the client's end is none.
    pub(in crate::directory) fn command<'v>(
        &self,
        variables: impl Iterator<Item = &'v str>,
        argv: &[String],
    ) -> Vec<String> {
        let passed: String = variables.map(|name| format!("-e {name} ")).collect();
        let options = format!("--name {} {passed}", quote_text(&self.container()));
        let run = self.run(&options, "\"$program\"", "\"$@\"");
        let text = format!(
            "export COMPOSE_IGNORE_ORPHANS=1\nprogram=$1; shift\ngone() {{ {}; }}\ngone\nexec 3<&0\nended=\n\
             trap 'ended=1; gone' HUP INT TERM\n{run} <&3 &\nwait $!; code=$?\n\
             [ -z \"$ended\" ] || {{ wait $!; code=143; }}\nexit $code\n",
            self.removal()
        );
        let front = ["sh", "-c", &text, "pleach-one-off"].map(str::to_owned);
        front.into_iter().chain(argv.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn command(argv: &[&str]) -> Vec<String> {
        let compose = ComposeConfig { project: Some("shop".into()), ..ComposeConfig::default() };
        let release = ReleaseId::new("0002-abc").expect("an id");
        let script = ScriptName::new("migrate").expect("a name");
        let one_off = OneOff {
            socket: Some(Path::new("/run/it's/docker.sock")),
            compose: &compose,
            service: "odoo",
            release: &release,
            script: &script,
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        one_off.command(["PLEACH_RUN", "TOKEN"].into_iter(), &argv)
    }

    /// What `docker` is called with, a word a line, each call behind an empty one.
    #[test]
    fn variables_are_passed_by_name_and_words_stay_words_also_with_a_socket_that_needs_quotes() {
        let folder = tempfile::tempdir().expect("a folder");
        let docker = folder.path().join("docker");
        std::fs::write(&docker, "#!/bin/sh\necho; printf '%s|' \"$DOCKER_HOST\" \"$@\"; cat\n").expect("written");
        std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).expect("set");
        let argv = command(&["python3", "-", "two words", "it's", "two\nlines", "$HOME"]);
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let mut shell = Command::new(&argv[0]);
        shell.args(&argv[1..]).env("PATH", path).stdin(Stdio::null());
        let output = shell.output().expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let called = String::from_utf8_lossy(&output.stdout).into_owned();
        let wanted = "unix:///run/it's/docker.sock|compose|-p|shop|-f|compose.pleach.json|run|--rm|-T|--no-deps|--name|\
                      shop-0002-abc-migrate|-e|PLEACH_RUN|-e|TOKEN|--entrypoint|python3|odoo|-|two words|it's|two\nlines|$HOME|";
        assert_eq!(called.trim_start_matches('\n'), wanted);
    }
}

//! One-off containers: a script of the project runs in the image of a service of the Compose project.

use std::path::Path;

use pleach_core::config::ComposeConfig;
use pleach_core::word::{ReleaseId, ScriptName};

use super::line::{docker, pinned_line};
use crate::ssh::quote_text;

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

    /// The one line that runs `argv` there; `options` stand between.
    pub(in crate::directory) fn line(&self, options: &str, argv: &[String]) -> String {
        let (program, arguments) = argv.split_first().map_or(("sh", &[][..]), |(first, rest)| (first, rest));
        let words: String = arguments.iter().map(|word| format!(" {}", quote_text(word))).collect();
        // Nothing else is started: the services that are there are those of the old release.
        let verb = format!(
            "run --rm -T --no-deps {options}--entrypoint {} {}{words}",
            quote_text(program),
            quote_text(self.service)
        );
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
        let run = self.line(&format!("--name {} {passed}", quote_text(&self.container())), argv);
        let removal = self.removal();
        let text = format!(
            "export COMPOSE_IGNORE_ORPHANS=1\nexec 3<&0\n{removal}\nended=\ntrap 'ended=1; {}' HUP INT TERM\n{run} <&3 &\n\
             wait $!; code=$?\n[ -z \"$ended\" ] || {{ wait $!; code=143; }}\nexit $code\n",
            removal.replace('\'', r"'\''")
        );
        ["sh".to_owned(), "-c".to_owned(), text].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(argv: &[&str]) -> String {
        let compose = ComposeConfig { project: Some("shop".into()), ..ComposeConfig::default() };
        let (release, script) =
            (ReleaseId::new("0002-abc").expect("an id"), ScriptName::new("migrate").expect("a name"));
        let one_off = OneOff {
            socket: Some(Path::new("/run/it's/docker.sock")),
            compose: &compose,
            service: "odoo",
            release: &release,
            script: &script,
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        one_off.command(["PLEACH_RUN", "TOKEN"].into_iter(), &argv).pop().expect("a text")
    }

    #[test]
    fn variables_are_passed_by_name_and_words_stay_words() {
        let text = text(&["python3", "-", "two words", "it's"]);
        assert!(
            text.contains("--name shop-0002-abc-migrate -e PLEACH_RUN -e TOKEN --entrypoint python3 odoo"),
            "{text}"
        );
        assert!(text.contains(r"- 'two words' 'it'\''s'"), "{text}");
    }

    #[test]
    fn a_shell_reads_the_line_also_with_a_socket_that_needs_quotes() {
        let status = std::process::Command::new("sh").args(["-n", "-c", &text(&["sh", "-c", "echo 'x'"])]).status();
        assert!(status.expect("a shell").success());
    }
}

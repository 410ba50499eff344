//! Running the tests.

use std::path::PathBuf;
use std::process::Command;

/// What to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Larger material that a few more tests read.
    shared: Option<PathBuf>,
    /// Handed to every test program: filters and the like.
    rest: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--" => options.rest.extend(words.by_ref().cloned()),
                "--shared" => {
                    let Some(folder) = words.next() else { return Err(usage("`--shared` names no folder")) };
                    let folder = std::path::absolute(folder).map_err(|error| usage(&error.to_string()))?;
                    if !folder.is_dir() {
                        return Err(usage(&format!("`{}` is no folder", folder.display())));
                    }
                    options.shared = Some(folder);
                }
                other => return Err(usage(&format!("`{other}` is not understood"))),
            }
        }
        Ok(options)
    }
}

fn usage(because: &str) -> String {
    format!(
        "error: could not read the command line\n  because: {because}\n  state: no test has run\n  \
         next: `cargo testbed`, `cargo testbed --shared DIR` or `cargo testbed -- FILTER`"
    )
}

/// How long one program of tests may take: far more than any needs, and little enough that a test which waits for ever is
/// told while somebody still waits for the others.
const LONGEST: &str = "30m";

/// Runs every test of the workspace.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // In front of each program of tests; in the foreground, so that Ctrl-C reaches it too.
    let limited =
        format!("target.'cfg(unix)'.runner=['timeout','--foreground','--kill-after=30','--verbose','{LONGEST}']");
    command.args(["test", "--config", &limited]);
    command.args(["--locked", "--workspace", "--all-features", "--no-fail-fast"]);
    if !options.rest.is_empty() {
        command.arg("--").args(&options.rest);
    }
    if let Some(shared) = &options.shared {
        command.env("PLEACH_SHARED", shared);
    }
    // Many of them wait for servers longer than they work.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        command.env("RUST_TEST_THREADS", (processors + 1).to_string());
    }
    // What a developer's own shell holds must not change what tests see.
    for variable in ["PLEACH_CONFIG", "PLEACH_LOG", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "NO_COLOR"] {
        command.env_remove(variable);
    }
    let status = command.status().map_err(|error| {
        format!(
            "error: could not start the tests\n  because: {error}\n  state: no test has run\n  next: `cargo --version`"
        )
    })?;
    if status.success() {
        Ok(())
    } else {
        Err("error: a test failed, or did not end\n  state: all others have run, but for those of a program that \
             `timeout` ended\n  next: read the failures above; run one with `cargo testbed -- NAME`"
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn filters_go_to_the_test_programs() {
        assert_eq!(parse(&["--", "law"]).expect("filter").rest, ["law"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused() {
        assert!(parse(&["--shared", "/no/such/folder"]).is_err());
        assert!(parse(&["--shared"]).is_err());
        assert!(parse(&["shared"]).is_err());
    }
}

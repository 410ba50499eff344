//! Secrets of whoever runs Pleach: variables, files, commands.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use async_trait::async_trait;
use pleach_core::error::{Explain, Failure, Kind, quote_path};
use pleach_core::port::{Secret, SecretName, Secrets};

/// Why a secret could not be fetched. Never holds what was read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the secret `env:{0}` is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("could not read the secret `file:{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The command cannot be started.
    #[error("could not run `{line}` for a secret")]
    Start {
        /// The command line.
        line: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The command failed.
    #[error("the command `{line}` for a secret ended with {status}")]
    Command {
        /// The command line.
        line: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// What was read is not text.
    #[error("the secret `{0}` is not UTF-8")]
    NotText(String),
}

impl Explain for SecretError {
    fn kind(&self) -> Kind {
        Kind::Rejected
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Unset(name) => format!("`export {name}=…`, then run the same command again"),
            Self::File { path, .. } => format!("look with `ls -l {}`", quote_path(path)),
            Self::Start { line, .. } | Self::Command { line, .. } => format!("run `{line}` by hand"),
            Self::NotText(_) => "give it as text".into(),
        })
    }
}

/// Fetches secrets from Pleach's own environment, from files, and from commands. A relative file, and a command, start at
/// `directory`.
#[derive(Clone, Debug)]
pub struct LocalSecrets {
    directory: PathBuf,
}

impl LocalSecrets {
    /// Secrets whose relative paths start at `directory`: the repository's root.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    async fn run(&self, line: &str) -> Result<Vec<u8>, SecretError> {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", line]).current_dir(&self.directory).stdin(Stdio::null()).kill_on_drop(true);
        // What it says on standard error is for the person in front of it, such as a question for a password.
        command.stderr(Stdio::inherit()).stdout(Stdio::piped());
        let failed = |source| SecretError::Start { line: line.into(), source };
        // Not `output`, which would take standard error as well.
        let output = command.spawn().map_err(failed)?.wait_with_output().await.map_err(failed)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(SecretError::Command { line: line.into(), status: output.status }),
        }
    }
}

#[async_trait]
impl Secrets for LocalSecrets {
    async fn fetch(&self, name: &SecretName) -> Result<Secret, Failure> {
        let bytes = match name {
            SecretName::Env(variable) => {
                let value = std::env::var_os(variable).ok_or_else(|| SecretError::Unset(variable.clone()))?;
                let value = value.into_string().map_err(|_| SecretError::NotText(name.to_string()))?;
                return Ok(Secret::new(value));
            }
            SecretName::File(path) => {
                let path = self.directory.join(path);
                tokio::fs::read(&path).await.map_err(|source| SecretError::File { path, source })?
            }
            SecretName::Command(line) => self.run(line).await?,
        };
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(name.to_string()))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
    }
}

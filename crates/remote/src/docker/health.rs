//! Waiting until a container is healthy, as its engine sees it.

use std::time::Duration;

use pleach_core::error::{Explain, Kind, OUTPUT_LINES};
use tokio::time::sleep;

use super::container::{Container, ContainerState};
use super::engine::Engine;
use super::error::{EngineError, Said};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What the engine's own check says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// It has no check.
    NoCheck,
    /// It has not passed yet, and has not failed too often.
    Starting,
    /// It passes.
    Healthy,
    /// It has failed too often in a row.
    Unhealthy,
}

/// Why a container was not seen to be healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It does not run.
    #[error("container `{name}` does not stay up")]
    Ended {
        /// Its name.
        name: String,
        /// The last that it has printed.
        output: Vec<String>,
        /// How it ended.
        #[source]
        source: Said,
    },
    /// Its check has failed too often.
    #[error("container `{name}` is not healthy")]
    Unhealthy {
        /// Its name.
        name: String,
        /// The last that it has printed.
        output: Vec<String>,
        /// What the engine says.
        #[source]
        source: Said,
    },
    /// The engine cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Explain for HealthError {
    fn kind(&self) -> Kind {
        match self {
            Self::Ended { .. } | Self::Unhealthy { .. } => Kind::Rejected,
            Self::Engine(error) => error.kind(),
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Ended { .. } | Self::Unhealthy { .. } => Some("it is left as it is".into()),
            Self::Engine(error) => error.state(),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Ended { name, .. } | Self::Unhealthy { name, .. } => {
                Some(format!("read more with `docker logs {name}` and `docker inspect {name}`"))
            }
            Self::Engine(error) => error.next(),
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Ended { output, .. } | Self::Unhealthy { output, .. } => output.clone(),
            Self::Engine(error) => error.output(),
        }
    }
}

impl Engine {
    /// Waits until a container runs and, where it has a check, passes it; without one, a container that runs is taken at its
    /// word. There is no limit of time: that is for whoever asks.
    pub async fn wait_until_healthy(&self, name: &str) -> Result<Container, HealthError> {
        loop {
            let Some(container) = self.container(name).await? else {
                return Err(self.ended(name, "it is gone".into()).await);
            };
            match (&container.state, container.health) {
                (ContainerState::Running, HealthState::Healthy | HealthState::NoCheck) => return Ok(container),
                (ContainerState::Running, HealthState::Unhealthy) => {
                    let source = Said("its check failed too often in a row".into());
                    let output = self.last_lines(name, OUTPUT_LINES).await.unwrap_or_default();
                    return Err(HealthError::Unhealthy { name: name.to_owned(), output, source });
                }
                (ContainerState::Ended { error, .. }, _) if !error.is_empty() => {
                    return Err(self.ended(name, error.clone()).await);
                }
                (
                    ContainerState::Ended { code, out_of_memory, .. }
                    | ContainerState::Restarting { code, out_of_memory },
                    _,
                ) => {
                    return Err(self.ended(name, how_it_ended(*code, *out_of_memory)).await);
                }
                _ if container.restarts > 0 => {
                    let times = container.restarts;
                    return Err(self.ended(name, format!("it had to be started again {times} times")).await);
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    async fn ended(&self, name: &str, why: String) -> HealthError {
        let output = self.last_lines(name, OUTPUT_LINES).await.unwrap_or_default();
        HealthError::Ended { name: name.to_owned(), output, source: Said(why) }
    }
}

/// The engine may hear that a container ended before it hears that memory was the reason.
pub(crate) fn how_it_ended(code: i64, out_of_memory: bool) -> String {
    match code {
        _ if out_of_memory => "it asked for more memory than it may have".into(),
        137 => "it was killed (exit code 137), as where it asks for more memory than it may have".into(),
        _ => format!("it exited with {code}"),
    }
}

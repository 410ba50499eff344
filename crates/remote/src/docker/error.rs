//! Why an engine did not do what was asked.

use bollard::errors::Error;
use pleach_core::error::{Explain, Failure, Kind};

use super::way::WayError;

/// The oldest API that has all that is used: that of Docker 19.03.
pub(super) const OLDEST_API: (usize, usize) = (1, 40);

/// Why an engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no way to the host.
    #[error("could not reach the Docker engine of `{place}`")]
    Way {
        /// The host.
        place: String,
        /// Why.
        #[source]
        source: Box<Failure>,
    },
    /// Nobody listens at the socket.
    #[error("there is no Docker engine on `{place}`")]
    Absent {
        /// The host.
        place: String,
        /// The command that starts it.
        start: String,
        /// Why.
        #[source]
        source: Box<WayError>,
    },
    /// The user may not use the socket.
    #[error("no right to use the Docker engine of `{place}`")]
    NoRights {
        /// The host.
        place: String,
        /// The command that gives the right.
        grant: String,
        /// Why.
        #[source]
        source: Box<WayError>,
    },
    /// The engine's API lacks what is needed.
    #[error("the Docker engine of `{place}` is too old: it speaks API {has}")]
    TooOld {
        /// The host.
        place: String,
        /// What it speaks.
        has: String,
        /// The command that shows what it is.
        look: String,
    },
    /// The engine does not have it.
    #[error("could not {what} on `{place}`: it is not there")]
    NotFound {
        /// What was being done.
        what: String,
        /// The host.
        place: String,
        /// What the engine says.
        #[source]
        source: Said,
    },
    /// Something else is in the way.
    #[error("could not {what} on `{place}`: something is in the way")]
    Conflict {
        /// What was being done.
        what: String,
        /// The host.
        place: String,
        /// What the engine says.
        #[source]
        source: Said,
    },
    /// Its disk is full.
    #[error("could not {what} on `{place}`: its disk is full")]
    Full {
        /// What was being done.
        what: String,
        /// The host.
        place: String,
        /// The command that shows what takes the room.
        look: String,
        /// What the engine says.
        #[source]
        source: Said,
    },
    /// It says no.
    #[error("could not {what} on `{place}`")]
    Refused {
        /// What was being done.
        what: String,
        /// The host.
        place: String,
        /// The command that shows its log.
        look: String,
        /// What the engine says.
        #[source]
        source: Said,
    },
    /// The engine or the way to it was lost before it had answered.
    #[error("the Docker engine of `{place}` was lost while it was asked to {what}")]
    Lost {
        /// What was being done.
        what: String,
        /// The host.
        place: String,
        /// The command that shows whether it runs.
        look: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Its answer is none that we know.
    #[error("could not understand what the Docker engine of `{place}` answers when asked to {what}")]
    Answer {
        /// What was being done.
        what: String,
        /// The host.
        place: String,
        /// What is wrong with it.
        #[source]
        source: Said,
    },
}

/// The engine's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Said(pub(super) String);

/// What the kernel says through the engine; no code of the API tells it apart.
const NO_SPACE: &str = "no space left on device";

impl EngineError {
    /// What became of a request; `command` makes commands to be pasted for where the engine is.
    pub(super) fn of(what: &str, place: &str, error: Error, command: impl Fn(&str) -> String) -> Self {
        let (what, place) = (what.to_owned(), place.to_owned());
        let refused = |status: Option<u16>, message: String| {
            let (what, place, source) = (what.clone(), place.clone(), Said(message.trim().to_owned()));
            if source.0.contains(NO_SPACE) {
                return Self::Full { what, place, look: command("docker system df"), source };
            }
            match status {
                Some(404) => Self::NotFound { what, place, source },
                Some(409) => Self::Conflict { what, place, source },
                _ => Self::Refused { what, place, look: command("journalctl -u docker -n 50"), source },
            }
        };
        match error {
            Error::DockerResponseServerError { status_code, message } => refused(Some(status_code), message),
            Error::DockerStreamError { error } => refused(None, error),
            Error::JsonDataError { message, .. } => Self::Answer { what, place, source: Said(message) },
            Error::JsonSerdeError { err } => Self::Answer { what, place, source: Said(err.to_string()) },
            source => Self::Lost { what, place, look: command("docker version"), source: Box::new(source) },
        }
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

impl Explain for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Way { source, .. } => source.kind,
            Self::Absent { .. } | Self::NoRights { .. } | Self::Full { .. } | Self::Refused { .. } => Kind::Rejected,
            Self::NotFound { .. } => Kind::Rejected,
            Self::TooOld { .. } => Kind::Unsupported,
            Self::Conflict { .. } => Kind::Conflict,
            Self::Lost { .. } => Kind::UnknownOutcome,
            Self::Answer { .. } => Kind::Internal,
        }
    }

    fn state(&self) -> Option<String> {
        Some(match self {
            Self::Way { source, .. } => return source.state.clone(),
            Self::Lost { .. } => "whether it was done is not known".into(),
            Self::Full { .. } => "what had arrived is dropped by the engine; what ran before runs".into(),
            Self::Absent { .. } | Self::NoRights { .. } | Self::TooOld { .. } => "nothing was touched".into(),
            _ => "nothing was changed by this request".into(),
        })
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Way { source, .. } => return source.next.clone(),
            Self::Absent { start, .. } => start.clone(),
            Self::NoRights { grant, .. } => grant.clone(),
            Self::TooOld { look, .. } => {
                format!(
                    "install Docker 19.03 (API {}.{}) or newer there; what runs is told by {look}",
                    OLDEST_API.0, OLDEST_API.1
                )
            }
            Self::Full { look, .. } => format!("see what takes the room with {look}, and make some"),
            Self::Refused { look, .. } => format!("read the engine's own log: {look}"),
            Self::Lost { look, .. } => format!("see with {look} that it runs, then do it again"),
            Self::NotFound { .. } | Self::Conflict { .. } => {
                "see what is there with `docker ps -a` and `docker images`".into()
            }
            Self::Answer { .. } => "tell us, with the version of that engine: `docker version`".into(),
        })
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Way { source, .. } => source.output.clone(),
            _ => Vec::new(),
        }
    }
}

//! How a command ends: the table of exit codes, and failures on their way to the printer.

use std::process::ExitCode;

use pleach_core::engine::RunError;
use pleach_core::error::{Failure, Kind};

/// An exit code out of the design's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// Done, and seen to be done.
    pub(crate) const DONE: Self = Self(0);
    /// Command line or config wrong; nothing was touched.
    pub(crate) const WRONG: Self = Self(100);
    /// Refused: stale plan, no consent, unproven snapshot, dirty worktree.
    pub(crate) const REFUSED: Self = Self(102);
    /// Another holds the lease.
    pub(crate) const LEASED: Self = Self(103);
    /// Outcome unknown: `pleach resume` goes on.
    pub(crate) const UNKNOWN: Self = Self(113);
    /// Interrupted by SIGINT, after taking back.
    pub(crate) const INTERRUPTED: Self = Self(130);
    /// Interrupted by SIGTERM, after taking back.
    pub(crate) const TERMINATED: Self = Self(143);

    /// So many checks failed; 99 stands for all above.
    pub(crate) fn failed_checks(count: usize) -> Self {
        Self(u8::try_from(count.min(99)).unwrap_or(99))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// Why a command ended without its answer: what the one printer tells, and the code to leave with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) failures: Vec<Failure>,
    /// Problems that have a layout of their own; told before the failures.
    pub(crate) text: String,
}

impl Ended {
    /// Ends with this failure and code.
    pub(crate) fn with(exit: Exit, failure: Failure) -> Self {
        Self { exit, failures: vec![failure], text: String::new() }
    }

    /// Ends with problems that have a layout of their own.
    pub(crate) fn told(exit: Exit, text: String) -> Self {
        Self { exit, failures: Vec::new(), text }
    }

    /// The command line or the config is wrong.
    pub(crate) fn wrong(failure: Failure) -> Self {
        Self::with(Exit::WRONG, failure)
    }

    /// Refused; nothing was touched.
    pub(crate) fn refused(failure: Failure) -> Self {
        Self::with(Exit::REFUSED, failure)
    }
}

/// The code that the kind of a failure stands for, where the command knows no better.
impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let exit = match failure.kind {
            Kind::Conflict => Exit::REFUSED,
            Kind::UnknownOutcome => Exit::UNKNOWN,
            Kind::Cancelled => Exit::INTERRUPTED,
            Kind::Transient | Kind::Rejected | Kind::Unsupported | Kind::Internal => Exit::WRONG,
        };
        Self::with(exit, failure)
    }
}

impl From<Vec<Failure>> for Ended {
    fn from(failures: Vec<Failure>) -> Self {
        Self { exit: Exit::WRONG, failures, text: String::new() }
    }
}

impl From<RunError> for Ended {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Refused(failure) => Self::refused(failure),
            RunError::Leased(failure) => Self::with(Exit::LEASED, failure),
            RunError::Unfinished(failure) => Self::with(Exit::UNKNOWN, failure),
        }
    }
}

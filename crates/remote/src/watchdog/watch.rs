//! Arming a watchdog and talking to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pleach_core::error::Failure;
use pleach_core::port::{ExitStatus, FencingToken, Lease, Shell};
use pleach_core::word::{EnvironmentName, RunId, TargetName};

use super::error::WatchdogError;
use super::instruction::Instruction;
use super::status::WatchdogStatus;
use crate::guard::{Guard, Script, escape, hundredths, text};

const SCRIPT: &str = concat!(
    include_str!("../guard/base.sh"),
    include_str!("../guard/chain.sh"),
    include_str!("../kept/keep.sh"),
    include_str!("entry.sh"),
    include_str!("../kept/put_back.sh"),
    include_str!("restore.sh"),
    include_str!("watchdog.sh"),
);

/// The lease in whose name a watchdog restores.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The environment of the target.
    pub environment: &'a EnvironmentName,
    /// The target.
    pub target: &'a TargetName,
    /// The run that it is armed for.
    pub run: &'a RunId,
    /// The deployer's token.
    pub token: FencingToken,
}

impl<'a> From<&'a Lease> for Claim<'a> {
    fn from(lease: &'a Lease) -> Self {
        Self { environment: &lease.environment, target: &lease.target, run: &lease.run, token: lease.token }
    }
}

/// The watchdogs of one target, one a run. A value: whoever calls it brings the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    guard: Guard,
    system: Option<PathBuf>,
}

impl Watchdog {
    /// The watchdogs beside `guard`, in whose leases' name they restore.
    pub fn new(guard: Guard) -> Self {
        Self { guard, system: None }
    }

    /// Makes the entry that runs at boot below `root` instead of `/`: the target's own system when it is seen from a
    /// container.
    #[must_use]
    pub fn system_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.system = Some(root.into());
        self
    }

    /// The text of the script.
    pub fn script() -> &'static str {
        SCRIPT
    }

    /// Where the watchdog of a run lies on the target.
    pub fn place(&self, run: &RunId) -> PathBuf {
        self.folder().join(run.as_str())
    }

    /// Keeps and proves what `instructions` name and starts the watch: unless somebody renews or confirms within
    /// `deadline`, the target carries them out. Under way when this returns. Armed already is fine: the answer to the first
    /// call may have been lost, and then nothing is kept anew.
    ///
    /// # Errors
    /// Something cannot be kept or proven, or the target cannot be reached; nothing is armed then, unless it is
    /// [`Kind::UnknownOutcome`](pleach_core::error::Kind::UnknownOutcome).
    pub async fn arm<'a>(
        &self,
        shell: &dyn Shell,
        claim: impl Into<Claim<'a>>,
        deadline: Duration,
        instructions: &[Instruction],
    ) -> Result<WatchdogStatus, Failure> {
        let claim = claim.into();
        if let Some(path) = instructions.iter().find_map(Instruction::unusable) {
            return Err(WatchdogError::Path(text(path)).into());
        }
        self.guard.ensure_installed(shell).await?;
        let request = self.request(claim, deadline, instructions);
        Ok(self.ask_one(shell, "arm", claim.run, &[], Some(request)).await?)
    }

    /// Moves the deadline on by the time that it was armed for, and starts the watch again if it was killed. From now on
    /// it restores in the name of the lease with this token: a run that was resumed has a new one.
    ///
    /// # Errors
    /// [`Kind::Conflict`](pleach_core::error::Kind::Conflict) once it is too late.
    pub async fn renew(&self, shell: &dyn Shell, run: &RunId, token: FencingToken) -> Result<WatchdogStatus, Failure> {
        Ok(self.try_renew(shell, run, token).await?)
    }

    pub(super) async fn try_renew(
        &self,
        shell: &dyn Shell,
        run: &RunId,
        token: FencingToken,
    ) -> Result<WatchdogStatus, WatchdogError> {
        self.ask_one(shell, "renew", run, &[&token.to_string()], None).await
    }

    /// Renews the watchdog of a lease's run, if it still waits. One that has fired since has taken the lease away, which is
    /// told by the lease; one that cannot be asked costs nothing yet, for its deadline is longer than the lease.
    pub(crate) async fn sign_of_life(&self, shell: &dyn Shell, lease: &Lease) {
        let _ = self.try_renew(shell, &lease.run, lease.token).await;
    }

    /// Says that all is well: nothing will be put back. Twice is once.
    ///
    /// # Errors
    /// [`Kind::Conflict`](pleach_core::error::Kind::Conflict) once it is too late.
    pub async fn confirm(&self, shell: &dyn Shell, run: &RunId) -> Result<WatchdogStatus, Failure> {
        Ok(self.ask_one(shell, "confirm", run, &[], None).await?)
    }

    /// Stops it: somebody else sees to the way back. One that restores stops before its next instruction.
    ///
    /// # Errors
    /// [`Kind::Conflict`](pleach_core::error::Kind::Conflict) if it was confirmed, or has restored everything.
    pub async fn disarm(&self, shell: &dyn Shell, run: &RunId) -> Result<WatchdogStatus, Failure> {
        Ok(self.ask_one(shell, "disarm", run, &[], None).await?)
    }

    /// Removes one that has nothing left to do, with its copies; gives what it said last.
    ///
    /// # Errors
    /// [`Kind::Conflict`](pleach_core::error::Kind::Conflict) while it is armed or restores.
    pub async fn discard(&self, shell: &dyn Shell, run: &RunId) -> Result<WatchdogStatus, Failure> {
        Ok(self.ask_one(shell, "discard", run, &[], None).await?)
    }

    /// What all watchdogs of the target say, by run.
    ///
    /// # Errors
    /// The target cannot be asked.
    pub async fn statuses(&self, shell: &dyn Shell) -> Result<Vec<WatchdogStatus>, Failure> {
        Ok(self.ask(shell, "status", &self.folder(), None, &[], None).await?)
    }

    /// Goes on with all that have something left to do, as the entry that runs at boot does.
    ///
    /// # Errors
    /// The target cannot be asked.
    pub async fn wake(&self, shell: &dyn Shell) -> Result<(), Failure> {
        self.ask(shell, "boot", &self.folder(), None, &[], None).await?;
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.guard.folder().join("watchdog")
    }

    fn request(&self, claim: Claim<'_>, deadline: Duration, instructions: &[Instruction]) -> String {
        let line = |path: &Path| escape(&text(path));
        let place = self.guard.place(claim.environment, claim.target);
        let system = self.system.as_deref().map(|root| format!("system {}\n", line(root))).unwrap_or_default();
        let instructions: String = instructions.iter().map(Instruction::lines).collect();
        format!(
            "guard {}\nlease {}\nenvironment {}\ntarget {}\nrun {}\n{system}token {}\nlifetime {}\n{instructions}end\n",
            line(&self.guard.path()),
            line(&place),
            claim.environment,
            claim.target,
            claim.run,
            claim.token,
            hundredths(deadline),
        )
    }

    async fn ask_one(
        &self,
        shell: &dyn Shell,
        operation: &str,
        run: &RunId,
        arguments: &[&str],
        request: Option<String>,
    ) -> Result<WatchdogStatus, WatchdogError> {
        let mut statuses = self.ask(shell, operation, &self.place(run), Some(run), arguments, request).await?;
        statuses.pop().ok_or(WatchdogError::Answer(crate::guard::StateError::CutOff))
    }

    async fn ask(
        &self,
        shell: &dyn Shell,
        operation: &str,
        place: &Path,
        run: Option<&RunId>,
        arguments: &[&str],
        request: Option<String>,
    ) -> Result<Vec<WatchdogStatus>, WatchdogError> {
        let script = Script { kind: "watchdog", text: SCRIPT };
        let output = self.guard.call(shell, &script, operation, place, arguments, request).await?;
        let read = || {
            let printed = String::from_utf8_lossy(&output.stdout);
            WatchdogStatus::parse_all(&printed).map_err(WatchdogError::Answer)
        };
        let said = || output.last_lines();
        match (output.status, run) {
            (ExitStatus::Code(0), _) => read(),
            (ExitStatus::Code(98), _) => match read()?.pop() {
                Some(status) => Err(WatchdogError::TooLate(Box::new(status))),
                None => Err(WatchdogError::NoAnswer { output: said() }),
            },
            (ExitStatus::Code(66), Some(run)) => Err(WatchdogError::Unproven { run: run.clone(), output: said() }),
            (ExitStatus::Code(69), Some(run)) => Err(WatchdogError::Missing(run.clone())),
            (ExitStatus::Code(74), Some(run)) => Err(WatchdogError::Write { run: run.clone(), output: said() }),
            _ => Err(WatchdogError::NoAnswer { output: said() }),
        }
    }
}

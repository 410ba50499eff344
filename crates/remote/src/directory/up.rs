//! What should run and has ended without anybody's doing, as after a loss of power, is started again.

use pleach_core::error::Failure;
use pleach_core::port::Secrets;
use pleach_core::word::ReleaseId;

use super::parameter::Previous;
use super::site::Site;

impl Site<'_> {
    /// What the plan saw running runs, if `current` leads to it; tells what had to be started.
    pub(super) async fn ensure_as_before(
        &self,
        previous: &Previous,
        secrets: &dyn Secrets,
    ) -> Result<Vec<String>, Failure> {
        let ran = previous.release.as_ref().filter(|release| previous.running.contains(release));
        match ran {
            Some(release) if self.current().await?.as_ref() == Some(release) => {
                self.ensure_up(release, &previous.routers, secrets).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A release's process and these routers run; tells what had to be started. What runs is not asked how it is.
    pub(super) async fn ensure_up(
        &self,
        release: &ReleaseId,
        routers: &[(String, u16)],
        secrets: &dyn Secrets,
    ) -> Result<Vec<String>, Failure> {
        let mut started = Vec::new();
        if !self.instance(release).await?.is_some_and(|(_, state)| state.stays()) {
            let record = self.require_record(release).await?;
            let healthy = self.ensure_healthy(&record, secrets).await?;
            started.push(format!("release `{release}` had ended and runs again: {healthy}"));
        }
        for (host, port) in routers {
            if self.router(*port).await?.is_none() {
                self.ensure_routed(host, *port).await?;
                started.push(format!("{host}:{port} leads to `current` again"));
            }
        }
        Ok(started)
    }

    /// Whether a release's process runs, supervised or not.
    pub(super) async fn is_up(&self, release: &ReleaseId) -> Result<bool, Failure> {
        Ok(self.instance(release).await?.is_some_and(|(_, state)| state.is_up()))
    }
}

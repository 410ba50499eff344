//! What comes to the screen: each target in a task of its own, the runs, and the end of one log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pleach_core::word::EnvironmentName;
use tokio::sync::{Notify, mpsc};

use crate::observe::log_file;
use crate::project::Project;
use crate::standing::{LeaseStanding, RunStanding, ServiceStanding, readers, runs_and_leases};

use super::screen::RowKey;

/// The time between two looks at a target.
const PERIOD: Duration = Duration::from_secs(2);
/// How much of a log is shown at most, in bytes from its end.
const LOG_BYTES: u64 = 256 * 1024;

/// One thing that came.
pub(super) enum News {
    /// A target is being read.
    Reading,
    /// A target told, or did not.
    Services(Vec<ServiceStanding>),
    /// The runs that need somebody, and the leases.
    Runs(Vec<RunStanding>, Vec<LeaseStanding>),
}

/// The tasks that feed a screen; they end when it is dropped.
pub(super) struct Feed {
    pub(super) news: mpsc::UnboundedReceiver<News>,
    refresh: Arc<Notify>,
    tasks: tokio::task::JoinSet<()>,
}

impl Feed {
    /// Starts a task for each target, and one for the runs.
    pub(super) fn start(
        project: &Arc<Project>,
        environment: Option<EnvironmentName>,
    ) -> Result<Self, pleach_core::error::Failure> {
        let (sender, news) = mpsc::unbounded_channel();
        let refresh = Arc::new(Notify::new());
        let mut tasks = tokio::task::JoinSet::new();
        for reader in readers(project, environment.as_ref())? {
            let (sender, refresh) = (sender.clone(), refresh.clone());
            tasks.spawn(async move {
                loop {
                    let _ = sender.send(News::Reading);
                    let _ = sender.send(News::Services(reader.read().await));
                    tokio::select! { () = tokio::time::sleep(PERIOD) => {}, () = refresh.notified() => {} }
                }
            });
        }
        let (project, again) = (project.clone(), refresh.clone());
        tasks.spawn(async move {
            loop {
                if let Ok((runs, leases)) = runs_and_leases(&project.workspace, environment.as_ref()).await {
                    let _ = sender.send(News::Runs(runs, leases));
                }
                tokio::select! { () = tokio::time::sleep(PERIOD / 2) => {}, () = again.notified() => {} }
            }
        });
        Ok(Self { news, refresh, tasks })
    }

    /// Reads all now.
    pub(super) fn refresh(&self) {
        self.refresh.notify_waiters();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

/// The log of the last run that had this row in its plan.
pub(super) fn last_log(project: &Project, row: &RowKey) -> Option<PathBuf> {
    let (environment, service, target) = row;
    let entries = project.workspace.entries().ok()?;
    let mut here = entries.iter().filter(|entry| entry.environment == *environment);
    here.find_map(|entry| {
        let path = log_file(&project.workspace.runs.run_dir(&entry.run), service, target);
        path.exists().then_some(path)
    })
}

/// The last lines of a log.
pub(super) fn log_end(path: &Path) -> Vec<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let Ok(mut file) = std::fs::File::open(path) else { return Vec::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let from = length.saturating_sub(LOG_BYTES);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err() || file.read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    // The first line is cut in the middle unless the file was read from its begin.
    text.lines().skip(usize::from(from > 0)).map(str::to_owned).collect()
}

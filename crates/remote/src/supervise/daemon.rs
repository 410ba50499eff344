//! `supervise run`: the supervisor of one instance.
//!
//! | activity | event | next |
//! |---|---|---|
//! | — | asked to run | running, after what an earlier supervisor left has been ended |
//! | running | the process ends | waiting; what it started is ended too |
//! | waiting | the wait is over | running |
//! | running | SIGTERM | ending |
//! | ending | the process and what it started have ended | stopped; ends |
//! | waiting | SIGTERM | stopped; ends |
//!
//! The wait doubles from a tenth of a second to ten seconds and starts again once a process has run for ten.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind, quote_path};
use rustix::process::Signal;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{Instant, interval, sleep, timeout};

use super::child::{Sleeper, free_port, has_release, spawn, wake};
use super::log::{LOG_LIMIT, LOG_LOOK, bound_log};
use super::record::{Activity, InstanceRecord};
use super::request::StartRequest;
use super::stop::end_group;
use crate::daemon::{announce, detach, is_removed, read_request};
use crate::directory::{ServiceLayout, told_status};
use crate::process::{Group, Identity};

/// Where processes of releases listen: only the router and checks on this machine reach them.
const PRIVATE_HOST: &str = "127.0.0.1";

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Is the supervisor until somebody asks it to end.
pub(super) fn run() -> ExitCode {
    match prepare() {
        Ok((runtime, supervisor)) => {
            runtime.block_on(supervisor.supervise());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            announce::<InstanceRecord>(Err(failure));
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> Result<(tokio::runtime::Runtime, Supervisor), Failure> {
    let request: StartRequest = read_request()?;
    let failed = |because: String| {
        Failure::new(Kind::Rejected, format!("could not supervise release `{}`", request.release))
            .because(because)
            .next(format!("look with `ls -la {}`", quote_path(&request.directory)))
    };
    detach("pleach").map_err(|error| failed(error.to_string()))?;
    let layout = ServiceLayout::new(&request.directory);
    if !has_release(&layout.release(&request.release)) {
        return Err(failed(format!("there is no directory `{}`", layout.release(&request.release).display())));
    }
    // The lock came with standard error, so what an earlier supervisor left belongs to nobody else.
    let earlier = InstanceRecord::load(&layout.instance(&request.release));
    let port = earlier.as_ref().map(|record| record.port);
    if let Some(group) = earlier.and_then(|record| record.group) {
        end_group(&group, request.stop_grace.0);
    }
    let record = InstanceRecord {
        service: request.service.clone(),
        release: request.release.clone(),
        run: request.run.clone(),
        activity: Activity::Waiting,
        supervisor: Some(Identity::own().ok_or_else(|| failed("`/proc` does not show this process".to_owned()))?),
        container: None,
        group: None,
        host: PRIVATE_HOST.to_owned(),
        port: free_port(PRIVATE_HOST, port).map_err(|error| failed(error.to_string()))?,
        restarts: 0,
        last_end: None,
        killed: false,
        health: None,
        pid: None,
        since: Timestamp::now(),
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(|error| failed(error.to_string()))?;
    Ok((runtime, Supervisor { request, layout, record, announced: false }))
}

struct Supervisor {
    request: StartRequest,
    layout: ServiceLayout,
    record: InstanceRecord,
    announced: bool,
}

impl Supervisor {
    async fn supervise(mut self) {
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        let mut wait = FIRST_WAIT;
        loop {
            let begun = Instant::now();
            match self.start() {
                Ok(sleeper) => {
                    self.announce(Ok(()));
                    if self.watch(sleeper, &mut terminate).await == Next::Leave {
                        return;
                    }
                }
                Err(error) => {
                    self.ended(format!("could not be started: {error}"));
                    self.announce(Err(error));
                }
            }
            if begun.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            if timeout(wait, terminate.recv()).await.is_ok() {
                self.note(Activity::Stopped, None);
                return;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Starts the process and writes it down before it does anything.
    fn start(&mut self) -> std::io::Result<Sleeper> {
        self.record.port = free_port(&self.record.host, Some(self.record.port))?;
        let mut sleeper = spawn(&self.request, &self.record.host, self.record.port)?;
        self.record.since = Timestamp::now();
        self.record.activity = Activity::Running;
        self.record.group = Some(sleeper.group.clone());
        self.record.save(&self.layout.instance(&self.record.release))?;
        wake(&mut sleeper)?;
        Ok(sleeper)
    }

    async fn watch(&mut self, mut sleeper: Sleeper, terminate: &mut SignalStream) -> Next {
        let mut look = interval(LOG_LOOK);
        let log = self.layout.log(&self.record.release);
        let status = loop {
            tokio::select! {
                status = sleeper.child.wait() => break status,
                _ = terminate.recv() => {
                    self.end(sleeper).await;
                    return Next::Leave;
                }
                _ = look.tick() => {
                    // A full disk must not end the service; the next look tries again.
                    let _ = bound_log(&log, LOG_LIMIT);
                    // Its release was removed under it, by hand: nobody could ever stop it by its record.
                    if is_removed() {
                        self.end(sleeper).await;
                        return Next::Leave;
                    }
                }
            }
        };
        // What it started would hold on to its port.
        sleeper.group.signal(Signal::KILL);
        self.ended(match status {
            Ok(status) => told_status(crate::local::exit_status(status)),
            Err(error) => format!("could not be waited for: {error}"),
        });
        Next::Again
    }

    /// Ends the process: asked first, killed after the grace.
    async fn end(&mut self, mut sleeper: Sleeper) {
        let group: Group = sleeper.group;
        self.note(Activity::Ending, Some(group.clone()));
        group.signal(Signal::TERM);
        let all_gone = async {
            let _ = sleeper.child.wait().await;
            while !group.members().is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(self.request.stop_grace.0, all_gone).await.is_err() {
            group.signal(Signal::KILL);
            let _ = sleeper.child.wait().await;
            self.record.killed = true;
        }
        self.note(Activity::Stopped, None);
    }

    fn ended(&mut self, how: String) {
        self.record.restarts += 1;
        self.record.last_end = Some(how);
        self.note(Activity::Waiting, None);
    }

    fn note(&mut self, activity: Activity, group: Option<Group>) {
        self.record.activity = activity;
        self.record.group = group;
        // A record that cannot be written now is written at the next change; the process is what matters.
        let _ = self.record.save(&self.layout.instance(&self.record.release));
    }

    fn announce(&mut self, started: Result<(), std::io::Error>) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        // Only its own directory can keep a process from being started asleep; that is not waited for.
        let failed = |error: std::io::Error| {
            Failure::new(Kind::Rejected, format!("could not start release `{}`", self.record.release))
                .because(error.to_string())
                .next(format!("look at its disk: `df -h {}`", quote_path(&self.layout.run())))
        };
        let is_err = started.is_err();
        announce(started.map(|()| self.record.clone()).map_err(failed));
        if is_err {
            std::process::exit(1);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Again,
    Leave,
}

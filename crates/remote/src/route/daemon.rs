//! `route run`: the router of one port.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::choose::connect;
use super::record::{RouteRequest, RouterRecord};
use super::uses::Uses;
use crate::daemon::{announce, detach, is_removed, read_request};
use crate::directory::ServiceLayout;
use crate::process::{Identity, port_owner};

/// The wait after the system had no descriptor or memory for a connection.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// How often refused connections are written down at most.
const COUNT_PERIOD: Duration = Duration::from_secs(1);

/// Is the router until somebody asks it to end.
pub(super) fn run() -> ExitCode {
    let served = read_request().and_then(|request: RouteRequest| {
        let failed = |error: io::Error| cannot_listen(&request, &error);
        detach("pleach route").map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        runtime.block_on(serve(&request))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            announce::<RouterRecord>(Err(failure));
            ExitCode::FAILURE
        }
    }
}

fn cannot_listen(request: &RouteRequest, error: &io::Error) -> Failure {
    let (host, port) = (&request.host, request.port);
    let failure = Failure::new(Kind::Conflict, format!("could not listen on `{host}:{port}`"));
    match (error.kind(), port_owner(port)) {
        (io::ErrorKind::AddrInUse, Some(owner)) => failure
            .because(format!("{owner} listens there"))
            .next(format!("end it, or give `services.{}.port` another number in `pleach.toml`", request.service)),
        _ => Failure { kind: Kind::Rejected, ..failure }
            .because(error.to_string())
            .next(format!("give `services.{}.port` another number in `pleach.toml`", request.service)),
    }
}

/// How often a router looks whether it still has a directory.
const REMOVED_LOOK: Duration = Duration::from_secs(5);

async fn serve(request: &RouteRequest) -> Result<(), Failure> {
    let failed = |error: io::Error| cannot_listen(request, &error);
    let layout = ServiceLayout::new(&request.directory);
    let listener = TcpListener::bind((request.host.as_str(), request.port)).await.map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let record = RouterRecord {
        service: request.service.clone(),
        run: request.run.clone(),
        router: Identity::own().ok_or_else(|| failed(io::Error::other("`/proc` does not show this process")))?,
        host: request.host.clone(),
        port: request.port,
        since: Timestamp::now(),
        refused: 0,
        leaving: false,
    };
    record.save(&layout.router(request.port)).map_err(failed)?;
    announce(Ok(&record));
    let refusals = Arc::new(Refusals::default());
    let counting = tokio::spawn(refusals.clone().count(layout.clone(), record.clone()));
    let uses = Arc::new(Uses::new(layout.clone()));
    let mut connections = JoinSet::new();
    let mut look = interval(REMOVED_LOOK);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            // Its directory was removed under it, by hand.
            _ = look.tick() => if is_removed() { break },
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let (layout, uses, refusals) = (layout.clone(), uses.clone(), refusals.clone());
                    connections.spawn(async move { forward(client, &layout, &uses, &refusals).await });
                }
                // The client may have gone already; anything else needs time to pass.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => sleep(EXHAUSTED_WAIT).await,
            },
        }
    }
    // Whoever asked waits for the drain and kills what has not ended by then.
    drop(listener);
    counting.abort();
    let record = RouterRecord { refused: refusals.number.load(Ordering::Relaxed), leaving: true, ..record };
    // Where it cannot be written, it is told as listening for as long as it still has connections.
    let _ = record.save(&layout.router(request.port));
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn forward(mut client: TcpStream, layout: &ServiceLayout, uses: &Arc<Uses>, refusals: &Refusals) {
    let Some((held, mut server)) = connect(layout, uses).await else {
        refusals.add();
        return;
    };
    // Small answers must not wait for each other; where it cannot be set they only come a little later.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    // Either side may break off at any time; there is nobody to tell.
    let _ = copy_bidirectional(&mut client, &mut server).await;
    drop(held);
}

/// Connections that nobody took.
#[derive(Default)]
struct Refusals {
    number: AtomicU64,
    more: Notify,
}

impl Refusals {
    fn add(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
        self.more.notify_one();
    }

    async fn count(self: Arc<Self>, layout: ServiceLayout, mut record: RouterRecord) {
        loop {
            self.more.notified().await;
            record.refused = self.number.load(Ordering::Relaxed);
            // Only a count: a full disk must not end the router.
            let _ = record.save(&layout.router(record.port));
            sleep(COUNT_PERIOD).await;
        }
    }
}

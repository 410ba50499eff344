//! Where a connection goes.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pleach_core::word::ReleaseId;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::uses::{Use, Uses};
use crate::directory::ServiceLayout;
use crate::supervise::{Activity, InstanceRecord};

/// How often `current` is looked at again while it leads to a release that is being ended, or whose process is being started:
/// two seconds in all, which is longer than anyone holds the lock of a release that is still the current one.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process that is younger may not listen yet.
const STARTING: SignedDuration = SignedDuration::from_secs(2);

/// Connects to the current release; `None` if there is none or it does not answer. While its process is between two lives, or
/// at the begin of one, a connection waits: a restart closes none of a service that starts quickly.
pub(super) async fn connect(layout: &ServiceLayout, uses: &Arc<Uses>) -> Option<(Use, TcpStream)> {
    for _ in 0..LOOKS {
        let release = read_current(layout)?;
        let Some(held) = uses.begin(&release) else {
            sleep(LOOK_AGAIN).await;
            continue;
        };
        if read_current(layout).as_ref() != Some(&release) {
            continue;
        }
        let record = InstanceRecord::load(&layout.instance(&release))?;
        match TcpStream::connect((record.host.as_str(), record.port)).await {
            Ok(stream) => return Some((held, stream)),
            Err(_) if is_starting(&record) => {}
            Err(_) => return None,
        }
        // Whoever ends the release must not wait for a connection that is none.
        drop(held);
        sleep(LOOK_AGAIN).await;
    }
    None
}

fn is_starting(record: &InstanceRecord) -> bool {
    record.activity != Activity::Running || Timestamp::now().duration_since(record.since) < STARTING
}

fn read_current(layout: &ServiceLayout) -> Option<ReleaseId> {
    ServiceLayout::release_of(&fs::read_link(layout.current()).ok()?)
}

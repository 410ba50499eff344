//! Where a connection goes.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::word::ReleaseId;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::uses::{Use, Uses};
use crate::directory::ServiceLayout;
use crate::supervise::InstanceRecord;

/// How often `current` is looked at again while it leads to a release that is being ended: two seconds in all, which is
/// longer than anyone holds the lock of a release that is still the current one.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Connects to the current release; `None` if there is none or it does not answer.
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
        let stream = TcpStream::connect((record.host.as_str(), record.port)).await.ok()?;
        return Some((held, stream));
    }
    None
}

fn read_current(layout: &ServiceLayout) -> Option<ReleaseId> {
    ServiceLayout::release_of(&fs::read_link(layout.current()).ok()?)
}

//! One service: all that is compared of it.

use std::time::Duration;

use pleach_core::error::Failure;
use pleach_core::port::FileKind;
use pleach_core::word::{ReleaseId, ServiceName};
use serde::Serialize;
use tokio::time::sleep;

use super::engine::check_engine;
use super::finding::{CheckedPart, Finding};
use super::kept::check_copies;
use super::scope::CheckScope;
use super::tree::check_tree;
use crate::directory::layout::ServiceLayout;
use crate::directory::pin::read_pins;
use crate::directory::release::{ReleaseRecord, ReleaseState};
use crate::directory::site::{current, is_service, read_json};

/// What is found is looked at again after this: what a deployment does meanwhile is no finding.
const AGAIN: Duration = Duration::from_secs(1);

/// What a check has found of one service.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceIntegrity {
    /// The current release.
    pub release: Option<ReleaseId>,
    /// Releases whose files were compared.
    pub releases: usize,
    /// Files that were compared.
    pub files: usize,
    /// What is different.
    pub findings: Vec<Finding>,
    /// What could not be compared.
    pub unread: Vec<Failure>,
}

/// Compares a service with what was deployed of it.
///
/// # Errors
/// Nothing of it can be read. What cannot be compared for itself is in [`ServiceIntegrity::unread`].
pub async fn check_service(scope: &CheckScope<'_>, service: &ServiceName) -> Result<ServiceIntegrity, Failure> {
    let seen = look(scope, service).await?;
    if seen.findings.is_empty() {
        return Ok(seen);
    }
    sleep(AGAIN).await;
    let mut again = look(scope, service).await?;
    again.findings.retain(|finding| seen.findings.contains(finding));
    Ok(again)
}

async fn look(scope: &CheckScope<'_>, service: &ServiceName) -> Result<ServiceIntegrity, Failure> {
    let layout = scope.layout(service);
    let release = match is_service(scope.files, &layout).await? {
        true => current(scope.files, &layout).await?,
        false => None,
    };
    let mut seen = ServiceIntegrity { release, ..ServiceIntegrity::default() };
    let Some(release) = seen.release.clone() else {
        seen.findings.push(never(scope, &layout, service));
        return Ok(seen);
    };
    let looking = Looking { scope, layout: &layout, service, current: &release };
    let records = looking.records(&mut seen).await?;
    for record in &records {
        looking.check_release(record, &mut seen).await?;
    }
    looking.check_pins(&records, &mut seen).await?;
    check_engine(scope, &layout, service, &release, &records, &mut seen).await;
    check_copies(scope, &layout, service, &mut seen.findings, &mut seen.unread).await?;
    Ok(seen)
}

fn never(scope: &CheckScope<'_>, layout: &ServiceLayout, service: &ServiceName) -> Finding {
    Finding {
        part: CheckedPart::Release,
        what: format!("`{service}` has no release here"),
        because: format!("`{}` is not there", layout.current().display()),
        next: scope.deploy(service),
    }
}

struct Looking<'a> {
    scope: &'a CheckScope<'a>,
    layout: &'a ServiceLayout,
    service: &'a ServiceName,
    current: &'a ReleaseId,
}

impl Looking<'_> {
    fn part(&self, release: &ReleaseId) -> CheckedPart {
        if release == self.current { CheckedPart::Release } else { CheckedPart::RestorePoint }
    }

    /// The records of all releases that are or were live.
    async fn records(&self, seen: &mut ServiceIntegrity) -> Result<Vec<ReleaseRecord>, Failure> {
        let mut records: Vec<ReleaseRecord> = Vec::new();
        for stat in self.scope.files.list(&self.layout.records()).await? {
            let Some(release) = stat.name.strip_suffix(".json").and_then(|name| ReleaseId::new(name).ok()) else {
                continue;
            };
            match read_json::<ReleaseRecord>(self.scope.files, &self.layout.record(&release)).await {
                Ok(record) => records.extend(
                    record.filter(|record| record.state == ReleaseState::Used || record.release == *self.current),
                ),
                Err(failure) if failure.kind == pleach_core::error::Kind::Rejected => {
                    seen.findings.push(self.unreadable(&release, &failure));
                }
                Err(failure) => seen.unread.push(failure),
            }
        }
        Ok(records)
    }

    fn unreadable(&self, release: &ReleaseId, failure: &Failure) -> Finding {
        Finding {
            part: self.part(release),
            what: format!("the record of release `{release}` cannot be understood"),
            because: failure.because.last().unwrap_or(&failure.what).clone(),
            next: self.scope.look_at(&self.layout.record(release)),
        }
    }

    async fn check_release(&self, record: &ReleaseRecord, seen: &mut ServiceIntegrity) -> Result<(), Failure> {
        let (release, part, mut findings) = (&record.release, self.part(&record.release), Vec::new());
        let path = self.layout.release(release);
        if !matches!(self.scope.files.stat(&path).await?.map(|stat| stat.kind), Some(FileKind::Directory)) {
            findings.push(self.gone(release, format!("`{}` is not there", path.display())));
        } else {
            match check_tree(self.scope, self.layout, record, part, &mut findings).await {
                Ok(files) => {
                    seen.files += files;
                    seen.releases += 1;
                }
                Err(failure) => seen.unread.push(failure),
            }
        }
        // One that is removed by a deployment meanwhile is nobody's any more.
        if !findings.is_empty() && self.scope.files.stat(&self.layout.record(release)).await?.is_some() {
            seen.findings.extend(findings);
        }
        Ok(())
    }

    fn gone(&self, release: &ReleaseId, because: String) -> Finding {
        let next = match self.part(release) {
            CheckedPart::Release => format!(
                "go back to another one: `pleach rollback {} --to RELEASE`, or deploy a new commit",
                self.scope.environment
            ),
            _ => format!(
                "it cannot be gone back to; the next deployment makes a new restore point: {}",
                self.scope.deploy(self.service)
            ),
        };
        Finding { part: self.part(release), what: format!("release `{release}` is gone"), because, next }
    }

    /// What is current, and what restore points rely on, has a record.
    async fn check_pins(&self, records: &[ReleaseRecord], seen: &mut ServiceIntegrity) -> Result<(), Failure> {
        let pins = match read_pins(self.scope.files, self.layout).await {
            Ok(pins) => pins,
            Err(failure) => {
                seen.unread.push(failure);
                Vec::new()
            }
        };
        let needed = pins.into_iter().filter_map(|pin| pin.release).chain([self.current.clone()]);
        for release in needed.collect::<std::collections::BTreeSet<_>>() {
            let record = self.layout.record(&release);
            let known = records.iter().any(|record| record.release == release);
            if !known && self.scope.files.stat(&record).await?.is_none() {
                seen.findings.push(self.gone(&release, format!("`{}` is not there", record.display())));
            }
        }
        Ok(())
    }
}

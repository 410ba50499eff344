//! What restore points rely on besides releases: copies of files and of volumes.

use pleach_core::error::{Failure, Kind};
use pleach_core::port::FileKind;
use pleach_core::word::{RunId, ServiceName};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::finding::{CheckedPart, Finding};
use super::scope::CheckScope;
use crate::directory::layout::ServiceLayout;
use crate::directory::site::ask_program;
use crate::kept::KeptFiles;

/// Proves all copies of a service again.
pub(super) async fn check_copies(
    scope: &CheckScope<'_>,
    layout: &ServiceLayout,
    service: &ServiceName,
    findings: &mut Vec<Finding>,
    unread: &mut Vec<Failure>,
) -> Result<(), Failure> {
    for run in runs(scope, &layout.all_kept()).await? {
        judge(scope, service, &run, "files", prove_files(scope, layout, &run).await, findings, unread);
    }
    for run in runs(scope, &layout.all_kept_volumes()).await? {
        judge(scope, service, &run, "volumes", prove_volumes(scope, layout, &run).await, findings, unread);
    }
    Ok(())
}

/// The runs that keep something in a folder, of which one that is being kept is none yet.
async fn runs(scope: &CheckScope<'_>, folder: &std::path::Path) -> Result<Vec<RunId>, Failure> {
    let listed = scope.files.list(folder).await?.into_iter().filter(|stat| stat.kind == FileKind::Directory);
    Ok(listed.filter(|stat| !stat.name.contains(".new.")).filter_map(|stat| RunId::new(&stat.name).ok()).collect())
}

async fn prove_files(scope: &CheckScope<'_>, layout: &ServiceLayout, run: &RunId) -> Result<(), Failure> {
    let shell = scope.shell.ok_or_else(no_shell)?;
    let cancel = CancellationToken::new();
    KeptFiles::new(layout.kept(run)).prove(shell, CheckScope::call(&cancel)).await.map(drop)
}

async fn prove_volumes(scope: &CheckScope<'_>, layout: &ServiceLayout, run: &RunId) -> Result<(), Failure> {
    let shell = scope.shell.ok_or_else(no_shell)?;
    let program = scope.program().await?.ok_or_else(|| {
        Failure::new(Kind::UnknownOutcome, "nothing on the target can read what is kept of volumes")
            .because("this Pleach has not put its executable there yet")
            .next(format!("`pleach doctor {}`", scope.environment))
    })?;
    let place = serde_json::to_vec(&layout.kept_volumes(run)).unwrap_or_default();
    let what = || "prove what is kept of volumes".to_owned();
    let _: Value = ask_program(shell, &program, &["supervise", "prove-volumes"], Some(place), what).await?;
    Ok(())
}

fn no_shell() -> Failure {
    Failure::new(Kind::Unsupported, "what is kept cannot be read again").because("the target runs no commands")
}

/// What the target has refused is damaged; what it has not answered is not known.
fn judge(
    scope: &CheckScope<'_>,
    service: &ServiceName,
    run: &RunId,
    what: &str,
    proven: Result<(), Failure>,
    findings: &mut Vec<Finding>,
    unread: &mut Vec<Failure>,
) {
    match proven {
        Ok(()) => {}
        Err(failure) if matches!(failure.kind, Kind::Rejected | Kind::Conflict) => findings.push(Finding {
            part: CheckedPart::RestorePoint,
            what: format!("what run `{run}` keeps of {what} cannot be put back"),
            because: failure.because.last().unwrap_or(&failure.what).clone(),
            next: format!("the next deployment keeps new copies: {}", scope.deploy(service)),
        }),
        Err(failure) => unread.push(failure),
    }
}

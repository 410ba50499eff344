//! What restore points and backups rely on besides releases: copies of files and of volumes.

use std::path::PathBuf;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::FileKind;
use pleach_core::word::{RunId, ServiceName};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::finding::{CheckedPart, Finding};
use super::scope::CheckScope;
use crate::directory::backup::{Backup, read_backups};
use crate::directory::layout::ServiceLayout;
use crate::directory::site::ask_program;
use crate::kept::KeptFiles;
use crate::ssh::quote_text;

/// Proves all copies of a service again.
pub(super) async fn check_copies(
    scope: &CheckScope<'_>,
    layout: &ServiceLayout,
    service: &ServiceName,
    findings: &mut Vec<Finding>,
    unread: &mut Vec<Failure>,
) -> Result<(), Failure> {
    let deploy = || format!("the next deployment keeps new copies: {}", scope.deploy(service));
    for run in runs(scope, &layout.all_kept()).await? {
        let what = || (format!("what run `{run}` keeps of files cannot be put back"), deploy());
        judge(prove_files(scope, layout.kept(&run)).await, what, findings, unread);
    }
    for run in runs(scope, &layout.all_kept_volumes()).await? {
        let what = || (format!("what run `{run}` keeps of volumes cannot be put back"), deploy());
        judge(prove_volumes(scope, layout.kept_volumes(&run)).await, what, findings, unread);
    }
    let backups = read_backups(scope.files, layout).await?;
    for run in runs(scope, &layout.backups()).await? {
        if backups.iter().all(|backup| backup.backup != run) {
            let folder = layout.backup(&run);
            let remove = scope.typed(&format!("rm -r {}", quote_text(&folder.to_string_lossy())));
            findings.push(Finding {
                part: CheckedPart::RestorePoint,
                what: format!("backup `{run}` is not whole"),
                because: format!("`{}` is not there, or cannot be read", layout.backup_record(&run).display()),
                next: format!("if nobody is making it: `pleach resume`, and if that knows nothing of it `{remove}`"),
            });
        }
    }
    for Backup { backup, paths, volumes, .. } in backups {
        let what = || {
            let environment = scope.environment;
            let next = format!(
                "`pleach backup {environment} {service}`, then `pleach backup {environment} --remove {backup}`"
            );
            (format!("backup `{backup}` cannot be restored"), format!("make another one: {next}"))
        };
        if !paths.is_empty() {
            judge(prove_files(scope, layout.backup_files(&backup)).await, what, findings, unread);
        }
        if !volumes.is_empty() {
            judge(prove_volumes(scope, layout.backup_volumes(&backup)).await, what, findings, unread);
        }
    }
    Ok(())
}

/// The runs that keep something in a folder, of which one that is being kept is none yet.
async fn runs(scope: &CheckScope<'_>, folder: &std::path::Path) -> Result<Vec<RunId>, Failure> {
    let listed = scope.files.list(folder).await?.into_iter().filter(|stat| stat.kind == FileKind::Directory);
    Ok(listed.filter(|stat| !stat.name.contains(".new.")).filter_map(|stat| RunId::new(&stat.name).ok()).collect())
}

async fn prove_files(scope: &CheckScope<'_>, place: PathBuf) -> Result<(), Failure> {
    let shell = scope.shell.ok_or_else(no_shell)?;
    let cancel = CancellationToken::new();
    KeptFiles::new(place).prove(shell, CheckScope::call(&cancel)).await.map(drop)
}

async fn prove_volumes(scope: &CheckScope<'_>, place: PathBuf) -> Result<(), Failure> {
    let shell = scope.shell.ok_or_else(no_shell)?;
    let program = scope.program().await?.ok_or_else(|| {
        Failure::new(Kind::UnknownOutcome, "nothing on the target can read what is kept of volumes")
            .because("this Pleach has not put its executable there yet")
            .next(format!("`pleach doctor {}`", scope.environment))
    })?;
    let place = serde_json::to_vec(&place).unwrap_or_default();
    let what = || "prove what is kept of volumes".to_owned();
    let _: Value = ask_program(shell, &program, &["supervise", "prove-volumes"], Some(place), what).await?;
    Ok(())
}

fn no_shell() -> Failure {
    Failure::new(Kind::Unsupported, "what is kept cannot be read again").because("the target runs no commands")
}

/// What the target has refused is damaged; what it has not answered is not known. `what` says what it is of, and what is next.
fn judge(
    proven: Result<(), Failure>,
    what: impl FnOnce() -> (String, String),
    findings: &mut Vec<Finding>,
    unread: &mut Vec<Failure>,
) {
    match proven {
        Ok(()) => {}
        Err(failure) if matches!(failure.kind, Kind::Rejected | Kind::Conflict) => {
            let (what, next) = what();
            let because = failure.because.last().unwrap_or(&failure.what).clone();
            findings.push(Finding { part: CheckedPart::RestorePoint, what, because, next });
        }
        Err(failure) => unread.push(failure),
    }
}

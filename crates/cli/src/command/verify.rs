//! `pleach verify`: every check of every service, and how many failed.

use pleach_core::config::ServiceConfig;
use pleach_core::error::Failure;
use pleach_core::port::{Call, NoLines};
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};
use pleach_remote::check::Asker;
use pleach_remote::directory::{ReleaseStatus, ServiceStatus};
use pleach_remote::{CheckResult, CheckStage, verify_service};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, answer, narrate, stdout_columns};
use crate::project::Project;
use crate::standing::{CUT_OFF, check_place, is_cut_off, read_statuses};

/// Arguments of `pleach verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to look
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these services
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',')]
    only: Vec<ServiceName>,
    #[command(flatten)]
    on: On,
}

/// One check of one service on one target.
#[derive(Serialize)]
struct Row {
    service: ServiceName,
    target: TargetName,
    #[serde(flatten)]
    result: CheckResult,
}

/// Makes all checks, service by service, and stops at none. The exit code is the number of failed checks, at most 99.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    project.require_services(&args.only)?;
    let rows = block_on(verify(&project, &args))?;
    let failed = rows.iter().filter(|row| !row.result.passed).count();
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default()));
    } else {
        answer(&text(&rows, globals));
        narrate(&format!("{} checks, {failed} failed", rows.len()));
    }
    Ok(Exit::failed_checks(failed))
}

async fn verify(project: &Project, args: &Args) -> Result<Vec<Row>, Ended> {
    let environment = project.require_environment(&args.environment)?;
    let destinations = project.config.destinations(environment);
    let mut rows = Vec::new();
    for (name, description) in project.descriptions(environment)? {
        let planned = project.planned_target(&name, &description);
        let target = project.workspace.open_target(&args.environment, &planned)?;
        let statuses = read_statuses(target.as_ref(), &description.settings).await?;
        for (service, targets) in &destinations {
            let wanted = args.only.is_empty() || args.only.contains(service);
            if wanted && targets.contains(&&name) {
                let status = statuses.iter().find(|(name, _)| name == *service).map(|(_, status)| status.as_ref());
                let config = &project.config.services[*service];
                let results = match refusal(status, &args.environment, service) {
                    Ok(status) => check(target.as_ref(), config, status).await,
                    Err(failed) => vec![failed],
                };
                rows.extend(results.into_iter().map(|result| Row {
                    service: (*service).clone(),
                    target: name.clone(),
                    result,
                }));
            }
        }
    }
    rows.sort_by(|a, b| (&a.service, &a.target).cmp(&(&b.service, &b.target)));
    Ok(rows)
}

/// The status of a service that can be asked; of any other the one check that it fails.
fn refusal<'a>(
    status: Option<Result<&'a ServiceStatus, &Failure>>,
    environment: &EnvironmentName,
    service: &ServiceName,
) -> Result<&'a ServiceStatus, CheckResult> {
    let failed = |name: &str, seen: String, wanted: String| CheckResult {
        name: name.into(),
        stage: CheckStage::Check,
        passed: false,
        seen,
        wanted,
        elapsed_ms: 0,
    };
    let deploy = format!("`pleach deploy {environment} --only {service}`");
    let status = match status {
        Some(Ok(status)) if status.release.is_some() => status,
        Some(Err(failure)) => {
            return Err(failed("deployed", failure.what.clone(), "how it is can be read".to_owned()));
        }
        _ => return Err(failed("deployed", "it has no release here".into(), format!("a release is there: {deploy}"))),
    };
    if status.status == Some(ReleaseStatus::Stopped) {
        return Err(failed("running", "it is stopped".into(), format!("it runs: {deploy}")));
    }
    // Asked directly it might be well; who else has the port by now might even answer.
    if is_cut_off(status) {
        return Err(failed("address", CUT_OFF.into(), format!("a router leads there: {deploy}")));
    }
    Ok(status)
}

async fn check(target: &dyn Target, config: &ServiceConfig, status: &ServiceStatus) -> Vec<CheckResult> {
    let place = check_place(status);
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let asker = Asker { place: &place, http: target.http(), shell: target.shell(), call };
    verify_service(&asker, target.files(), config).await
}

fn text(rows: &[Row], globals: &Globals) -> String {
    if rows.is_empty() {
        return "no service has a check; add `health`, `test` or `checks` to it\n".to_owned();
    }
    let mut table = Table::new(["SERVICE", "TARGET", "CHECK", "RESULT", "TIME", "SEEN"]);
    for row in rows {
        let result = &row.result;
        let (style, word) = if result.passed { (Style::Good, "passed") } else { (Style::Bad, "failed") };
        let seen =
            if result.passed { result.seen.clone() } else { format!("{}; wanted: {}", result.seen, result.wanted) };
        table.row([
            Cell::from(row.service.as_str()),
            Cell::from(row.target.as_str()),
            Cell::from(result.name.as_str()),
            Cell::styled(style, word),
            Cell::from(format!("{} ms", result.elapsed_ms)),
            Cell::from(seen),
        ]);
    }
    table.text(Paint::of_stdout(globals.color), stdout_columns())
}

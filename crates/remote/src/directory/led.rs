//! What a target's proxy leads to, as the target tells it.

use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, Command, Files, NoLines, Shell};
use tokio_util::sync::CancellationToken;

use super::layout::ServiceLayout;
use super::site::read_process_json;
use crate::proxy::{Leads, Led, LedRecord};

/// Asks the proxy where the requests to a service go.
pub(super) async fn look(shell: &dyn Shell, program: &Path, led: &Led) -> Result<Leads, Failure> {
    let program = program.to_string_lossy();
    let mut command = Command::read([&*program, "proxy", "led"]);
    let bytes = serde_json::to_vec(led)
        .map_err(|error| Failure::new(Kind::Internal, "could not send a request").because(error.to_string()))?;
    command.stdin = Some(bytes.into());
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    crate::daemon::parse(&output.stdout).unwrap_or_else(|| {
        Err(Failure::new(Kind::UnknownOutcome, format!("could not see where {} leads", led.bind))
            .because(format!("the answer of `{program}` could not be read"))
            .output(output.last_lines()))
    })
}

/// What a service's proxy was told to lead to it, and where it leads; `None` where none was told.
pub(super) async fn leads(
    files: &dyn Files,
    shell: &dyn Shell,
    layout: &ServiceLayout,
) -> Result<Option<(Led, Leads)>, Failure> {
    let record: Option<LedRecord> = read_process_json(files, &layout.led()).await?;
    let Some(LedRecord { program, led }) = record else { return Ok(None) };
    let leads = look(shell, &program, &led).await?;
    Ok(Some((led, leads)))
}

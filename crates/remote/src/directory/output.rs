//! What the current release of a service has printed, wherever it is kept.

use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, Command, NoLines, Shell};
use pleach_core::word::ReleaseId;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::container::container_lines;
use super::status::ServiceStatus;

/// How far it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputMark {
    /// Not at all.
    #[default]
    Start,
    /// So many bytes of a file.
    Bytes(u64),
    /// Up to the line that was printed then, as the engine writes times.
    Time(String),
}

/// What is read at a time; a shell hands on no more than twice that.
const PART: u64 = 512 << 10;

/// Prints the size of a file, and behind that what comes after so many bytes of it, the last [`PART`] at most. A file that became
/// shorter was begun anew.
const READ: &str = r#"[ -e "$1" ] || exit 44; size=$(stat -L -c %s -- "$1") || exit 1; from=$2
[ "$size" -ge "$from" ] || from=0; [ "$((size - from))" -le "$3" ] || from=$((size - $3))
printf '%s\n' "$size"; tail -c "+$((from + 1))" -- "$1" | head -c "$((size - from))""#;

/// What was printed since `mark`, and how far that is: the last `lines` of it, or all that is read at a time. `None` where
/// nothing keeps what the service prints, or nothing was printed yet.
pub async fn read_output(
    shell: &dyn Shell,
    status: &ServiceStatus,
    mark: &OutputMark,
    lines: Option<usize>,
) -> Result<Option<(String, OutputMark)>, Failure> {
    let Some(release) = &status.release else { return Ok(None) };
    if let Some(program) = &status.engine_program {
        return read_container(shell, program, &status.directory, release, mark, lines).await.map(Some);
    }
    let Some(log) = &status.log else { return Ok(None) };
    let from = if let OutputMark::Bytes(bytes) = mark { *bytes } else { 0 };
    let Some((size, text)) = read_file(shell, log, from).await? else { return Ok(None) };
    Ok(Some((last(&text, lines), OutputMark::Bytes(size))))
}

async fn read_container(
    shell: &dyn Shell,
    program: &Path,
    directory: &Path,
    release: &ReleaseId,
    mark: &OutputMark,
    lines: Option<usize>,
) -> Result<(String, OutputMark), Failure> {
    let since = if let OutputMark::Time(time) = mark { time.as_str() } else { "" };
    let printed = container_lines(shell, program, directory, release, lines, since).await?;
    let mark = printed.last().map_or_else(|| mark.clone(), |(time, _)| OutputMark::Time(time.clone()));
    Ok((printed.into_iter().map(|(_, line)| line + "\n").collect(), mark))
}

async fn read_file(shell: &dyn Shell, path: &Path, from: u64) -> Result<Option<(u64, String)>, Failure> {
    let (file, from, part) = (path.to_string_lossy(), from.to_string(), PART.to_string());
    let command = Command::read(["sh", "-c", READ, "sh", &*file, &from, &part]);
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    let failed = |because: String| {
        Failure::new(Kind::Rejected, format!("could not read `{}`", path.display()))
            .because(because)
            .state("nothing was touched")
            .output(output.last_lines())
    };
    match output.status {
        pleach_core::port::ExitStatus::Code(44) => return Ok(None),
        _ if !output.succeeded() => return Err(failed(super::told_status(output.status))),
        _ => {}
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let (size, text) = text.split_once('\n').ok_or_else(|| failed("its size could not be read".into()))?;
    let size = size.parse().map_err(|_| failed("its size could not be read".into()))?;
    Ok(Some((size, text.to_owned())))
}

fn last(text: &str, lines: Option<usize>) -> String {
    let Some(count) = lines else { return text.to_owned() };
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(count)..].iter().map(|line| format!("{line}\n")).collect()
}

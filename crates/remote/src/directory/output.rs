//! What the current release of a service has printed, wherever it is kept.

use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, Command, ExitStatus, NoLines, Shell};
use pleach_core::word::ReleaseId;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::compose::{logs_line, unasked};
use super::container::container_lines;
use super::instance::told_status;
use super::layout::ServiceLayout;
use super::release::ReleaseSpec;
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

/// A part of what was printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputPart {
    /// What was printed.
    pub text: String,
    /// How far that is.
    pub mark: OutputMark,
    /// Whether there was more behind it.
    pub more: bool,
}

/// What is read of a file at a time; a shell hands on no more than twice that.
const PART: u64 = 512 << 10;

/// What stands before the end of a long output.
const LEFT_OUT: &str = "… what came before is left out\n";

/// More lines than the engine hands on.
const MOST_LINES: usize = 100_000;

/// Prints the size of a file and where it reads from, and behind that a part of it: what comes after so many bytes, or without
/// a number its end. A file that became shorter was begun anew.
const READ: &str = r#"[ -e "$1" ] || exit 44; size=$(stat -L -c %s -- "$1") || exit 1; from=$2
if [ -z "$from" ]; then from=0; [ "$size" -le "$3" ] || from=$((size - $3)); fi
[ "$size" -ge "$from" ] || from=0
printf '%s %s\n' "$size" "$from"; tail -c "+$((from + 1))" -- "$1" | head -c "$3""#;

/// What was printed since `mark`. With `lines` it is the last ones of all; without, it may be a part, and the rest comes with the
/// next call. `None` where nothing keeps what the service prints, or nothing was printed yet.
pub async fn read_output(
    shell: &dyn Shell,
    status: &ServiceStatus,
    mark: &OutputMark,
    lines: Option<usize>,
) -> Result<Option<OutputPart>, Failure> {
    let Some(release) = &status.release else { return Ok(None) };
    if let Some(program) = &status.engine_program {
        return read_container(shell, program, &status.directory, release, mark, lines).await.map(Some);
    }
    if let Some(spec) = status.spec.as_ref().filter(|spec| spec.compose.is_some()) {
        return read_project(shell, spec, &status.directory, release, mark, lines).await.map(Some);
    }
    let Some(log) = &status.log else { return Ok(None) };
    let from = match (mark, lines) {
        (OutputMark::Bytes(bytes), _) => Some(*bytes),
        (_, None) => Some(0),
        (_, Some(_)) => None,
    };
    let Some(mut part) = read_file(shell, log, from).await? else { return Ok(None) };
    if let Some(count) = lines {
        part.text = last(&part.text, count);
    }
    Ok(Some(part))
}

/// The end of what was printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputEnd {
    /// Whole lines; the last one may not be at its end yet.
    pub text: String,
    /// Whether something came before that is left out.
    pub is_cut: bool,
}

/// The last `limit` bytes of what the current release has printed, from the begin of a line on. Of what an engine keeps it is
/// less: of a container the last 128 KiB, of a Compose project 512 KiB. `None` where [`read_output`] gives none.
pub async fn read_output_end(
    shell: &dyn Shell,
    status: &ServiceStatus,
    limit: u64,
) -> Result<Option<OutputEnd>, Failure> {
    let is_kept_by_engine =
        status.engine_program.is_some() || status.spec.as_ref().is_some_and(|spec| spec.compose.is_some());
    if !is_kept_by_engine {
        let Some(log) = status.log.as_deref().filter(|_| status.release.is_some()) else { return Ok(None) };
        return read_file_end(shell, log, limit).await;
    }
    let Some(first) = read_output(shell, status, &OutputMark::Start, None).await? else { return Ok(None) };
    if !first.more {
        let is_cut = first.text.starts_with(LEFT_OUT);
        let text = if is_cut { first.text[LEFT_OUT.len()..].to_owned() } else { first.text };
        return Ok(Some(OutputEnd { text, is_cut }));
    }
    let last = read_output(shell, status, &OutputMark::Start, Some(MOST_LINES)).await?;
    Ok(last.map(|part| OutputEnd { text: part.text, is_cut: true }))
}

async fn read_file_end(shell: &dyn Shell, log: &Path, limit: u64) -> Result<Option<OutputEnd>, Failure> {
    let Some(OutputPart { mark: OutputMark::Bytes(size), .. }) = read_file(shell, log, None).await? else {
        return Ok(None);
    };
    let from = size.saturating_sub(limit);
    // The byte before tells whether a line begins there.
    let (mut at, mut text) = (from.saturating_sub(1), String::new());
    loop {
        let Some(part) = read_file(shell, log, Some(at)).await? else { break };
        text += &part.text;
        let OutputMark::Bytes(next) = part.mark else { break };
        // It may be written to faster than it is read, or be begun anew.
        if !part.more || next <= at || next - from > limit {
            break;
        }
        at = next;
    }
    if from > 0 {
        // Half a line may be half a secret, which nobody would find.
        let begin = text.find('\n').map_or(text.len(), |end| end + 1);
        text.drain(..begin);
    }
    Ok(Some(OutputEnd { text, is_cut: from > 0 }))
}

async fn read_container(
    shell: &dyn Shell,
    program: &Path,
    directory: &Path,
    release: &ReleaseId,
    mark: &OutputMark,
    lines: Option<usize>,
) -> Result<OutputPart, Failure> {
    let since = if let OutputMark::Time(time) = mark { time.as_str() } else { "" };
    let printed = container_lines(shell, program, directory, release, lines, since).await?;
    let mark = printed.lines.back().map_or_else(|| mark.clone(), |(time, _)| OutputMark::Time(time.clone()));
    let text = printed.lines.into_iter().map(|(_, line)| line + "\n").collect();
    Ok(OutputPart { text, mark, more: printed.more })
}

/// What all containers of a project have printed, in the order of time.
async fn read_project(
    shell: &dyn Shell,
    spec: &ReleaseSpec,
    directory: &Path,
    release: &ReleaseId,
    mark: &OutputMark,
    lines: Option<usize>,
) -> Result<OutputPart, Failure> {
    let Some(compose) = &spec.compose else { return Ok(OutputPart::default()) };
    let mut options = "--timestamps".to_owned();
    if let Some(count) = lines {
        options += &format!(" --tail {count}");
    }
    if let OutputMark::Time(time) = mark {
        options += &format!(" --since {time}");
    }
    let read = logs_line(spec.docker_socket.as_deref(), compose, &options);
    let command = unasked(spec, &format!("{read} | tail -c {PART}"));
    let command = command.directory(ServiceLayout::new(directory).release(release));
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut printed: Vec<(&str, &str, &str)> = text.lines().filter_map(printed_line).collect();
    // Per container they are in order already.
    printed.sort_by_key(|(_, time, _)| *time);
    if let OutputMark::Time(since) = mark {
        printed.retain(|(_, time, _)| *time > since.as_str());
    }
    let first = lines.map_or(0, |count| printed.len().saturating_sub(count));
    let mark = printed.last().map_or_else(|| mark.clone(), |(_, time, _)| OutputMark::Time((*time).to_owned()));
    let mut told = String::new();
    if lines.is_none() && output.stdout.len() as u64 >= PART {
        told += LEFT_OUT;
    }
    told.extend(printed[first..].iter().map(|(name, _, line)| format!("{name} | {line}\n")));
    Ok(OutputPart { text: told, mark, more: false })
}

/// Container, time and text of a line such as `web-1  | 2026-11-22T10:00:00.000000001Z text`.
fn printed_line(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.split_once('|')?;
    let (time, text) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
    let is_time = time.len() >= 20 && time.ends_with('Z') && time.starts_with(|c: char| c.is_ascii_digit());
    is_time.then(|| (name.trim(), time, text.trim_end_matches('\r')))
}

async fn read_file(shell: &dyn Shell, path: &Path, from: Option<u64>) -> Result<Option<OutputPart>, Failure> {
    let from = from.map(|from| from.to_string()).unwrap_or_default();
    let (file, part) = (path.to_string_lossy(), PART.to_string());
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
        ExitStatus::Code(44) => return Ok(None),
        _ if !output.succeeded() => return Err(failed(told_status(output.status))),
        _ => {}
    }
    let end = output.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(output.stdout.len());
    let (front, part) = output.stdout.split_at(end);
    let part = part.get(1..).unwrap_or_default();
    let numbers = String::from_utf8_lossy(front);
    let numbers = numbers.split_once(' ').and_then(|(size, from)| Some((size.parse().ok()?, from.parse().ok()?)));
    let (size, from): (u64, u64) = numbers.ok_or_else(|| failed("its size could not be read".into()))?;
    // Up to the end of a line, unless nothing else comes: what is cut there would be two wrong lines.
    let more = from + (part.len() as u64) < size;
    let whole = part.iter().rposition(|byte| *byte == b'\n').map_or(part.len(), |at| at + 1);
    let part = if more { &part[..whole] } else { part };
    let mark = OutputMark::Bytes(from + part.len() as u64);
    Ok(Some(OutputPart { text: String::from_utf8_lossy(part).into_owned(), mark, more }))
}

fn last(text: &str, count: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(count)..].iter().map(|line| format!("{line}\n")).collect()
}

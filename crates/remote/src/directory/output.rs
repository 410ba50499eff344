//! What the current release of a service has printed, wherever it is kept.

use std::path::Path;

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, NoLines, Shell};
use pleach_core::word::ReleaseId;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::compose::{logs_line, unasked};
use super::container::container_lines;
use super::layout::ServiceLayout;
use super::log_file::{LogFile, PART};
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

/// Where to begin to read what a service printed since a moment, or without one since its deployment.
///
/// # Errors
/// Its lines have no times: those of a process do not, which has a log for each release.
pub fn output_mark_since(status: &ServiceStatus, moment: Option<Timestamp>) -> Result<OutputMark, Failure> {
    let is_project = status.spec.as_ref().is_some_and(|spec| spec.compose.is_some());
    // A process and a container are the release's own; of a project goes on what has not changed.
    let moment = if is_project { moment.or(status.deployed) } else { moment };
    let Some(moment) = moment else { return Ok(OutputMark::Start) };
    if !is_project && status.engine_program.is_none() {
        let service = &status.service;
        return Err(Failure::new(Kind::Unsupported, format!("it is not known when `{service}` printed what"))
            .because("a process writes into its log itself, which has no times")
            .state("nothing was shown")
            .next(format!(
                "show its last lines with `pleach logs {service} --service -n 100`, or all `--since deployment`"
            )));
    }
    // As engines write it: compared letter by letter.
    Ok(OutputMark::Time(format!("{moment:.9}")))
}

/// What stands before the end of a long output.
const LEFT_OUT: &str = "… what came before is left out\n";

/// More lines than the engine hands on.
const MOST_LINES: usize = 100_000;

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
    let log = LogFile::new(shell, log);
    if let Some(count) = lines {
        let Some((end, at)) = log.end(PART).await? else { return Ok(None) };
        return Ok(Some(OutputPart { text: last(&end.text, count), mark: OutputMark::Bytes(at), more: false }));
    }
    let from = match mark {
        OutputMark::Bytes(bytes) => *bytes,
        OutputMark::Start | OutputMark::Time(_) => {
            if let Some((older, _)) = log.older().own_end(PART).await? {
                let left_out = if older.is_cut { LEFT_OUT } else { "" };
                let text = format!("{left_out}{}", older.text);
                return Ok(Some(OutputPart { text, mark: OutputMark::Bytes(0), more: true }));
            }
            0
        }
    };
    let Some(part) = log.part(from).await? else { return Ok(None) };
    Ok(Some(OutputPart { text: part.text, mark: OutputMark::Bytes(part.end), more: part.more }))
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
        return Ok(LogFile::new(shell, log).end(limit).await?.map(|(end, _)| end));
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

fn last(text: &str, count: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(count)..].iter().map(|line| format!("{line}\n")).collect()
}

//! `pleach version`: which Pleach this is; in an environment also which commits are live, and which Pleach lies there.

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, Command, NoLines};
use pleach_core::target::Target;
use pleach_core::word::{CommitId, EnvironmentName, ReleaseId, ServiceName, TargetName};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, answer, clean, stdout_columns, tell_failure};
use crate::project::{Project, Workspace, read_version};
use crate::standing::{Life, ServiceStanding, Standing, TargetReader, readers, stand, within_limit};

/// Arguments of `pleach version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also which commit of each service is live here, and how far its branch is ahead
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    #[command(flatten)]
    on: On,
}

/// This program, and the forms of what it writes: a program that knows an older one refuses them.
#[derive(Clone, Debug, Serialize)]
struct Own {
    version: &'static str,
    journal: u32,
    plan: u32,
}

const OWN: Own =
    Own { version: env!("CARGO_PKG_VERSION"), journal: pleach_core::journal::FORMAT, plan: pleach_core::plan::FORMAT };

/// One service on one target, beside its branch here.
#[derive(Clone, Debug, Serialize)]
struct Live {
    service: ServiceName,
    target: TargetName,
    release: Option<ReleaseId>,
    commit: Option<CommitId>,
    /// What that commit's `VERSION` or tag says, where it has one.
    version: Option<String>,
    subject: Option<String>,
    branch: Option<String>,
    /// What the branch names here.
    newest: Option<CommitId>,
    /// Commits that are live and that the branch does not have; nothing where they cannot be compared.
    ahead: Option<usize>,
    /// Commits of the branch that are not live.
    behind: Option<usize>,
    state: Life,
    /// What a person should know besides.
    note: Option<String>,
}

/// The executable that keeps services running on a target.
#[derive(Clone, Debug, Serialize)]
struct There {
    target: TargetName,
    path: Option<String>,
    /// What it says of itself; nothing where it is not there.
    version: Option<String>,
    /// Its SHA-256.
    digest: Option<String>,
    /// Whether it is this very program.
    same: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// What is answered as JSON.
#[derive(Serialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    own: Own,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Vec<Live>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<Vec<There>>,
}

/// Says what this program is; with an environment reads its targets side by side, and compares them with the branches here.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let Some(environment) = &args.environment else {
        tell(&Answer { own: OWN, services: None, programs: None }, globals);
        return Ok(Exit::DONE);
    };
    let project = Project::open_on(globals, Some(environment), &args.on)?;
    project.require_environment(environment)?;
    let (_, answer) = block_on(versions(&project, environment))?;
    tell(&answer, globals);
    Ok(Exit::DONE)
}

/// What is answered of an environment, and how it stands.
pub(crate) async fn versions(project: &Project, environment: &EnvironmentName) -> Result<(Standing, Answer), Ended> {
    let (standing, programs) = tokio::try_join!(stand(project, Some(environment)), programs(project, environment))?;
    let services = standing.services.iter().cloned().map(|standing| live(project, standing)).collect();
    Ok((standing, Answer { own: OWN, services: Some(services), programs: Some(programs) }))
}

fn live(project: &Project, standing: ServiceStanding) -> Live {
    let branch = project.config.services.get(&standing.service).map(|service| service.branch.clone());
    let mut live = Live {
        service: standing.service,
        target: standing.target,
        release: standing.release,
        version: None,
        subject: None,
        newest: None,
        ahead: None,
        behind: None,
        state: standing.state,
        note: standing.note.filter(|_| standing.commit.is_none()),
        commit: standing.commit,
        branch,
    };
    let Some(branch) = live.branch.clone() else { return live };
    if let (Some(config), Some(commit)) = (project.config.services.get(&live.service), &live.commit) {
        let read = read_version(&project.workspace.repository, config, commit).ok();
        live.version = read.filter(|version| *version != commit.short());
    }
    compare(&project.workspace, &format!("refs/heads/{branch}"), &mut live);
    live
}

fn compare(workspace: &Workspace, branch: &str, live: &mut Live) {
    let repository = &workspace.repository;
    live.newest = repository.resolve(branch).ok();
    let Some(commit) = &live.commit else { return };
    match repository.commit_info(commit) {
        Ok(info) => live.subject = Some(info.subject),
        // Deployed from another clone.
        Err(_) => live.note = Some("this commit is not in this repository: `git fetch --all`".to_owned()),
    }
    if let (Some(_), Some(newest)) = (&live.subject, &live.newest)
        && let Ok(apart) = repository.ahead_behind(commit.as_str(), newest.as_str())
    {
        (live.ahead, live.behind) = (Some(apart.ahead), Some(apart.behind));
    }
}

async fn programs(project: &Project, environment: &EnvironmentName) -> Result<Vec<There>, Ended> {
    let own = tokio::task::spawn_blocking(pleach_remote::own_digest).await;
    let own = own.ok().and_then(Result::ok);
    let mut reading = JoinSet::new();
    for reader in readers(project, Some(environment))? {
        let own = own.clone();
        reading.spawn(async move { there(&reader, own.as_deref()).await });
    }
    let mut programs = reading.join_all().await;
    programs.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(programs)
}

async fn there(reader: &TargetReader, own: Option<&str>) -> There {
    let path = reader.program().map(str::to_owned);
    let mut there = There { target: reader.name.clone(), path, version: None, digest: None, same: None, failure: None };
    let Some(program) = there.path.clone() else { return there };
    let asked = async { ask(reader.require_target()?.as_ref(), &program).await };
    match within_limit(asked).await {
        Ok(Some((version, digest))) => {
            there.same = own.map(|own| own == digest);
            (there.version, there.digest) = (Some(version), Some(digest));
        }
        Ok(None) => {}
        Err(failure) => there.failure = Some(failure),
    }
    there
}

/// The version and digest of a program on a target; nothing where it is not there or cannot be executed.
async fn ask(target: &dyn Target, program: &str) -> Result<Option<(String, String)>, Failure> {
    let Some(shell) = target.shell() else { return Ok(None) };
    let script = "[ -x \"$1\" ] || exit 0; \"$1\" --version || exit 0; sha256sum <\"$1\"";
    let command = Command::read(["sh", "-c", script, "sh", program]);
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let (version, digest) = (lines.next(), lines.next().and_then(|line| line.split(' ').next()));
    Ok(version.zip(digest).map(|(version, digest)| (clean(version), digest.to_owned())))
}

fn tell(told: &Answer, globals: &Globals) {
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(told).unwrap_or_default()));
        return;
    }
    let Own { version, journal, plan } = &told.own;
    let mut text = format!("pleach {version}\njournal form {journal}, plan form {plan}\n");
    let (paint, columns) = (Paint::of_stdout(globals.color), stdout_columns());
    if let Some(services) = &told.services {
        text.push('\n');
        text.push_str(&services_text(services, paint, columns));
    }
    if let Some(programs) = &told.programs {
        text.push('\n');
        text.push_str(&programs_text(programs, paint, columns));
    }
    answer(&text);
    let programs = told.programs.iter().flatten();
    for (there, failure) in programs.filter_map(|there| Some((there, there.failure.as_ref()?))) {
        let mut told = Failure::new(Kind::UnknownOutcome, format!("could not look at `{}`", there.target));
        told.because = failure.causes();
        let next = failure.next.clone().unwrap_or_else(|| "`pleach doctor`".to_owned());
        tell_failure(&told.state("it is not known what lies there").next(next), Paint::of_stderr(globals.color));
    }
}

fn services_text(services: &[Live], paint: Paint, columns: Option<usize>) -> String {
    let mut table = Table::new(["SERVICE", "TARGET", "VERSION", "RELEASE", "COMMIT", "BRANCH HAS", "", "SUBJECT"]);
    for live in services {
        let short = |commit: &Option<CommitId>| commit.as_ref().map_or("-".to_owned(), |one| one.short().to_owned());
        let (style, apart) = apart(live);
        let subject = live.note.as_deref().or(live.subject.as_deref()).unwrap_or("-");
        table.row([
            Cell::styled(Style::Bold, live.service.as_str()),
            live.target.as_str().into(),
            live.version.as_deref().map_or_else(|| "-".to_owned(), clean).into(),
            live.release.as_ref().map_or("-", ReleaseId::as_str).into(),
            short(&live.commit).into(),
            short(&live.newest).into(),
            Cell::styled(style, apart),
            clean(subject).into(),
        ]);
    }
    table.text(paint, columns)
}

/// How what is live and the branch relate, in words.
fn apart(live: &Live) -> (Style, String) {
    match (live.ahead, live.behind) {
        (Some(0), Some(0)) => (Style::Good, "newest".to_owned()),
        (Some(0), Some(behind)) => (Style::Busy, format!("{behind} behind")),
        (Some(ahead), Some(0)) => (Style::Busy, format!("{ahead} ahead")),
        (Some(ahead), Some(behind)) => (Style::Busy, format!("{ahead} ahead, {behind} behind")),
        _ if live.state == Life::Unknown => (Style::Busy, "unknown".to_owned()),
        _ if live.commit.is_none() => (Style::Dim, "not live".to_owned()),
        _ if live.newest.is_none() => (Style::Busy, "no branch here".to_owned()),
        _ => (Style::Busy, "unknown".to_owned()),
    }
}

fn programs_text(programs: &[There], paint: Paint, columns: Option<usize>) -> String {
    let mut table = Table::new(["TARGET", "PROGRAM", "DIGEST", "", "PATH"]);
    for there in programs {
        let (style, same) = match (there.same, &there.version, &there.failure) {
            (Some(true), ..) => (Style::Good, "this one"),
            (Some(false), ..) => (Style::Busy, "another one"),
            (None, _, Some(_)) => (Style::Busy, "unknown"),
            (None, None, None) => (Style::Dim, "not there yet"),
            (None, Some(_), None) => (Style::Dim, "-"),
        };
        table.row([
            Cell::styled(Style::Bold, there.target.as_str()),
            there.version.as_deref().unwrap_or("-").into(),
            there.digest.as_deref().map_or("-", |digest| digest.get(..12).unwrap_or(digest)).into(),
            Cell::styled(style, same),
            there.path.as_deref().unwrap_or("-").into(),
        ]);
    }
    table.text(paint, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_branch_is_ahead_is_told_in_words() {
        let commit = CommitId::new("a".repeat(40)).ok();
        let live = |ahead, behind| Live {
            service: ServiceName::new("api").expect("a name"),
            target: TargetName::new("here").expect("a name"),
            release: None,
            commit: commit.clone(),
            version: None,
            subject: None,
            branch: None,
            newest: commit.clone(),
            ahead,
            behind,
            state: Life::Running,
            note: None,
        };
        assert_eq!(apart(&live(Some(0), Some(0))).1, "newest");
        assert_eq!(apart(&live(Some(0), Some(3))).1, "3 behind");
        assert_eq!(apart(&live(Some(1), Some(2))).1, "1 ahead, 2 behind");
        assert_eq!(apart(&live(None, None)).1, "unknown");
        assert_eq!(apart(&Live { commit: None, ..live(None, None) }).1, "not live");
    }
}

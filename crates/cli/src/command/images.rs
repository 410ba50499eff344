//! `pleach images`: the images of services, on the engines of targets and where images are built.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::ImageId;
use pleach_core::word::{EnvironmentName, ReleaseId, ServiceName, TargetName};
use pleach_remote::directory::{ServiceImage, ServiceImages, built_images, service_images};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::args::{Globals, On};
use crate::deployment::{block_on, select};
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, ago_text, answer, bytes_text, stdout_columns, tell_failure};
use crate::project::Project;
use crate::standing::{TargetReader, readers, within_limit};

/// What begins the names that are Pleach's own.
const OWN: &str = "pleach/";
/// What stands in place of a target where images are built.
const BUILDER: &str = "(builder)";

/// Arguments of `pleach images`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The engines themselves are asked. One that cannot be is told on standard error and hides no other; the exit \
    code is 0 as with `pleach status`. TARGET is `(builder)` where images are built; USED names the releases made of an image, \
    the current one first."
)]
pub(crate) struct Args {
    /// Where; everywhere if absent
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// Only these services
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',')]
    only: Vec<ServiceName>,
    #[command(flatten)]
    on: On,
}

/// One image of a service on one engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    service: ServiceName,
    /// Nothing where images are built.
    environment: Option<EnvironmentName>,
    target: Option<TargetName>,
    image: ImageId,
    /// Whether the engine has it.
    there: bool,
    /// Those on channels, and whatever else people have called it.
    names: BTreeSet<String>,
    version: Option<String>,
    commit: Option<String>,
    created: Option<Timestamp>,
    size_bytes: Option<u64>,
    /// The current release, if it is made of it.
    current: Option<ReleaseId>,
    /// All releases that are made of it, oldest first.
    releases: Vec<ReleaseId>,
    /// The containers that are made of it.
    containers: BTreeSet<String>,
}

/// What could not be read: a target, one service there, or where images are built.
#[derive(Clone, Debug, Serialize)]
struct Unread {
    environment: Option<EnvironmentName>,
    target: Option<TargetName>,
    service: Option<ServiceName>,
    failure: Failure,
}

#[derive(Default, Serialize)]
struct Listing {
    images: Vec<Row>,
    unread: Vec<Unread>,
}

/// Asks all engines side by side, and lists what they have.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, args.environment.as_ref(), &args.on)?;
    if let Some(environment) = &args.environment {
        project.require_environment(environment)?;
    }
    project.require_services(&args.only)?;
    let listing = block_on(list(&project, &args))?;
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(&listing).unwrap_or_default()));
        return Ok(Exit::DONE);
    }
    if listing.images.is_empty() {
        answer("no image of any service\n");
    } else {
        answer(&text(&listing.images, project.workspace.now(), Paint::of_stdout(globals.color), stdout_columns()));
    }
    for unread in listing.unread {
        tell_failure(&told(unread), Paint::of_stderr(globals.color));
    }
    Ok(Exit::DONE)
}

async fn list(project: &Project, args: &Args) -> Result<Listing, Ended> {
    let mut reading = JoinSet::new();
    for reader in readers(project, args.environment.as_ref())? {
        reading.spawn(async move { (reader.environment.clone(), reader.name.clone(), read(&reader).await) });
    }
    let mut asking = JoinSet::new();
    for service in builds(project, args)? {
        asking.spawn(async move { (service.clone(), within_limit(built_images(&service)).await) });
    }
    let wanted = |service: &ServiceName| args.only.is_empty() || args.only.contains(service);
    let mut listing = Listing::default();
    for (environment, target, read) in reading.join_all().await {
        let unread = |service, failure| Unread {
            environment: Some(environment.clone()),
            target: Some(target.clone()),
            service,
            failure,
        };
        match read {
            Err(failure) => listing.unread.push(unread(None, failure)),
            Ok(services) => {
                for (service, images) in services.into_iter().filter(|(service, _)| wanted(service)) {
                    match images {
                        // Another environment may lie at the same place.
                        Ok(one) if one.environment.as_ref() == Some(&environment) => {
                            let place = (Some(environment.clone()), Some(target.clone()));
                            listing.images.extend(rows(&service, &place, one));
                        }
                        Ok(_) => {}
                        Err(failure) => listing.unread.push(unread(Some(service), failure)),
                    }
                }
            }
        }
    }
    for (service, built) in asking.join_all().await {
        match built {
            Ok(images) => {
                let all = ServiceImages { environment: None, current: None, images };
                listing.images.extend(rows(&service, &(None, None), all));
            }
            // The same engine for all of them: it is told once.
            Err(failure) if listing.unread.iter().all(|other| other.target.is_some()) => {
                listing.unread.push(Unread { environment: None, target: None, service: None, failure });
            }
            Err(_) => {}
        }
    }
    let place = |row: &Row| (row.service.clone(), row.target.is_none(), row.environment.clone(), row.target.clone());
    // Those of one engine stay as they are, the newest first.
    listing.images.sort_by_key(place);
    listing
        .unread
        .sort_by(|a, b| (&a.environment, &a.target, &a.service).cmp(&(&b.environment, &b.target, &b.service)));
    Ok(listing)
}

/// The services whose images are built here.
fn builds(project: &Project, args: &Args) -> Result<Vec<ServiceName>, Ended> {
    let services = match &args.environment {
        Some(environment) => select(project, project.require_environment(environment)?, &args.only),
        None => project.config.services.keys().cloned().collect(),
    };
    let is_wanted = |service: &ServiceName| args.only.is_empty() || args.only.contains(service);
    let is_built = |service: &ServiceName| project.config.services.get(service).is_some_and(|one| one.image.is_some());
    Ok(services.into_iter().filter(|service| is_wanted(service) && is_built(service)).collect())
}

type Read = Vec<(ServiceName, Result<ServiceImages, Failure>)>;

async fn read(reader: &TargetReader) -> Result<Read, Failure> {
    let Some(root) = reader.root() else { return Ok(Vec::new()) };
    let read = async {
        let target = reader.require_target()?;
        match (target.files(), target.shell()) {
            (Some(files), Some(shell)) => service_images(files, shell, root).await,
            _ => Ok(Vec::new()),
        }
    };
    within_limit(read).await
}

fn rows(
    service: &ServiceName,
    (environment, target): &(Option<EnvironmentName>, Option<TargetName>),
    images: ServiceImages,
) -> Vec<Row> {
    let current = images.current;
    let row = |image: ServiceImage| {
        let (there, seen) = (image.seen.is_some(), image.seen);
        let is_current = current.as_ref().is_some_and(|current| image.releases.contains(current));
        let commit = seen.as_ref().and_then(|seen| seen.commit.clone());
        let names = seen.iter().flat_map(|seen| &seen.names).filter(|name| !name.starts_with(OWN)).cloned();
        Row {
            service: service.clone(),
            environment: environment.clone(),
            target: target.clone(),
            image: image.image,
            there,
            names: names.collect(),
            version: seen.as_ref().and_then(|seen| seen.version.clone()),
            commit: commit.or_else(|| image.commit.map(String::from)),
            created: seen.as_ref().and_then(|seen| seen.created),
            size_bytes: seen.as_ref().map(|seen| seen.size),
            current: current.clone().filter(|_| is_current),
            releases: image.releases,
            containers: seen.map(|seen| seen.containers).unwrap_or_default(),
        }
    };
    images.images.into_iter().map(row).collect()
}

fn text(rows: &[Row], now: Timestamp, paint: Paint, columns: Option<usize>) -> String {
    let heading = ["SERVICE", "TARGET", "IMAGE", "VERSION", "COMMIT", "CREATED", "SIZE", "NAMES", "USED"];
    let mut table = Table::new(heading);
    let dash = || "-".to_owned();
    for row in rows {
        let target = match (&row.environment, &row.target) {
            (Some(environment), Some(target)) => format!("{environment}/{target}"),
            _ => BUILDER.to_owned(),
        };
        let style = if row.there { Style::Good } else { Style::Bad };
        let commit: String = row.commit.iter().flat_map(|commit| commit.chars().take(8)).collect();
        let cells: [Cell; 9] = [
            Cell::styled(Style::Bold, row.service.as_str()),
            target.into(),
            Cell::styled(style, row.image.short()),
            row.version.clone().unwrap_or_else(dash).into(),
            if commit.is_empty() { dash() } else { commit }.into(),
            row.created.map_or_else(dash, |created| ago_text(created, now)).into(),
            row.size_bytes.map_or_else(|| "gone".to_owned(), bytes_text).into(),
            if row.names.is_empty() { dash() } else { row.names.iter().cloned().collect::<Vec<_>>().join(", ") }.into(),
            used(row).into(),
        ];
        table.row(cells);
    }
    table.text(paint, columns)
}

/// The current release first, then those that are kept; where none is made of it, containers that somebody else has made.
fn used(row: &Row) -> String {
    let current = row.current.iter().map(|release| format!("{release} (current)"));
    let kept =
        row.releases.iter().rev().filter(|release| Some(*release) != row.current.as_ref()).map(ToString::to_string);
    let mut used: Vec<String> = current.chain(kept).collect();
    if used.is_empty() {
        used.extend(row.containers.iter().map(|name| format!("container `{name}`")));
    }
    if used.is_empty() { "-".to_owned() } else { used.join(", ") }
}

/// The engine, why it was not asked, and how to see more.
fn told(unread: Unread) -> Failure {
    let place = match (&unread.service, &unread.target) {
        (Some(service), Some(target)) => format!("of `{service}` on `{target}`"),
        (_, Some(target)) => format!("on `{target}`"),
        _ => "where they are built".to_owned(),
    };
    let failure = unread.failure;
    let mut told = Failure::new(Kind::UnknownOutcome, format!("could not read the images {place}"));
    told.because = failure.causes();
    let doctor =
        unread.environment.map_or_else(|| "`pleach doctor`".to_owned(), |name| format!("`pleach doctor {name}`"));
    told.state("it is not known what images are there").next(failure.next.unwrap_or(doctor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_used_stands_in_the_row_of_each_image() {
        let release = |number: u32| ReleaseId::new(format!("000{number}-ab12cd34")).expect("a release");
        let row = |digit: &str, there: bool| Row {
            service: ServiceName::new("shop").expect("a name"),
            environment: EnvironmentName::new("uat").ok(),
            target: TargetName::new("vm").ok(),
            image: ImageId::new(format!("sha256:{}", digit.repeat(64))).expect("an id"),
            there,
            names: ["shop:uat-latest", "shop:uat-v1.2.3"].map(str::to_owned).into_iter().filter(|_| there).collect(),
            version: there.then(|| "1.2.3".to_owned()),
            commit: Some("ab12cd34".repeat(5)),
            created: there.then_some(Timestamp::UNIX_EPOCH),
            size_bytes: there.then_some(2_000_000),
            current: there.then(|| release(3)),
            releases: vec![release(1), release(3)],
            containers: BTreeSet::new(),
        };
        let built = Row { environment: None, target: None, current: None, releases: Vec::new(), ..row("a", true) };
        let text = text(&[row("a", true), row("b", false), built], Timestamp::UNIX_EPOCH, Paint::Plain, None);
        insta::assert_snapshot!(text);
    }
}

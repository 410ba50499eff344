//! `pleach promote`: what is live and healthy in one environment goes to another one, as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pleach_core::config::EnvironmentConfig;
use pleach_core::engine::RunTargets;
use pleach_core::error::{Failure, Kind};
use pleach_core::percent::Percent;
use pleach_core::plan::{Detail, OnFailure, Operation, Plan};
use pleach_core::port::{ImageId, ProjectImages};
use pleach_core::target::Facts;
use pleach_core::word::{CommitId, EnvironmentName, ServiceName, TargetName};
use pleach_remote::directory::{built_name, passed_name};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::deploy::{approve_plan, on_failure_words, parse_on_failure, show_for_consent};
use super::plan::show_plan;
use crate::args::{Globals, On, option};
use crate::deployment::{
    Again, Answered, RunOptions, Work, ask_for_canary, block_on, carry_out, facts_of, prepare_proven,
    require_nothing_unfinished, save_plan, select,
};
use crate::exit::{Ended, Exit};
use crate::print::{answer, bytes_text, narrate};
use crate::project::{Project, Proven, ProvenService};
use crate::standing::Health;

/// Arguments of `pleach promote`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it was proven
    #[arg(value_name = "FROM")]
    from: EnvironmentName,
    /// Where it goes
    #[arg(value_name = "TO")]
    to: EnvironmentName,
    /// Only these services
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',')]
    only: Vec<ServiceName>,
    #[command(flatten)]
    on: On,
    /// Consent without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
    /// What a failure means for the others, instead of what the environment says
    #[arg(long, value_name = "POLICY", value_parser = parse_on_failure)]
    on_failure: Option<OnFailure>,
    /// Share the requests with the release before first: one such part after the other, each watched, then all
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    canary: Vec<Percent>,
    /// Save the plan, for `pleach approve` and `pleach deploy --plan`, and touch nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
}

impl Args {
    /// What is typed to do the same again, without `--canary`, which stands behind it.
    fn command(&self) -> String {
        let options = [option("only", &self.only), on_failure_words(self.on_failure), self.on.words()].concat();
        format!("pleach promote {} {}{options}", self.from, self.to)
    }
}

/// Looks what is proven, plans exactly that, gets consent, runs it.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let mut project = Project::open_on(globals, Some(&args.to), &args.on)?;
    ask_for_canary(&mut project, &args.to, &args.canary, &args.command())?;
    block_on(promote(&args, globals, &project))
}

async fn promote(args: &Args, globals: &Globals, project: &Project) -> Result<Exit, Ended> {
    let (from, to) = (project.require_environment(&args.from)?, project.require_environment(&args.to)?);
    project.require_services(&args.only)?;
    require_gate(args, to)?;
    require_nothing_unfinished(&project.workspace, &args.to).await?;
    let there = select(project, from, &args.only);
    let both: Vec<ServiceName> =
        select(project, to, &args.only).into_iter().filter(|name| there.contains(name)).collect();
    let proven = require_proven(project, (&args.from, &args.to), &both).await?;
    let mut plan = prepare_proven(project, &args.to, Operation::Deploy, &both, &proven).await?;
    plan.policy.on_failure = args.on_failure.unwrap_or(plan.policy.on_failure);
    if plan.is_empty() {
        answer(&format!("nothing to do: `{}` runs what `{}` runs\n", args.to, args.from));
        return Ok(Exit::DONE);
    }
    if let Some(path) = &args.out {
        show_plan(&plan, Detail::Lanes, globals);
        save_plan(path, &plan)?;
        let path = path.display();
        narrate(&format!(
            "saved to `{path}`; next: `pleach approve {path}`, then `pleach deploy {} --plan {path}`",
            args.to
        ));
        return Ok(Exit::DONE);
    }
    show_for_consent(&plan, to.consent, globals);
    let changed = changed_by(&plan);
    let answered = if args.yes { Answered::Yes } else { Answered::NotYet };
    let command = format!("{}{}", args.command(), option("canary", &args.canary));
    let again = Again { command: &command, saving: Some(&format!("{command} --out plan.json")) };
    let approved = approve_plan(project, plan, to.consent, answered, None, again).await?;
    let needed = proven.iter().filter(|(service, _)| changed.contains(*service));
    bring_back(project, &args.from, &args.to, needed).await?;
    carry_out(&project.workspace, Work::Execute(Box::new(approved)), &args.options, globals).await
}

fn changed_by(plan: &Plan) -> BTreeSet<ServiceName> {
    plan.lanes().map(|lane| lane.service.clone()).collect()
}

/// A plan that was saved takes to where only proven things come what is still proven; gives that.
pub(super) async fn require_still_proven(
    project: &Project,
    from: &EnvironmentName,
    plan: &Plan,
) -> Result<Proven, Ended> {
    let changed: Vec<ServiceName> = changed_by(plan).into_iter().collect();
    let to = &plan.environment;
    let proven = require_proven(project, (from, to), &changed).await?;
    let is_as_planned = |service: &ServiceName, proven: &ProvenService| {
        let planned = plan.services.iter().find(|planned| planned.name == *service);
        let (known, named) = (proven.image_names(), images_in(plan, service));
        planned.is_some_and(|planned| planned.commit == proven.commit)
            && known.is_empty() == named.is_empty()
            && named.is_subset(&known)
    };
    if let Some((service, _)) = proven.iter().find(|(service, proven)| !is_as_planned(service, proven)) {
        let what = format!("plan `{}` does not bring what is proven of `{service}` in `{from}`", plan.id().short());
        let failure = Failure::new(Kind::Conflict, what)
            .because(format!("`{to}` has `promote-from = \"{from}\"`, and another commit or image is live there now"))
            .state("nothing was touched")
            .next(format!("make a new plan: `pleach promote {from} {to} --out plan.json`"));
        return Err(Ended::refused(failure));
    }
    Ok(proven)
}

/// The images that a plan has a service take: what looks like one in the steps that get them.
fn images_in(plan: &Plan, service: &ServiceName) -> BTreeSet<String> {
    const GETTING: [&str; 3] = ["build-image", "image", "compose"];
    let steps = plan.lanes().filter(|lane| lane.service == *service).flat_map(|lane| &lane.steps);
    let mut found = BTreeSet::new();
    steps
        .filter(|step| GETTING.contains(&step.name.as_str()))
        .for_each(|step| find_images(&step.parameters, &mut found));
    found
}

fn find_images(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if ImageId::new(text).is_ok() => drop(found.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| find_images(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| find_images(value, found)),
        _ => {}
    }
}

impl ProvenService {
    fn image_names(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        find_images(&json!(self.images), &mut found);
        find_images(&json!(self.project), &mut found);
        found
    }
}

/// Images that are gone where images are built come back from a target that they were proven on.
pub(super) async fn bring_back(
    project: &Project,
    from: &EnvironmentName,
    to: &EnvironmentName,
    proven: impl Iterator<Item = (&ServiceName, &ProvenService)>,
) -> Result<(), Failure> {
    let (targets, _) = project.workspace.open_with_leases(from, &project.planned_targets(from, &[])?)?;
    for (service, ProvenService { commit, images, project }) in proven {
        // Of several platforms one at most is that of the engine that builds.
        let built = images.iter().map(|(platform, image)| {
            (image, built_name(service, commit, Some(platform.as_str()).filter(|_| images.len() > 1)))
        });
        let projects = project.iter().flat_map(|(platform, images)| images.iter().map(move |one| (platform, one)));
        let passed = projects.filter(|(_, (_, one))| one.registry.is_none()).map(|(platform, (of, one))| {
            let platform = Some(platform.as_str()).filter(|_| project.len() > 1);
            (&one.image, passed_name(service, to, of, platform))
        });
        for (image, name) in built.chain(passed) {
            if let Some((target, bytes)) = fetched(&targets, image, &name).await? {
                let (short, bytes) = (image.short(), bytes_text(bytes));
                narrate(&format!("image {short} of `{service}` came back from `{target}` of `{from}`: {bytes}"));
            }
        }
    }
    Ok(())
}

/// From where an image came back, and how large what travelled was; nothing where it is where images are built, or nowhere.
async fn fetched<'a>(
    targets: &'a RunTargets,
    image: &ImageId,
    name: &str,
) -> Result<Option<(&'a TargetName, u64)>, Failure> {
    for (target, at) in targets {
        let Some(containers) = at.containers() else { continue };
        if containers.is_built(image).await? {
            return Ok(None);
        }
        if containers.has(image).await? {
            return Ok(Some((target, containers.fetch(image, name).await?.bytes)));
        }
    }
    Ok(None)
}

/// The second environment takes what comes from the first.
fn require_gate(args: &Args, to: &EnvironmentConfig) -> Result<(), Ended> {
    let Some(from) = to.promote_from.as_ref().filter(|from| **from != args.from) else { return Ok(()) };
    let failure = Failure::new(Kind::Rejected, format!("`{}` takes only what is proven in `{from}`", args.to))
        .because(format!("`promote-from = \"{from}\"` says so"))
        .state("nothing was touched")
        .next(format!("`pleach promote {from} {}`", args.to));
    Err(Ended::refused(failure))
}

/// What all targets of the first environment run of these services, and answer for; tells every one of which that is not so.
async fn require_proven(
    project: &Project,
    (from, to): (&EnvironmentName, &EnvironmentName),
    services: &[ServiceName],
) -> Result<Proven, Ended> {
    let refuse = |what: String, because: String, next: String| {
        Failure::new(Kind::Rejected, what).because(because).state("nothing was touched").next(next)
    };
    if services.is_empty() {
        let what = format!("nothing goes from `{}` to `{}`", from, to);
        let because = "no service is deployed to both".to_owned();
        return Err(Ended::wrong(refuse(what, because, "see `targets` of services in `pleach.toml`".into())));
    }
    let facts = facts_of(project, from).await?;
    let standing = crate::standing::stand(project, Some(from)).await?.only(services);
    let (mut proven, mut failures) = (Proven::new(), Vec::new());
    for service in services {
        let ill = standing.services.iter().find(|row| row.service == *service && row.health != Health::Healthy);
        let seen = match ill {
            Some(row) => Err(format!("it is not seen to be healthy on `{}`", row.target)),
            None => agreed(&facts, service).and_then(|seen| is_of_its_kind(project, service, seen)),
        };
        match seen {
            Ok(seen) => drop(proven.insert(service.clone(), seen)),
            Err(because) => failures.push(refuse(
                format!("`{service}` is not proven in `{}`", from),
                because,
                format!("look with `pleach status {0}`, then `pleach deploy {0} --only {service}`", from),
            )),
        }
    }
    if failures.is_empty() { Ok(proven) } else { Err(Ended { exit: Exit::REFUSED, ..failures.into() }) }
}

/// What was proven as something else has no image to be taken as it is: it would be built anew.
fn is_of_its_kind(project: &Project, service: &ServiceName, seen: ProvenService) -> Result<ProvenService, String> {
    let config = project.config.services.get(service);
    let (image, compose) = config.map_or((false, false), |one| (one.image.is_some(), one.compose.is_some()));
    if image == seen.images.is_empty() || compose == seen.project.is_empty() {
        return Err("it runs there in another way than `pleach.toml` says now".to_owned());
    }
    Ok(seen)
}

/// What a target runs of a service.
#[derive(PartialEq)]
struct Ran {
    commit: CommitId,
    image: Option<ImageId>,
    /// Of a Compose project.
    project: Option<ProjectImages>,
}

impl Ran {
    fn of(facts: &Facts, service: &ServiceName) -> Option<Self> {
        let commit = fact::<CommitId>(facts, service, "commit")?;
        Some(Self { commit, image: fact(facts, service, "image"), project: fact(facts, service, "project") })
    }

    /// Why it is not the same as what another target runs, which may have images of its own where it is another platform.
    fn difference(&self, other: &Self, may_be_same: bool) -> Option<String> {
        let kinds = |ran: &Self| (ran.image.is_some(), ran.project.is_some());
        if self.commit != other.commit || kinds(self) != kinds(other) || (may_be_same && self.image != other.image) {
            return Some("do not run the same of it".to_owned());
        }
        let (own, others) = (self.project.as_ref()?, other.project.as_ref()?);
        let image = |images: &ProjectImages, name: &str| images.get(name).map(|one| one.image.clone());
        let name = own.keys().chain(others.keys()).find(|name| image(own, name) != image(others, name));
        name.filter(|_| may_be_same)
            .map(|name| format!("run different images of its `{name}`: what each has built itself is another one"))
    }
}

/// The one commit that a service has on all targets that have it, and the same images on those of the same platform.
fn agreed(facts: &BTreeMap<TargetName, Facts>, service: &ServiceName) -> Result<ProvenService, String> {
    let mut seen: BTreeMap<String, (&TargetName, Ran)> = BTreeMap::new();
    for (target, facts) in facts {
        let Some(ran) = Ran::of(facts, service) else { continue };
        let has_images = ran.image.is_some() || ran.project.is_some();
        let platform = facts.get("docker/platform").filter(|_| has_images).and_then(Value::as_str).unwrap_or_default();
        for (of, (other, there)) in &seen {
            // Of one that does not tell its platform, it may be the same.
            let may_be_same = of == platform || of.is_empty() || platform.is_empty();
            if let Some(difference) = there.difference(&ran, may_be_same) {
                return Err(format!("`{other}` and `{target}` {difference}"));
            }
        }
        seen.insert(platform.to_owned(), (target, ran));
    }
    let commit = seen.values().next().map(|(_, ran)| ran.commit.clone());
    let commit = commit.ok_or_else(|| "it is not live there".to_owned())?;
    let (mut images, mut project) = (BTreeMap::new(), BTreeMap::new());
    for (platform, (_, ran)) in seen {
        images.extend(ran.image.map(|image| (platform.clone(), image)));
        project.extend(ran.project.map(|images| (platform, images)));
    }
    Ok(ProvenService { commit, images, project })
}

fn fact<T: DeserializeOwned>(facts: &Facts, service: &ServiceName, name: &str) -> Option<T> {
    serde_json::from_value(facts.get(&format!("service/{service}/{name}"))?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_of_several_platforms_have_one_image_each_of_the_same_commit() {
        let service: ServiceName = "shop".parse().expect("a name");
        let image = |digit: char| ImageId::new(format!("sha256:{}", digit.to_string().repeat(64))).expect("a digest");
        let facts = |platform: &str, digit: char| {
            Facts::from([
                ("service/shop/commit".to_owned(), json!("a".repeat(40))),
                ("service/shop/image".to_owned(), json!(image(digit))),
                ("docker/platform".to_owned(), json!(platform)),
            ])
        };
        let all = |seen: &[(&str, char)]| -> BTreeMap<TargetName, Facts> {
            let named = seen.iter().enumerate();
            named.map(|(at, (of, digit))| (format!("vm{at}").parse().expect("a name"), facts(of, *digit))).collect()
        };
        let proven = agreed(&all(&[("linux/amd64", '1'), ("linux/arm64", '2'), ("linux/amd64", '1')]), &service);
        let images = proven.expect("proven").images;
        assert_eq!((&images["linux/amd64"], &images["linux/arm64"]), (&image('1'), &image('2')));
        let differ = agreed(&all(&[("linux/amd64", '1'), ("linux/arm64", '2'), ("linux/arm64", '3')]), &service);
        assert_eq!(differ.expect_err("two"), "`vm1` and `vm2` do not run the same of it");
    }

    #[test]
    fn of_a_project_the_images_of_all_its_services_are_the_same_on_all_targets() {
        let service: ServiceName = "shop".parse().expect("a name");
        let image = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
        let facts = |web: char| {
            let project = json!({
                "db": { "image": image('d'), "registry": format!("postgres@{}", image('e')) },
                "web": { "image": image(web) },
            });
            Facts::from([
                ("service/shop/commit".to_owned(), json!("a".repeat(40))),
                ("service/shop/project".to_owned(), project),
                ("docker/platform".to_owned(), json!("linux/amd64")),
            ])
        };
        let all = |webs: &[char]| -> BTreeMap<TargetName, Facts> {
            let named = webs.iter().enumerate();
            named.map(|(at, web)| (format!("vm{at}").parse().expect("a name"), facts(*web))).collect()
        };
        let proven = agreed(&all(&['1', '1']), &service).expect("proven");
        assert!(proven.images.is_empty());
        let images = &proven.project["linux/amd64"];
        assert_eq!((images["web"].image.as_str(), &images["web"].registry), (image('1').as_str(), &None));
        assert_eq!(images["db"].registry, Some(format!("postgres@{}", image('e'))));
        let differ = agreed(&all(&['1', '2']), &service).expect_err("each has built its own");
        assert_eq!(
            differ,
            "`vm0` and `vm1` run different images of its `web`: what each has built itself is another one"
        );
    }

    #[test]
    fn what_targets_do_not_agree_about_is_not_proven() {
        let service: ServiceName = "shop".parse().expect("a name");
        let facts =
            |commit: char| Facts::from([("service/shop/commit".to_owned(), json!(commit.to_string().repeat(40)))]);
        let all = |commits: &[char]| -> BTreeMap<TargetName, Facts> {
            let named = commits.iter().enumerate();
            named.map(|(at, commit)| (format!("vm{at}").parse().expect("a name"), facts(*commit))).collect()
        };
        assert_eq!(agreed(&all(&['a', 'a']), &service).expect("proven").commit.as_str(), "a".repeat(40));
        assert_eq!(agreed(&all(&['a', 'b']), &service).expect_err("two"), "`vm0` and `vm1` do not run the same of it");
        assert_eq!(agreed(&all(&[]), &service).expect_err("none"), "it is not live there");
    }
}

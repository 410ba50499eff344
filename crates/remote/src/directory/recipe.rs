//! From a service and facts to steps: the pure half.

use std::path::PathBuf;
use std::time::Duration;

use pleach_core::config::{ScriptPlace, TargetConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::phase::Reversal;
use pleach_core::plan::{Draft, DraftRequest, DraftStep, Operation, Recipe, Retry, Step, Turn, Watch, WatchRequest};
use pleach_core::port::{ImageId, ProjectImages};
use pleach_core::target::Facts;
use pleach_core::word::{NameError, PhaseName, ReleaseId, SnapshotId, SnapshotKind, TargetName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::backup::Backup;
use super::command::typed;
use super::compose::{commands, project};
use super::facts::{KeptRelease, LedFact};
use super::files::{self, kept_paths};
use super::lead::{LEAD, place};
use super::parameter::{
    Asked, CurrentParameters, FilesParameters, HealthParameters, Place, Previous, PruneParameters, ReleaseParameters,
    RetireParameters, RouteParameters, StartParameters, SwitchParameters, UploadParameters, VolumesParameters, word,
};
use super::phase::Work;
use super::release::ReleaseSpec;
use super::routing::asked;
use super::script::{ScriptDraft, ScriptParameters, draft_scripts};
use super::snapshot::KIND;
use super::volumes::{self, kept_volumes, owner};
use super::way_back::{Kept, WayBack};
use crate::guard::Guard;
use crate::proxy::Led;
use crate::ssh::Destination;
use crate::watchdog::{self, Instruction, WatchdogParameters};

/// For work on files alone.
pub(super) const FILES: Period = Period::seconds(600);
/// For starting, switching and routing.
pub(super) const SHORT: Period = Period::seconds(60);

/// Turns a service into steps for a directory, wherever it lies.
pub struct DirectoryRecipe {
    kind: &'static str,
}

impl DirectoryRecipe {
    /// The recipe for targets of this kind.
    pub const fn new(kind: &'static str) -> Self {
        Self { kind }
    }
}

impl Recipe for DirectoryRecipe {
    fn kind(&self) -> &str {
        self.kind
    }

    fn draft(&self, request: &DraftRequest<'_>) -> Result<Draft, Vec<Failure>> {
        let scene = Scene::read(request).map_err(|failure| vec![failure])?;
        match request.operation {
            Operation::Deploy => scene.deploy(&draft_scripts(request)?),
            Operation::Switch { release } => scene.switch_to(release),
            Operation::Stop => scene.stop(),
            Operation::Restart { part } => scene.restart(part.as_deref()),
            Operation::Backup => scene.backup(),
            Operation::Restore { backup } => scene.restore(backup),
            Operation::Forget { backup } => scene.forget(backup),
        }
        .map_err(|failure| vec![failure])
    }

    fn watch(&self, request: &WatchRequest<'_>) -> Result<Option<Watch>, Failure> {
        // What is on this machine is taken back by whoever goes on with the run here.
        if self.kind != "ssh" {
            return Ok(None);
        }
        let root: std::path::PathBuf = read_fact(request.facts, "root", request.target)?;
        let read = |value: &Value| serde_json::from_value(value.clone());
        let instructions =
            request.way_back.iter().map(read).collect::<Result<_, _>>().map_err(|error| {
                Failure::new(Kind::Internal, "could not read a way back").because(error.to_string())
            })?;
        let armed = WatchdogParameters {
            folder: Guard::below(&root).folder().to_owned(),
            deadline: request.deadline,
            instructions,
        };
        let confirmed = WatchdogParameters { instructions: Vec::new(), ..armed.clone() };
        Ok(Some(Watch {
            snapshot: (SnapshotKind::new(watchdog::KIND).map_err(wrong)?, value(&armed)?),
            confirm: Step {
                name: "confirm".parse().map_err(wrong)?,
                phase: PhaseName::new(watchdog::CONFIRM).map_err(wrong)?,
                summary: format!("confirm that `{}` need not take itself back", request.target),
                parameters: value(&confirmed)?,
                reversal: Reversal::Nothing,
                time_limit: SHORT,
                retry: Retry::default(),
                undo_by_hand: None,
            },
        }))
    }
}

/// What a draft is made from.
pub(super) struct Scene<'a> {
    pub(super) request: &'a DraftRequest<'a>,
    pub(super) place: Place,
    keep: u32,
    host: String,
    port: Option<u16>,
    pub(super) previous: Previous,
    orphaned: Vec<ReleaseId>,
    pub(super) halted: bool,
    pub(super) kept: Vec<KeptRelease>,
    missing: Option<String>,
    install: bool,
    pub(super) led: Option<LedFact>,
    pub(super) backups: Vec<Backup>,
}

pub(super) fn fact<T: DeserializeOwned + Default>(request: &DraftRequest<'_>, name: &str) -> Result<T, Failure> {
    read_fact(request.facts, name, request.target)
}

fn read_fact<T: DeserializeOwned + Default>(facts: &Facts, name: &str, target: &TargetName) -> Result<T, Failure> {
    let Some(value) = facts.get(name) else { return Ok(T::default()) };
    serde_json::from_value(value.clone()).map_err(|error| {
        let what = format!("could not understand fact `{name}` of target `{target}`");
        Failure::new(Kind::Internal, what).because(error.to_string())
    })
}

impl<'a> Scene<'a> {
    fn read(request: &'a DraftRequest<'a>) -> Result<Self, Failure> {
        let target = request.target_config;
        let of = |name: &str| format!("service/{}/{name}", request.service);
        let root: std::path::PathBuf = fact(request, "root")?;
        let port = match request.service_config.port {
            Some(port) => Some(port.checked_add(target.port_offset()).ok_or_else(|| {
                Failure::new(
                    Kind::Rejected,
                    format!("service `{}` has no port on `{}`", request.service, request.target),
                )
                .because(format!("{port} and the offset {} are more than 65535", target.port_offset()))
                .state("nothing was touched")
                .next("choose a smaller `port-offset`")
            })?),
            None => None,
        };
        Ok(Self {
            request,
            place: Place {
                directory: root.join(request.service.as_str()),
                service: request.service.clone(),
                program: fact(request, "program")?,
                reach: match target {
                    TargetConfig::Directory(_) => None,
                    TargetConfig::Ssh(ssh) => Some(Destination::of(ssh).command_line()),
                },
                docker_socket: target.docker_socket().map(std::path::Path::to_owned),
                sudo_password: target.sudo_password().cloned(),
            },
            keep: target.keep(),
            host: target.listen().to_owned(),
            port,
            previous: Previous {
                release: fact(request, &of("current"))?,
                running: fact(request, &of("running"))?,
                routers: fact(request, &of("routers"))?,
            },
            orphaned: fact(request, &of("orphaned"))?,
            halted: fact(request, &of("halted"))?,
            kept: fact(request, &of("releases"))?,
            missing: fact(request, "program/missing")?,
            install: fact(request, "program/install")?,
            led: fact(request, &of("led"))?,
            backups: fact(request, &of("backups"))?,
        })
    }

    fn of(&self, name: &str) -> String {
        format!("service/{}/{name}", self.request.service)
    }

    /// What the service is, as the config has it now.
    fn spec(&self) -> ReleaseSpec {
        let config = self.request.service_config;
        let compose = project(config, self.request.service);
        let socket = self.place.docker_socket.as_deref();
        let [start, stop] = compose.as_ref().map_or([None, None], |compose| commands(socket, compose).map(Some));
        let spec = ReleaseSpec {
            service: self.request.service.clone(),
            environment: self.request.environment.clone(),
            commit: self.request.commit.clone(),
            version: self
                .request
                .version
                .filter(|_| config.image.is_some() || config.compose.is_some())
                .map(str::to_owned),
            path: config.path.clone(),
            build: config.build.clone(),
            build_on: config.build_on,
            run: config.run.clone(),
            image: config.image.clone(),
            channel: None,
            proxy: self
                .request
                .target_config
                .proxy()
                .filter(|_| config.is_kept_running() && self.port.is_some())
                .map(place),
            start: start.or_else(|| config.start.clone()),
            stop: stop.or_else(|| config.stop.clone()),
            docker_socket: compose.as_ref().and(self.place.docker_socket.clone()),
            compose,
            sudo: config.sudo.clone(),
            scripts: config.scripts.clone(),
            variables: config.environment.clone(),
            shared: config.shared.clone(),
            host: self.host.clone(),
            port: self.port,
            health: config.health.clone(),
            stop_grace: config.stop_grace,
        };
        ReleaseSpec { channel: self.channel_of(&spec), ..spec }
    }

    /// Before all that changes something: taken back last, it puts back the files that the config names, and these besides.
    pub(super) fn guard_files(&self, steps: &mut Steps, besides: &[PathBuf]) -> Result<(), Failure> {
        let paths = joined(kept_paths(self.request.service_config, &self.place), besides);
        if paths.is_empty() {
            return Ok(());
        }
        let id = SnapshotId::new(format!("{}/{}@{}", files::KIND, self.request.service, self.request.target));
        let summary = format!("put {} back as before, if all is taken back", files::quoted(&paths));
        let kept = FilesParameters { place: self.place.clone(), paths };
        steps.add(Work::Files, summary, &kept, FILES)?.restored_from(id.map_err(wrong)?);
        steps.kept = Some(kept);
        Ok(())
    }

    /// Whether the executable there is needed for that alone.
    fn keeps_volumes(&self) -> bool {
        !kept_volumes(self.request.service_config).is_empty()
    }

    /// The same for volumes of the engine, which come back before what the paths have.
    pub(super) fn guard_volumes(&self, steps: &mut Steps, besides: &[String]) -> Result<(), Failure> {
        let volumes = joined(kept_volumes(self.request.service_config), besides);
        if volumes.is_empty() {
            return Ok(());
        }
        let id = SnapshotId::new(format!("{}/{}@{}", volumes::KIND, self.request.service, self.request.target));
        let names: Vec<String> = volumes.iter().map(|name| format!("`{name}`")).collect();
        let many = if names.len() == 1 { "" } else { "s" };
        let summary = format!("have volume{many} {} as before, if all is taken back", names.join(", "));
        let kept = self.on_volumes(volumes);
        steps.add(Work::Volumes, summary, &kept, FILES)?.restored_from(id.map_err(wrong)?);
        steps.volumes = Some(kept);
        Ok(())
    }

    /// These volumes, and whose containers run on them.
    pub(super) fn on_volumes(&self, volumes: Vec<String>) -> VolumesParameters {
        let config = self.request.service_config;
        let owner = owner(config, &self.place);
        VolumesParameters { place: self.place.clone(), volumes, owner, stop_grace: config.stop_grace }
    }

    /// Expectations, snapshot and steps in their place.
    pub(super) fn draft(&self, release: Option<ReleaseId>, mut steps: Steps) -> Result<Draft, Failure> {
        let (kept, volumes) = (steps.kept.take(), steps.volumes.take());
        let mut draft = self.draft_without_snapshot(release, steps)?;
        if !draft.steps.is_empty() {
            let parameters = CurrentParameters { place: self.place.clone(), release: draft.release.clone() };
            draft.snapshots.push((SnapshotKind::new(KIND).map_err(wrong)?, value(&parameters)?));
        }
        if let Some(kept) = kept {
            draft.snapshots.push((SnapshotKind::new(files::KIND).map_err(wrong)?, value(&kept)?));
        }
        if let Some(kept) = volumes {
            draft.snapshots.push((SnapshotKind::new(volumes::KIND).map_err(wrong)?, value(&kept)?));
        }
        Ok(draft)
    }

    /// Of steps that leave all files as they are.
    pub(super) fn draft_without_snapshot(&self, release: Option<ReleaseId>, steps: Steps) -> Result<Draft, Failure> {
        let names = ["current", "commit", "settings", "halted", "last-number", "running", "routers", "led"]
            .map(|name| self.of(name));
        let known = names.into_iter().chain(["root".to_owned(), "program".to_owned()]);
        let expects = known.map(|name| {
            let value = self.request.facts.get(&name).cloned().unwrap_or(Value::Null);
            (name, value)
        });
        let way_back = steps.way_back.iter().map(value).collect::<Result<_, _>>()?;
        Ok(Draft { release, steps: steps.steps, snapshots: Vec::new(), expects: expects.collect(), way_back })
    }

    fn deploy(&self, scripts: &[ScriptDraft]) -> Result<Draft, Failure> {
        let spec = self.spec();
        if let Some(current) = self.is_live_already(&spec)? {
            return self.draft(Some(current), Steps::default());
        }
        let number: u64 = fact(self.request, &self.of("last-number"))?;
        let name = format!("{:04}-{}", number + 1, self.request.commit.short());
        let release = ReleaseId::new(&name).map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
        let mut steps = self.steps(spec.is_kept_running() || self.keeps_volumes())?;
        self.guard_files(&mut steps, &[])?;
        self.guard_volumes(&mut steps, &[])?;
        let short = self.request.commit.short();
        let path =
            if spec.path.as_os_str().is_empty() { "all".to_owned() } else { format!("`{}`", spec.path.display()) };
        let by_hand = self.place.typed(format!("rm -rf {}", word(&self.place.layout().release(&release))));
        let upload = UploadParameters {
            place: self.place.clone(),
            release: release.clone(),
            spec: spec.clone(),
            previous: self.previous.clone(),
            image: self.proven_image(&spec)?,
            project: if spec.compose.is_some() { self.proven_project()? } else { ProjectImages::new() },
            platform: self.foreign_platform(&spec)?,
            login: self.login(&spec),
        };
        if let Some(image) = &spec.image {
            self.require_engine()?;
            self.require_builder()?;
            self.add_image(&mut steps, &upload, image, &release)?;
            self.add_scripts(&mut steps, &release, scripts, ScriptPlace::AfterBuild)?;
            return self.finish_deploy(steps, &spec, release, scripts);
        }
        if let (true, Some(build)) = (spec.is_built_here(), &spec.build) {
            let limit = self.request.service_config.build_limit;
            steps.add(Work::BuildHere, format!("run `{build}` here"), &upload, limit)?;
        }
        steps.add(Work::Upload, format!("put {path} of {short} in `releases/{release}`"), &upload, FILES)?.by(by_hand);
        if let (false, Some(build)) = (spec.is_built_here(), &spec.build) {
            let limit = self.request.service_config.build_limit;
            steps.add(Work::Build, format!("run `{build}`"), &self.about(&release), limit)?;
        }
        if let Some(compose) = &spec.compose {
            self.add_project(&mut steps, &upload, compose)?;
        }
        self.add_scripts(&mut steps, &release, scripts, ScriptPlace::AfterBuild)?;
        self.finish_deploy(steps, &spec, release, scripts)
    }

    /// What all deployments have in common, once the release is there.
    fn finish_deploy(
        &self,
        mut steps: Steps,
        spec: &ReleaseSpec,
        release: ReleaseId,
        scripts: &[ScriptDraft],
    ) -> Result<Draft, Failure> {
        self.go_live(&mut steps, spec, &release, scripts)?;
        let prune = PruneParameters {
            place: self.place.clone(),
            release: release.clone(),
            previous: self.previous.clone(),
            keep: self.keep,
            channel: spec.channel.clone(),
        };
        self.add_channel(&mut steps, spec, &release, spec.version.as_deref())?;
        steps.finish().add(Work::Prune, format!("keep {} releases", self.keep), &prune, FILES)?;
        self.draft(Some(release), steps)
    }

    /// The current release, if it is this commit, set up like this, and all that should run does.
    fn is_live_already(&self, spec: &ReleaseSpec) -> Result<Option<ReleaseId>, Failure> {
        let Some(current) = &self.previous.release else { return Ok(None) };
        let commit: String = fact(self.request, &self.of("commit"))?;
        let settings: String = fact(self.request, &self.of("settings"))?;
        let runs =
            !spec.is_kept_running() || (self.previous.running.contains(current) && !self.orphaned.contains(current));
        let routed =
            !spec.is_kept_running() || spec.routed().is_none_or(|address| self.previous.routers.contains(&address));
        let led = spec.proxy.is_none() || self.led.as_ref().is_some_and(|led| led.release.as_ref() == Some(current));
        let fallen: Option<String> = fact(self.request, &self.of("fallen"))?;
        let runs = runs && !self.halted && fallen.is_none();
        let same = commit == spec.commit.as_str() && settings == spec.settings();
        let image: Option<ImageId> = fact(self.request, &self.of("image"))?;
        let proven = self.proven_image(spec)?;
        let proven = proven.is_none() || image == proven;
        let proven = proven && (self.request.project.is_empty() || self.has_project(&self.proven_project()?)?);
        Ok((same && runs && routed && led && proven).then(|| current.clone()))
    }

    /// No steps yet but the one that puts the program on the target, where processes are to run and it has none.
    pub(super) fn steps(&self, runs: bool) -> Result<Steps, Failure> {
        let mut steps = Steps::default();
        let Some(missing) = &self.missing else { return Ok(steps) };
        let program = self.place.program.display();
        if !runs && self.previous.running.is_empty() && self.previous.routers.is_empty() {
            return Ok(steps);
        }
        if self.install {
            steps.add(Work::Install, format!("put this Pleach at `{program}`"), &self.place, FILES)?;
            return Ok(steps);
        }
        let (service, target) = (&self.request.service, &self.request.target);
        Err(Failure::new(Kind::Rejected, format!("service `{service}` cannot be kept running on `{target}`"))
            .because(missing.clone())
            .because("this Pleach is not for that host's system, or `program` says where its own one lies")
            .state("nothing was touched")
            .next("install Pleach there, and name it: `program = \"/usr/local/bin/pleach\"` in `pleach.toml`"))
    }

    /// How long connections may take to end by themselves before their release is ended.
    pub(super) fn drain(&self) -> Period {
        self.request.service_config.drain
    }

    /// For work that may have to wait so often for connections to end as well.
    pub(super) fn with_drains(&self, limit: Period, times: usize) -> Period {
        Period(limit.0.saturating_add(many(self.drain(), times)))
    }

    pub(super) fn about(&self, release: &ReleaseId) -> ReleaseParameters {
        ReleaseParameters { place: self.place.clone(), release: release.clone(), back: None }
    }

    pub(super) fn routes(&self, routers: Vec<(String, u16)>) -> RouteParameters {
        let seen = routers.iter().filter(|router| self.previous.routers.contains(router)).cloned().collect();
        RouteParameters { place: self.place.clone(), routers, seen, drain: self.drain(), led: None }
    }

    /// The scripts that have their turn here.
    fn add_scripts(
        &self,
        steps: &mut Steps,
        release: &ReleaseId,
        scripts: &[ScriptDraft],
        place: ScriptPlace,
    ) -> Result<(), Failure> {
        for draft in scripts.iter().filter(|draft| draft.place == place) {
            let (place, release, script) = (self.place.clone(), release.clone(), draft.script.clone());
            let by_hand = draft.by_hand(self.request, &place, &release);
            let limit = Period(script.limit.0 + SHORT.0);
            let name = format!("script-{}", script.script);
            let parameters = ScriptParameters { place, release, script };
            steps.add(Work::Script, draft.summary.clone(), &parameters, limit)?.named(&name, &draft.reversal)?;
            by_hand.into_iter().for_each(|command| steps.by(command));
        }
        Ok(())
    }

    /// From a release that is there to one that is live, and the end of what ran before.
    pub(super) fn go_live(
        &self,
        steps: &mut Steps,
        spec: &ReleaseSpec,
        release: &ReleaseId,
        scripts: &[ScriptDraft],
    ) -> Result<(), Failure> {
        let patience = Period(spec.within().0 + SHORT.0);
        let layout = self.place.layout();
        let switch = SwitchParameters {
            place: self.place.clone(),
            release: release.clone(),
            previous: self.previous.release.clone(),
            data_first: self.puts_data_back(),
        };
        let from = self.previous.release.as_ref().map_or_else(|| "nothing".to_owned(), |from| format!("`{from}`"));
        let canary = self.canary(spec)?;
        let at_once = canary.as_ref().err().map(|why| format!(", without a canary: {why}")).unwrap_or_default();
        let to = format!("switch `current` from {from} to `{release}`{at_once}");
        let old = self.kept.iter().find(|kept| Some(&kept.release) == self.previous.release.as_ref());
        let ran = |kept: &KeptRelease| {
            let start = kept.spec.start.as_ref()?;
            Some(typed(start, kept.spec.sudo.as_ref(), &layout.release(&kept.release)))
        };
        let stop = || Some(typed(spec.stop.as_ref()?, spec.sudo.as_ref(), &layout.release(release)));
        let back = match &self.previous.release {
            Some(previous) => format!("ln -sfn releases/{previous} {}", word(&layout.current())),
            None => format!("rm {}", word(&layout.current())),
        };
        // As the way back does it: the old one starts behind the link, the new one stops in front of it.
        let by_hand = match old.and_then(ran) {
            Some(start) => format!("{back} && {start}"),
            None => stop().map_or_else(|| back.clone(), |stop| format!("{stop}; {back}")),
        };
        let by_hand = self.place.typed(by_hand);
        let health = |asked: &Asked, address: Option<(String, u16)>| HealthParameters {
            place: self.place.clone(),
            release: release.clone(),
            asked: asked.clone(),
            address,
        };
        let (asked, led) = (asked(spec), self.led_by(spec)?);
        let mut wanted = Vec::new();
        if let Some(what) = spec.process() {
            let (place, mut previous) = (self.place.clone(), self.previous.clone());
            if self.puts_data_back() {
                previous.running.clear();
            }
            let start = StartParameters { place, release: release.clone(), previous };
            // Taken back, it is ended again, and what ran before may have to be started.
            let limit = Period(patience.0 + spec.stop_grace.0);
            steps.add(Work::Start, format!("start {what} beside the old release"), &start, limit)?;
            steps.add(Work::Health, told(&asked), &health(&asked, None), patience)?;
            if let Some((host, port)) = spec.routed() {
                self.require_port(&host, port)?;
                wanted.push((host.clone(), port));
                steps.add(
                    Work::Route,
                    format!("{host}:{port} leads to `current`"),
                    &self.routes(wanted.clone()),
                    self.with_drains(SHORT, 1),
                )?;
            }
            self.add_scripts(steps, release, scripts, ScriptPlace::BeforeSwitch)?;
            if let (Some(led), Ok(Some(canary))) = (&led, &canary) {
                self.add_canary(steps, release, led, canary, &asked)?;
            }
            steps.add(Work::Switch, to, &switch, SHORT)?.by(by_hand);
            if let Some(led) = &led {
                self.add_lead(steps, release, led)?;
            }
            self.add_verify(steps, release, spec)?;
        } else {
            // The way back runs the old release's `start` command as well, so it may take as long.
            let limit = if spec.start.is_some() { self.request.service_config.build_limit } else { SHORT };
            self.add_scripts(steps, release, scripts, ScriptPlace::BeforeSwitch)?;
            steps.add(Work::Switch, to, &switch, limit)?.by(by_hand);
            if let Some(start) = &spec.start {
                let step = steps.add(Work::Restart, format!("run `{start}`"), &self.about(release), limit)?;
                if spec.compose.is_some() {
                    step.named("up", &Reversal::Nothing)?;
                }
            }
            self.add_wait(steps, release, spec)?;
            if spec.health.is_some() {
                steps.add(Work::Health, told(&asked), &health(&asked, Some(self.public(spec))), patience)?;
            }
        }
        self.add_scripts(steps, release, scripts, ScriptPlace::AfterSwitch)?;
        self.add_way_back(steps, release, spec, &wanted, led.clone())?;
        let standby = self.standby(release);
        let ends = |running: &&ReleaseId| *running != release && Some(*running) != standby.as_ref();
        let retire = RetireParameters {
            place: self.place.clone(),
            releases: self.previous.running.iter().filter(ends).cloned().collect(),
            standby,
            routers: self.previous.routers.iter().filter(|router| !wanted.contains(router)).cloned().collect(),
            drain: self.drain(),
            stop_grace: spec.stop_grace,
            led,
        };
        if !retire.releases.is_empty() || !retire.routers.is_empty() || retire.standby.is_some() {
            let names: Vec<&str> = retire.releases.iter().map(ReleaseId::as_str).collect();
            let stays =
                retire.standby.as_ref().map(|standby| format!("`{standby}` stands by until the next deployment"));
            let ended = match (names.as_slice(), retire.routers.is_empty()) {
                ([], true) => None,
                ([], false) => Some("end what routes runs".to_owned()),
                (names, _) => Some(format!("end what {} runs", names.join(", "))),
            };
            let summary = stays.into_iter().chain(ended).collect::<Vec<_>>().join(", ");
            // One after the other, and what the proxy leads to first.
            let limit = Period(patience.0 + many(spec.stop_grace, retire.releases.len()));
            let limit = self.with_drains(limit, retire.releases.len() + retire.routers.len() + 1);
            steps.finish().add(Work::Retire, summary, &retire, limit)?;
        }
        // What the old release's `start` started would run on: no `start` of the new one takes its place.
        if let Some(kept) = old
            && let (Some(stop), None) = (&kept.spec.stop, &spec.start)
            && !self.halted
        {
            let limit = self.request.service_config.build_limit;
            steps.finish().add(Work::Halt, format!("run `{stop}`"), &self.about(&kept.release), limit)?;
        }
        Ok(())
    }

    /// Asks what a release is to answer once more, where everybody does.
    pub(super) fn add_verify(&self, steps: &mut Steps, release: &ReleaseId, spec: &ReleaseSpec) -> Result<(), Failure> {
        let Some((host, port)) = spec.address() else { return Ok(()) };
        let asked = asked(spec);
        let through = format!("{} through {host}:{port}", told(&asked));
        let (place, address) = (self.place.clone(), Some((host, port)));
        let health = HealthParameters { place, release: release.clone(), asked, address };
        steps.add(Work::Verify, through, &health, Period(spec.within().0 + SHORT.0))?;
        Ok(())
    }

    /// What the target does by itself where nobody is left who takes the steps back.
    pub(super) fn add_way_back(
        &self,
        steps: &mut Steps,
        release: &ReleaseId,
        spec: &ReleaseSpec,
        wanted: &[(String, u16)],
        led: Option<Led>,
    ) -> Result<(), Failure> {
        let old = self.kept.iter().find(|kept| Some(&kept.release) == self.previous.release.as_ref());
        let way_back = WayBack {
            place: &self.place,
            release,
            spec,
            previous: &self.previous,
            old: old.map(|kept| &kept.spec),
            wanted,
            led,
            kept: if steps.kept.is_some() { Kept::Files } else { Kept::Nothing },
            volumes: steps.volumes.as_ref(),
            drain: self.drain(),
            build_limit: self.request.service_config.build_limit,
        };
        steps.way_back.extend(way_back.instructions()?);
        Ok(())
    }

    /// The release that goes on without requests, where the environment wants that. One that nobody starts again if it ends is no
    /// way back.
    fn standby(&self, release: &ReleaseId) -> Option<ReleaseId> {
        let environment = self.request.config.environments.get(self.request.environment)?;
        let current = self.previous.release.as_ref().filter(|current| environment.standby && *current != release)?;
        let stays = self.previous.running.contains(current) && !self.orphaned.contains(current);
        stays.then(|| current.clone())
    }

    /// Where a service that something else runs is asked; port 0 where it has none, for checks that name a whole URL.
    fn public(&self, spec: &ReleaseSpec) -> (String, u16) {
        spec.address().unwrap_or_else(|| (self.host.clone(), 0))
    }

    /// The public port is free, or led to this service before.
    pub(super) fn require_port(&self, host: &str, port: u16) -> Result<(), Failure> {
        let ours = self.previous.routers.iter().any(|(_, routed)| *routed == port);
        let owner: Option<String> = fact(self.request, &format!("port/{port}"))?;
        match owner {
            Some(owner) if !ours => {
                Err(Failure::new(Kind::Conflict, format!("port {port} of service `{}` is taken", self.request.service))
                    .because(format!("{owner} listens there"))
                    .state("nothing was touched")
                    .next(format!("end it, or choose another `port` than {port} on `{host}`")))
            }
            _ => Ok(()),
        }
    }

    fn switch_to(&self, release: &ReleaseId) -> Result<Draft, Failure> {
        let Some(kept) = self.kept.iter().find(|kept| kept.release == *release) else {
            let names: Vec<String> = self.kept.iter().map(|kept| format!("`{}`", kept.release)).collect();
            let there =
                if names.is_empty() { "none is kept".to_owned() } else { format!("kept are {}", names.join(", ")) };
            let what = format!("release `{release}` of `{}` is not on `{}`", self.request.service, self.request.target);
            let next = if names.is_empty() {
                format!("deploy it: `pleach deploy {}`", self.request.environment)
            } else {
                "name one of these with `--to`".to_owned()
            };
            return Err(Failure::new(Kind::Rejected, what).because(there).state("nothing was touched").next(next));
        };
        if self.runs(kept) {
            return self.draft(Some(release.clone()), Steps::default());
        }
        let mut steps = self.steps(kept.spec.is_kept_running() || self.keeps_volumes())?;
        self.guard_files(&mut steps, &[])?;
        self.guard_volumes(&mut steps, &[])?;
        self.go_live(&mut steps, &kept.spec, release, &[])?;
        self.add_channel(&mut steps, &kept.spec, release, None)?;
        self.draft(Some(release.clone()), steps)
    }

    /// Whether what ran before is started again only once its data is as it was: it may not run on any other.
    fn puts_data_back(&self) -> bool {
        matches!(self.request.operation, Operation::Restore { .. })
    }

    /// Whether a release is current, and all of it that is to run does.
    pub(super) fn runs(&self, kept: &KeptRelease) -> bool {
        let runs = !self.halted && (!kept.spec.is_kept_running() || self.previous.running.contains(&kept.release));
        runs && self.previous.release.as_ref() == Some(&kept.release)
    }

    fn stop(&self) -> Result<Draft, Failure> {
        let mut steps = self.steps(false)?;
        let current = self.kept.iter().find(|kept| Some(&kept.release) == self.previous.release.as_ref());
        let grace = self.request.service_config.stop_grace;
        let ended = self.previous.running.len();
        let limit = self.with_drains(Period(SHORT.0 * 2 + many(grace, ended)), ended);
        if let (Some(_), Some(kept)) = (&self.led, current)
            && let Some(led) = self.led_by(&kept.spec)?
        {
            let routes = RouteParameters { led: Some(led.clone()), ..self.routes(self.previous.routers.clone()) };
            steps.add(
                Work::Close,
                format!("give up {}", led.bind),
                &routes,
                self.with_drains(LEAD, routes.routers.len() + 1),
            )?;
        } else if !self.previous.routers.is_empty() {
            let routers = self.previous.routers.clone();
            let limit = self.with_drains(SHORT, routers.len());
            let ports: Vec<String> = routers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            steps.add(Work::Close, format!("give up {}", ports.join(", ")), &self.routes(routers), limit)?;
        }
        if !self.previous.running.is_empty() {
            let names: Vec<&str> = self.previous.running.iter().map(ReleaseId::as_str).collect();
            let stop = RetireParameters {
                place: self.place.clone(),
                releases: self.previous.running.clone(),
                standby: None,
                routers: Vec::new(),
                drain: self.drain(),
                stop_grace: grace,
                led: None,
            };
            steps.add(Work::Stop, format!("end what {} runs", names.join(", ")), &stop, limit)?;
        }
        if let Some(kept) = current
            && let Some(line) = &kept.spec.stop
        {
            steps.add(Work::Halt, format!("run `{line}`"), &self.about(&kept.release), limit)?;
        }
        self.draft(None, steps)
    }
}

/// What is in either, each once.
fn joined<T: Clone + PartialEq>(mut all: Vec<T>, besides: &[T]) -> Vec<T> {
    for one in besides {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    all
}

fn many(period: Period, times: usize) -> Duration {
    period.0.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
}

pub(super) fn told(asked: &Asked) -> String {
    match asked {
        Asked::Check(check) => {
            let what = match &check.kind {
                pleach_core::config::CheckKind::Http(http) => {
                    format!("{} {} answers {}", http.method.as_str(), http.path, http.status)
                }
                pleach_core::config::CheckKind::Command(line) => format!("`{line}` exits with 0"),
            };
            format!("{what} {} times in a row within {}", check.thresholds.success, check.thresholds.within)
        }
        Asked::AnyAnswer => "it answers over HTTP twice in a row".into(),
        Asked::Stays => "its process stays".into(),
    }
}

fn value(parameters: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(parameters)
        .map_err(|error| Failure::new(Kind::Internal, "could not write a step's parameters").because(error.to_string()))
}

fn wrong(error: NameError) -> Failure {
    Failure::new(Kind::Internal, error.to_string())
}

/// Steps as they are added, and what the target does instead of their undos when nobody is left.
pub(super) struct Steps {
    pub(super) steps: Vec<DraftStep>,
    turn: Turn,
    way_back: Vec<Instruction>,
    /// What the snapshot of files keeps, if there is to be one.
    kept: Option<FilesParameters>,
    /// What the snapshot of volumes keeps, if there is to be one.
    volumes: Option<VolumesParameters>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { steps: Vec::new(), turn: Turn::Main, way_back: Vec::new(), kept: None, volumes: None }
    }
}

impl Steps {
    /// What is added from now on has its turn after all services.
    pub(super) fn finish(&mut self) -> &mut Self {
        self.turn = Turn::Finish;
        self
    }

    pub(super) fn add(
        &mut self,
        work: Work,
        summary: String,
        parameters: &impl Serialize,
        time_limit: Period,
    ) -> Result<&mut Self, Failure> {
        let reversal = match work {
            Work::Install
            | Work::Build
            | Work::Health
            | Work::Analysis
            | Work::Restart
            | Work::RestartPart
            | Work::Wait
            | Work::Verify
            | Work::PutBack
            | Work::Forget
            | Work::Prune => Reversal::Nothing,
            _ => Reversal::Undo,
        };
        let step = Step {
            name: work.step().parse().map_err(wrong)?,
            phase: work.phase().ok_or_else(|| Failure::new(Kind::Internal, "a phase has no name"))?,
            summary,
            parameters: value(parameters)?,
            reversal,
            time_limit,
            retry: Retry::default(),
            undo_by_hand: None,
        };
        self.steps.push(DraftStep { turn: self.turn, step });
        Ok(self)
    }

    /// The last step is taken back also where a deployment leaves that to another one.
    pub(super) fn undone(&mut self) {
        if let Some(last) = self.steps.last_mut() {
            last.step.reversal = Reversal::Undo;
        }
    }

    /// The last step is taken back by restoring a snapshot.
    fn restored_from(&mut self, snapshot: SnapshotId) {
        if let Some(last) = self.steps.last_mut() {
            last.step.reversal = Reversal::Restore { snapshots: vec![snapshot] };
        }
    }

    /// Gives the last step another name and another way back.
    pub(super) fn named(&mut self, name: &str, reversal: &Reversal) -> Result<(), Failure> {
        if let Some(last) = self.steps.last_mut() {
            last.step.name = name.parse().map_err(wrong)?;
            last.step.reversal = reversal.clone();
        }
        Ok(())
    }

    /// The command that takes the last step back by hand.
    pub(super) fn by(&mut self, command: String) {
        if let Some(last) = self.steps.last_mut() {
            last.step.undo_by_hand = Some(format!("`{command}`"));
        }
    }
}

//! What a host does by itself to have a service as it was: instructions for its [watchdog](crate::watchdog).
//!
//! Until the watchdog is confirmed, all that ran before still runs, and `current` decides where the public port leads. So
//! the way back is to point `current` where it pointed, and to end what the run began. Commands get no secrets, nor a
//! password for `sudo`: those are with the deployer, who is gone.
//!
//! What `snapshot` names is put back before any of these commands.
//!
//! Volumes that `snapshot` names are put back once the new release has ended, and before the old one is started.
//!
//! | the service | instructions |
//! |---|---|
//! | Pleach keeps it running | `current` as it was, and the proxy's requests to it; the new release's process ends, and routers that were not there; with `snapshot`, the old one's process is started again |
//! | something else does, with `start` | `current` as it was; the old release's `start`, else the new one's `stop`, if this run ran any |

use std::path::PathBuf;
use std::time::Duration;

use pleach_core::config::{CommandLine, EnvironmentValue};
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::word::ReleaseId;
use serde::Serialize;

use super::parameter::{Place, Previous, VolumesParameters};
use super::release::ReleaseSpec;
use crate::kept::KeptFiles;
use crate::proxy::{LeadRequest, LeadTo, Led, SettleRequest};
use crate::route::RouteStop;
use crate::supervise::{AgainRequest, StopRequest};
use crate::watchdog::{Change, Instruction};

/// Asks the executable on the host, if it came that far.
const ASK: &str = r#"program=$1; request=$2; shift 2; [ -x "$program" ] || exit 0
printf '%s' "$request" | "$program" "$@""#;

/// Asks it to put volumes back, unless the run came not even as far as keeping them.
const PUT_BACK_VOLUMES: &str = r#"[ -x "$1" ] && [ -e "$3/$4/volumes.json" ] || exit 0
printf '%s' "$2" | "$1" supervise put-back-volumes "$4""#;

/// Runs a command of a release, if the run that the note tells of is this one, or volumes were put back and what ran was ended.
const IF_NOTED: &str = r#"run=$1; note=$2; volumes=$3; shift 3
[ -e "$volumes/$run/stopped" ] || grep -qF "\"$run\"" "$note" 2>/dev/null || exit 0
cd "$1" || exit 1; shift; exec "$@""#;

/// What a command needs beyond its own time.
const MARGIN: Duration = Duration::from_secs(30);

/// As long as a run itself gives what it had half an hour to keep: one that is ended before its time begins anew, and what runs on
/// it is down meanwhile.
const PUTTING_BACK: Duration = Duration::from_secs(2 * 60 * 60);

/// Whether the run takes a [snapshot of files](super::files), which the target can put back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    Files,
}

/// One service about to go live.
pub(super) struct WayBack<'a> {
    pub(super) place: &'a Place,
    pub(super) release: &'a ReleaseId,
    pub(super) spec: &'a ReleaseSpec,
    pub(super) previous: &'a Previous,
    /// What the current release is made of, if there is one.
    pub(super) old: Option<&'a ReleaseSpec>,
    /// Routers that it is to have.
    pub(super) wanted: &'a [(String, u16)],
    /// What the proxy leads to it.
    pub(super) led: Option<Led>,
    /// What is put back as it was besides.
    pub(super) kept: Kept,
    /// Volumes that are put back as they were besides.
    pub(super) volumes: Option<&'a VolumesParameters>,
    pub(super) drain: Period,
    pub(super) build_limit: Period,
}

impl WayBack<'_> {
    /// In the order in which they are carried out.
    pub(super) fn instructions(&self) -> Result<Vec<Instruction>, Failure> {
        let layout = self.place.layout();
        let mut instructions = vec![Instruction::Keep { path: layout.current(), change: Change::Replaced }];
        if self.kept == Kept::Files {
            instructions.push(Instruction::Command {
                directory: self.root(),
                limit: PUTTING_BACK,
                argv: KeptFiles::by_itself(&layout.all_kept(), "{run}"),
            });
        }
        if self.spec.is_kept_running() {
            if let Some(led) = &self.led {
                let lead = LeadRequest { led: led.clone(), to: LeadTo::Current, limit: self.drain, back: true };
                instructions.push(self.ask(["proxy", "lead"], &lead, self.drain.0)?);
                let settle = SettleRequest { led: led.clone(), limit: self.drain, back: true };
                instructions.push(self.ask(["proxy", "settle"], &settle, self.drain.0)?);
            }
            let opened = self.wanted.iter().filter(|router| !self.previous.routers.contains(router));
            for (_, port) in opened {
                let directory = self.place.directory.clone();
                let stop = RouteStop { directory, port: *port, drain: self.drain };
                instructions.push(self.ask(["route", "stop"], &stop, self.drain.0)?);
            }
            if !self.previous.running.contains(self.release) {
                let stop = StopRequest {
                    directory: self.place.directory.clone(),
                    release: self.release.clone(),
                    drain: Period::seconds(2),
                    stop_grace: self.spec.stop_grace,
                };
                instructions.push(self.ask(["supervise", "stop"], &stop, self.spec.stop_grace.0)?);
            }
            instructions.extend(self.put_back_volumes()?);
            // What ran before has gone on, and holds on to the files that were moved aside; or was ended for its volumes.
            if self.puts_back()
                && let (Some(release), Some(old)) = (&self.previous.release, self.old)
            {
                let directory = self.place.directory.clone();
                let again = AgainRequest { directory, release: release.clone(), stop_grace: old.stop_grace };
                instructions.push(self.ask(["supervise", "again"], &again, old.stop_grace.0)?);
            }
        } else {
            instructions.extend(self.put_back_volumes()?);
            let old = self.old.zip(self.previous.release.as_ref());
            let start = old.and_then(|(old, release)| Some((old.start.as_ref()?, old, release)));
            let stop = self.spec.stop.as_ref().map(|line| (line, self.spec, self.release));
            if let Some((line, spec, release)) = start.or(stop) {
                instructions.push(self.run(line, spec, release));
            }
        }
        Ok(instructions)
    }

    fn puts_back(&self) -> bool {
        self.kept == Kept::Files || self.volumes.is_some()
    }

    /// Behind the end of the new release, and before anything else is started: it ends all that runs on them.
    fn put_back_volumes(&self) -> Result<Option<Instruction>, Failure> {
        let Some(volumes) = self.volumes else { return Ok(None) };
        let kept = self.place.layout().all_kept_volumes().to_string_lossy().into_owned();
        let request = request(&volumes.put_back())?;
        let program = self.place.program.to_string_lossy().into_owned();
        let words = ["sh", "-c", PUT_BACK_VOLUMES, "pleach", &program, &request, &kept, "{run}"];
        let argv = words.map(str::to_owned).to_vec();
        Ok(Some(Instruction::Command { directory: self.root(), limit: PUTTING_BACK, argv }))
    }

    /// Where commands begin: the target's directory, which is there.
    fn root(&self) -> PathBuf {
        self.place.directory.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }

    fn ask(&self, verb: [&str; 2], request: &impl Serialize, limit: Duration) -> Result<Instruction, Failure> {
        let request = self::request(request)?;
        let program = self.place.program.to_string_lossy().into_owned();
        let words = ["sh", "-c", ASK, "pleach", &program, &request, verb[0], verb[1]];
        Ok(Instruction::Command {
            directory: self.root(),
            limit: limit + MARGIN,
            argv: words.map(str::to_owned).to_vec(),
        })
    }

    fn run(&self, line: &CommandLine, spec: &ReleaseSpec, release: &ReleaseId) -> Instruction {
        let layout = self.place.layout();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut argv: Vec<String> = ["sh", "-c", IF_NOTED, "pleach", "{run}"].map(str::to_owned).to_vec();
        argv.extend([text(layout.last_command()), text(layout.all_kept_volumes()), text(layout.release(release))]);
        if let Some(user) = &spec.sudo {
            argv.extend(["sudo", "-n", "-u", user, "--"].map(str::to_owned));
        }
        argv.push("env".to_owned());
        argv.extend([
            format!("PLEACH_SERVICE={}", spec.service),
            format!("PLEACH_RELEASE={release}"),
            format!("PLEACH_COMMIT={}", spec.commit.as_str()),
            format!("PLEACH_ENVIRONMENT={}", spec.environment),
        ]);
        if let Some((host, port)) = spec.address() {
            argv.extend([format!("HOST={host}"), format!("PORT={port}")]);
        }
        argv.extend(spec.variables.iter().filter_map(|(name, value)| match value {
            EnvironmentValue::Plain(text) => Some(format!("{name}={text}")),
            EnvironmentValue::Secret { .. } => None,
        }));
        argv.extend(line.argv());
        Instruction::Command { directory: self.root(), limit: self.build_limit.0 + MARGIN, argv }
    }
}

fn request(request: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(request).map_err(|error| {
        Failure::new(Kind::Internal, "could not write what a watchdog asks for").because(error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A service that something else keeps running, with a release before.
    fn run_all(root: &std::path::Path, old: Option<&ReleaseSpec>, spec: &ReleaseSpec, run: &str) {
        let previous =
            Previous { release: old.map(|_| "0001-00000000".parse().expect("an id")), ..Previous::default() };
        let place = Place {
            directory: root.join("api"),
            service: "api".parse().expect("a name"),
            program: "/nowhere/pleach".into(),
            reach: None,
            docker_socket: None,
            sudo_password: None,
        };
        let release: ReleaseId = "0002-00000000".parse().expect("an id");
        let (build_limit, drain) = (Period::seconds(5), Period::seconds(1));
        let way = WayBack {
            place: &place,
            release: &release,
            spec,
            previous: &previous,
            old,
            kept: Kept::Nothing,
            volumes: None,
            wanted: &[],
            led: None,
            drain,
            build_limit,
        };
        for instruction in way.instructions().expect("instructions") {
            let Instruction::Command { directory, argv, .. } = instruction else { continue };
            let argv: Vec<String> =
                argv.into_iter().map(|word| if word == "{run}" { run.into() } else { word }).collect();
            let ended = Command::new(&argv[0]).args(&argv[1..]).current_dir(directory).status().expect("it runs");
            assert!(ended.success());
        }
    }

    fn spec(start: Option<&str>, stop: Option<&str>) -> ReleaseSpec {
        let config = r#"
[project]
name = "x"
[services.api]
branch = "api"
environment = { WORD = "$(it's)", TOKEN = { secret = "env:T" } }
[environments.prod.targets.vm]
kind = "directory"
path = "/srv/x"
"#;
        let config = pleach_core::config::parse("pleach.toml", config).expect("a config");
        let service = config.services.values().next().expect("one");
        ReleaseSpec {
            service: "api".parse().expect("a name"),
            environment: "prod".parse().expect("a name"),
            commit: "0".repeat(40).parse().expect("a commit"),
            path: service.path.clone(),
            build: None,
            build_on: pleach_core::config::BuildPlace::Target,
            run: None,
            image: None,
            compose: None,
            docker_socket: None,
            version: None,
            channel: None,
            proxy: None,
            start: start.map(|line| CommandLine::Line(line.into())),
            stop: stop.map(|line| CommandLine::Line(line.into())),
            variables: service.environment.clone(),
            shared: Vec::new(),
            sudo: None,
            scripts: Vec::new(),
            host: "127.0.0.1".into(),
            port: Some(8101),
            health: None,
            stop_grace: Period::seconds(1),
        }
    }

    #[test]
    fn the_old_start_runs_again_with_its_variables_and_without_secrets_if_this_run_ran_any() {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["api/releases/0001-00000000", "api/releases/0002-00000000", "api/run"] {
            std::fs::create_dir_all(root.path().join(folder)).expect("made");
        }
        let told = root.path().join("api/releases/0001-00000000/told");
        let old = spec(Some("sh -c 'echo \"$WORD $PORT $PLEACH_RELEASE ${TOKEN-none}\" >told'"), None);
        let new = spec(Some("false"), Some("touch stopped"));
        let note = root.path().join("api/run/command.json");
        run_all(root.path(), Some(&old), &new, "run-1");
        assert!(!told.exists(), "nothing was run yet");
        std::fs::write(&note, r#"{"command":"start","run":"run-0"}"#).expect("written");
        run_all(root.path(), Some(&old), &new, "run-1");
        assert!(!told.exists(), "another run ran it");
        std::fs::write(&note, r#"{"command":"start","run":"run-1"}"#).expect("written");
        run_all(root.path(), Some(&old), &new, "run-1");
        let words = std::fs::read_to_string(&told).expect("it ran");
        assert_eq!(words, "$(it's) 8101 0001-00000000 none\n");
        let stopped = root.path().join("api/releases/0002-00000000/stopped");
        assert!(!stopped.exists());
        run_all(root.path(), None, &new, "run-1");
        assert!(stopped.exists(), "the first deployment is taken back by its own `stop`");
    }

    #[test]
    fn where_nothing_came_as_far_as_the_executable_nothing_is_asked_of_it() {
        let root = tempfile::tempdir().expect("a folder");
        let kept = ReleaseSpec { run: Some(CommandLine::Line("./serve".into())), ..spec(None, None) };
        run_all(root.path(), None, &kept, "run-1");
    }
}

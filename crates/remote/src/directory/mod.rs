//! Releases in a directory: the kind of target `directory`.
//!
//! Everything here speaks to the target through core's `shell`, `files` and `http` ports only, so it works wherever those
//! do. Processes are kept running by [`supervise`](crate::supervise) and reached through [`route`](crate::route), both
//! started on the target through its shell.
//!
//! # Layout
//!
//! ```text
//! PATH/.pleach/fence                      the newest token that was seen
//! PATH/SERVICE/current                    → releases/0007-ab12cd34, switched in one step
//! PATH/SERVICE/releases/0007-ab12cd34/    the tree, and what its build made of it
//! PATH/SERVICE/shared/                    what all releases share, linked into each
//! PATH/SERVICE/run/0007-ab12cd34.json     the process of that release; .lock .use .log beside it
//! PATH/SERVICE/run/0007-ab12cd34.script-migrate.note   how far that script of that release has come; .log beside it
//! PATH/SERVICE/run/command.json           which `start` or `stop` command was run last, and whether it came to its end
//! PATH/SERVICE/run/router-8101.json       who owns the public port
//! PATH/SERVICE/run/proxy.json             what the target's proxy was told to lead to the service
//! PATH/SERVICE/run/canary-asked.json      a canary that waits for a person; canary-given.json has the answer
//! PATH/SERVICE/.pleach/releases/0007-ab12cd34.json   commit, run, settings, digest of that release
//! PATH/SERVICE/.pleach/kept/RUN/          copies of what `snapshot` names, until a later run succeeds
//! PATH/SERVICE/.pleach/volumes/RUN/       copies of the volumes that `snapshot` names, until a later run succeeds
//! PATH/SERVICE/.pleach/replaced/RUN/      what was in volumes when that run put them back, until somebody removes it
//! PATH/SERVICE/.pleach/mounts/DIGEST/     what containers of a Compose project see of releases, until no release has it
//! PATH/SERVICE/.pleach/names/RUN.json     where names of images led before that run changed them
//! PATH/SERVICE/.pleach/pins/RUN.json      the release that a restore point of that run relies on
//! ```
//!
//! # Steps
//!
//! | step | does | is taken back by |
//! |---|---|---|
//! | `files` | nothing: with `snapshot`, it is there to be taken back | putting those paths back as they were, and starting anew what runs on them |
//! | `volumes` | nothing: with volumes in `snapshot`, it is there to be taken back | having those volumes be as they were, and starting anew what runs on them |
//! | `build-image` | builds an image of the commit where Pleach runs, or takes one that is proven | nothing: it stays there |
//! | `push` | pushes it to the service's registry, where there is one | nothing: it stays there |
//! | `image` | brings the layers that the target lacks, and names the image | removing the release with its container and image, if this run made it |
//! | `upload` | puts the tree, links what is shared | removing the release, if this run made it; starting what the plan saw running, if it has ended since |
//! | `build` | runs the build in it | nothing: `upload` removes it all |
//! | `compose` | resolves a Compose project, gets its images, pins both in the release | removing the containers of services that were not there before |
//! | `script-NAME` | runs a script of the project | running its `undo` script, if this run began it |
//! | `start` | starts its process or container beside the old one | stopping it, if this run started it |
//! | `health` | waits until it is healthy | nothing |
//! | `route` | makes the public port lead to `current` | stopping the router, if this run started it |
//! | `canary-10` | the target's proxy gives 10% of the new requests to it, and all that ask for it, in its file and at run time | giving them to the old one again, and waiting for what the new one has |
//! | `analysis-10` | watches it with them: what the proxy counts, and its health | nothing |
//! | `switch` | `current` → the new release | `current` → exactly the release that the plan saw; where this run ran `start`, the old one's `start` or else `stop` |
//! | `lead` | the target's proxy gives all new requests to it, in its file and at run time | giving them to the old one again, and waiting for what the new one has |
//! | `restart` | runs the service's `start` command | nothing: `switch` runs it again after switching back |
//! | `restart-part` | restarts some containers of a Compose project, of `pleach restart --part` | nothing: they run |
//! | `wait` | waits until all services of a Compose project run, healthy where they can tell | nothing |
//! | `verify` | asks through the public port | nothing |
//! | `retire` | ends what the old releases run, after their connections have ended; with `standby` not the last one's | starting them again |
//! | `channel` | gives its image the names of the channel, on the target's engine and where images are built | having those that still lead to it lead where they did |
//! | `prune` | removes old releases, and what earlier runs kept of files and volumes; starts the current one again where it has ended since | nothing: what a way back needs is kept |
//! | `close`, `stop` | end router and process, of `pleach stop` | starting them again |
//! | `halt` | runs the service's `stop` command | running its `start` command |
//! | `renew` | ends the current release's process and starts it anew, of `pleach restart` | starting it where it does not run |
//!
//! A process of a release cannot run beside another one of the same release: lock, record and log bear the release's name.
//! So `renew` ends the one before it starts the other. It changes no files, so a restart takes no snapshot: its pins would
//! push out those of deployments.

mod backup;
mod built;
mod canary;
mod channel;
mod command;
mod compose;
mod consent;
mod container;
mod facts;
mod files;
mod image;
mod images;
mod instance;
mod integrity;
mod layout;
mod lead;
mod led;
mod log_file;
mod output;
mod parameter;
mod phase;
mod pin;
mod process;
mod recipe;
mod register;
mod release;
mod restart;
mod routing;
mod script;
mod site;
mod snapshot;
mod status;
mod steps;
mod sudo;
mod tally;
mod up;
mod volumes;
mod way_back;

pub use backup::{Backup, service_backups};
pub use compose::compose_version;
pub(crate) use consent::keep_consent;
pub use consent::{AwaitedConsent, awaited_consents, give_consent};
pub use container::{built_name, passed_name};
pub use facts::probe_directory;
pub use images::{ServiceImage, ServiceImages, built_images, service_images};
pub use instance::{InstanceState, told_status};
pub use integrity::{CheckScope, CheckedPart, Finding, ServiceIntegrity, check_service};
pub use layout::ServiceLayout;
pub(crate) use layout::release_number;
pub use output::{OutputEnd, OutputMark, OutputPart, output_mark_since, read_output, read_output_end};
pub use parameter::{Place, Previous};
pub use process::{ReleaseProcess, RouterProcess, ServiceProcesses, service_processes};
pub use recipe::DirectoryRecipe;
pub use register::register;
pub use release::{ReleaseRecord, ReleaseSpec, ReleaseState};
pub use snapshot::ReleaseSnapshot;
pub use status::{ReleaseStatus, ServiceStatus, service_statuses};

//! Why requests could not be led to a release.

use std::io;
use std::path::{Path, PathBuf};

use pleach_core::error::{Explain, Failure, Kind, quote_path};

use super::backend::{BackendName, Bind, Slot};
use super::file::Foreign;

/// Why a service's proxy could not be seen or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The admin socket gives no connection.
    #[error("could not reach HAProxy by its socket `{socket}`")]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It answered with something else than was asked for.
    #[error("HAProxy did not answer `{command}` as it should")]
    Answer {
        /// The socket.
        socket: PathBuf,
        /// What it was asked.
        command: String,
        /// What it said.
        words: String,
    },
    /// The socket may look and not change.
    #[error("could not change HAProxy by its socket `{socket}`")]
    NotAdmin {
        /// The socket.
        socket: PathBuf,
        /// The level that it has, in HAProxy's word.
        level: String,
    },
    /// Commands at run time did not have their effect.
    #[error("HAProxy did not become for `{name}` what it was told to be")]
    Refused {
        /// The service.
        name: BackendName,
        /// The socket.
        socket: PathBuf,
        /// What is still different.
        differences: Vec<String>,
        /// What HAProxy said to its commands.
        words: Vec<String>,
    },
    /// The file is not there.
    #[error("could not find Pleach's file of HAProxy, `{file}`")]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read or replaced.
    #[error("could not {verb} `{path}`")]
    Io {
        /// What with it.
        verb: &'static str,
        /// The file, or one beside it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else wrote into the file.
    #[error("could not take `{file}` for Pleach's own: line {} is not from Pleach", foreign.line)]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The line.
        foreign: Foreign,
    },
    /// Another service of the file has the address.
    #[error("could not give {bind} to `{name}`")]
    Shared {
        /// The address.
        bind: Bind,
        /// Who wants it.
        name: BackendName,
        /// Who has it.
        holder: BackendName,
        /// The file.
        file: PathBuf,
    },
    /// Something else listens on the address.
    #[error("could not give {bind} to `{name}`")]
    Taken {
        /// The address.
        bind: Bind,
        /// Who wants it.
        name: BackendName,
        /// Who listens there.
        holder: String,
    },
    /// The request itself makes no sense.
    #[error("the settings of the proxy are incomplete: {0}")]
    Settings(String),
    /// HAProxy would not start with the new file.
    #[error("HAProxy refused the new text of `{file}`")]
    Check {
        /// The file.
        file: PathBuf,
        /// The command, as it can be pasted to see how it is with the file as it is.
        command: String,
        /// How it ended.
        ended: String,
        /// What it said.
        output: Vec<String>,
    },
    /// The command that reloads failed.
    #[error("could not reload HAProxy")]
    Reload {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
        /// What it said.
        output: Vec<String>,
    },
    /// It was reloaded, and is what it was before.
    #[error("HAProxy runs as before after it was reloaded")]
    SameWorker {
        /// The command that was to reload it.
        command: String,
        /// The worker.
        pid: u32,
        /// The command that checks what it would read.
        check: String,
    },
    /// It was reloaded and did not read the file.
    #[error("HAProxy does not run `{name}` after it was reloaded")]
    NotLoaded {
        /// The service.
        name: BackendName,
        /// The file.
        file: PathBuf,
        /// The new worker.
        pid: u32,
    },
    /// It is being reloaded, and does not come to an end with it.
    #[error("could not see how HAProxy will run `{name}`")]
    Restless {
        /// The service.
        name: BackendName,
        /// The worker that is to be replaced.
        pid: u32,
    },
    /// The service is gone from the file and HAProxy has it still.
    #[error("HAProxy still answers for `{name}` after it was reloaded")]
    StillThere {
        /// The service.
        name: BackendName,
        /// How that is known.
        because: String,
        /// The file.
        file: PathBuf,
    },
    /// Nobody would take requests any more.
    #[error("could not drain `{slot}` of `{name}`")]
    Last {
        /// The service.
        name: BackendName,
        /// The server.
        slot: Slot,
    },
    /// Another change does not end.
    #[error("could not begin to change `{file}`")]
    Busy {
        /// The file.
        file: PathBuf,
        /// Its lock.
        lock: PathBuf,
    },
}

impl ProxyError {
    /// The failure with all its causes.
    pub(super) fn told(self) -> Failure {
        let causes = self.causes();
        let mut failure = Failure::from(self);
        failure.because.splice(0..0, causes);
        failure
    }

    /// What is not an error of the operating system, as *because*.
    fn causes(&self) -> Vec<String> {
        match self {
            Self::Answer { words, .. } if words.is_empty() => vec!["it closed the connection without a word".into()],
            Self::Answer { words, .. } => vec![format!("it said `{words}`")],
            Self::NotAdmin { level, .. } => vec![format!("the socket is one of `level {level}`")],
            Self::Refused { differences, words, .. } => differences.iter().chain(words).cloned().collect(),
            Self::Missing { .. } => vec!["HAProxy loads it, so whoever set HAProxy up makes it once, empty".into()],
            Self::Foreign { foreign, .. } => vec![
                foreign
                    .found
                    .as_ref()
                    .map_or_else(|| "the text ends there".to_owned(), |found| format!("the line says `{found}`")),
            ],
            Self::Shared { holder, file, .. } => vec![format!("`{holder}` in `{}` has it", file.display())],
            Self::Taken { holder, .. } => vec![format!("{holder} listens there")],
            Self::Check { command, ended, .. } | Self::Reload { command, ended, .. } => {
                vec![format!("`{command}` {ended}")]
            }
            Self::SameWorker { command, pid, .. } => {
                vec![format!("`{command}` succeeded, and process {pid} answers as before it")]
            }
            Self::NotLoaded { file, pid, .. } => {
                vec![format!("its new worker, process {pid}, has not loaded `{}`, or not as it is", file.display())]
            }
            Self::Restless { pid, .. } => {
                vec![format!("somebody reloads it, and its worker, process {pid}, is not replaced yet")]
            }
            Self::StillThere { because, .. } => vec![because.clone()],
            Self::Last { slot, .. } => {
                vec![format!("`{}` has no weight: every request would be refused", slot.other())]
            }
            Self::Busy { lock, .. } => {
                vec![format!("`{}` is locked by another change that does not end", lock.display())]
            }
            Self::Socket { .. } | Self::Io { .. } | Self::Settings(_) => Vec::new(),
        }
    }
}

impl Explain for ProxyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Kind::Rejected,
            Self::Socket { .. } => Kind::Transient,
            Self::Answer { .. }
            | Self::NotAdmin { .. }
            | Self::Refused { .. }
            | Self::Missing { .. }
            | Self::Io { .. }
            | Self::Check { .. }
            | Self::Reload { .. }
            | Self::NotLoaded { .. }
            | Self::Settings(_) => Kind::Rejected,
            Self::Foreign { .. } | Self::Shared { .. } | Self::Taken { .. } | Self::Last { .. } | Self::Busy { .. } => {
                Kind::Conflict
            }
            Self::SameWorker { .. } | Self::Restless { .. } | Self::StillThere { .. } => Kind::UnknownOutcome,
        }
    }

    /// Right for whatever comes before the first change; whoever changes something says more.
    fn state(&self) -> Option<String> {
        Some("nothing was changed by this call".into())
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Socket { socket, source } => match source.kind() {
                io::ErrorKind::PermissionDenied => format!(
                    "let your user in: in `global` of HAProxy's config write `stats socket {} mode 660 group haproxy level \
                     admin`, then `sudo usermod -aG haproxy \"$USER\"; sudo systemctl reload haproxy` and log in again",
                    socket.display()
                ),
                io::ErrorKind::NotFound => format!(
                    "see whether HAProxy runs: `systemctl status haproxy`; in `global` of its config there must be `stats \
                     socket {} mode 660 group haproxy level admin`",
                    socket.display()
                ),
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                    format!("see what HAProxy is busy with: `systemctl status haproxy; ls -l {}`", quote_path(socket))
                }
                _ => "start HAProxy: `sudo systemctl start haproxy; systemctl status haproxy`".to_owned(),
            },
            Self::NotAdmin { socket, .. } => format!(
                "in `global` of HAProxy's config write `stats socket {} mode 660 group haproxy level admin`, then `sudo \
                 systemctl reload haproxy`",
                socket.display()
            ),
            Self::Answer { socket, command, .. } => {
                format!("ask yourself: `echo '{command}' | socat - {}`", quote_path(socket))
            }
            Self::Refused { socket, .. } => format!(
                "see what it runs: `echo 'show servers state' | socat - {}`; a reload brings what the file says: `sudo \
                 systemctl reload haproxy`",
                quote_path(socket)
            ),
            Self::Missing { file } => format!(
                "make it: `sudo install -D -o \"$USER\" -m 644 /dev/null {0}`, and let HAProxy load it last: `-f {0}`",
                quote_path(file)
            ),
            Self::Io { path, source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    format!("make room: `df -h {}`", quote_path(folder(path)))
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    format!("make it writable; see how it is mounted: `findmnt -T {}`", quote_path(folder(path)))
                }
                _ => format!(
                    "give the file a folder that you may write in, `sudo install -d -o \"$USER\" {0}`; look with `ls -ld {0} \
                     {1}`",
                    quote_path(folder(path)),
                    quote_path(path)
                ),
            },
            Self::Foreign { file, foreign } => format!(
                "put what is yours into a file of your own and take it out here: `sed -n {}p {}`",
                foreign.line,
                quote_path(file)
            ),
            Self::Shared { file, bind, .. } => {
                format!("choose another port; see who has {bind}: `grep -n bind {}`", quote_path(file))
            }
            Self::Taken { bind, .. } => {
                format!("choose another port, or end who listens: `sudo ss -ltnp 'sport = :{}'`", bind.port())
            }
            Self::Settings(_) => {
                "give for example `check = [\"haproxy\", \"-c\", \"-f\", \"/etc/haproxy/haproxy.cfg\", \"-f\", \"{file}\"]` and \
                 `reload = [\"systemctl\", \"reload\", \"haproxy\"]`"
                    .to_owned()
            }
            Self::Check { command, .. } => format!("mend the config until this passes: `{command}`"),
            Self::Reload { command, .. } => format!("see what it says: `{command}; journalctl -u haproxy -n 20`"),
            Self::SameWorker { check, .. } => {
                format!("see why: `{check}; journalctl -u haproxy -n 20`, and whether `reload` is about this HAProxy")
            }
            Self::NotLoaded { file, .. } => format!(
                "let HAProxy load the file: add `-f {0}` to its command line (Debian: `echo \"EXTRAOPTS=-f {0}\" | sudo tee \
                 -a /etc/default/haproxy; sudo systemctl restart haproxy`)",
                file.display()
            ),
            Self::StillThere { file, name, .. } => {
                format!("see who else speaks of it: `grep -rn '{name}' /etc/haproxy {}`", quote_path(file))
            }
            Self::Restless { .. } => "see who reloads it: `journalctl -u haproxy -n 20`".to_owned(),
            Self::Last { .. } => "give the other server weight first, or take the service out of the proxy".to_owned(),
            Self::Busy { lock, .. } => format!("look with `fuser -v {}`", quote_path(lock)),
        })
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Check { output, .. } | Self::Reload { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

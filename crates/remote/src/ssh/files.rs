//! Files on a host, by way of its shell.
//!
//! Not over SFTP: there a write could not pass the fence and take effect under one lock, nothing could be flushed to the
//! disk, and files of another user behind `sudo` would be out of reach. What is used instead is on every Linux: `stat`,
//! `find`, `sha256sum`, `tar`, `mv -T`, `sync`, of GNU or BusyBox.
//!
//! A change is written beside its place, flushed, renamed and its folder flushed, by one script that holds the fence's
//! lock. What is written carries its length: a link that breaks looks like an end of file to the other side.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::{Explain, Failure, Kind};
use pleach_core::port::{
    ExitStatus, FencingToken, FileStat, Files, HeldFile, Permissions, Source, SourceRef, Stream, TreeDigest,
};
use tokio_util::sync::CancellationToken;

use super::execution::{Execution, Feed, Finish, Session, Sink, Twice};
use super::fate::CommandId;
use super::listing::{BATCHES, HASH, LIST_BATCH, Tree, digest, held_files, read_list, read_stat, read_tree};
use super::quote::quote_text;
use super::shell::{ShellError, SshShell};
use super::tree::put_tree;
use super::wrapper::{Pass, own_line};
use crate::local::FenceError;

/// How a script says that something is in the way.
const OCCUPIED: i32 = 43;
/// How it says that nothing is there.
const ABSENT: i32 = 44;
/// How it says that two places lie on different file systems.
const ELSEWHERE: i32 = 45;

/// Why a file could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A relative path would depend on where the login starts.
    #[error("the path `{0}` is not absolute")]
    Relative(PathBuf),
    /// Something that must not be replaced is there.
    #[error("`{path}` is there already on `{host}`")]
    Occupied {
        /// The path.
        path: PathBuf,
        /// The host.
        host: String,
    },
    /// A rename would have to copy.
    #[error("`{path}` lies on another file system of `{host}` than where it is to go")]
    Elsewhere {
        /// The path.
        path: PathBuf,
        /// The host.
        host: String,
    },
    /// The host refused.
    #[error("could not {doing} `{path}` on `{host}`")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Where.
        host: String,
        /// What the host said.
        output: Vec<String>,
    },
    /// What lies there is not what was sent.
    #[error("`{path}` on `{host}` is not what was sent")]
    Differs {
        /// The path.
        path: PathBuf,
        /// The host.
        host: String,
    },
    /// The answer makes no sense.
    #[error("could not {doing} `{path}` on `{host}`: its answer makes no sense")]
    Answer {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Where.
        host: String,
    },
    /// The link broke.
    #[error("the connection to `{host}` was lost while trying to {doing} `{path}`")]
    Lost {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Where.
        host: String,
        /// Whether something may have been changed.
        outcome: Kind,
    },
    /// Nothing runs there.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

impl Explain for FilesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Relative(_) => Kind::Internal,
            Self::Occupied { .. } => Kind::Conflict,
            Self::Lost { outcome, .. } => *outcome,
            Self::Differs { .. } => Kind::Conflict,
            Self::Shell(source) => source.kind(),
            Self::Elsewhere { .. } | Self::Refused { .. } | Self::Answer { .. } => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Shell(source) => source.state(),
            Self::Lost { outcome: Kind::Transient, .. } => Some("nothing was changed: it was only to look".into()),
            Self::Lost { .. } => Some("it was done, or it was not".into()),
            _ => None,
        }
    }

    fn next(&self) -> Option<String> {
        let (host, path) = match self {
            Self::Relative(_) => return None,
            Self::Shell(source) => return source.next(),
            Self::Occupied { path, host }
            | Self::Elsewhere { path, host }
            | Self::Differs { path, host }
            | Self::Refused { path, host, .. }
            | Self::Answer { path, host, .. }
            | Self::Lost { path, host, .. } => (host, path),
        };
        let path = quote_text(&path.to_string_lossy());
        Some(format!("look with `ssh {} {}`", quote_text(host), quote_text(&format!("ls -ld {path}; df -h {path}"))))
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Refused { output, .. } => output.clone(),
            Self::Shell(source) => source.output(),
            _ => Vec::new(),
        }
    }
}

/// What every script begins with: `absent PATH` succeeds where nothing lies and nothing hides it, `settle PATH` makes the
/// names in its folder durable.
const COMMON: &str = r#"export LC_ALL=C;
there() { [ -e "$1" ] || [ -L "$1" ]; };
absent() {
__q=$1; if there "$__q"; then return 1; fi;
while [ -n "$__q" ]; do
__q=${__q%/*};
if [ -d "${__q:-/}" ]; then [ -x "${__q:-/}" ]; return; fi;
if there "$__q"; then return 0; fi;
done; };
flush() { sync -- "$1" 2>/dev/null || sync; };
settle() { __q=${1%/*}; if [ -d "${__q:-/}" ]; then flush "${__q:-/}"; fi; };
"#;

/// Files of a host; writes pass the fence of the target's root.
#[derive(Clone, Debug)]
pub struct SshFiles {
    shell: SshShell,
}

/// One thing to do with one path.
pub(super) struct Errand<'a> {
    pub(super) doing: &'static str,
    pub(super) path: &'a Path,
    /// More paths and texts, by the names that the script has for them.
    pub(super) variables: &'a [(&'a str, &'a [u8])],
    /// `$__a` is the path. In [`Pass::Fence`] it ends with `exit`.
    pub(super) script: &'a str,
}

#[derive(Default)]
struct Both {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Sink for Both {
    fn take(&mut self, stream: Stream, chunk: &[u8]) {
        if stream == Stream::Stdout {
            self.stdout.extend_from_slice(chunk);
        } else if self.stderr.len() < 64 * 1024 {
            self.stderr.extend_from_slice(chunk);
        }
    }
}

impl SshFiles {
    /// Files of the host that `shell` runs on, below and beside its root.
    pub fn new(shell: SshShell) -> Self {
        Self { shell }
    }

    pub(super) fn host(&self) -> String {
        self.shell.link().host().to_owned()
    }

    pub(super) fn pass(&self, token: Option<FencingToken>) -> Result<Pass, FilesError> {
        let no_lease = || ShellError::from(FenceError::NoLease { root: self.shell.root().to_owned() });
        Ok(Pass::Fence(token.ok_or_else(no_lease)?))
    }

    /// Runs a script; gives its exit code and what it printed.
    async fn attempt(&self, errand: &Errand<'_>, pass: Pass, feed: Feed) -> Result<(i32, Both), FilesError> {
        if !errand.path.is_absolute() {
            return Err(FilesError::Relative(errand.path.to_owned()));
        }
        let (host, path, doing) = (self.host(), errand.path.to_owned(), errand.doing);
        let marker = CommandId::new().to_string();
        let clean: PathBuf = errand.path.components().collect();
        let variables = [&[("__a", bytes(&clean))], errand.variables].concat();
        let script = format!("{COMMON}{}", errand.script);
        let line = own_line(Some(self.shell.root()), pass, &variables, &script, &marker);
        let link = self.shell.link();
        let twice = if matches!(pass, Pass::Free) { Twice::Allowed } else { Twice::Forbidden };
        let started = Execution::start(link, line, marker, feed, None, Session::Shared(twice)).await;
        let execution = started.map_err(|source| ShellError::Link { host: host.clone(), source })?;
        let mut both = Both::default();
        match execution.finish(&mut both, &CancellationToken::new()).await {
            Finish::Exited(ExitStatus::Code(code)) => Ok((code, both)),
            Finish::Exited(ExitStatus::Signal(_)) | Finish::Lost | Finish::Cancelled => {
                let outcome = if matches!(pass, Pass::Fence(_)) { Kind::UnknownOutcome } else { Kind::Transient };
                Err(FilesError::Lost { doing, path, host, outcome })
            }
            Finish::Refused(word) => {
                let token = if let Pass::Fence(token) = pass { Some(token) } else { None };
                Err(self.shell.refusal(&word, "sh".into(), PathBuf::new(), token).into())
            }
            Finish::NoWrapper(noise) => Err(ShellError::no_wrapper(host, &noise).into()),
        }
    }

    /// Runs a script that must succeed, or find nothing.
    async fn ask(&self, errand: &Errand<'_>, pass: Pass, feed: Feed) -> Result<Option<Vec<u8>>, FilesError> {
        let (code, both) = self.attempt(errand, pass, feed).await?;
        let (path, host, doing) = (errand.path.to_owned(), self.host(), errand.doing);
        match code {
            0 => Ok(Some(both.stdout)),
            ABSENT => Ok(None),
            OCCUPIED => Err(FilesError::Occupied { path, host }),
            ELSEWHERE => Err(FilesError::Elsewhere { path, host }),
            _ => {
                let output = String::from_utf8_lossy(&both.stderr).lines().map(str::to_owned).collect();
                Err(FilesError::Refused { doing, path, host, output })
            }
        }
    }

    /// Looks at a path.
    pub(super) async fn look(&self, errand: &Errand<'_>, feed: Feed) -> Result<Option<Vec<u8>>, FilesError> {
        self.ask(errand, Pass::Free, feed).await
    }

    /// Changes something at a path.
    pub(super) async fn change(
        &self,
        errand: &Errand<'_>,
        token: Option<FencingToken>,
        feed: Feed,
    ) -> Result<Vec<u8>, FilesError> {
        let pass = self.pass(token)?;
        Ok(self.ask(errand, pass, feed).await?.unwrap_or_default())
    }

    pub(super) fn nonsense(&self, errand: &Errand<'_>) -> FilesError {
        FilesError::Answer { doing: errand.doing, path: errand.path.to_owned(), host: self.host() }
    }

    /// The digest of a tree.
    pub(super) async fn tree_digest(&self, path: &Path) -> Result<TreeDigest, FilesError> {
        Ok(digest(&self.tree(path).await?))
    }

    async fn tree(&self, path: &Path) -> Result<Tree, FilesError> {
        let script = [HASH, r#"cd -- "$__a" || exit 1; eval "$__tree""#].concat();
        let errand = Errand { doing: "read the tree", path, variables: &BATCHES, script: &script };
        let answer = self.look(&errand, Feed::Nothing).await?.unwrap_or_default();
        read_tree(&answer).ok_or_else(|| self.nonsense(&errand))
    }
}

pub(super) fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}

/// A script with only a path.
fn errand<'a>(doing: &'static str, path: &'a Path, script: &'a str) -> Errand<'a> {
    Errand { doing, path, variables: &[], script }
}

#[async_trait]
impl Files for SshFiles {
    async fn stat(&self, path: &Path) -> Result<Option<FileStat>, Failure> {
        let script = r#"if absent "$__a"; then exit 44; fi;
stat -c '%f %s' -- "$__a" && if [ -L "$__a" ]; then readlink -n -- "$__a"; fi"#;
        let errand = errand("look at", path, script);
        let Some(answer) = self.look(&errand, Feed::Nothing).await? else { return Ok(None) };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(read_stat(name, &answer).ok_or_else(|| self.nonsense(&errand))?))
    }

    async fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        let script = r#"if absent "$__a"; then exit 44; fi; exec cat -- "$__a""#;
        Ok(self.look(&errand("read", path, script), Feed::Nothing).await?)
    }

    async fn list(&self, path: &Path) -> Result<Vec<FileStat>, Failure> {
        let script = r#"if absent "$__a"; then exit 44; fi; cd -- "$__a" || exit 1;
find . -mindepth 1 -maxdepth 1 -exec sh -c "$__list" sh {} +"#;
        let variables = [("__list", LIST_BATCH.as_bytes())];
        let errand = Errand { doing: "list", path, variables: &variables, script };
        let Some(answer) = self.look(&errand, Feed::Nothing).await? else { return Ok(Vec::new()) };
        Ok(read_list(&answer).ok_or_else(|| self.nonsense(&errand))?)
    }

    async fn digest(&self, path: &Path) -> Result<TreeDigest, Failure> {
        Ok(self.tree_digest(path).await?)
    }

    async fn held_files(&self, path: &Path) -> Result<Vec<HeldFile>, Failure> {
        Ok(held_files(&self.tree(path).await?))
    }

    async fn ensure_directory(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        let script = r#"mkdir -p -- "$__a" && settle "$__a"; exit $?"#;
        self.change(&errand("make the directory", path, script), token, Feed::Nothing).await?;
        Ok(())
    }

    async fn write(
        &self,
        path: &Path,
        contents: &[u8],
        permissions: Permissions,
        token: Option<FencingToken>,
    ) -> Result<(), Failure> {
        let mode = match permissions {
            Permissions::Public => "644",
            Permissions::Executable => "755",
            Permissions::Private => "600",
        };
        let script = r#"__n2="$__a.new-$__id"; umask 077;
cat >"$__n2" && [ "$(wc -c <"$__n2")" -eq "$__size" ] && chmod "$__mode" -- "$__n2" && flush "$__n2"
&& mv -fT -- "$__n2" "$__a" && settle "$__a" && exit 0;
rm -f -- "$__n2"; exit 1"#;
        let (id, size) = (CommandId::new().to_string(), contents.len().to_string());
        let variables = [("__id", id.as_bytes()), ("__size", size.as_bytes()), ("__mode", mode.as_bytes())];
        let errand = Errand { doing: "write", path, variables: &variables, script };
        self.change(&errand, token, Feed::Bytes(contents.to_vec().into())).await?;
        Ok(())
    }

    async fn link(&self, path: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        let script = r#"__n2="$__a.new-$__id";
ln -s -- "$__to" "$__n2" && mv -fT -- "$__n2" "$__a" && settle "$__a" && exit 0;
rm -f -- "$__n2"; exit 1"#;
        let id = CommandId::new().to_string();
        let variables = [("__id", id.as_bytes()), ("__to", bytes(to))];
        let errand = Errand { doing: "make the link", path, variables: &variables, script };
        self.change(&errand, token, Feed::Nothing).await?;
        Ok(())
    }

    async fn rename(&self, from: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        if !to.is_absolute() {
            return Err(FilesError::Relative(to.to_owned()).into());
        }
        let script = r#"if [ -d "$__to" ] && ! [ -L "$__to" ]; then exit 43; fi;
__q=${__to%/*}; __one=$(stat -c %d -- "$__a") && __two=$(stat -L -c %d -- "${__q:-/}") || exit 1;
[ "$__one" = "$__two" ] || exit 45;
mv -fT -- "$__a" "$__to" && settle "$__to" && settle "$__a"; exit $?"#;
        let to: PathBuf = to.components().collect();
        let variables = [("__to", bytes(&to))];
        let errand = Errand { doing: "rename", path: from, variables: &variables, script };
        self.change(&errand, token, Feed::Nothing).await?;
        Ok(())
    }

    async fn remove(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        // Tools such as Go's leave directories behind that their owner may not write.
        let script = r#"if absent "$__a"; then exit 0; fi;
rm -rf -- "$__a" 2>/dev/null || { find "$__a" -type d ! -perm -u=rwx -exec chmod u+rwx {} \; ; rm -rf -- "$__a"; }
&& settle "$__a"; exit $?"#;
        self.change(&errand("remove", path, script), token, Feed::Nothing).await?;
        Ok(())
    }

    async fn put_tree(
        &self,
        path: &Path,
        source: Arc<dyn Source>,
        tree: &SourceRef,
        token: Option<FencingToken>,
    ) -> Result<TreeDigest, Failure> {
        put_tree(self, path, source, tree, token).await
    }
}

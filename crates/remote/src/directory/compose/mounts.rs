//! What containers of a project see of a release, each kept at a place that is named after what it holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Command, ExitStatus};

use super::project::Project;
use crate::directory::site::Site;

/// Names the places of files that containers see, one a line. What lies in the release is copied to a place named after what it
/// holds: a container whose files did not change need not be made anew.
const KEEP: &str = r#"named=$1 keep=$2; shift 2
release=$(readlink -f -- "$named") || exit 1
home=${release%/releases/*}
for path do
    case $path in "$named" | "$named"/* | "$release" | "$release"/* | "$home"/*) ;; *) printf '%s\n' "$path"; continue ;; esac
    real=$(readlink -e -- "$path") || {
        printf '%s\n' "$path" >&2
        case $path in "$named"/* | "$release"/*) exit 44 ;; *) exit 45 ;; esac
    }
    case $real in
    "$release") printf '%s\n' "$named"; continue ;;
    "$release"/*) ;;
    "$home"/releases/* | "$home"/releases | "$home"/run/* | "$home"/.pleach/* | "$home") printf '%s\n' "$path" >&2; exit 45 ;;
    *) printf '%s\n' "$real"; continue ;;
    esac
    folder=${real%/*} name=${real##*/}
    digest=$(tar -C "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - -- "$name" | sha256sum) || exit 1
    kept=$keep/$(printf %.32s "$digest")
    if [ ! -d "$kept" ]; then
        rm -rf -- "$kept.partial" && mkdir -p -- "$kept.partial" && cp -a -- "$real" "$kept.partial/" &&
            sync && mv -- "$kept.partial" "$kept" || exit 1
    fi
    printf '%s\n' "$kept/$name"
done"#;

/// Removes what no release names any more.
const FORGET: &str = r#"cd -- "$1" 2>/dev/null || exit 0
for kept in *; do
    grep -qsF -- "/$kept/" "$2"/*/compose.pleach.json || rm -rf -- "$kept"
done"#;

impl Project<'_> {
    /// Where containers find what they saw in the release.
    pub(super) async fn keep(&self, paths: Vec<PathBuf>) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut argv: Vec<String> = ["sh", "-c", KEEP, "pleach"].map(str::to_owned).to_vec();
        argv.extend([text(&self.folder()), text(&self.site.layout().kept_mounts())]);
        argv.extend(paths.iter().map(|path| text(path)));
        let output = self.site.require_shell()?.run(&Command::write(argv), self.site.call).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let path = said.trim();
        let (folder, releases) = (self.folder(), self.site.layout().releases());
        let path = match (Path::new(path).strip_prefix(&folder), Path::new(path).strip_prefix(&releases)) {
            (Ok(inside), _) => inside.to_owned(),
            (_, Ok(beside)) => Path::new("..").join(beside),
            _ => path.into(),
        };
        let path = path.display();
        let wrong = |because: &str, instead: String| {
            let what = format!("a container of Compose project `{}` cannot have `{path}`", self.name());
            Err(Failure::new(Kind::Rejected, what).because(because).because(instead))
        };
        match output.status {
            ExitStatus::Code(0) => {}
            ExitStatus::Code(44) => {
                return wrong(
                    "the commit does not have it, so each release would begin with an empty one",
                    format!(
                        "`shared = [\"{path}/\"]` in `pleach.toml` has all releases share it, as a named volume does"
                    ),
                );
            }
            ExitStatus::Code(45) => {
                return wrong(
                    "it leads out of the release, to where Pleach keeps its own files",
                    "it has to be in the service's directory, an absolute path, or a named volume".to_owned(),
                );
            }
            _ => return Err(self.failed("keep the files", &output)),
        }
        let kept = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect::<Vec<_>>();
        Ok(paths.into_iter().zip(kept).collect())
    }
}

impl Site<'_> {
    /// Removes what containers saw of releases that are gone.
    pub(in crate::directory) async fn forget_mounts(&self) -> Result<(), Failure> {
        let layout = self.layout();
        let (kept, releases) = (layout.kept_mounts(), layout.releases());
        let argv =
            ["sh", "-c", FORGET, "pleach", &kept.to_string_lossy(), &releases.to_string_lossy()].map(str::to_owned);
        self.run_command(&Command::write(argv), "remove files that no release needs").await.map(drop)
    }
}

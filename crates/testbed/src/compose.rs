//! `docker compose`, wherever it comes from.
//!
//! Debian 12 has none that is maintained; Debian 13's is a program without dependencies, and runs there as well. It is put into a
//! folder of the user's cache, and nothing of the system is changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The first one that the project supports.
const OLDEST: (u32, u32) = (2, 22);

/// Prints where the package lies once it is downloaded and unpacked below `$1`; the sources are those of this system's own
/// packages, of the next release.
const FETCH: &str = r#"set -e
cd "$1"
mkdir -p lists/partial cache/archives/partial
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} trixie main" >sources.list
: >status
for line in 'Dir::Etc::sourcelist "'"$1"'/sources.list"' 'Dir::Etc::sourceparts "-"' 'Dir::State::lists "'"$1"'/lists"' \
    'Dir::State::status "'"$1"'/status"' 'Dir::Cache "'"$1"'/cache"' 'APT::Sandbox::User "root"'; do
    echo "$line;"
done >apt.conf
export APT_CONFIG="$1/apt.conf"
apt-get update -qq
apt-get download -qq docker-compose
dpkg-deb -x docker-compose_*.deb unpacked
find unpacked -path '*/cli-plugins/docker-compose'"#;

/// What `DOCKER_CONFIG` must be so that `docker compose` works; none where it does without.
///
/// # Errors
/// There is none, and none could be fetched.
pub fn ensure() -> Result<Option<&'static Path>, String> {
    static FOUND: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
    FOUND.get_or_init(find).as_ref().map(Option::as_deref).map_err(Clone::clone)
}

fn find() -> Result<Option<PathBuf>, String> {
    if works(None) {
        return Ok(None);
    }
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let place = home.unwrap_or_else(std::env::temp_dir).join("pleach-testbed/docker");
    if works(Some(&place)) {
        return Ok(Some(place));
    }
    eprintln!("testbed: fetching `docker compose`");
    match fetch(&place) {
        Ok(()) if works(Some(&place)) => Ok(Some(place)),
        fetched => {
            let (major, minor) = OLDEST;
            let why = fetched.err().unwrap_or_else(|| "what was fetched does not run".to_owned());
            Err(format!(
                "error: the tests need `docker compose` {major}.{minor} or newer\n  because: {why}\n  state: no test has run\n  \
                 next: install Docker's package `docker-compose-plugin`, then `cargo testbed`"
            ))
        }
    }
}

fn works(config: Option<&Path>) -> bool {
    let mut command = Command::new("docker");
    command.args(["compose", "version", "--short"]).stdin(Stdio::null());
    command.envs(config.map(|config| ("DOCKER_CONFIG", config)));
    let Ok(output) = command.output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.trim().trim_start_matches('v').split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST)
}

fn fetch(place: &Path) -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = work.path();
    let output = Command::new("sh").args(["-c", FETCH, "sh"]).arg(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`sh` could not be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().lines().last().unwrap_or("it could not be downloaded").to_owned());
    }
    let found = folder.join(String::from_utf8_lossy(&output.stdout).trim());
    let plugins = place.join("cli-plugins");
    let put = |from: &Path| -> std::io::Result<()> {
        std::fs::create_dir_all(&plugins)?;
        // Whoever else does this at the same time puts the same there.
        let own = plugins.join(format!(".docker-compose-{}", std::process::id()));
        std::fs::copy(from, &own)?;
        std::fs::rename(own, plugins.join("docker-compose"))
    };
    put(&found).map_err(|error| format!("it could not be put into `{}`: {error}", plugins.display()))
}

//! A repository the size of Odoo's, generated: 40,000 files in 6,000 directories, about 0.9 GB, five branches that differ
//! from main in 34 paths each.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Files on `main`.
pub const FILES: usize = 40_000;

/// The branches beside `main`.
pub const BRANCHES: [&str; 5] =
    ["skill/pr-review", "skill/odoo-rpc", "skill/nl-sql", "skill/visual-diff", "skill/design-tokens"];

const WORDS: [&str; 24] = [
    "self", "env", "record", "return", "field", "partner", "order", "line", "amount", "state", "model", "view", "name",
    "company", "product", "invoice", "account", "move", "stock", "picking", "search", "domain", "context", "values",
];

/// Small, fast, and the same on every machine (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn path_of(file: usize) -> String {
    let (addon, directory) = (file / 64, file / 7 % 9);
    let ending = ["py", "xml", "js", "po", "csv", "scss", "svg"][file % 7];
    format!("addons/addon_{addon:03}/part_{directory}/file_{file:05}.{ending}")
}

/// Sizes as in Odoo: half the files under 4 KiB, a few of several hundred.
fn content(numbers: &mut Numbers) -> Vec<u8> {
    let size = match numbers.below(100) {
        0..=49 => 200 + numbers.below(4_000),
        50..=84 => 4_000 + numbers.below(20_000),
        85..=97 => 20_000 + numbers.below(120_000),
        _ => 140_000 + numbers.below(300_000),
    };
    text_of(numbers, size as usize)
}

/// Words, as many as make so many bytes.
pub(crate) fn text_of(numbers: &mut Numbers, size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 16);
    while text.len() < size {
        let number = numbers.next();
        text.extend_from_slice(WORDS[(number % 24) as usize].as_bytes());
        text.push(if number >> 8 & 15 == 0 { b'\n' } else { b' ' });
        if number >> 16 & 3 == 0 {
            text.extend_from_slice((number >> 40).to_string().as_bytes());
        }
    }
    text.push(b'\n');
    text
}

/// Makes the repository in `folder`, or uses the one that an earlier run finished there.
///
/// # Panics
/// When git cannot be started or refuses.
pub fn ensure_large(folder: &Path, files: usize) {
    let done = folder.join(".git").join(format!("bench-{files}"));
    if done.exists() {
        return;
    }
    let _ = fs::remove_dir_all(folder);
    git(Path::new("."), &["init", "-q", "-b", "main", &folder.to_string_lossy()]);
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet", "--force"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("git fast-import starts");
    let mut stream = BufWriter::with_capacity(1 << 20, import.stdin.take().expect("a pipe"));
    let written = write_history(&mut stream, files).and_then(|()| stream.flush());
    drop(stream);
    written.expect("git fast-import reads all of it");
    assert!(import.wait().expect("git fast-import ends").success());
    git(folder, &["reset", "-q", "--hard", "main"]);
    fs::write(done, "").expect("a mark");
}

fn write_history(out: &mut impl Write, files: usize) -> std::io::Result<()> {
    let mut numbers = Numbers(42);
    write_commit(out, "main", None)?;
    for file in 0..files {
        write_file(out, &path_of(file), &content(&mut numbers))?;
    }
    for (at, branch) in BRANCHES.iter().enumerate() {
        write_commit(out, branch, Some("main"))?;
        for change in 0..29 {
            write_file(out, &path_of((at * 977 + change * 131) % files), &content(&mut numbers))?;
        }
        for added in 0..3 {
            write_file(out, &format!("services/{branch}/new_{added}.py"), &content(&mut numbers))?;
        }
        for removed in 0..2 {
            writeln!(out, "D {}", path_of((at * 977 + 50_001 + removed * 17) % files))?;
        }
    }
    writeln!(out, "done")
}

fn write_commit(out: &mut impl Write, branch: &str, from: Option<&str>) -> std::io::Result<()> {
    writeln!(out, "commit refs/heads/{branch}\ncommitter Bench <bench@example.invalid> 1700000000 +0000")?;
    writeln!(out, "data 5\nbench")?;
    match from {
        Some(from) => writeln!(out, "from refs/heads/{from}"),
        None => Ok(()),
    }
}

fn write_file(out: &mut impl Write, path: &str, content: &[u8]) -> std::io::Result<()> {
    writeln!(out, "M 100644 inline {path}\ndata {}", content.len())?;
    out.write_all(content)?;
    writeln!(out)
}

/// Runs git in `folder` with a fixed identity and no configuration of the user's.
///
/// # Panics
/// When git cannot be started or refuses.
pub fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=Bench", "-c", "user.email=bench@example.invalid"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("git starts");
    assert!(status.success(), "git {} ended with {status}", arguments.join(" "));
}

//! Where benchmarks write.

use std::path::PathBuf;

use tempfile::TempDir;

/// A new directory in `PLEACH_BENCH_DIR`, or where temporary files go; it is removed when dropped.
///
/// # Panics
/// When it cannot be made.
pub fn scratch(name: &str) -> TempDir {
    let base = std::env::var_os("PLEACH_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::create_dir_all(&base).expect("the benchmark's directory");
    tempfile::Builder::new().prefix(&format!("pleach-{name}-")).tempdir_in(base).expect("a scratch directory")
}

//! This very executable, as it is put on hosts that have none.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pleach_core::error::{Failure, Kind};
use sha2::{Digest, Sha256};

use crate::daemon::OWN_EXECUTABLE;
use crate::local::hex;

/// The bytes of this executable, also if its file was replaced since.
pub(crate) fn read_own() -> Result<Vec<u8>, Failure> {
    std::fs::read(OWN_EXECUTABLE).map_err(|error| {
        Failure::new(Kind::Rejected, "could not read this program's own file")
            .because(error.to_string())
            .next(format!("look with `ls -lL {OWN_EXECUTABLE}`"))
    })
}

/// The SHA-256 of this executable, in hexadecimal.
pub fn own_digest() -> Result<String, Failure> {
    static DIGEST: OnceLock<String> = OnceLock::new();
    if let Some(digest) = DIGEST.get() {
        return Ok(digest.clone());
    }
    let digest = hex(&Sha256::digest(read_own()?));
    Ok(DIGEST.get_or_init(|| digest).clone())
}

/// Where this executable lies on a host below a target's root.
pub(crate) fn place_of_own(root: &Path) -> Result<PathBuf, Failure> {
    let digest = own_digest()?;
    Ok(root.join(".pleach/bin").join(format!("pleach-{}-{}", env!("CARGO_PKG_VERSION"), &digest[..12])))
}

//! This machine as a target.
//!
//! | file | what |
//! |---|---|
//! | [`LocalShell`] | commands, each in a process group of its own that ends with the call |
//! | [`LocalFiles`] | files and trees, whole or absent |
//! | [`Fence`] | the number below which no write is let through |
//! | [`LocalSecrets`] | secrets from variables, files and commands |
//! | [`DirectoryTarget`] | a directory with releases in it, made of these |

mod begun;
mod fence;
mod files;
mod output;
mod secret;
mod shell;
mod target;
mod tree;
mod work;

pub use fence::{Fence, FenceError};
pub(crate) use fence::{beside, is_half_written, replace_durably, sync_folder};
pub(crate) use files::replace_file;
pub use files::{FilesError, LocalFiles};
pub(crate) use output::Output;
pub use secret::{LocalSecrets, SecretError};
pub(crate) use shell::exit_status;
pub use shell::{LocalShell, ShellError};
pub use target::{DirectorySettings, DirectoryTarget, describe_directory, planned_directory};
pub use tree::{TreeError, tree_digest};
pub(crate) use tree::{collect, digest_of, file_digest, hex};

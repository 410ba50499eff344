//! `pleach.toml`: the types, and the way from text to them.
//!
//! The types are the only description of the file. [`schema`] generates a JSON Schema from them; each key's documentation
//! is its doc comment, and [`reference()`](fn@reference) is a page made of all of them.
//!
//! ```text
//! text ─tree▶ values with their places ─validate▶ the schema's shape ─serde▶ Config ─rules▶ Config
//!        └ not TOML           └ unknown key, wrong type, out of range          └ unknown name, circle, port twice
//! ```
//!
//! [`parse`] reports what it finds on all of these stops at once. To go on behind a problem, the validator leaves the wrong
//! value out, or puts the key's example in its place if it is required, and later stops say nothing about such a place.
//! What may be a secret is masked before an excerpt of the file is kept, so no later reader can show it.

mod canary;
mod check;
mod compose;
mod environment;
mod image;
mod keys;
mod leaf;
mod mask;
mod matching;
mod nearest;
mod parse;
mod path;
mod place;
mod problem;
mod project;
mod reference;
mod registry;
mod render;
mod rule;
mod schema;
mod script;
mod service;
mod snapshot;
mod target;
mod tree;
mod validate;
mod written;

pub use canary::CanaryConfig;
pub use check::{CheckConfig, CheckKind, HttpCheck, ServiceTest, Thresholds};
pub use compose::{ComposeConfig, PullRule};
pub use environment::{ConsentRule, EnvironmentConfig};
pub use image::ImageConfig;
pub use keys::{KeyDescription, describe_key, keys};
pub use matching::{CanaryMatch, MatchError, MatchName, MatchValue};
pub use nearest::nearest;
pub use parse::parse;
pub use path::{KeyPath, Segment};
pub use problem::{ConfigErrors, Problem};
pub use project::{Config, ProjectConfig};
pub use reference::reference;
pub use registry::RegistryConfig;
pub use render::Style;
pub use rule::Finding;
pub use schema::schema;
pub use script::{Interpreter, ScriptConfig, ScriptPlace, ScriptReversal};
pub use service::{BuildPlace, CommandLine, EnvironmentValue, ServiceConfig};
pub use snapshot::SnapshotSource;
pub use target::{DirectoryConfig, HaproxyConfig, HostLimits, SshConfig, TargetConfig, TotalLimits};

/// The file's name, at the root of the repository.
pub const FILE_NAME: &str = "pleach.toml";

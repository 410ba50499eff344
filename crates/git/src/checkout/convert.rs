//! What attributes and configuration make of a file's content on its way into a worktree.

use std::io::Read as _;

use gix::ObjectId;
use gix::attrs::StateRef;
use gix::bstr::{BStr, ByteSlice as _};
use gix::filter::plumbing as filter;
use gix::filter::plumbing::driver::apply::{Delay, MaybeDelayed};
use gix::filter::plumbing::pipeline::convert::{ToWorktreeOutcome, to_worktree};
use gix::index::entry::{Flags, Mode, Stat};
use gix::worktree::stack::state::attributes::Source;

use crate::checkout::ident;
use crate::checkout::wide::Wide;
use crate::error::{Cause, Error, Result};

/// The attributes that change content; all others are for people and for diffs.
const CONVERTING: [&str; 6] = ["crlf", "eol", "filter", "ident", "text", "working-tree-encoding"];

/// The `.gitattributes` files of one commit, and whether anything at all may be converted.
pub(crate) struct Attributes {
    files: gix::index::State,
    /// Nothing in tree, repository, user or system configuration converts anything: content is written as stored.
    plain: bool,
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attributes").field("plain", &self.plain).finish_non_exhaustive()
    }
}

impl Attributes {
    /// `files` are all paths of the commit whose last component is `.gitattributes`, in index order.
    pub(crate) fn new(local: &gix::Repository, files: Vec<(Vec<u8>, ObjectId)>) -> Self {
        let plain = files.is_empty() && !is_converted_anywhere(local);
        let mut state = gix::index::State::new(local.object_hash());
        for (path, id) in files {
            state.dangerously_push_entry(Stat::default(), id, Flags::empty(), Mode::FILE, path.as_bstr());
        }
        state.sort_entries();
        Self { files: state, plain }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }
}

/// Whether configuration outside of the commit may convert content.
pub(crate) fn is_converted_anywhere(local: &gix::Repository) -> bool {
    let info = local.common_dir().join("info/attributes");
    let global = local.attribute_global_paths().unwrap_or_default();
    let any_file = global.iter().chain([&info]).any(|path| path.metadata().is_ok_and(|meta| meta.len() > 0));
    any_file || converts_line_ends(local)
}

/// `core.autocrlf=true`; `input` only works on the way into git.
fn converts_line_ends(local: &gix::Repository) -> bool {
    local
        .config_snapshot()
        .string("core.autocrlf")
        .is_some_and(|value| matches!(value.to_ascii_lowercase().as_slice(), b"true" | b"yes" | b"on" | b"1" | b""))
}

/// Converts content for one commit. One per thread: it keeps caches and long-running filter processes.
pub(crate) struct Converter {
    stack: gix::worktree::Stack,
    pipeline: filter::Pipeline,
    matches: gix::attrs::search::Outcome,
    line_ends: bool,
}

impl Converter {
    pub(crate) fn new(local: &gix::Repository, attributes: &Attributes) -> Result<Self> {
        let failed = || Error::failed("read the attributes of a commit");
        let stack = local.attributes_only(&attributes.files, Source::IdMapping).map_err(failed())?.detach();
        let matches = stack.selected_attribute_matches(CONVERTING);
        let (pipeline, stack) = gix::filter::Pipeline::new(local, stack).map_err(failed())?.into_parts();
        Ok(Self { stack, pipeline, matches, line_ends: converts_line_ends(local) })
    }

    /// A key for what happens to this path, or nothing when content is written as stored. Equal keys at the same path
    /// mean equal results.
    pub(crate) fn key(&mut self, local: &gix::Repository, path: &BStr) -> Result<Option<Vec<u8>>> {
        let failed = |error: std::io::Error| Error::Failed(format!("read the attributes of `{path}`"), error.into());
        let platform = self.stack.at_entry(path, Some(Mode::FILE), &local.objects).map_err(failed)?;
        self.matches.reset();
        platform.matching_attributes(&mut self.matches);
        let mut key = Vec::new();
        let mut any = self.line_ends;
        for found in self.matches.iter_selected() {
            match found.assignment.state {
                StateRef::Unspecified => key.push(b'?'),
                StateRef::Set => key.push(b'+'),
                StateRef::Unset => key.push(b'-'),
                StateRef::Value(value) => {
                    key.push(b'=');
                    key.extend_from_slice(value.as_bstr());
                }
            }
            key.push(0);
            any |= !matches!(found.assignment.state, StateRef::Unspecified);
        }
        Ok(any.then_some(key))
    }

    /// The content as a check-out writes it; nothing when it is the same.
    pub(crate) fn convert(&mut self, local: &gix::Repository, path: &BStr, data: &[u8]) -> Result<Option<Vec<u8>>> {
        let failed = || Error::failed(format!("convert `{path}` for the worktree"));
        let unreadable = |error: std::io::Error| Error::Failed(format!("convert `{path}`"), error.into());
        let platform = self.stack.at_entry(path, Some(Mode::FILE), &local.objects).map_err(unreadable)?;
        self.matches.reset();
        platform.matching_attributes(&mut self.matches);
        let has_ident = |found: gix::attrs::search::Match<'_>| {
            found.assignment.name.as_str() == "ident" && found.assignment.state == StateRef::Set
        };
        let wide = self.matches.iter_selected().find_map(|found| match found.assignment.state {
            StateRef::Value(value) if found.assignment.name.as_str() == "working-tree-encoding" => {
                Wide::parse(value.as_bstr())
            }
            _ => None,
        });
        let expanded = if self.matches.iter_selected().any(has_ident) {
            let id = gix::objs::compute_hash(local.object_hash(), gix::objs::Kind::Blob, data).map_err(failed())?;
            ident::expand(data, id)
        } else {
            None
        };
        let options =
            to_worktree::Options { can_delay: Delay::Forbid, unknown_encoding: to_worktree::UnknownEncoding::Ignore };
        let mut attributes = |_: &BStr, outcome: &mut gix::attrs::search::Outcome| {
            platform.matching_attributes(outcome);
        };
        let source = expanded.as_deref().unwrap_or(data);
        let encode = |content: Option<Vec<u8>>| match wide {
            Some(wide) => wide.encode(content.as_deref().unwrap_or(data)).or(content),
            None => content,
        };
        match self.pipeline.convert_to_worktree(source, path, &mut attributes, options).map_err(failed())? {
            ToWorktreeOutcome::Unchanged(_) => Ok(encode(expanded)),
            ToWorktreeOutcome::Buffer(buffer) => Ok(encode(Some(buffer.to_vec()))),
            // A filter driver sees what is encoded; that order cannot be had here.
            ToWorktreeOutcome::Process(_) if wide.is_some() => {
                let why = "a filter and an encoding of two or four bytes at the same path are not supported";
                Err(Error::Failed(format!("convert `{path}`"), Cause::new(why)))
            }
            ToWorktreeOutcome::Process(MaybeDelayed::Immediate(mut output)) => {
                let mut content = Vec::new();
                output.read_to_end(&mut content).map_err(unreadable)?;
                Ok(Some(content))
            }
            ToWorktreeOutcome::Process(MaybeDelayed::Delayed(_)) => {
                unreachable!("delayed output was not offered to the filter")
            }
        }
    }
}

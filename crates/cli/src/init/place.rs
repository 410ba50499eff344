//! One directory of one branch, as files and their texts: all that detection needs, whether they come from git or a test.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Files larger than this are not read: what says how a service is run is written by hand.
const READ_LIMIT: usize = 256 * 1024;

/// Gives the content of a file.
type Read<'a> = Box<dyn Fn(&str) -> Option<Vec<u8>> + 'a>;

/// A directory of a branch.
pub(crate) struct Place<'a> {
    /// From the repository's root, with `/`; empty for the root.
    pub(crate) directory: String,
    /// Its files, relative to it, sorted.
    pub(crate) files: Vec<String>,
    read: Read<'a>,
    texts: RefCell<BTreeMap<String, Option<String>>>,
}

impl<'a> Place<'a> {
    /// The files below `directory` of `all`, which is sorted; `read` gets paths from the repository's root.
    pub(crate) fn new(directory: &str, all: &[String], read: impl Fn(&str) -> Option<Vec<u8>> + 'a) -> Self {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let from = all.partition_point(|path| path.as_str() < prefix.as_str());
        let below = all[from..].iter().map_while(|path| path.strip_prefix(prefix.as_str()));
        Self {
            directory: directory.to_owned(),
            files: below.map(str::to_owned).collect(),
            read: Box::new(move |path| read(&format!("{prefix}{path}"))),
            texts: RefCell::default(),
        }
    }

    /// Whether `file` is there.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.binary_search_by(|probe| probe.as_str().cmp(file)).is_ok()
    }

    /// The first of `files` that is there.
    pub(crate) fn first_of(&self, files: &[&'static str]) -> Option<&'static str> {
        files.iter().copied().find(|file| self.has(file))
    }

    /// The text of `file`, if it is there, not too large, and text.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        if !self.has(file) {
            return None;
        }
        let mut texts = self.texts.borrow_mut();
        let load = || (self.read)(file).filter(|bytes| bytes.len() <= READ_LIMIT);
        texts.entry(file.to_owned()).or_insert_with(|| load().and_then(|bytes| String::from_utf8(bytes).ok())).clone()
    }

    /// `file` as it is named from the repository's root.
    pub(crate) fn path_of(&self, file: &str) -> String {
        if self.directory.is_empty() { file.to_owned() } else { format!("{}/{file}", self.directory) }
    }
}

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<T> {
    /// What goes into the config.
    pub(crate) value: T,
    /// Why: the file that says so.
    pub(crate) why: String,
}

impl<T> Found<T> {
    /// `value`, because of `why`.
    pub(crate) fn new(value: impl Into<T>, why: impl Into<String>) -> Self {
        Self { value: value.into(), why: why.into() }
    }
}

/// Joins `directory` and `file` of a repository; either may be empty.
pub(crate) fn join(directory: &str, file: &str) -> String {
    match (directory.trim_matches('/'), file.trim_start_matches("./").trim_matches('/')) {
        ("", file) | (".", file) => file.to_owned(),
        (directory, "" | ".") => directory.to_owned(),
        (directory, file) => format!("{directory}/{file}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A place at the root made of literal files.
    pub(crate) fn place(files: &[(&'static str, &'static str)]) -> Place<'static> {
        place_at("", files)
    }

    /// A place made of literal files, which are relative to it.
    pub(crate) fn place_at(directory: &str, files: &[(&'static str, &'static str)]) -> Place<'static> {
        let texts: BTreeMap<String, &'static str> =
            files.iter().map(|(path, text)| (join(directory, path), *text)).collect();
        let all: Vec<String> = texts.keys().cloned().collect();
        Place::new(directory, &all, move |path| texts.get(path).map(|text| text.as_bytes().to_vec()))
    }

    #[test]
    fn a_place_holds_what_is_below_it_and_not_what_begins_alike() {
        let all: Vec<String> = ["a/x", "a/y/z", "a-b/x", "b"].map(str::to_owned).into();
        let mut sorted = all.clone();
        sorted.sort();
        let place = Place::new("a", &sorted, |path| Some(path.as_bytes().to_vec()));
        assert_eq!(place.files, ["x", "y/z"]);
        assert_eq!(place.text("y/z").as_deref(), Some("a/y/z"));
        assert_eq!(place.text("none"), None);
    }

    #[test]
    fn paths_join_without_doubled_slashes() {
        for (directory, file, joined) in
            [("", "a", "a"), ("a", "", "a"), ("a/", "/b", "a/b"), (".", "b", "b"), ("a", "./b", "a/b"), ("a", ".", "a")]
        {
            assert_eq!(join(directory, file), joined);
        }
    }
}

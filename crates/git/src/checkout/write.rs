//! The threads that create files.
//!
//! Threads take runs of neighbouring paths, so that each mostly stays in one directory, and keep one open directory for
//! each destination. A destination that fails is left alone from then on; the others go on.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use gix::bstr::{BStr, ByteSlice as _};
use gix::objs::FindExt as _;
use gix::objs::tree::EntryKind;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::checkout::convert::Converter;
use crate::checkout::listing::Listing;
use crate::checkout::plan::{Group, Member, Plan, Shape};
use crate::checkout::template::Template;
use crate::error::{Cause, Error, Result};

/// How many paths a thread takes at a time.
const RUN: usize = 128;
/// Destinations that are written together: each costs one descriptor, and one more a thread.
const TOGETHER: usize = 64;

/// A directory that receives the files of a listing. Nothing but `.git` may be in it.
pub(crate) struct Destination<'a> {
    pub(crate) root: PathBuf,
    pub(crate) listing: &'a Listing,
}

/// What the index remembers of a file, to see later whether it changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) changed: (u32, u32),
    pub(crate) modified: (u32, u32),
    pub(crate) device: u32,
    pub(crate) inode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) size: u32,
}

impl Stamp {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "the index keeps the low 32 bits of each, on every platform"
    )]
    pub(crate) fn new(stat: &rustix::fs::Stat) -> Self {
        Self {
            changed: (stat.st_ctime as u32, stat.st_ctime_nsec as u32),
            modified: (stat.st_mtime as u32, stat.st_mtime_nsec as u32),
            device: stat.st_dev as u32,
            inode: stat.st_ino as u32,
            user: stat.st_uid,
            group: stat.st_gid,
            size: stat.st_size as u32,
        }
    }
}

/// Writes all destinations; for each the stamps of its files in the order of its listing, or why it failed.
/// `progress` is called on the calling thread with files done and files in all.
pub(crate) fn write(
    repository: &gix::ThreadSafeRepository,
    destinations: &[Destination<'_>],
    interrupt: &AtomicBool,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<Result<Vec<Stamp>>> {
    let total = destinations.iter().map(|destination| destination.listing.entries.len()).sum();
    let mut done = 0;
    let mut results = Vec::with_capacity(destinations.len());
    for batch in destinations.chunks(TOGETHER) {
        let files: usize = batch.iter().map(|destination| destination.listing.entries.len()).sum();
        results.extend(Batch::new(repository, batch, interrupt).run(&mut |written| progress(done + written, total)));
        done += files;
    }
    results
}

struct Batch<'a> {
    repository: &'a gix::ThreadSafeRepository,
    destinations: &'a [Destination<'a>],
    listings: Vec<&'a Listing>,
    /// For each listing, the destinations that receive it.
    receivers: Vec<Vec<usize>>,
    plan: Plan,
    template: Option<Template>,
    links: LinkSupport,
    interrupt: &'a AtomicBool,
    next: AtomicUsize,
    written: AtomicUsize,
    failures: Vec<Mutex<Option<Error>>>,
    failed: Vec<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkSupport {
    Links,
    /// `core.symlinks=false`: a file that holds where the link points.
    Files,
}

/// A file that was made: destination, entry, stamp.
type Made = (usize, u32, Stamp);
/// A link that is still to be made, and where it points.
type Link = (usize, u32, Vec<u8>);

impl<'a> Batch<'a> {
    fn new(
        repository: &'a gix::ThreadSafeRepository,
        destinations: &'a [Destination<'a>],
        interrupt: &'a AtomicBool,
    ) -> Self {
        let mut numbers: BTreeMap<*const Listing, usize> = BTreeMap::new();
        let mut listings: Vec<&Listing> = Vec::new();
        let mut receivers: Vec<Vec<usize>> = Vec::new();
        for (at, destination) in destinations.iter().enumerate() {
            let number = *numbers.entry(std::ptr::from_ref(destination.listing)).or_insert_with(|| {
                listings.push(destination.listing);
                receivers.push(Vec::new());
                listings.len() - 1
            });
            receivers[number].push(at);
        }
        let local = repository.to_thread_local();
        let plain = listings.iter().all(|listing| listing.attributes.is_plain());
        let links = match local.config_snapshot().boolean("core.symlinks") {
            Some(false) => LinkSupport::Files,
            _ => LinkSupport::Links,
        };
        Self {
            repository,
            destinations,
            plan: Plan::new(&listings),
            listings,
            receivers,
            template: if plain { Template::new(&local) } else { None },
            links,
            interrupt,
            next: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            failures: destinations.iter().map(|_| Mutex::new(None)).collect(),
            failed: destinations.iter().map(|_| AtomicBool::new(false)).collect(),
        }
    }

    fn run(&self, progress: &mut dyn FnMut(usize)) -> Vec<Result<Vec<Stamp>>> {
        let roots: Vec<Option<OwnedFd>> = self
            .destinations
            .iter()
            .enumerate()
            .map(|(at, destination)| {
                let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
                let opened = rustix::fs::open(&destination.root, flags, Mode::empty());
                opened.map_err(|error| self.fail(at, Error::file("open", &destination.root)(error))).ok()
            })
            .collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
        let (sender, receiver) = mpsc::channel();
        let mut made: Vec<Made> = Vec::new();
        let mut links: Vec<Link> = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..threads.min(self.plan.groups.len() / RUN + 1) {
                let (sender, roots) = (sender.clone(), &roots);
                scope.spawn(move || {
                    let mut worker = Worker::new(self, roots);
                    worker.run();
                    let _ = sender.send((worker.made, worker.links));
                });
            }
            drop(sender);
            loop {
                match receiver.recv_timeout(Duration::from_millis(100)) {
                    Ok((more, more_links)) => {
                        made.extend(more);
                        links.extend(more_links);
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
                progress(self.written.load(Ordering::Relaxed));
            }
        });
        // After all files: nothing can be written through a link that the same commit brings.
        let mut worker = Worker::new(self, &roots);
        for (at, entry, target) in links {
            worker.link(at, entry, &target);
        }
        made.append(&mut worker.made);
        if self.interrupt.load(Ordering::Relaxed) {
            for at in 0..self.destinations.len() {
                self.fail(at, Error::Interrupted("writing a worktree"));
            }
        }
        self.collect(made)
    }

    fn collect(&self, made: Vec<Made>) -> Vec<Result<Vec<Stamp>>> {
        let mut stamps: Vec<Vec<Stamp>> = self
            .destinations
            .iter()
            .map(|destination| vec![Stamp::default(); destination.listing.entries.len()])
            .collect();
        for (at, entry, stamp) in made {
            stamps[at][entry as usize] = stamp;
        }
        let failures = self.failures.iter();
        stamps
            .into_iter()
            .zip(failures)
            .map(|(stamps, failure)| {
                let failure = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                failure.map_or(Ok(stamps), Err)
            })
            .collect()
    }

    /// Keeps the first failure of a destination.
    fn fail(&self, at: usize, error: Error) {
        self.failed[at].store(true, Ordering::Relaxed);
        self.failures[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }

    fn has_failed(&self, at: usize) -> bool {
        self.failed[at].load(Ordering::Relaxed)
    }
}

struct Worker<'a> {
    batch: &'a Batch<'a>,
    local: gix::Repository,
    roots: &'a [Option<OwnedFd>],
    /// The directory that each destination was last written to.
    open: Vec<Option<(Vec<u8>, OwnedFd)>>,
    converters: Vec<Option<Converter>>,
    made: Vec<Made>,
    links: Vec<Link>,
}

impl<'a> Worker<'a> {
    fn new(batch: &'a Batch<'a>, roots: &'a [Option<OwnedFd>]) -> Self {
        Self {
            batch,
            local: batch.repository.to_thread_local(),
            roots,
            open: batch.destinations.iter().map(|_| None).collect(),
            converters: batch.listings.iter().map(|_| None).collect(),
            made: Vec::new(),
            links: Vec::new(),
        }
    }

    fn run(&mut self) {
        let batch = self.batch;
        let mut buffer = Vec::new();
        loop {
            let start = batch.next.fetch_add(RUN, Ordering::Relaxed);
            if start >= batch.plan.groups.len() {
                return;
            }
            let end = (start + RUN).min(batch.plan.groups.len());
            for group in &batch.plan.groups[start..end] {
                if batch.interrupt.load(Ordering::Relaxed) {
                    return;
                }
                self.group(group, &mut buffer);
            }
        }
    }

    fn group(&mut self, group: &Group, buffer: &mut Vec<u8>) {
        let batch = self.batch;
        let members = batch.plan.members(group);
        match group.shape {
            Shape::Submodule => self.submodule(members),
            Shape::Symlink => {
                if let Some(target) = self.decode(group, members, buffer) {
                    for (at, entry) in receivers(batch, members) {
                        // Its directory is made now, while no link can be in the way.
                        if self.directory(at, parent(batch.destinations[at].listing.place(entry as usize))) {
                            self.links.push((at, entry, target.to_vec()));
                        }
                    }
                }
            }
            Shape::File => self.files(group, members, buffer),
        }
        let written = members.iter().map(|member| batch.receivers[member.listing as usize].len()).sum();
        batch.written.fetch_add(written, Ordering::Relaxed);
    }

    fn files(&mut self, group: &Group, members: &[Member], buffer: &mut Vec<u8>) {
        let batch = self.batch;
        let path = batch.listings[members[0].listing as usize].path(members[0].entry as usize);
        if let Some(template) = &batch.template
            && let Some(source) = template.source(path, &group.id)
        {
            return self.clone_or_write(group, members, template, &source, buffer);
        }
        let Some(data) = self.decode(group, members, buffer) else { return };
        if members.iter().all(|member| batch.listings[member.listing as usize].attributes.is_plain()) {
            for (at, entry) in receivers(batch, members) {
                self.file(at, entry, Content::Bytes(data));
            }
            return;
        }
        // Converted at most once for each set of attributes that holds at this path.
        let mut converted: BTreeMap<Option<Vec<u8>>, Option<Vec<u8>>> = BTreeMap::new();
        for member in members {
            let key = match self.key(*member, path) {
                Ok(key) => key,
                Err(error) => {
                    self.fail_listing(*member, &error);
                    continue;
                }
            };
            if !converted.contains_key(&key) {
                let content = match &key {
                    None => Ok(None),
                    Some(_) => self.convert(*member, path, data),
                };
                match content {
                    Ok(content) => {
                        converted.insert(key.clone(), content);
                    }
                    Err(error) => {
                        self.fail_listing(*member, &error);
                        continue;
                    }
                }
            }
            let content = converted.get(&key).and_then(|content| content.as_deref()).unwrap_or(data);
            for (at, entry) in receivers(batch, std::slice::from_ref(member)) {
                self.file(at, entry, Content::Bytes(content));
            }
        }
    }

    fn clone_or_write(
        &mut self,
        group: &Group,
        members: &[Member],
        template: &Template,
        source: &std::fs::File,
        buffer: &mut Vec<u8>,
    ) {
        let batch = self.batch;
        let mut data = None;
        for (at, entry) in receivers(batch, members) {
            let cloned = data.is_none() && self.file(at, entry, Content::Clone(template, source));
            if cloned || batch.has_failed(at) {
                continue;
            }
            if data.is_none() {
                let Some(bytes) = self.decode(group, members, buffer) else { return };
                data = Some(bytes.to_vec());
                // The attempt to clone left an empty file.
                self.unlink(at, entry);
            }
            self.file(at, entry, Content::Bytes(data.as_deref().unwrap_or_default()));
        }
    }

    fn decode<'b>(&self, group: &Group, members: &[Member], buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        match self.local.objects.find_blob(&group.id, buffer) {
            Ok(blob) => Some(blob.data),
            Err(error) => {
                let error = Error::reading(&self.local, format!("read object {}", group.id))(error);
                for member in members {
                    self.fail_listing(*member, &error);
                }
                None
            }
        }
    }

    fn converter(&mut self, member: Member) -> Result<(&mut Converter, &gix::Repository)> {
        let number = member.listing as usize;
        let slot = &mut self.converters[number];
        let converter = match slot {
            Some(converter) => converter,
            None => slot.insert(Converter::new(&self.local, &self.batch.listings[number].attributes)?),
        };
        Ok((converter, &self.local))
    }

    fn key(&mut self, member: Member, path: &BStr) -> Result<Option<Vec<u8>>> {
        let (converter, local) = self.converter(member)?;
        converter.key(local, path)
    }

    fn convert(&mut self, member: Member, path: &BStr, data: &[u8]) -> Result<Option<Vec<u8>>> {
        let (converter, local) = self.converter(member)?;
        converter.convert(local, path, data)
    }

    fn fail_listing(&self, member: Member, error: &Error) {
        for at in &self.batch.receivers[member.listing as usize] {
            self.batch.fail(*at, error.clone());
        }
    }

    /// Opens (and makes) a directory of a destination, unless it is the open one.
    fn directory(&mut self, at: usize, path: &[u8]) -> bool {
        if self.batch.has_failed(at) {
            return false;
        }
        if self.open[at].as_ref().is_some_and(|(open, _)| open == path) {
            return true;
        }
        let Some(root) = &self.roots[at] else { return false };
        match open_directory(root, path) {
            Ok(descriptor) => {
                self.open[at] = Some((path.to_vec(), descriptor));
                true
            }
            Err(error) => {
                let full = self.batch.destinations[at].root.join(native(path));
                self.batch.fail(at, occupied_or("make", &full, error));
                false
            }
        }
    }

    fn file(&mut self, at: usize, entry: u32, content: Content<'_>) -> bool {
        let destination = &self.batch.destinations[at];
        let path = destination.listing.place(entry as usize);
        if !self.directory(at, parent(path)) {
            return false;
        }
        let Some((_, directory)) = &self.open[at] else { return false };
        let executable = destination.listing.entries[entry as usize].kind == EntryKind::BlobExecutable;
        let bits = Mode::from_bits_truncate(if executable { 0o777 } else { 0o666 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = name(path);
        let attempt = || -> Result<Option<Stamp>, Errno> {
            let file = rustix::fs::openat(directory, name, flags, bits)?;
            match content {
                Content::Bytes(bytes) => write_all(&file, bytes)?,
                Content::Clone(template, source) => {
                    if !template.clone_into(source, &file) {
                        return Ok(None);
                    }
                }
            }
            Ok(Some(Stamp::new(&rustix::fs::fstat(&file)?)))
        };
        match attempt() {
            Ok(Some(stamp)) => {
                self.made.push((at, entry, stamp));
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.batch.fail(at, occupied_or("write", &destination.root.join(native(path)), error));
                false
            }
        }
    }

    fn unlink(&self, at: usize, entry: u32) {
        if let Some((_, directory)) = &self.open[at] {
            let path = self.batch.destinations[at].listing.place(entry as usize);
            let _ = rustix::fs::unlinkat(directory, name(path), rustix::fs::AtFlags::empty());
        }
    }

    fn submodule(&mut self, members: &[Member]) {
        for (at, entry) in receivers(self.batch, members) {
            let path = self.batch.destinations[at].listing.place(entry as usize);
            self.directory(at, path);
        }
    }

    fn link(&mut self, at: usize, entry: u32, target: &[u8]) {
        if self.batch.links == LinkSupport::Files {
            self.file(at, entry, Content::Bytes(target));
            return;
        }
        let destination = &self.batch.destinations[at];
        let path = destination.listing.place(entry as usize);
        if !self.directory(at, parent(path)) {
            return;
        }
        let Some((_, directory)) = &self.open[at] else { return };
        let attempt = || -> Result<Stamp, Errno> {
            rustix::fs::symlinkat(target, directory, name(path))?;
            let stat = rustix::fs::statat(directory, name(path), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(Stamp::new(&stat))
        };
        match attempt() {
            Ok(stamp) => self.made.push((at, entry, stamp)),
            Err(error) => self.batch.fail(at, occupied_or("link", &destination.root.join(native(path)), error)),
        }
    }
}

enum Content<'a> {
    Bytes(&'a [u8]),
    Clone(&'a Template, &'a std::fs::File),
}

/// All destinations, with their entry, that a group's members stand for.
fn receivers<'a>(batch: &'a Batch<'_>, members: &'a [Member]) -> impl Iterator<Item = (usize, u32)> + 'a {
    members.iter().flat_map(|member| batch.receivers[member.listing as usize].iter().map(|at| (*at, member.entry)))
}

/// Something is at this path already: two paths of the commit are one on this file system, or somebody else writes here.
fn occupied_or(verb: &'static str, path: &Path, error: Errno) -> Error {
    let cause = match error {
        Errno::EXIST | Errno::NOTDIR | Errno::LOOP => Cause::new(
            "something is there already: another process writes here, or this file system does not tell \
             upper from lower case and the commit has both",
        ),
        error => error.into(),
    };
    Error::File(verb, path.to_owned(), cause)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn open_directory(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if path.is_empty() {
        return rustix::fs::openat(root, c".", flags, Mode::empty());
    }
    let bits = Mode::from_bits_truncate(0o777);
    match rustix::fs::mkdirat(root, path, bits) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => {
            for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                ensure_directory(root, &path[..end], bits)?;
            }
            ensure_directory(root, path, bits)?;
        }
        Err(error) => return Err(error),
    }
    rustix::fs::openat(root, path, flags, Mode::empty())
}

fn ensure_directory(root: &OwnedFd, path: &[u8], bits: Mode) -> Result<(), Errno> {
    match rustix::fs::mkdirat(root, path, bits) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.rfind_byte(b'/').map_or(b"", |at| &path[..at])
}

fn name(path: &[u8]) -> &[u8] {
    path.rfind_byte(b'/').map_or(path, |at| &path[at + 1..])
}

fn native(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

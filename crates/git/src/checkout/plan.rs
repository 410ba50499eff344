//! Which content goes where: several listings merged into groups, in path order.

use std::collections::BinaryHeap;

use gix::ObjectId;
use gix::objs::tree::EntryKind;

use crate::checkout::listing::Listing;

/// One content at one path, and every listing that has it there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) id: ObjectId,
    pub(crate) shape: Shape,
    start: u32,
    end: u32,
}

/// What is made at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    File,
    Symlink,
    Submodule,
}

/// One listing's entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) listing: u32,
    pub(crate) entry: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Group>,
    members: Vec<Member>,
}

impl Plan {
    pub(crate) fn new(listings: &[&Listing]) -> Self {
        let mut plan = Self::default();
        let mut heads: BinaryHeap<std::cmp::Reverse<(&[u8], usize, usize)>> = BinaryHeap::new();
        for (number, listing) in listings.iter().enumerate() {
            if !listing.entries.is_empty() {
                heads.push(std::cmp::Reverse((listing.path(0), number, 0)));
            }
        }
        let mut same_path: Vec<(ObjectId, Shape, Member)> = Vec::new();
        let mut path: &[u8] = b"";
        while let Some(std::cmp::Reverse((next, number, at))) = heads.pop() {
            if next != path {
                plan.add(&mut same_path);
                path = next;
            }
            let listing = listings[number];
            let entry = listing.entries[at];
            let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            same_path.push((entry.id, shape(entry.kind), Member { listing: narrow(number), entry: narrow(at) }));
            if at + 1 < listing.entries.len() {
                heads.push(std::cmp::Reverse((listing.path(at + 1), number, at + 1)));
            }
        }
        plan.add(&mut same_path);
        plan
    }

    pub(crate) fn members(&self, group: &Group) -> &[Member] {
        &self.members[group.start as usize..group.end as usize]
    }

    /// Adds what all listings have at one path, equal content together.
    fn add(&mut self, same_path: &mut Vec<(ObjectId, Shape, Member)>) {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        while let Some(&(id, shape, _)) = same_path.first() {
            let start = narrow(self.members.len());
            same_path.retain(|(other, other_shape, member)| {
                let equal = *other == id && *other_shape == shape;
                if equal {
                    self.members.push(*member);
                }
                !equal
            });
            self.groups.push(Group { id, shape, start, end: narrow(self.members.len()) });
        }
    }
}

fn shape(kind: EntryKind) -> Shape {
    match kind {
        EntryKind::Link => Shape::Symlink,
        EntryKind::Commit => Shape::Submodule,
        EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Tree => Shape::File,
    }
}

//! A client of git's `receive-pack`, over `gix`'s transports (files, ssh, git, http).
//!
//! Protocol: git's `gitprotocol-pack.adoc`, "Pushing Data To a Server". What the other side advertises gives the old
//! values and what it has; the commands carry the old values again, and it checks them under its own locks.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use gix::ObjectId;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::{ExtendedBufRead, Transport};
use gix::protocol::transport::client::{MessageKind, TransportWithoutIO as _, WriteMode};
use gix::refs::transaction::PreviousValue;

use crate::error::{Cause, Error};
use crate::push::{PushError, PushRequest, PushUpdate, Pushed, pack};
use crate::repository::{Repository, object_id};

/// What the other side must be able to do, and what is asked of it where it can.
const REQUIRED: &str = "report-status";

pub(super) fn push(repository: &Repository, request: &PushRequest) -> Result<Pushed, PushError> {
    let local = repository.local_for_writing()?;
    let remote = &request.remote;
    let unreachable =
        |error: gix::Error| PushError::Unreachable { remote: remote.clone(), cause: error.into(), output: Vec::new() };
    let found = local.find_remote(remote.as_str()).map_err(|_| Error::NoRemote(remote.clone()))?;
    let mut connection = found.connect(gix::remote::Direction::Push).map_err(unreachable)?;
    let mut authenticate = connection.configured_credentials_for_current_url();
    let transport = connection.transport_mut();
    let url = transport.to_url().into_owned();
    let options = local.transport_options(url.as_ref() as &gix::bstr::BStr, Some(remote.as_str().into()));
    if let Some(options) = options.map_err(unreachable)? {
        transport.configure(&*options).map_err(|error| PushError::Unreachable {
            remote: remote.clone(),
            cause: Cause::new(error.to_string()),
            output: Vec::new(),
        })?;
    }
    let handshake = gix::protocol::handshake(
        &mut *transport,
        Service::ReceivePack,
        &mut authenticate,
        Vec::new(),
        &mut gix::progress::Discard,
    )
    .map_err(unreachable)?;
    let there = advertised(handshake.refs.unwrap_or_default());
    let mut commands = Vec::new();
    for update in &request.updates {
        let new = object_id(&update.new)?;
        let old = there.get(&update.reference).copied();
        if old == Some(new) {
            continue;
        }
        if old != update.expected.as_ref().map(object_id).transpose()? {
            return Err(PushError::Stale { remote: remote.clone(), reference: update.reference.clone() });
        }
        commands.push((update, old, new));
    }
    if commands.is_empty() {
        return Ok(Pushed::UpToDate);
    }
    let can = |name: &str| handshake.capabilities.contains(name);
    if !can(REQUIRED) || (commands.len() > 1 && !can("atomic")) {
        let cause = Cause::new("it cannot report what it did, or cannot move several refs at once");
        return Err(PushError::Unreachable { remote: remote.clone(), cause, output: Vec::new() });
    }
    let asked: Vec<&str> =
        [REQUIRED, "atomic", "side-band-64k", "ofs-delta"].into_iter().filter(|name| can(name)).collect();
    let known: Vec<ObjectId> = there.values().copied().collect();
    let tips: Vec<ObjectId> = commands.iter().map(|(_, _, new)| *new).collect();
    let ids = pack::missing(&local, &tips, &known)?;
    let report = exchange(&local, transport, &commands, &asked, &ids)
        .map_err(|cause| PushError::Unknown { remote: remote.clone(), cause })?;
    read_report(remote, &report)?;
    for (update, _, new) in &commands {
        track(&local, remote, update, *new);
    }
    Ok(Pushed::Moved)
}

fn advertised(refs: Vec<Ref>) -> BTreeMap<String, ObjectId> {
    let entries = refs.into_iter().filter_map(|found| match found {
        Ref::Direct { full_ref_name, object } => Some((full_ref_name.to_string(), object)),
        Ref::Peeled { full_ref_name, tag, .. } => Some((full_ref_name.to_string(), tag)),
        Ref::Symbolic { full_ref_name, tag, object, .. } => Some((full_ref_name.to_string(), tag.unwrap_or(object))),
        Ref::Unborn { .. } => None,
    });
    entries.collect()
}

type Command<'a> = (&'a PushUpdate, Option<ObjectId>, ObjectId);

/// Sends commands and pack; gives the report, without side-band framing.
fn exchange(
    local: &gix::Repository,
    transport: &mut (impl Transport + ?Sized),
    commands: &[Command<'_>],
    asked: &[&str],
    ids: &[ObjectId],
) -> Result<Report, Cause> {
    let told = |error: gix::protocol::transport::client::Error| Cause::new(error.to_string());
    let mut request = transport.request(WriteMode::Binary, MessageKind::Flush, false).map_err(told)?;
    let null = local.object_hash().null();
    for (number, (update, old, new)) in commands.iter().enumerate() {
        let mut line = format!("{} {new} {}", old.unwrap_or(null), update.reference);
        if number == 0 {
            line.push_str(&format!("\0 {} agent=pleach", asked.join(" ")));
        }
        request.write_all(line.as_bytes())?;
    }
    request.write_message(MessageKind::Flush)?;
    let (mut writer, mut reader) = request.into_parts();
    pack::write(local, ids, &mut writer).map_err(|error| Cause::new(error.to_string()))?;
    writer.flush()?;
    // Over http the request is sent when its writer goes.
    drop(writer);
    let said = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut report = Vec::new();
    if asked.contains(&"side-band-64k") {
        let sink = said.clone();
        reader.set_progress_handler(Some(Box::new(move |_, text: &[u8]| {
            sink.borrow_mut().extend_from_slice(text);
            sink.borrow_mut().push(b'\n');
            std::ops::ControlFlow::Continue(())
        })));
        reader.read_to_end(&mut report)?;
    } else {
        while let Some(line) = reader.readline() {
            let line = line?.map_err(|error| Cause::new(error.to_string()))?;
            let text = line.as_slice().unwrap_or_default();
            report.extend_from_slice(format!("{:04x}", text.len() + 4).as_bytes());
            report.extend_from_slice(text);
        }
    }
    drop(reader);
    let said = String::from_utf8_lossy(&said.borrow()).lines().map(str::to_owned).collect();
    Ok(Report { lines: packet_lines(&report), said })
}

struct Report {
    lines: Vec<String>,
    said: Vec<String>,
}

fn packet_lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(4) {
        let length = std::str::from_utf8(length).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        match length.and_then(|length| rest.split_at_checked(length.checked_sub(4)?)) {
            Some((line, rest)) => {
                lines.push(String::from_utf8_lossy(line).trim_end().to_owned());
                bytes = rest;
            }
            // A flush, or something that is no line.
            None => bytes = rest,
        }
    }
    lines
}

/// `unpack ok`, then `ok REF` or `ng REF REASON` for each.
fn read_report(remote: &str, report: &Report) -> Result<(), PushError> {
    let refused = |reference: &str, reason: &str| PushError::Refused {
        remote: remote.to_owned(),
        reference: reference.to_owned(),
        reason: reason.to_owned(),
        output: report.said.clone(),
    };
    match report.lines.first().map(String::as_str) {
        Some("unpack ok") => {}
        Some(line) => return Err(refused("all refs", line)),
        None => {
            let cause = Cause::new("it ended the connection without a report");
            return Err(PushError::Unknown { remote: remote.to_owned(), cause });
        }
    }
    let mut refusals: Vec<(&str, &str)> = report
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("ng "))
        .map(|line| line.split_once(' ').unwrap_or((line, "no reason was told")))
        .collect();
    refusals.sort_by_key(|(_, reason)| reason.contains("atomic"));
    match refusals.first() {
        None => Ok(()),
        // Moved between what it advertised and our command.
        Some((reference, reason))
            if ["failed to update ref", "already exists", "fetch first"].iter().any(|part| reason.contains(part)) =>
        {
            Err(PushError::Stale { remote: remote.to_owned(), reference: (*reference).to_owned() })
        }
        Some((reference, reason)) => Err(refused(reference, reason)),
    }
}

/// Remembers what the other side has now, as git does.
fn track(local: &gix::Repository, remote: &str, update: &PushUpdate, new: ObjectId) {
    if let Some(branch) = update.reference.strip_prefix("refs/heads/") {
        let name = format!("refs/remotes/{remote}/{branch}");
        // Only a memory of what is on the other side: the next fetch puts it right.
        let _ = local.reference(name, new, PreviousValue::Any, "update by push");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_lines_up_to_a_flush() {
        assert_eq!(packet_lines(b"000eunpack ok\n0017ok refs/heads/main\n0000"), ["unpack ok", "ok refs/heads/main"]);
        assert!(packet_lines(b"").is_empty());
    }
}

//! `channel`: the images of a release that is live get the names of its channel, on the target's engine, where they were built and
//! in the registry that they go through.
//!
//! What is on the target has to be so. Elsewhere, names are for people and keep the image there: an engine or a registry that
//! cannot be asked keeps no service from going live, nor from going back. That is told instead.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Change, Evidence, Inspection, StepContext};
use pleach_core::port::{ChannelNames, ImageId, ImageNames, Secrets};
use pleach_core::word::ReleaseId;
use serde_json::Value;

use super::tag::Tags;
use crate::directory::channel::{NamesNote, VERSIONS};
use crate::directory::parameter::ChannelParameters;
use crate::directory::release::ReleaseRecord;
use crate::directory::site::Site;

/// Asks where images are built, and for no longer than half of the time that is left.
pub(super) async fn ask_builder<T>(
    cx: &StepContext<'_>,
    asking: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let limit = cx.remaining() / 2;
    let silent = || Failure::new(Kind::UnknownOutcome, format!("it gave no answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(silent()))
}

fn told(note: &NamesNote) -> String {
    let mut images: BTreeMap<&ImageId, Vec<String>> = BTreeMap::new();
    for (name, image) in &note.names {
        images.entry(image).or_default().push(format!("`{name}`"));
    }
    let told = images.into_iter().map(|(image, names)| {
        let leads = if names.len() == 1 { "leads" } else { "lead" };
        format!("{} {leads} to image {}", names.join(" and "), image.short())
    });
    if note.names.is_empty() { "it builds no image".into() } else { told.collect::<Vec<_>>().join("; ") }
}

pub(super) async fn inspect(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Inspection, Failure> {
    let parameters: ChannelParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let pending = Inspection::Pending { changes: vec![format!("name the image of release `{}`", parameters.release)] };
    let Some(note) = site.names_note().await? else { return Ok(pending) };
    if !note.is_given(&site.image_names(&note.names).await?) {
        return Ok(pending);
    }
    let record = site.require_record(&parameters.release).await?;
    let names: Vec<String> = note.names.keys().cloned().collect();
    let is_built = match note.built_before {
        Some(_) => ask_builder(cx, cx.require_containers()?.names(&names)).await.is_ok_and(|seen| note.is_given(&seen)),
        None => !is_built_here(&record),
    };
    let is_tagged = match &note.registry {
        Some(tags) => {
            let given = async { Tags::of(cx, &parameters, secrets).await?.are_given(tags).await };
            ask_builder(cx, given).await.unwrap_or(false)
        }
        None => !record.spec.has_registry(),
    };
    // What applying it again tells of these is not to be lost.
    Ok(if is_built && is_tagged {
        Inspection::Settled { evidence: Evidence::seen(told(&note)), output: Value::Null }
    } else {
        pending
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: ChannelParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let record = site.require_record(&parameters.release).await?;
    let note = ensure_note(cx, &site, &parameters, &record, secrets).await?;
    // On the target first: what is refused there, because another one holds it now, is done nowhere.
    let after = site.rename_images(note.forward()).await?;
    if let Some((name, image)) = note.names.iter().find(|(name, image)| after.get(*name) != Some(image)) {
        return Err(Failure::new(Kind::Conflict, format!("`{name}` does not lead to image {}", image.short()))
            .because("it was given to that image, and somebody has moved it since")
            .next(format!(
                "see who names images there: `{}`",
                site.place.typed("docker events --since 10m --until 0s".into())
            )));
    }
    let mut warnings: Vec<String> = moved(&note, &parameters);
    let mut is_changed = note.before != after;
    let unasked = || Failure::new(Kind::UnknownOutcome, "it could not be asked before");
    if is_built_here(&record) {
        let built = match &note.built_before {
            Some(_) => ask_builder(cx, cx.require_containers()?.rename(&note.forward())).await,
            None => Err(unasked()),
        };
        match built {
            Ok(seen) if note.is_given(&seen) => {}
            Ok(_) => warnings.push("somebody has moved a name where images are built".into()),
            Err(failure) => warnings.push(format!("not named where images are built: {}", failure.what)),
        }
        is_changed |= !note.built_before.as_ref().is_some_and(|before| note.is_given(before));
    }
    if record.spec.has_registry() {
        let tagged = match &note.registry {
            Some(tags) => {
                ask_builder(cx, async { Tags::of(cx, &parameters, secrets).await?.give(tags, &record).await }).await
            }
            None => Err(unasked()),
        };
        match tagged {
            Ok(is_moved) => is_changed |= is_moved,
            Err(failure) => warnings.push(format!("not named in its registry: {}", failure.what)),
        }
    }
    let applied = if is_changed { Applied::changed(told(&note)) } else { Applied::unchanged(told(&note)) };
    Ok(match warnings.is_empty() {
        true => applied,
        false => Applied { change: Change::Warned(warnings.join("; ")), ..applied },
    })
}

/// What was noted by an earlier attempt stays: by now names lead where that one had them lead.
async fn ensure_note(
    cx: &StepContext<'_>,
    site: &Site<'_>,
    parameters: &ChannelParameters,
    record: &ReleaseRecord,
    secrets: &dyn Secrets,
) -> Result<NamesNote, Failure> {
    if let Some(note) = site.names_note().await? {
        return Ok(note);
    }
    if record.image.is_none() && record.compose.is_none() {
        let what = format!("release `{}` has no image", parameters.release);
        return Err(Failure::new(Kind::Conflict, what).next("deploy it again"));
    }
    let names = parameters.names(&record.own_images());
    let listed: Vec<String> = names.keys().cloned().collect();
    let built_before = match is_built_here(record) {
        true => ask_builder(cx, cx.require_containers()?.names(&listed)).await.ok(),
        false => None,
    };
    let registry = match record.spec.has_registry() {
        true => {
            let noting = async { Tags::of(cx, parameters, secrets).await?.note(record, &names).await };
            ask_builder(cx, noting).await.ok().flatten()
        }
        false => None,
    };
    let before = site.image_names(&names).await?;
    let note = NamesNote { run: cx.run.clone(), names, before, built_before, registry };
    site.write_json(&site.layout().names(cx.run), &note).await?;
    Ok(note)
}

/// A Compose project builds its images on the target itself.
fn is_built_here(record: &ReleaseRecord) -> bool {
    record.spec.image.is_some()
}

/// A version is one image: that its name was another one's is for a person to know.
fn moved(note: &NamesNote, parameters: &ChannelParameters) -> Vec<String> {
    let moved = |(name, image): (&String, &ImageId)| {
        let called = name.rsplit_once(':').map_or(name.as_str(), |(called, _)| called);
        parameters.channel.of(called).version_of(name)?;
        let other = note.before.get(name).filter(|other| *other != image)?;
        Some(format!("`{name}` led to image {} until now: raise `VERSION` to keep both", other.short()))
    };
    note.names.iter().filter_map(moved).collect()
}

/// Back to where names led, those that still lead to what this run gave them.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: ChannelParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let Some(note) = site.names_note().await? else { return Ok(Evidence::seen("no name of an image was changed")) };
    let after = site.rename_images(note.back(&note.before)).await?;
    let mut seen = went_back(&note, &note.before, &after);
    if let Some(before) = &note.built_before {
        match ask_builder(cx, cx.require_containers()?.rename(&note.back(before))).await {
            // Where both are one engine, it says the same again.
            Ok(after) => seen
                .extend(went_back(&note, before, &after).into_iter().map(|what| format!("{what} where it is built"))),
            Err(failure) => seen.push(format!("names where images are built are as they were given: {}", failure.what)),
        }
    }
    if let Some(tags) = &note.registry {
        match ask_builder(cx, async { Tags::of(cx, &parameters, secrets).await?.take_back(tags).await }).await {
            Ok(told) => seen.extend(told),
            Err(failure) => seen.push(format!("names in the registry are as they were given: {}", failure.what)),
        }
    }
    site.files.remove(&site.layout().names(cx.run), site.token()).await?;
    Ok(Evidence::seen(seen.join("; ")))
}

fn went_back(note: &NamesNote, before: &ImageNames, after: &ImageNames) -> Vec<String> {
    let told = |(name, given): (&String, &ImageId)| match (before.get(name), after.get(name)) {
        (None, None) => format!("`{name}` is gone"),
        (Some(wanted), Some(image)) if wanted == image => format!("`{name}` leads to image {}", image.short()),
        (Some(wanted), None) => format!("`{name}` is gone: image {} is not there any more", wanted.short()),
        (_, Some(image)) if image == given => format!("`{name}` stays: a container is made of its image"),
        (_, Some(image)) => format!("`{name}` stays at image {}: somebody has moved it", image.short()),
    };
    note.names.iter().map(told).collect()
}

/// Old versions of the channel that nothing needs; what cannot be asked where images are built says nothing.
pub(super) async fn surplus(
    cx: &StepContext<'_>,
    site: &Site<'_>,
    channel: &ChannelNames,
    release: &ReleaseId,
) -> Result<Vec<String>, Failure> {
    let (record, mut names) = (site.require_record(release).await?, BTreeSet::new());
    for channel in record.own_images().keys().map(|called| channel.of(called)) {
        names.extend(site.surplus_versions(&channel).await?);
        if is_built_here(&record) {
            let asking = cx.require_containers()?.surplus(&channel, VERSIONS);
            names.extend(ask_builder(cx, asking).await.unwrap_or_default());
        }
    }
    Ok(names.into_iter().collect())
}

/// Removes their names.
pub(super) async fn forget_surplus(
    cx: &StepContext<'_>,
    site: &Site<'_>,
    channel: &ChannelNames,
    release: &ReleaseId,
) -> Result<Vec<String>, Failure> {
    let (record, mut names) = (site.require_record(release).await?, BTreeSet::new());
    for channel in record.own_images().keys().map(|called| channel.of(called)) {
        names.extend(site.forget_surplus_versions(&channel).await?);
        if is_built_here(&record) {
            let asking = cx.require_containers()?.forget_surplus(&channel, VERSIONS);
            names.extend(ask_builder(cx, asking).await.unwrap_or_default());
        }
    }
    Ok(names.into_iter().collect())
}

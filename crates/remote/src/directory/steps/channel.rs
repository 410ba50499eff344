//! `channel`: the image of a release that is live gets the names of its channel, on the target's engine and where it was built.
//!
//! What is on the target has to be so. Where images are built, names are for people and keep the image there: an engine that
//! cannot be asked keeps no service from going live, nor from going back. That is told instead.

use std::future::Future;

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Change, Evidence, Inspection, StepContext};
use pleach_core::port::{Containers, ImageNames};
use serde_json::Value;

use crate::directory::channel::{NamesNote, VERSIONS};
use crate::directory::parameter::ChannelParameters;
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
    let names: Vec<String> = note.names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [one] => format!("{one} leads to image {}", note.image.short()),
        names => format!("{} lead to image {}", names.join(" and "), note.image.short()),
    }
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: ChannelParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let pending = Inspection::Pending { changes: vec![format!("name the image of release `{}`", parameters.release)] };
    let Some(note) = site.names_note().await? else { return Ok(pending) };
    if !note.is_given(&site.image_names(&note.names).await?) {
        return Ok(pending);
    }
    let names: Vec<String> = note.names.iter().cloned().collect();
    let is_built = match note.built_before {
        Some(_) => ask_builder(cx, cx.require_containers()?.names(&names)).await.is_ok_and(|seen| note.is_given(&seen)),
        None => false,
    };
    // What applying it again tells of the builder is not to be lost.
    Ok(if is_built {
        Inspection::Settled { evidence: Evidence::seen(told(&note)), output: Value::Null }
    } else {
        pending
    })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: ChannelParameters = cx.require_parameters()?;
    let (site, containers) = (Site::of_step(cx, &parameters.place)?, cx.require_containers()?);
    let note = ensure_note(cx, &site, containers, &parameters).await?;
    // On the target first: what is refused there, because another one holds it now, is done nowhere.
    let after = site.rename_images(note.forward()).await?;
    if let Some(name) = note.names.iter().find(|name| after.get(*name) != Some(&note.image)) {
        return Err(Failure::new(Kind::Conflict, format!("`{name}` does not lead to image {}", note.image.short()))
            .because("it was given to that image, and somebody has moved it since")
            .next(format!(
                "see who names images there: `{}`",
                site.place.typed("docker events --since 10m --until 0s".into())
            )));
    }
    let mut warnings: Vec<String> = moved(&note, &parameters).into_iter().collect();
    let built = match &note.built_before {
        Some(_) => ask_builder(cx, containers.rename(&note.forward())).await,
        None => Err(Failure::new(Kind::UnknownOutcome, "it could not be asked before")),
    };
    match built {
        Ok(seen) if note.is_given(&seen) => {}
        Ok(_) => warnings.push("somebody has moved a name where images are built".into()),
        Err(failure) => warnings.push(format!("not named where images are built: {}", failure.what)),
    }
    let applied = if note.before == after && note.built_before.as_ref().is_some_and(|before| note.is_given(before)) {
        Applied::unchanged(told(&note))
    } else {
        Applied::changed(told(&note))
    };
    Ok(match warnings.is_empty() {
        true => applied,
        false => Applied { change: Change::Warned(warnings.join("; ")), ..applied },
    })
}

/// What was noted by an earlier attempt stays: by now names lead where that one had them lead.
async fn ensure_note(
    cx: &StepContext<'_>,
    site: &Site<'_>,
    containers: &dyn Containers,
    parameters: &ChannelParameters,
) -> Result<NamesNote, Failure> {
    if let Some(note) = site.names_note().await? {
        return Ok(note);
    }
    let release = &parameters.release;
    let missing = || Failure::new(Kind::Conflict, format!("release `{release}` has no image")).next("deploy it again");
    let (image, names) = (site.require_record(release).await?.image.ok_or_else(missing)?, parameters.names());
    let listed: Vec<String> = names.iter().cloned().collect();
    let note = NamesNote {
        run: cx.run.clone(),
        before: site.image_names(&names).await?,
        built_before: ask_builder(cx, containers.names(&listed)).await.ok(),
        image,
        names,
    };
    site.write_json(&site.layout().names(cx.run), &note).await?;
    Ok(note)
}

/// A version is one image: that its name was another one's is for a person to know.
fn moved(note: &NamesNote, parameters: &ChannelParameters) -> Option<String> {
    let name = parameters.channel.version(parameters.version.as_deref()?);
    let other = note.before.get(&name).filter(|other| **other != note.image)?;
    Some(format!("`{name}` led to image {} until now: raise `VERSION` to keep both", other.short()))
}

/// Back to where names led, those that still lead to what this run gave them.
pub(super) async fn undo(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
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
    site.files.remove(&site.layout().names(cx.run), site.token()).await?;
    Ok(Evidence::seen(seen.join("; ")))
}

fn went_back(note: &NamesNote, before: &ImageNames, after: &ImageNames) -> Vec<String> {
    let told = |name: &String| match (before.get(name), after.get(name)) {
        (None, None) => format!("`{name}` is gone"),
        (Some(wanted), Some(image)) if wanted == image => format!("`{name}` leads to image {}", image.short()),
        (Some(wanted), None) => format!("`{name}` is gone: image {} is not there any more", wanted.short()),
        (_, Some(image)) if *image == note.image => format!("`{name}` stays: a container is made of its image"),
        (_, Some(image)) => format!("`{name}` stays at image {}: somebody has moved it", image.short()),
    };
    note.names.iter().map(told).collect()
}

/// Old versions of the channel that nothing needs; what cannot be asked where images are built says nothing.
pub(super) async fn surplus(
    cx: &StepContext<'_>,
    site: &Site<'_>,
    channel: &pleach_core::port::ChannelNames,
) -> Result<Vec<String>, Failure> {
    let mut names = site.surplus_versions(channel).await?;
    names.extend(ask_builder(cx, cx.require_containers()?.surplus(channel, VERSIONS)).await.unwrap_or_default());
    names.sort();
    names.dedup();
    Ok(names)
}

/// Removes their names.
pub(super) async fn forget_surplus(
    cx: &StepContext<'_>,
    site: &Site<'_>,
    channel: &pleach_core::port::ChannelNames,
) -> Result<Vec<String>, Failure> {
    let mut names = site.forget_surplus_versions(channel).await?;
    names.extend(ask_builder(cx, cx.require_containers()?.forget_surplus(channel, VERSIONS)).await.unwrap_or_default());
    names.sort();
    names.dedup();
    Ok(names)
}

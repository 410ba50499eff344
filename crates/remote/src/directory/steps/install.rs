//! `install`: this very executable, for hosts that have none to keep services running.

use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::{Command, ExitStatus, Permissions};
use serde_json::Value;

use crate::directory::instance::told_status;
use crate::directory::parameter::Place;
use crate::directory::site::Site;
use crate::program::{own_digest, read_own};

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let place: Place = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let program = place.program.display();
    // Its name holds its digest, and it was put there whole or not at all.
    if site.files.stat(&place.program).await?.is_none() {
        return Ok(Inspection::Pending { changes: vec![format!("put this Pleach at `{program}`")] });
    }
    Ok(Inspection::Settled { evidence: runs(&site).await?, output: Value::Null })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let place: Place = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let was_there = site.files.stat(&place.program).await?.is_some();
    ensure_program(&site).await?;
    let seen = runs(&site).await?.to_string();
    Ok(if was_there { Applied::unchanged(seen) } else { Applied::changed(seen) })
}

/// Puts this executable where the plan says that it lies, unless there is one. Nothing refers to it yet, so nothing is changed by that.
pub(in crate::directory) async fn ensure_program(site: &Site<'_>) -> Result<(), Failure> {
    let place = site.place;
    if site.files.stat(&place.program).await?.is_some() {
        return Ok(());
    }
    let own = tokio::task::spawn_blocking(|| Ok::<_, Failure>((own_digest()?, read_own()?))).await;
    let (digest, bytes) =
        own.map_err(|error| Failure::new(Kind::Internal, "could not read this program").because(error.to_string()))??;
    if !names(&place.program, &digest) {
        return Err(Failure::new(Kind::Conflict, "this Pleach is not the one that made the plan")
            .because(format!(
                "`{}` is to be put on the host, and this one's digest is {digest}",
                place.program.display()
            ))
            .next("make a new plan"));
    }
    if let Some(folder) = place.program.parent() {
        site.files.ensure_directory(folder, site.token()).await?;
    }
    site.files.write(&place.program, &bytes, Permissions::Executable, site.token()).await
}

/// Whether a path is named for an executable of this digest.
fn names(program: &Path, digest: &str) -> bool {
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.rsplit_once('-').is_some_and(|(_, short)| !short.is_empty() && digest.starts_with(short))
}

/// That it runs there, which an executable for another system does not.
async fn runs(site: &Site<'_>) -> Result<Evidence, Failure> {
    let program = site.place.program.display();
    let argv = [site.place.program.to_string_lossy().into_owned(), "--version".to_owned()];
    let output = site.require_shell()?.run(&Command::read(argv), site.call).await?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status == ExitStatus::Code(0) && said.starts_with("pleach") {
        return Ok(Evidence::seen(format!("`{program}` runs there: {said}")));
    }
    Err(Failure::new(Kind::Rejected, format!("`{program}` does not run on the host"))
        .because(format!("it {}", told_status(output.status)))
        .next("install Pleach there, and name it: `program = \"/usr/local/bin/pleach\"` in `pleach.toml`")
        .output(output.last_lines()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_executable_that_was_planned_is_put_on_a_host() {
        let digest = "ab12cd34ef56ab12";
        assert!(names(Path::new("/srv/.pleach/bin/pleach-0.1.0-ab12cd34ef56"), digest));
        for other in ["/srv/pleach-0.1.0-ab12cd34ef57", "/srv/pleach", "/srv/pleach-"] {
            assert!(!names(Path::new(other), digest), "{other}");
        }
    }
}

//! `upload`: the tree of a commit becomes a release.

use std::collections::BTreeMap;

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::{FileKind, Secrets, SourceRef, TreeDigest};
use pleach_core::word::ReleaseId;
use serde_json::{Value, json};

use crate::directory::compose::Project;
use crate::directory::layout::shared_path;
use crate::directory::parameter::UploadParameters;
use crate::directory::phase::Means;
use crate::directory::release::{ReleaseRecord, ReleaseSpec, ReleaseState};
use crate::directory::routing::leader;
use crate::directory::site::Site;
use crate::local::is_half_written;

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let record = site.record(&parameters.release).await?;
    let whole = record.filter(|record| record.run == *cx.run && record.state != ReleaseState::Uploading);
    Ok(match whole.and_then(|record| record.tree) {
        Some(tree) => {
            let evidence = Evidence::seen(format!("release `{}` is there whole", parameters.release));
            Inspection::Settled { evidence, output: output(&tree) }
        }
        None => Inspection::Pending { changes: vec![format!("put release `{}` in place", parameters.release)] },
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, means: &Means) -> Result<Applied, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let UploadParameters { place, release, spec, .. } = &parameters;
    let site = Site::of_step(cx, place)?;
    let layout = site.layout();
    // Before the tree: whatever lies there from now on belongs to this run.
    let mut record = site.begin_release(release, spec).await?;
    for folder in [layout.releases(), layout.shared(), layout.run()] {
        site.files.ensure_directory(&folder, site.token()).await?;
    }
    let path = layout.release(release);
    // What an interrupted attempt left; its shared links may be half there.
    site.files.remove(&path, site.token()).await?;
    let digest = if spec.is_built_here() {
        // It may have been removed since: then it is built again.
        let built = means.built.ensure(cx, spec, means.source.as_ref(), means.secrets.as_ref()).await?;
        site.files.put_tree(&path, means.built.clone(), &built.tree, site.token()).await?
    } else {
        let tree = SourceRef { commit: spec.commit.clone(), path: spec.path.clone() };
        site.files.put_tree(&path, means.source.clone(), &tree, site.token()).await?
    };
    for shared in &spec.shared {
        link_shared(&site, &parameters, shared).await?;
    }
    let (files, sha, put) = (digest.files, digest.sha256.clone(), output(&digest));
    record.state = ReleaseState::Uploaded;
    record.tree = Some(digest);
    site.write_json(&layout.record(release), &record).await?;
    let short: String = sha.chars().take(12).collect();
    let evidence = format!("release `{release}` holds {files} files of {}, digest {short}", spec.commit.short());
    Ok(Applied::changed(evidence).output(put))
}

/// What later steps get.
fn output(tree: &TreeDigest) -> Value {
    json!({ "files": tree.files, "sha256": tree.sha256 })
}

/// Links one shared path into the release. What the commit has there is the first content of the shared one.
async fn link_shared(site: &Site<'_>, parameters: &UploadParameters, path: &std::path::Path) -> Result<(), Failure> {
    let layout = site.layout();
    let shared = shared_path(&layout, &parameters.release, path).ok_or_else(|| {
        Failure::new(Kind::Rejected, format!("could not share `{}`", path.display()))
            .because("it leads out of the release")
            .next("name a path inside the service's directory in `shared`")
    })?;
    require_no_links(site, &parameters.release, &shared.in_release).await?;
    let (here, token) = (site.files.stat(&shared.in_release).await?.is_some(), site.token());
    if let Some(folder) = shared.in_shared.parent() {
        site.files.ensure_directory(folder, token).await?;
    }
    if site.files.stat(&shared.in_shared).await?.is_none() {
        if here {
            site.files.rename(&shared.in_release, &shared.in_shared, token).await?;
        } else if shared.is_directory {
            site.files.ensure_directory(&shared.in_shared, token).await?;
        }
    } else if here {
        site.files.remove(&shared.in_release, token).await?;
    }
    if let Some(folder) = shared.in_release.parent() {
        site.files.ensure_directory(folder, token).await?;
    }
    site.files.link(&shared.in_release, &shared.link, token).await
}

/// A link among the folders above a shared path would lead what is done there out of the release.
async fn require_no_links(site: &Site<'_>, release: &ReleaseId, path: &std::path::Path) -> Result<(), Failure> {
    let root = site.layout().release(release);
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != root) {
        if let Some(FileKind::Symlink(to)) = site.files.stat(folder).await?.map(|stat| stat.kind) {
            let (folder, path) =
                (folder.strip_prefix(&root).unwrap_or(folder), path.strip_prefix(&root).unwrap_or(path));
            return Err(Failure::new(Kind::Rejected, format!("could not share `{}`", path.display()))
                .because(format!("`{}` is a link to `{}`", folder.display(), to.display()))
                .next(format!("name `{}` in `shared` in its place", folder.display())));
        }
    }
    Ok(())
}

/// Of a service's steps this is the last to be taken back: after it, all is as before.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let gone = remove(&site, &parameters, secrets).await?;
    site.remove_half_written().await?;
    let started = site.ensure_as_before(&parameters.previous, secrets).await?;
    Ok(Evidence::seen(std::iter::once(gone).chain(started).collect::<Vec<_>>().join("; ")))
}

async fn remove(site: &Site<'_>, parameters: &UploadParameters, secrets: &dyn Secrets) -> Result<String, Failure> {
    let release = &parameters.release;
    match site.record(release).await? {
        None => return Ok(format!("release `{release}` is not there")),
        Some(record) if record.run != *site.run => {
            return Ok(format!("release `{release}` belongs to run `{}` and stays", record.run));
        }
        Some(_) => {}
    }
    if site.current().await?.as_ref() == Some(release) {
        return Err(Failure::new(Kind::Conflict, format!("could not remove release `{release}`"))
            .because("`current` leads to it")
            .state("it is still there and still the current one")
            .next("look what runs with `pleach status`"));
    }
    if let Some((instance, _)) = site.instance(release).await?.filter(|(_, state)| state.is_up()) {
        return Err(Failure::new(Kind::Conflict, format!("could not remove release `{release}`"))
            .because(format!("{} of it runs", leader(&instance)))
            .state("it is still there and still runs"));
    }
    site.remove_release(release, secrets).await?;
    Ok(format!("release `{release}` is gone"))
}

impl Site<'_> {
    /// Writes down that a release of this run begins.
    pub(super) async fn begin_release(
        &self,
        release: &ReleaseId,
        spec: &ReleaseSpec,
    ) -> Result<ReleaseRecord, Failure> {
        self.require_own_release(release).await?;
        let record = ReleaseRecord {
            release: release.clone(),
            run: self.run.clone(),
            state: ReleaseState::Uploading,
            created: jiff::Timestamp::now(),
            settings: spec.settings(),
            spec: spec.clone(),
            tree: None,
            image: None,
            compose: None,
            called: BTreeMap::new(),
            registry: BTreeMap::new(),
            pinned: None,
        };
        self.write_json(&self.layout().record(release), &record).await?;
        Ok(record)
    }

    /// No other run has made a release of this name.
    async fn require_own_release(&self, release: &ReleaseId) -> Result<(), Failure> {
        let Some(other) = self.record(release).await?.filter(|record| record.run != *self.run) else { return Ok(()) };
        let what = format!("release `{release}` of `{}` is there already", self.place.service);
        Err(Failure::new(Kind::Conflict, what).because(format!("run `{}` made it", other.run)).next("make a new plan"))
    }

    /// Removes what a write left beside its file where the machine lost its power or the command was killed.
    async fn remove_half_written(&self) -> Result<(), Failure> {
        let layout = self.layout();
        for folder in [layout.directory().to_owned(), layout.records(), layout.pins(), layout.all_names()] {
            for stat in self.files.list(&folder).await? {
                if is_half_written(&stat.name) {
                    self.files.remove(&folder.join(&stat.name), self.token()).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes a release with all that belongs to it; its record last, so that an interrupted removal is found again.
    pub(super) async fn remove_release(&self, release: &ReleaseId, secrets: &dyn Secrets) -> Result<(), Failure> {
        let layout = self.layout();
        let record = self.record(release).await?;
        if record.as_ref().is_some_and(|record| record.spec.image.is_some()) {
            self.remove_container(release).await?;
        }
        let project = record.as_ref().filter(|record| record.spec.compose.is_some());
        if let Some(record) = project {
            Project::of(self, record, secrets)?.give_up_images().await?;
        }
        for (folder, parts) in [(layout.releases(), ".partial-"), (layout.run(), ".")] {
            let prefix = format!("{release}{parts}");
            for stat in self.files.list(&folder).await? {
                if stat.name.starts_with(&prefix) {
                    self.files.remove(&folder.join(&stat.name), self.token()).await?;
                }
            }
        }
        self.files.remove(&layout.release(release), self.token()).await?;
        if project.is_some() {
            self.forget_mounts().await?;
        }
        self.files.remove(&layout.record(release), self.token()).await
    }
}

//! A person's word that a canary may go on, asked for and given in two files beside the records of processes.
//!
//! | file | written by | says |
//! |---|---|---|
//! | `run/canary-asked.json` | the step that waits; removed when it waits no more, or is taken back | which release, with which part of the requests |
//! | `run/canary-given.json` | `proxy consent` on the target, for whoever answers | the same, and who it was |
//!
//! An answer is for one part of one run, so an old one means nothing to a later run, and one that was given to a deployer who
//! has died meanwhile is found by whoever goes on with the run.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{FileKind, Files, Shell};
use pleach_core::word::{ReleaseId, RunId, ServiceName};
use serde::{Deserialize, Serialize};

use super::layout::ServiceLayout;
use super::site::{Site, ask_program, read_process_json};
use crate::local::replace_durably;
use crate::proxy::Matching;

/// A canary that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AwaitedConsent {
    /// The service.
    pub service: ServiceName,
    /// The run that waits.
    pub run: RunId,
    /// The release that it is about.
    pub release: ReleaseId,
    /// The part of the requests that it has, of a hundred.
    pub percent: u8,
    /// Requests that it has besides, because they ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// When it is taken back unless somebody has answered.
    pub until: Timestamp,
    /// The executable on the target that takes the answer.
    pub program: PathBuf,
    /// The service's directory there.
    pub directory: PathBuf,
}

/// Asks `proxy consent` on the target to keep an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ConsentRequest {
    awaited: AwaitedConsent,
    by: String,
}

/// A person's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct GivenConsent {
    run: RunId,
    percent: u8,
    /// Who it was.
    pub(super) by: String,
}

/// All canaries below `root` that wait for a person.
///
/// # Errors
/// A file cannot be read.
pub async fn awaited_consents(files: &dyn Files, root: &Path) -> Result<Vec<AwaitedConsent>, Failure> {
    let mut awaited = Vec::new();
    for entry in files.list(root).await?.into_iter().filter(|entry| entry.kind == FileKind::Directory) {
        awaited.extend(awaited_consent(files, &ServiceLayout::new(root.join(&entry.name))).await?);
    }
    Ok(awaited)
}

/// What one service waits for. Who has an answer already waits no more.
pub(super) async fn awaited_consent(
    files: &dyn Files,
    layout: &ServiceLayout,
) -> Result<Option<AwaitedConsent>, Failure> {
    let asked: Option<AwaitedConsent> = read_process_json(files, &layout.canary_asked()).await?;
    let given: Option<GivenConsent> = read_process_json(files, &layout.canary_given()).await?;
    let is_given = |asked: &AwaitedConsent| given.is_some_and(|given| given.answers(&asked.run, asked.percent));
    Ok(asked.filter(|asked| !is_given(asked)))
}

/// Lets a canary go on; `by` says who did. It needs no lease, as nothing of the service changes, and whoever has the lease waits
/// for it.
///
/// # Errors
/// [`Kind::Conflict`] if it waits no more.
pub async fn give_consent(shell: &dyn Shell, awaited: &AwaitedConsent, by: String) -> Result<(), Failure> {
    let request = ConsentRequest { awaited: awaited.clone(), by };
    let bytes = serde_json::to_vec(&request)
        .map_err(|error| Failure::new(Kind::Internal, "could not send a request").because(error.to_string()))?;
    let what = || format!("let the canary of `{}` go on", awaited.service);
    ask_program(shell, &awaited.program, &["proxy", "consent"], Some(bytes), what).await
}

/// `proxy consent`: keeps the answer, if it is still waited for.
pub(crate) fn keep_consent(request: &ConsentRequest) -> Result<(), Failure> {
    let ConsentRequest { awaited, by } = request;
    let layout = ServiceLayout::new(&awaited.directory);
    let failed = |because: String| {
        Failure::new(Kind::Conflict, format!("could not let the canary of `{}` go on", awaited.service))
            .because(because)
            .state("nothing was changed")
            .next("see what it does with `pleach status`")
    };
    let asked = std::fs::read(layout.canary_asked()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if asked.as_ref() != Some(awaited) {
        return Err(failed(format!("run {} does not wait for it any more", awaited.run)));
    }
    let given = GivenConsent { run: awaited.run.clone(), percent: awaited.percent, by: by.clone() };
    let bytes = serde_json::to_vec_pretty(&given).map_err(|error| failed(error.to_string()))?;
    replace_durably(&layout.canary_given(), &bytes).map_err(|error| failed(error.to_string()))
}

impl GivenConsent {
    fn answers(&self, run: &RunId, percent: u8) -> bool {
        self.run == *run && self.percent == percent
    }
}

impl Site<'_> {
    /// Asks a person, once.
    pub(super) async fn ask_for_consent(&self, awaited: &AwaitedConsent) -> Result<(), Failure> {
        self.write_json(&self.layout().canary_asked(), awaited).await
    }

    /// The answer, if there is one for this part of this run.
    pub(super) async fn given_consent(&self, percent: u8) -> Result<Option<GivenConsent>, Failure> {
        let given: Option<GivenConsent> = read_process_json(self.files, &self.layout().canary_given()).await?;
        Ok(given.filter(|given| given.answers(self.run, percent)))
    }

    /// Nobody is asked any more.
    pub(super) async fn withdraw_question(&self) -> Result<(), Failure> {
        self.files.remove(&self.layout().canary_asked(), self.token()).await
    }
}

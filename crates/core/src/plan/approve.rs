//! Consent, bound to a plan's digest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::error::{Explain, Kind};
use crate::word::PlanId;

/// Who agreed to what, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The plan that was shown.
    pub plan: PlanId,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// How: `--yes`, `typed`, or an embedder's own word.
    pub how: String,
    /// The answers to the questions of the environment, by question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
}

/// A plan with consent to exactly this plan. There is no other way to make one than [`approve`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct ApprovedPlan {
    plan: Plan,
    consent: Consent,
}

impl ApprovedPlan {
    /// What will be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who agreed.
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// The plan's digest.
    pub fn id(&self) -> &PlanId {
        &self.consent.plan
    }
}

/// Why a plan was not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// The consent is to another plan, or the plan was changed afterwards.
    #[error("could not approve plan `{}`: the consent is to plan `{}`", .plan.short(), .consent.short())]
    OtherPlan {
        /// The plan at hand.
        plan: PlanId,
        /// The plan that was agreed to.
        consent: PlanId,
    },
}

impl Explain for ApproveError {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }
    fn state(&self) -> Option<String> {
        Some("nothing was touched".into())
    }
    fn next(&self) -> Option<String> {
        Some("make the plan again with `pleach plan`, read it and approve that one".into())
    }
}

/// Binds consent to a plan.
pub fn approve(plan: Plan, consent: Consent) -> Result<ApprovedPlan, ApproveError> {
    let id = plan.id();
    if id == consent.plan {
        Ok(ApprovedPlan { plan, consent })
    } else {
        Err(ApproveError::OtherPlan { plan: id, consent: consent.plan })
    }
}

#[derive(Deserialize)]
struct Written {
    plan: Plan,
    consent: Consent,
}

impl TryFrom<Written> for ApprovedPlan {
    type Error = ApproveError;
    fn try_from(written: Written) -> Result<Self, ApproveError> {
        approve(written.plan, written.consent)
    }
}

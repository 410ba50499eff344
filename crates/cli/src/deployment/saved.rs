//! Plans and consents in files, between `plan --out`, `approve` and `deploy --plan`.

use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Consent, FORMAT, Plan};
use serde::de::DeserializeOwned;

use crate::durable::write_whole;

/// A plan that was read from a file.
pub(crate) struct SavedPlan {
    pub(crate) plan: Plan,
    pub(crate) path: PathBuf,
}

/// Where the consent to a saved plan lies: beside it.
pub(crate) fn consent_path(plan: &Path) -> PathBuf {
    let mut name = plan.as_os_str().to_owned();
    name.push(".consent");
    name.into()
}

/// Saves a plan.
pub(crate) fn save_plan(path: &Path, plan: &Plan) -> Result<(), Failure> {
    save(path, plan)
}

/// Saves a consent beside its plan.
pub(crate) fn save_consent(plan: &Path, consent: &Consent) -> Result<(), Failure> {
    save(&consent_path(plan), consent)
}

/// Reads a plan that was saved.
pub(crate) fn load_plan(path: &Path) -> Result<SavedPlan, Failure> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u32,
    }
    let versioned: Versioned = load(path, "plan")?;
    if versioned.format > FORMAT {
        return Err(Failure::new(Kind::Unsupported, format!("could not read the plan `{}`", path.display()))
            .because(format!("its form is {}, and this Pleach knows {FORMAT}", versioned.format))
            .state("nothing was touched")
            .next("use the Pleach that made it, or make the plan again with `pleach plan`"));
    }
    Ok(SavedPlan { plan: load(path, "plan")?, path: path.to_owned() })
}

/// Reads the consent beside a saved plan, if somebody gave one.
pub(crate) fn load_consent(plan: &Path) -> Result<Option<Consent>, Failure> {
    let path = consent_path(plan);
    if path.exists() { load(&path, "consent").map(Some) } else { Ok(None) }
}

fn save(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let written = serde_json::to_vec_pretty(value).map_err(std::io::Error::other).and_then(|mut text| {
        text.push(b'\n');
        write_whole(path, &text)
    });
    written.map_err(|error| {
        Failure::new(Kind::Rejected, format!("could not write `{}`", path.display()))
            .because(error.to_string())
            .state("no target was touched")
            .next("name a file that can be written")
    })
}

fn load<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    let failure = |error: String| {
        Failure::new(Kind::Rejected, format!("could not read the {what} `{}`", path.display()))
            .because(error)
            .state("nothing was touched")
            .next("save one with `pleach plan ENVIRONMENT --out FILE`")
    };
    let text = std::fs::read(path).map_err(|error| failure(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failure(error.to_string()))
}

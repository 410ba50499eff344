//! The part of a draft that leads requests to a release by the target's proxy.

use pleach_core::config::HaproxyConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::word::ReleaseId;

use super::facts::LedFact;
use super::parameter::LeadParameters;
use super::phase::Work;
use super::recipe::{Scene, Steps};
use super::release::ReleaseSpec;
use crate::proxy::{Bind, Led, ProxyPlace};

/// For a proxy that has to be reloaded; its requests are waited for besides.
pub(super) const LEAD: Period = Period::seconds(180);

/// The proxy of a target, with the command that checks what it is to load.
pub(super) fn place(config: &HaproxyConfig) -> ProxyPlace {
    let own = config.config.to_string_lossy();
    let check = ["haproxy", "-c", "-f", &*own, "-f", "{file}"].map(str::to_owned).to_vec();
    ProxyPlace { socket: config.socket.clone(), file: config.file.clone(), check, reload: config.reload.clone() }
}

impl Scene<'_> {
    /// What the proxy leads to a service that is set up so; nothing where it has none.
    pub(super) fn led_by(&self, spec: &ReleaseSpec) -> Result<Option<Led>, Failure> {
        let (Some(place), Some((host, port))) = (&spec.proxy, spec.address()) else { return Ok(None) };
        let bind = Bind::new(&host, port).map_err(|error| {
            Failure::new(Kind::Rejected, format!("HAProxy cannot lead {host}:{port} to `{}`", self.request.service))
                .because(error.to_string())
                .state("nothing was touched")
                .next("write the address as a number in `pleach.toml`")
        })?;
        let (directory, service) = (self.place.directory.clone(), self.request.service.clone());
        Ok(Some(Led { place: place.clone(), directory, service, bind }))
    }

    /// From the current release to another one, by the proxy.
    pub(super) fn add_lead(&self, steps: &mut Steps, release: &ReleaseId, led: &Led) -> Result<(), Failure> {
        if self.previous.routers.iter().any(|(_, port)| *port == led.bind.port()) {
            let service = &self.request.service;
            return Err(Failure::new(Kind::Conflict, format!("HAProxy cannot lead {} to `{service}` yet", led.bind))
                .because("a router of Pleach's own still has that port, as the target had no `proxy` before")
                .state("nothing was touched")
                .next(format!("end it once: `pleach stop {} --only {service}`", self.request.environment)));
        }
        if let Some(LedFact { bind: None, seen, .. }) = &self.led {
            let look = self.place.typed("sudo systemctl start haproxy; systemctl status haproxy".to_owned());
            let what = format!("HAProxy of `{}` cannot lead {} to a release", self.request.target, led.bind);
            return Err(Failure::new(Kind::Rejected, what)
                .because(seen.clone())
                .state("nothing was touched")
                .next(format!("see to it with `{look}`")));
        }
        let parameters = self.lead_parameters(release, led);
        if !parameters.seen {
            self.require_port(led.bind.host(), led.bind.port())?;
        }
        steps.add(
            Work::Lead,
            format!("HAProxy leads {} to `{release}`", led.bind),
            &parameters,
            self.with_drains(LEAD, 1),
        )?;
        Ok(())
    }

    pub(super) fn lead_parameters(&self, release: &ReleaseId, led: &Led) -> LeadParameters {
        let bind = self.led.as_ref().and_then(|seen| seen.bind.as_ref());
        LeadParameters {
            place: self.place.clone(),
            release: release.clone(),
            led: led.clone(),
            limit: self.drain(),
            previous: self.previous.release.clone(),
            seen: bind.is_some_and(|bind| bind.port() == led.bind.port()),
        }
    }
}

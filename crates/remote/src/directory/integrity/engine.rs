//! What engines and the proxy have of a service.

use pleach_core::error::{Failure, Kind};
use pleach_core::port::Shell;
use pleach_core::word::{ReleaseId, ServiceName};

use super::finding::{CheckedPart, Finding};
use super::scope::CheckScope;
use super::service::ServiceIntegrity;
use crate::directory::command::is_halted;
use crate::directory::compose::{astray, members_of, missing_image_of, pinned_fault};
use crate::directory::container::look;
use crate::directory::images::read_images;
use crate::directory::layout::ServiceLayout;
use crate::directory::led;
use crate::directory::release::ReleaseRecord;
use crate::directory::site::read_process_json;
use crate::docker::label;
use crate::proxy::LedRecord;
use crate::ssh::quote_words;
use crate::supervise::{Activity, InstanceRecord};

/// Compares images, containers and the proxy with what the records tell of them.
pub(super) async fn check_engine(
    scope: &CheckScope<'_>,
    layout: &ServiceLayout,
    service: &ServiceName,
    current: &ReleaseId,
    records: &[ReleaseRecord],
    seen: &mut ServiceIntegrity,
) {
    let Some(shell) = scope.shell else { return };
    let checking = Checking { scope, shell, layout, service, current };
    let (mut findings, mut unread) = (Vec::new(), Vec::new());
    let images: Vec<&ReleaseRecord> = records.iter().filter(|record| record.spec.image.is_some()).collect();
    if !images.is_empty() {
        unread.extend(checking.images(&images, &mut findings).await.err());
    }
    if let Some(record) = images.iter().find(|record| record.release == *current) {
        unread.extend(checking.container(record, &mut findings).await.err());
    }
    for record in records.iter().filter(|record| record.spec.compose.is_some()) {
        unread.extend(checking.project(record, &mut findings).await.err());
    }
    unread.extend(checking.proxy(&mut findings).await.err());
    seen.findings.extend(findings);
    seen.unread.extend(unread);
}

struct Checking<'a> {
    scope: &'a CheckScope<'a>,
    shell: &'a dyn Shell,
    layout: &'a ServiceLayout,
    service: &'a ServiceName,
    current: &'a ReleaseId,
}

impl Checking<'_> {
    fn part(&self, release: &ReleaseId) -> CheckedPart {
        if release == self.current { CheckedPart::Image } else { CheckedPart::RestorePoint }
    }

    /// A release without its image cannot be started again.
    fn gone(&self, release: &ReleaseId, image: &str) -> Finding {
        Finding {
            part: self.part(release),
            what: format!("release `{release}` has lost its image"),
            because: format!("image {image} is no longer on the target's engine"),
            next: match self.part(release) {
                CheckedPart::Image => format!("deploy a new commit before it is restarted: {}", self.deploy()),
                _ => format!(
                    "it cannot be gone back to; the next deployment makes a new restore point: {}",
                    self.deploy()
                ),
            },
        }
    }

    fn deploy(&self) -> String {
        self.scope.deploy(self.service)
    }

    async fn images(&self, records: &[&ReleaseRecord], findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let Some(images) = read_images(self.scope.files, self.shell, self.layout, self.service).await? else {
            return Ok(());
        };
        for record in records {
            let Some(image) = &record.image else { continue };
            let there = images.images.iter().any(|one| one.image == *image && one.seen.is_some());
            if !there {
                findings.push(self.gone(&record.release, image.short()));
            }
        }
        Ok(())
    }

    /// The container of the current release is made of its image, for it.
    async fn container(&self, record: &ReleaseRecord, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let path = self.layout.instance(&record.release);
        let instance: Option<InstanceRecord> = read_process_json(self.scope.files, &path).await?;
        let instance = instance.filter(|instance| instance.activity != Activity::Stopped);
        let Some(container) = instance.and_then(|instance| instance.container) else { return Ok(()) };
        let looked = look(self.shell, &container, self.layout.directory(), &record.release).await?;
        let different = |because: String| Finding {
            part: CheckedPart::Container,
            what: format!("container `{}` is not that of release `{}`", container.name, record.release),
            because,
            next: format!("look with `{}`", self.scope.typed(&format!("docker inspect {}", container.name))),
        };
        // An executable of before could not tell.
        if looked.as_ref().is_some_and(|looked| looked.made.is_none() && looked.state.is_up()) {
            return Err(Failure::new(Kind::Unsupported, format!("could not see what `{}` is made of", container.name))
                .because("the executable on the target is of an earlier Pleach")
                .next(format!("the next deployment brings a new one: {}", self.deploy())));
        }
        let Some(made) = looked.and_then(|looked| looked.made) else {
            findings.push(different("the engine has none of that name".to_owned()));
            return Ok(());
        };
        if let Some(image) = record.image.as_ref().filter(|image| **image != made.image) {
            findings.push(different(format!("it is made of image {}, not of {}", made.image.short(), image.short())));
        }
        let directory = self.layout.directory().to_string_lossy();
        for (name, wanted) in [
            (label::SERVICE, self.service.as_str()),
            (label::RELEASE, record.release.as_str()),
            (label::ENVIRONMENT, record.spec.environment.as_str()),
            (label::DIRECTORY, &*directory),
        ] {
            let is = made.labels.get(name);
            if is.is_none_or(|is| is != wanted) {
                let is = is.map_or_else(|| "not there".to_owned(), |is| format!("`{is}`"));
                findings.push(different(format!("its label `{name}` is {is}, not `{wanted}`")));
            }
        }
        Ok(())
    }

    /// A release's Compose project: what it was pinned to, its images, and for the current one its containers.
    async fn project(&self, record: &ReleaseRecord, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let Some(images) = &record.compose else { return Ok(()) };
        if let Some(because) = pinned_fault(self.scope.files, self.layout, record).await? {
            findings.push(Finding {
                part: self.part(&record.release),
                what: format!("release `{}` has lost what its Compose project was pinned to", record.release),
                because,
                next: format!("deploy a new commit: {}", self.deploy()),
            });
        }
        if let Some(image) = missing_image_of(self.shell, &record.spec, images).await? {
            findings.push(self.gone(&record.release, &image));
        }
        if record.release != *self.current || is_halted(self.scope.files, self.layout, record).await? {
            return Ok(());
        }
        let members = members_of(self.shell, &record.spec).await?;
        findings.extend(astray(images, &members).into_iter().map(|because| Finding {
            part: CheckedPart::Container,
            what: format!("the project of release `{}` does not run as it was deployed", record.release),
            because,
            next: format!("`pleach restart {} {}`", self.scope.environment, self.service),
        }));
        Ok(())
    }

    /// What HAProxy runs equals its file: a reload would change nothing.
    async fn proxy(&self, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let record: Option<LedRecord> = read_process_json(self.scope.files, &self.layout.led()).await?;
        let Some(LedRecord { program, led }) = record else { return Ok(()) };
        let looked = led::compare(self.shell, &program, &led).await?;
        let finding = |because: String| Finding {
            part: CheckedPart::Proxy,
            what: format!("HAProxy does not run what its file says of {}", led.bind),
            because,
            next: format!("if the file is right: `{}`", self.scope.typed(&quote_words(&led.place.reload))),
        };
        if looked.services.iter().all(|service| service.file.is_none() && service.running.is_none()) {
            findings.push(finding(format!("neither `{}` nor HAProxy has it", led.place.file.display())));
        }
        let differences = looked.services.into_iter().flat_map(|service| service.differences);
        findings.extend(differences.map(finding));
        Ok(())
    }
}

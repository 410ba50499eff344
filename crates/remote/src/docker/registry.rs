//! Images that go through a registry: pushed by the engine that builds, pulled by the target's own, by digest.
//!
//! A registry names an image by the digest of its manifest, an engine by that of its configuration. What leads from one to the other
//! is the engine that has pushed or pulled it: it notes the first beside the second, and that is what is read back. A name in a
//! registry that leads to anything else is left alone.

use std::collections::BTreeSet;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use pleach_core::error::{Explain, Kind};
use pleach_core::port::{ImageId, RegistryLogin, RegistryPlace, RegistryTags};
use tokio::time::timeout;

use super::engine::Engine;
use super::error::{EngineError, Said};
use super::still::STILL;

/// Why an image did not go to a registry, or come from there.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It lets nobody in who comes like this.
    #[error("registry `{registry}` does not let `{place}` {what}")]
    Login {
        /// The registry's host.
        registry: String,
        /// The engine's host.
        place: String,
        /// What was being done.
        what: String,
        /// Whether a login was named.
        named: bool,
        /// What it says.
        #[source]
        source: Said,
    },
    /// It cannot be reached, or did not do it.
    #[error("`{place}` could not {what}")]
    Failed {
        /// The registry's host.
        registry: String,
        /// The engine's host.
        place: String,
        /// What was being done.
        what: String,
        /// Whether a login was named.
        named: bool,
        /// What the engine says.
        #[source]
        source: Said,
    },
    /// Something else is there by that name.
    #[error("`{name}` is another image than {}", image.short())]
    Another {
        /// The name in the registry.
        name: String,
        /// What was meant.
        image: ImageId,
        /// What is there.
        #[source]
        source: Said,
    },
    /// It has none of that name.
    #[error("`{name}` is not in the registry")]
    Missing {
        /// The name in the registry.
        name: String,
        /// Why it should be.
        #[source]
        source: Said,
    },
    /// The engine itself.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Explain for RegistryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Login { .. } => Kind::Rejected,
            // Asked for again it goes on where it was: what has arrived is there.
            Self::Failed { .. } => Kind::Transient,
            Self::Another { .. } | Self::Missing { .. } => Kind::Conflict,
            Self::Engine(error) => error.kind(),
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.state(),
            Self::Failed { .. } => Some("what ran before runs; parts that have arrived are used the next time".into()),
            _ => Some("nothing was changed there, and what ran before runs".into()),
        }
    }

    fn next(&self) -> Option<String> {
        let login = |registry: &str| format!("`user` and `password` in `[registries.\"{registry}\"]` of `pleach.toml`");
        Some(match self {
            Self::Login { registry, named: true, .. } => {
                format!("mend {}; `docker login {registry}` tries them", login(registry))
            }
            Self::Login { registry, .. } => format!("name {}", login(registry)),
            Self::Failed { registry, named, .. } => {
                let or = if *named {
                    String::new()
                } else {
                    format!("; where it asks for a login, name {}", login(registry))
                };
                format!("see with `curl -I https://{registry}/v2/` that it answers{or}")
            }
            Self::Another { name, .. } => {
                format!("see who writes there, remove `{name}` in the registry")
            }
            Self::Missing { .. } => "see who removes images there".into(),
            Self::Engine(error) => return error.next(),
        })
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Engine(error) => error.output(),
            _ => Vec::new(),
        }
    }
}

/// One engine, one registry, and who asks.
struct Asked<'a> {
    engine: &'a Engine,
    place: &'a RegistryPlace,
    login: Option<&'a RegistryLogin>,
}

impl Engine {
    /// Has a registry have an image under a name there; tells its digest there.
    pub async fn push(
        &self,
        image: &ImageId,
        place: &RegistryPlace,
        login: Option<&RegistryLogin>,
    ) -> Result<String, RegistryError> {
        let name = place.name();
        let asked = Asked { engine: self, place, login };
        let mut names = self.require_image(image).await?.names;
        // What a push that was killed has left.
        names.remove(&name);
        if let Some(digest) = asked.digest(&name, &format!("see whether `{name}` is there")).await? {
            let by_digest = format!("{}@{digest}", place.repository);
            let pulled = asked.pull(image, &digest).await;
            let forgotten = asked.forget(&names, &by_digest).await.and(asked.forget(&names, &name).await);
            pulled?;
            return Ok(forgotten.map(|()| digest)?);
        }
        self.ensure_name(image, &name).await?;
        let pushed = asked.push_named(image, &name).await;
        let forgotten = asked.forget(&names, &name).await;
        let digest = pushed?;
        Ok(forgotten.map(|()| digest)?)
    }

    /// Where tags lead in a registry.
    pub async fn tagged(
        &self,
        repository: &str,
        tags: &[String],
        login: Option<&RegistryLogin>,
    ) -> Result<RegistryTags, RegistryError> {
        let mut found = RegistryTags::new();
        for tag in tags {
            let place = RegistryPlace { repository: repository.to_owned(), tag: tag.clone() };
            let (asked, name) = (Asked { engine: self, place: &place, login }, place.name());
            let digest = asked.digest(&name, &format!("see where `{name}` leads")).await?;
            found.extend(digest.map(|digest| (tag.clone(), digest)));
        }
        Ok(found)
    }

    /// Has a tag lead to what its registry has by a digest, and to this image if one is named; tells where it leads then.
    ///
    /// An engine names only what it has, so it fetches what it lacks of it, and has no more of it afterwards than before.
    pub async fn tag(
        &self,
        place: &RegistryPlace,
        digest: &str,
        image: Option<&ImageId>,
        login: Option<&RegistryLogin>,
    ) -> Result<String, RegistryError> {
        let asked = Asked { engine: self, place, login };
        let (name, by_digest) = (place.name(), format!("{}@{digest}", place.repository));
        let own = [by_digest.clone(), name.clone()];
        let had = self.names(&own).await?;
        let tagged = async {
            asked.fetch(&format!("`{by_digest}`"), digest).await?;
            let seen = self.image(&by_digest).await?.ok_or_else(|| Asked::unseen(&by_digest))?;
            asked.require_noted(image.unwrap_or(&seen.id), digest).await?;
            self.ensure_name(&seen.id, &name).await?;
            asked.push_named(&seen.id, &name).await
        };
        let tagged = tagged.await;
        for only_for_this in own.iter().filter(|name| !had.contains_key(*name)) {
            match self.ensure_no_image(only_for_this).await {
                // A container is made of it: then it has been here before.
                Ok(()) | Err(EngineError::Conflict { .. }) => {}
                // What failed first is told.
                Err(error) => return tagged.and(Err(error.into())),
            }
        }
        tagged
    }

    /// Has an image from a registry, by its digest there, under this name. Does nothing but name it where the engine has it.
    pub async fn pull(
        &self,
        image: &ImageId,
        name: &str,
        place: &RegistryPlace,
        digest: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<(), RegistryError> {
        let asked = Asked { engine: self, place, login };
        let by_digest = format!("{}@{digest}", place.repository);
        if self.image(image.as_str()).await?.is_none() {
            if asked.digest(&by_digest, &format!("see whether `{by_digest}` is there")).await?.is_none() {
                let source = Said("it was pushed there, and somebody has removed it since".into());
                return Err(RegistryError::Missing { name: by_digest, source });
            }
            if let Err(error) = asked.pull(image, digest).await {
                // An engine that is lost cannot be asked to forget either: what failed first is told.
                let _ = self.ensure_no_image(&by_digest).await;
                return Err(error);
            }
        }
        self.ensure_name(image, name).await?;
        // It would keep the image when the release is gone.
        Ok(self.ensure_no_image(&by_digest).await?)
    }
}

impl Asked<'_> {
    /// The digest that a name in the registry leads to; nothing where it has none of that name.
    async fn digest(&self, name: &str, what: &str) -> Result<Option<String>, RegistryError> {
        let engine = self.engine;
        match engine.docker().inspect_registry_image(name, self.credentials()).await {
            Ok(found) => match found.descriptor.digest {
                Some(digest) => Ok(Some(digest)),
                None => Err(engine.lacks(what, "digest of what the registry has").into()),
            },
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(Error::DockerResponseServerError { status_code: 401 | 403, message }) => Err(RegistryError::Login {
                registry: self.place.host().to_owned(),
                place: engine.place(),
                what: what.to_owned(),
                named: self.login.is_some(),
                source: Said(message),
            }),
            Err(error) => Err(self.failed(what)(error)),
        }
    }

    async fn push_named(&self, image: &ImageId, name: &str) -> Result<String, RegistryError> {
        let what = format!("push image `{}` to `{}`", image.short(), self.place.repository);
        let options = PushImageOptionsBuilder::default().tag(&self.place.tag).build();
        let said = self.engine.docker().push_image(&self.place.repository, Some(options), self.credentials());
        self.drain(&what, said).await?;
        let missing = || RegistryError::Missing {
            name: name.to_owned(),
            source: Said("it took the image, and has none of that name".into()),
        };
        let digest = self.digest(name, &format!("read back `{name}`")).await?.ok_or_else(missing)?;
        self.require_noted(image, &digest).await.map(|()| digest)
    }

    /// Has the engine fetch what it lacks of a digest, and makes sure that it is the image.
    async fn pull(&self, image: &ImageId, digest: &str) -> Result<(), RegistryError> {
        self.fetch(&format!("image `{}` from `{}`", image.short(), self.place.repository), digest).await?;
        self.require_noted(image, digest).await
    }

    async fn fetch(&self, image: &str, digest: &str) -> Result<(), RegistryError> {
        let what = format!("pull {image}");
        let options = CreateImageOptionsBuilder::default().from_image(&self.place.repository).tag(digest).build();
        let said = self.engine.docker().create_image(Some(options), None, self.credentials());
        self.drain(&what, said).await
    }

    /// The engine knows the digest as that of the image.
    async fn require_noted(&self, image: &ImageId, digest: &str) -> Result<(), RegistryError> {
        let by_digest = format!("{}@{digest}", self.place.repository);
        match self.engine.image(&by_digest).await? {
            Some(found) if found.id == *image => Ok(()),
            Some(found) => {
                let source = Said(format!("it is image {} there", found.id.short()));
                Err(RegistryError::Another { name: by_digest, image: image.clone(), source })
            }
            None => Err(Self::unseen(&by_digest)),
        }
    }

    fn unseen(by_digest: &str) -> RegistryError {
        RegistryError::Missing { name: by_digest.to_owned(), source: Said("the engine has not seen it there".into()) }
    }

    /// A name that was only there for this goes, but for the last one of an image.
    async fn forget(&self, names: &BTreeSet<String>, name: &str) -> Result<(), EngineError> {
        if names.is_empty() { Ok(()) } else { self.engine.ensure_no_image(name).await }
    }

    /// Waits until the engine has done it, for as long as it gets on.
    async fn drain<T: Send>(
        &self,
        what: &str,
        said: impl Stream<Item = Result<T, Error>> + Send,
    ) -> Result<(), RegistryError> {
        let mut said = std::pin::pin!(said);
        // It tells of each part how far it has come.
        let still = |_| RegistryError::Failed {
            registry: self.place.host().to_owned(),
            place: self.engine.place(),
            what: what.to_owned(),
            named: self.login.is_some(),
            source: Said(format!("nothing of it was sent or taken for {STILL}")),
        };
        while let Some(part) = timeout(STILL.0, said.next()).await.map_err(still)? {
            part.map_err(self.failed(what))?;
        }
        Ok(())
    }

    fn credentials(&self) -> Option<DockerCredentials> {
        self.login.map(|login| DockerCredentials {
            username: Some(login.user.clone()),
            password: Some(login.password.expose().to_owned()),
            serveraddress: Some(self.place.host().to_owned()),
            ..DockerCredentials::default()
        })
    }

    fn failed(&self, what: &str) -> impl Fn(Error) -> RegistryError {
        let (what, place, registry) = (what.to_owned(), self.engine.place(), self.place.host().to_owned());
        let (engine, named) = (self.engine.clone(), self.login.is_some());
        move |error| match engine.failed(&what)(error) {
            EngineError::Refused { source, .. } | EngineError::NotFound { source, .. } => RegistryError::Failed {
                registry: registry.clone(),
                place: place.clone(),
                what: what.clone(),
                named,
                source,
            },
            other => other.into(),
        }
    }
}

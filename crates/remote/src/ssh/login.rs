//! Proving to a host who the user is.
//!
//! The order is OpenSSH's: the agent's keys that the config names, the agent's other keys unless `IdentitiesOnly`, then
//! keys that lie in files alone; of each key its certificate first. Nobody is asked for a passphrase or a password: a
//! deployment runs where nobody sits, so an encrypted key has to be in the agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pleach_core::error::{Explain, Kind};
use russh::client::{AuthResult, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::keys::{load_openssh_certificate, load_public_key, load_secret_key};

use super::config::{AgentKeys, AgentSocket, HostConfig};
use super::quote::quote_text;

/// Why the host did not let the user in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// None of the keys was taken.
    #[error("`{host}` let nobody in as `{user}` with {}", .tried.join(", "))]
    Refused {
        /// The host.
        host: String,
        /// The login.
        user: String,
        /// What was tried, in order.
        tried: Vec<String>,
        /// What the host would have taken.
        accepted: Vec<String>,
        /// Keys that could not be tried because they are encrypted.
        encrypted: Vec<PathBuf>,
        /// The command that shows what `ssh` itself tries.
        line: String,
    },
    /// There was nothing to try.
    #[error("there is no key to log in with at `{host}` as `{user}`")]
    NoKey {
        /// The host.
        host: String,
        /// The login.
        user: String,
        /// Keys that could not be tried because they are encrypted.
        encrypted: Vec<PathBuf>,
        /// The command that shows what `ssh` itself tries.
        line: String,
    },
    /// The link broke.
    #[error("the connection to `{host}` was lost while logging in as `{user}`")]
    Lost {
        /// The host.
        host: String,
        /// The login.
        user: String,
        /// Why.
        #[source]
        source: russh::Error,
    },
}

impl Explain for LoginError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused { .. } | Self::NoKey { .. } => Kind::Rejected,
            Self::Lost { .. } => Kind::Transient,
        }
    }

    fn state(&self) -> Option<String> {
        Some("nothing was touched by this call".into())
    }

    fn next(&self) -> Option<String> {
        let (encrypted, line) = match self {
            Self::Refused { encrypted, line, .. } | Self::NoKey { encrypted, line, .. } => (encrypted, line),
            Self::Lost { .. } => return None,
        };
        Some(match encrypted.first() {
            Some(path) => format!("the key is encrypted: `ssh-add {}`", quote_text(&path.to_string_lossy())),
            None => format!("look with `{line}` what `ssh` itself does"),
        })
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Refused { accepted, .. } if !accepted.is_empty() => {
                vec![format!("the host accepts: {}", accepted.join(", "))]
            }
            _ => Vec::new(),
        }
    }
}

/// One key that lies in files.
struct Identity {
    path: PathBuf,
    public: Option<PublicKey>,
    certificates: Vec<Certificate>,
}

/// What has been tried on one connection.
struct Login<'a, H: Handler> {
    handle: &'a mut Handle<H>,
    config: &'a HostConfig,
    tried: Vec<String>,
    accepted: Vec<String>,
    encrypted: Vec<PathBuf>,
    rsa: Option<Option<HashAlg>>,
}

enum Answer {
    Welcome,
    No,
}

/// Logs in.
pub(super) async fn log_in<H: Handler>(handle: &mut Handle<H>, config: &HostConfig) -> Result<(), LoginError> {
    let mut login = Login { handle, config, tried: Vec::new(), accepted: Vec::new(), encrypted: Vec::new(), rsa: None };
    match login.run().await {
        Ok(Answer::Welcome) => Ok(()),
        // A host hangs up after too many keys.
        Err(_) if login.tried.len() > 2 => Err(login.refused()),
        Ok(Answer::No) => Err(login.refused()),
        Err(source) => {
            Err(LoginError::Lost { host: config.destination.host.clone(), user: config.user.clone(), source })
        }
    }
}

impl<H: Handler> Login<'_, H> {
    fn refused(self) -> LoginError {
        let (host, user) = (self.config.destination.host.clone(), self.config.user.clone());
        let line = self.config.destination.command_line().replacen("ssh", "ssh -v", 1) + " true";
        let encrypted = self.encrypted;
        if self.tried.is_empty() {
            return LoginError::NoKey { host, user, encrypted, line };
        }
        LoginError::Refused { host, user, tried: self.tried, accepted: self.accepted, encrypted, line }
    }

    async fn run(&mut self) -> Result<Answer, russh::Error> {
        let identities = identities(self.config);
        let mut used: Vec<PublicKey> = Vec::new();
        // An agent that does not answer is as good as none: the keys in files are still there.
        if let Some(mut agent) = open_agent(&self.config.agent).await {
            let offered = agent.request_identities().await.unwrap_or_default();
            let named = |offer: &AgentIdentity| {
                let key = offer.public_key();
                identities.iter().position(|identity| {
                    identity.public.as_ref().is_some_and(|public| public.key_data() == key.key_data())
                })
            };
            let mut ordered: Vec<(usize, AgentIdentity)> =
                offered.into_iter().map(|offer| (named(&offer).unwrap_or(usize::MAX), offer)).collect();
            ordered.sort_by_key(|(place, offer)| (*place, matches!(offer, AgentIdentity::PublicKey { .. })));
            for (place, offer) in ordered {
                if place == usize::MAX && self.config.agent_keys == AgentKeys::Named {
                    continue;
                }
                let beside = identities.get(place).map(|identity| identity.certificates.clone()).unwrap_or_default();
                used.push(offer.public_key().into_owned());
                if let Answer::Welcome = self.with_agent(&mut agent, offer, beside).await? {
                    return Ok(Answer::Welcome);
                }
            }
        }
        for identity in identities {
            let known = identity.public.as_ref();
            if known.is_some_and(|public| used.iter().any(|key| key.key_data() == public.key_data())) {
                continue;
            }
            if let Answer::Welcome = self.with_file(identity).await? {
                return Ok(Answer::Welcome);
            }
        }
        Ok(Answer::No)
    }

    async fn with_agent<S: AgentStream + Send + Unpin + 'static>(
        &mut self,
        agent: &mut AgentClient<S>,
        offer: AgentIdentity,
        beside: Vec<Certificate>,
    ) -> Result<Answer, russh::Error> {
        let user = self.config.user.clone();
        let (key, comment, own) = match offer {
            AgentIdentity::PublicKey { key, comment } => (key, comment, None),
            AgentIdentity::Certificate { certificate, comment } => {
                (PublicKey::new(certificate.public_key().clone(), ""), comment, Some(certificate))
            }
        };
        let hash = self.hash(&key.algorithm()).await?;
        let plain = own.is_none();
        for certificate in own.into_iter().chain(beside) {
            self.tried.push(format!("the certificate of the agent's key `{comment}`"));
            let answer = self.handle.authenticate_certificate_with(&user, certificate, hash, agent).await;
            if let Some(Answer::Welcome) = answer.ok().map(|result| self.note(result)) {
                return Ok(Answer::Welcome);
            }
            self.require_link()?;
        }
        if plain {
            self.tried.push(format!("the agent's key `{comment}`"));
            let answer = self.handle.authenticate_publickey_with(&user, key, hash, agent).await;
            if let Some(Answer::Welcome) = answer.ok().map(|result| self.note(result)) {
                return Ok(Answer::Welcome);
            }
            self.require_link()?;
        }
        Ok(Answer::No)
    }

    async fn with_file(&mut self, identity: Identity) -> Result<Answer, russh::Error> {
        let Some(key) = self.load(&identity.path) else { return Ok(Answer::No) };
        let key = Arc::new(key);
        let user = self.config.user.clone();
        let fitting = |certificate: &Certificate| certificate.public_key() == key.public_key().key_data();
        for certificate in identity.certificates.into_iter().filter(fitting) {
            self.tried.push(format!("the certificate of `{}`", identity.path.display()));
            let result = self.handle.authenticate_openssh_cert(&user, key.clone(), certificate).await?;
            if let Answer::Welcome = self.note(result) {
                return Ok(Answer::Welcome);
            }
            self.require_link()?;
        }
        self.tried.push(format!("`{}`", identity.path.display()));
        let hash = self.hash(&key.algorithm()).await?;
        let result = self.handle.authenticate_publickey(&user, PrivateKeyWithHashAlg::new(key, hash)).await?;
        let answer = self.note(result);
        self.require_link()?;
        Ok(answer)
    }

    /// A key in a file; files that are absent are only OpenSSH's defaults.
    fn load(&mut self, path: &Path) -> Option<PrivateKey> {
        match load_secret_key(path, None) {
            Ok(key) => Some(key),
            Err(russh::keys::Error::KeyIsEncrypted) => {
                self.encrypted.push(path.to_owned());
                None
            }
            Err(russh::keys::Error::IO(error)) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.accepted.push(format!("(`{}` could not be used: {error})", path.display()));
                None
            }
        }
    }

    fn note(&mut self, result: AuthResult) -> Answer {
        match result {
            AuthResult::Success => Answer::Welcome,
            AuthResult::Failure { remaining_methods, .. } => {
                for method in remaining_methods.iter() {
                    let name = <&'static str>::from(method).to_owned();
                    if !self.accepted.contains(&name) {
                        self.accepted.push(name);
                    }
                }
                Answer::No
            }
        }
    }

    /// Nothing more can be tried on a link that is gone.
    fn require_link(&self) -> Result<(), russh::Error> {
        if self.handle.is_closed() { Err(russh::Error::Disconnect) } else { Ok(()) }
    }

    /// RSA keys sign with the best digest that the host takes, never with SHA-1.
    async fn hash(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, russh::Error> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        if self.rsa.is_none() {
            self.rsa = self.handle.best_supported_rsa_hash().await?;
        }
        Ok(self.rsa.flatten().or(Some(HashAlg::Sha512)))
    }
}

/// The keys that the config names, with the certificates that belong to them.
fn identities(config: &HostConfig) -> Vec<Identity> {
    let named: Vec<Certificate> =
        config.certificate_files.iter().filter_map(|path| load_openssh_certificate(path).ok()).collect();
    let beside = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let files = config.identity_files.iter();
    files
        .map(|path| {
            let own = load_openssh_certificate(beside(path, "-cert.pub")).ok();
            let public = load_public_key(beside(path, ".pub")).ok();
            let public = public.or_else(|| own.as_ref().map(|own| PublicKey::new(own.public_key().clone(), "")));
            let public = public.or_else(|| load_secret_key(path, None).ok().map(|key| key.public_key().clone()));
            let fits = |certificate: &&Certificate| {
                public.as_ref().is_some_and(|public| public.key_data() == certificate.public_key())
            };
            let certificates = named.iter().filter(fits).cloned().chain(own).collect();
            Identity { path: path.clone(), public, certificates }
        })
        .collect()
}

#[cfg(unix)]
async fn open_agent(socket: &AgentSocket) -> Option<AgentClient<tokio::net::UnixStream>> {
    let path = match socket {
        AgentSocket::None => return None,
        AgentSocket::Path(path) => path.clone(),
        AgentSocket::Environment => PathBuf::from(std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty())?),
    };
    AgentClient::connect_uds(path).await.ok()
}

//! Whether a host's key is the one that it is known by.
//!
//! The files are read as OpenSSH reads them (`sshd(8)`, SSH_KNOWN_HOSTS FILE FORMAT): lists of patterns with `*`, `?` and
//! `!`, hashed names, `[host]:port`, `@cert-authority` and `@revoked`. Lines that cannot be read are passed over.
//!
//! | what the host shows | answer |
//! |---|---|
//! | a key that is revoked, or a certificate of a revoked authority or key | refused |
//! | a certificate of a known authority, for this name, now | trusted |
//! | a key that is known under this name | trusted |
//! | a key while another of its kind is known | refused: changed |
//! | any other key | refused: unknown |
//!
//! Nothing is ever added: `StrictHostKeyChecking no` and `accept-new` of the user's config have no effect here, because
//! nobody is asked and a deployment hands over secrets.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use pleach_core::error::{Explain, Kind};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::Sha1;

use super::config::HostConfig;
use super::pattern::{Listed, listed};
use super::quote::quote_text;

/// Why a host's key is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// No key of its kind is known.
    #[error("the {algorithm} key of `{name}` is not known: {fingerprint}")]
    Unknown {
        /// As it would stand in `known_hosts`.
        name: String,
        /// The key's kind.
        algorithm: String,
        /// `SHA256:` and the digest in base64.
        fingerprint: String,
        /// The command that asks the user and remembers the answer.
        accept: String,
    },
    /// Another key of its kind is known.
    #[error("the {algorithm} key of `{name}` has changed: it is now {fingerprint}")]
    Changed {
        /// As it stands in `known_hosts`.
        name: String,
        /// The key's kind.
        algorithm: String,
        /// The new one.
        fingerprint: String,
        /// The file with the old one.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The command that asks the user and remembers the answer.
        accept: String,
    },
    /// It was declared to be in wrong hands.
    #[error("the key of `{name}` is revoked: {fingerprint}")]
    Revoked {
        /// As it stands in `known_hosts`.
        name: String,
        /// The key's, or its authority's.
        fingerprint: String,
        /// The file that says so.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// A certificate of a known authority that does not hold here.
    #[error("the host certificate of `{name}` {why}")]
    Certificate {
        /// The name that was asked for.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that may hold the answer cannot be read.
    #[error("could not read the host keys in `{file}`")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A list of revoked keys in OpenSSH's binary form.
    #[error("`{file}` lists revoked keys in a form that is not supported")]
    RevocationList {
        /// The file.
        file: PathBuf,
    },
}

impl Explain for HostKeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::RevocationList { .. } => Kind::Unsupported,
            _ => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        Some("the connection was closed before anything was sent; nothing was touched".into())
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { accept, .. } => format!(
                "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` (or its other keys) on the host itself, then accept it with `{accept}`"
            ),
            Self::Changed { name, file, accept, .. } => format!(
                "if the host is new, compare the fingerprint there, then `ssh-keygen -R {} -f {}` and `{accept}`; if not, somebody stands in between",
                quote_text(name),
                quote_text(&file.to_string_lossy())
            ),
            Self::Revoked { file, line, .. } => {
                format!(
                    "give the host a new key; `sed -n {line}p {}` shows who said so",
                    quote_text(&file.to_string_lossy())
                )
            }
            Self::Certificate { name, .. } => {
                format!("sign the host's key anew: `ssh-keygen -s CA -h -I {0} -n {0} KEY.pub`", quote_text(name))
            }
            Self::Unreadable { file, .. } => format!("look with `ls -l {}`", quote_text(&file.to_string_lossy())),
            Self::RevocationList { file } => {
                format!("list the keys as text, one a line, in `{}`", file.display())
            }
        })
    }
}

/// One line of a file.
#[derive(Debug)]
struct Known {
    entry: Entry,
    file: PathBuf,
    line: usize,
}

/// Everything that is known of the keys of one host.
#[derive(Debug)]
pub struct KnownHosts {
    name: String,
    /// The name without port, by which a certificate must call the host.
    principal: String,
    accept: String,
    /// Entries for this very name.
    known: Vec<Known>,
    /// Entries for the host without its port: as good as the others unless those say something else, as in OpenSSH.
    without_port: Vec<Known>,
    revoked: Vec<(KeyData, PathBuf, usize)>,
}

impl KnownHosts {
    /// Reads what the host's config names. Files that are not there hold nothing.
    pub fn load(config: &HostConfig) -> Result<Self, HostKeyError> {
        let name = config.known_name();
        let principal = config.host_key_alias.as_ref().unwrap_or(&config.host_name).to_lowercase();
        let accept = config.destination.command_line() + " true";
        let mut hosts =
            Self { name, principal, accept, known: Vec::new(), without_port: Vec::new(), revoked: Vec::new() };
        for file in &config.known_hosts_files {
            if let Some(text) = load_text(file)? {
                hosts.read(file, &text);
            }
        }
        if let Some(file) = &config.revoked_keys_file {
            let bytes =
                std::fs::read(file).map_err(|source| HostKeyError::Unreadable { file: file.clone(), source })?;
            let text = String::from_utf8(bytes).ok().filter(|text| !text.starts_with("SSHKRL"));
            let text = text.ok_or_else(|| HostKeyError::RevocationList { file: file.clone() })?;
            for (number, line) in text.lines().enumerate() {
                if let Ok(key) = line.trim().parse::<PublicKey>() {
                    hosts.revoked.push((key.key_data().clone(), file.clone(), number + 1));
                }
            }
        }
        Ok(hosts)
    }

    fn read(&mut self, file: &Path, text: &str) {
        for (number, line) in text.lines().enumerate() {
            // The parser wants single blanks; people and older programs also wrote tabs.
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Ok(entry) = line.parse::<Entry>() else { continue };
            let known = Known { entry, file: file.to_owned(), line: number + 1 };
            let patterns = known.entry.host_patterns();
            let named = matches(patterns, &self.name);
            // Without its port the host is as well known, as in OpenSSH.
            let almost = self.name.starts_with('[') && matches(patterns, &self.principal);
            if !named && !almost {
                continue;
            }
            if known.entry.marker() == Some(&Marker::Revoked) {
                let key = known.entry.public_key().key_data().clone();
                self.revoked.push((key, known.file, known.line));
            } else if named {
                self.known.push(known);
            } else {
                self.without_port.push(known);
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().chain(&self.without_port)
    }

    /// Kinds of keys that are known, so that the host can be asked for one of these first.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let keys = self.entries().filter(|known| known.entry.marker().is_none());
        keys.map(|known| known.entry.public_key().algorithm()).collect()
    }

    /// Whether certificates can be trusted at all.
    pub fn trusts_authorities(&self) -> bool {
        self.entries().any(|known| known.entry.marker() == Some(&Marker::CertAuthority))
    }

    fn require_not_revoked(&self, key: &KeyData) -> Result<(), HostKeyError> {
        match self.revoked.iter().find(|(revoked, ..)| revoked == key) {
            None => Ok(()),
            Some((_, file, line)) => Err(HostKeyError::Revoked {
                name: self.name.clone(),
                fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
                file: file.clone(),
                line: *line,
            }),
        }
    }

    /// Whether the host may show this key.
    pub fn check_key(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let data = key.key_data();
        self.require_not_revoked(data)?;
        let mut plain = self.entries().filter(|known| known.entry.marker().is_none());
        if plain.any(|known| known.entry.public_key().key_data() == data) {
            return Ok(());
        }
        let name = self.name.clone();
        let algorithm = kind(&key.algorithm());
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let accept = self.accept.clone();
        let mut other = self.known.iter().filter(|known| known.entry.marker().is_none());
        match other.find(|known| kind(&known.entry.public_key().algorithm()) == algorithm) {
            Some(known) => {
                let (file, line) = (known.file.clone(), known.line);
                Err(HostKeyError::Changed { name, algorithm, fingerprint, file, line, accept })
            }
            None => Err(HostKeyError::Unknown { name, algorithm, fingerprint, accept }),
        }
    }

    /// Whether the host may show this certificate. Its signature by the authority is checked here; that the host holds the
    /// key is checked in the key exchange. The key in it may also be known by itself.
    pub fn check_certificate(&self, certificate: &Certificate) -> Result<(), HostKeyError> {
        self.require_not_revoked(certificate.public_key())?;
        self.require_not_revoked(certificate.signature_key())?;
        let authorities = self.entries().filter(|known| known.entry.marker() == Some(&Marker::CertAuthority));
        let trusted: Vec<_> = authorities
            .filter(|known| known.entry.public_key().key_data() == certificate.signature_key())
            .map(|known| known.entry.public_key().fingerprint(HashAlg::Sha256))
            .collect();
        if trusted.is_empty() {
            return self.check_key(&PublicKey::new(certificate.public_key().clone(), ""));
        }
        let wrong = |why: String| HostKeyError::Certificate { name: self.name.clone(), why };
        if certificate.cert_type() != CertType::Host {
            return Err(wrong("is one for users".into()));
        }
        let principals = certificate.valid_principals();
        let named = principals.iter().any(|name| listed([name.as_str()], &self.principal) == Listed::Named);
        if !named {
            return Err(wrong(format!("is for `{}`", principals.join("`, `"))));
        }
        if !certificate.critical_options().is_empty() {
            return Err(wrong("has conditions that are not understood".into()));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now < certificate.valid_after() {
            return Err(wrong("is not valid yet".into()));
        }
        if now >= certificate.valid_before() {
            return Err(wrong("has expired".into()));
        }
        certificate.validate_at(now, &trusted).map_err(|_| wrong("is not signed by its authority".into()))
    }
}

/// The kind of a key as people know it; RSA keys are one kind whatever signs with them.
fn kind(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "RSA".into(),
        Algorithm::Ed25519 => "ED25519".into(),
        Algorithm::Ecdsa { .. } => "ECDSA".into(),
        other => other.as_str().into(),
    }
}

fn load_text(file: &Path) -> Result<Option<String>, HostKeyError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(HostKeyError::Unreadable { file: file.to_owned(), source }),
    }
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => listed(patterns.iter().map(String::as_str), name) == Listed::Named,
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut digest) = Hmac::<Sha1>::new_from_slice(salt) else { return false };
            digest.update(name.as_bytes());
            digest.verify_slice(hash).is_ok()
        }
    }
}

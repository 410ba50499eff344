//! What a service's proxy is to be: plain data, in words that HAProxy and a person both read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use pleach_core::word::ServiceName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::matching::Matched;
use crate::local::hex;

/// One service: where it is asked, and the two servers of which releases take turns. If neither has weight, who asks is told 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Backend {
    /// The name of its frontend and of its backend.
    pub name: BackendName,
    /// The public address.
    pub bind: Bind,
    /// One of the two.
    pub blue: Server,
    /// The other one.
    pub green: Server,
    /// Requests that go to one of them whatever its weight is; nothing where none ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<Matched>,
}

impl Backend {
    /// Where requests that ask for it go.
    pub fn matched_to(&self) -> Option<Slot> {
        self.matched.as_ref()?.to
    }

    /// One of the two servers.
    pub fn server(&self, slot: Slot) -> &Server {
        match slot {
            Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }

    /// The same to change it.
    pub fn server_mut(&mut self, slot: Slot) -> &mut Server {
        match slot {
            Slot::Blue => &mut self.blue,
            Slot::Green => &mut self.green,
        }
    }
}

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// The first.
    Blue,
    /// The second.
    Green,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    /// The server's name in HAProxy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One server of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// No release: HAProxy sends nothing there, whatever else it is told. `disabled` in the file, `maint` at run time.
    Unused,
    /// A release.
    Used {
        /// Where it listens. A number, because HAProxy takes no names while it runs.
        address: SocketAddr,
        /// Its part of the requests; with 0 it is drained: it ends what it has and is given nothing new.
        weight: Weight,
    },
}

impl Server {
    /// Its part of the requests.
    pub fn weight(&self) -> u16 {
        match self {
            Self::Unused => 0,
            Self::Used { weight, .. } => weight.get(),
        }
    }

    /// The same one without new requests.
    #[must_use]
    pub fn drained(&self) -> Self {
        match *self {
            Self::Unused => Self::Unused,
            Self::Used { address, .. } => Self::Used { address, weight: Weight::DRAINED },
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unused => f.write_str("unused"),
            Self::Used { address, weight } => write!(f, "{address} with weight {weight}"),
        }
    }
}

/// A part of the requests: 0 to 256, against the weight of the other server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    /// No new requests.
    pub const DRAINED: Self = Self(0);
    /// The most that HAProxy knows.
    pub const FULL: Self = Self(256);

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = BackendError;

    fn try_from(number: u16) -> Result<Self, BackendError> {
        if number <= Self::FULL.0 { Ok(Self(number)) } else { Err(BackendError::Weight(number)) }
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a service in HAProxy, the same for frontend and backend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendName(String);

/// What all our names begin with.
pub(super) const PREFIX: &str = "pleach-";

impl BackendName {
    /// The name of a service that lives in `directory`: a key of twelve digits that is the directory's own, so that services
    /// of the same name in several directories share one file.
    pub fn of(directory: &Path, service: &ServiceName) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let key = hex(&Sha256::digest(directory.as_os_str().as_bytes()));
        Self(format!("{PREFIX}{}-{service}", &key[..12]))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BackendName {
    type Error = BackendError;

    /// HAProxy also knows `_`, `.` and `:` in names; a name without them is never taken for something else.
    fn try_from(text: String) -> Result<Self, BackendError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.';
        let is_name = text.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(good));
        if is_name && text.len() <= 200 { Ok(Self(text)) } else { Err(BackendError::Name(text)) }
    }
}

impl FromStr for BackendName {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        text.to_owned().try_into()
    }
}

impl From<BackendName> for String {
    fn from(name: BackendName) -> Self {
        name.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public address, `HOST:PORT`. The host is a number, `localhost`, or `*` for all addresses of IPv4. Not another name: what it
/// means today is for HAProxy to find out, and could not be compared with where that listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bind {
    host: String,
    port: u16,
}

const ALL: &str = "*";
const LOCALHOST: &str = "localhost";

impl Bind {
    /// Checks and keeps both.
    pub fn new(host: &str, port: u16) -> Result<Self, BackendError> {
        let wrong = || BackendError::Bind(format!("{host}:{port}"));
        let is_host = host == ALL || host == LOCALHOST || host.parse::<IpAddr>().is_ok();
        if is_host && port > 0 { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether a listener of HAProxy on `address` is this one.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        let is_host = match self.host.as_str() {
            ALL => address.ip() == Ipv4Addr::UNSPECIFIED,
            LOCALHOST => address.ip().is_loopback(),
            number => number.parse() == Ok(address.ip()),
        };
        is_host && address.port() == self.port
    }
}

impl FromStr for Bind {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        let wrong = || BackendError::Bind(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| host.contains(':')).ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        Self::new(host, port.parse().map_err(|_| wrong())?)
    }
}

impl TryFrom<String> for Bind {
    type Error = BackendError;

    fn try_from(text: String) -> Result<Self, BackendError> {
        text.parse()
    }
}

impl From<Bind> for String {
    fn from(bind: Bind) -> Self {
        bind.to_string()
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Why something is not what HAProxy could be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Too much.
    #[error("the weight {0} is not between 0 and 256")]
    Weight(u16),
    /// No name of ours.
    #[error("`{0}` is not `{PREFIX}` and letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// No address.
    #[error("`{0}` is not a HOST:PORT to listen on, with a number, `localhost` or `*` as its host")]
    Bind(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_the_same_name_in_several_directories_have_names_of_their_own() {
        let service = ServiceName::new("app").expect("a name");
        let one = BackendName::of(Path::new("/srv/one"), &service);
        let two = BackendName::of(Path::new("/srv/two"), &service);
        assert_ne!(one, two);
        assert_eq!(one.as_str().parse::<BackendName>(), Ok(one.clone()));
        assert!(one.as_str().ends_with("-app"));
        // The key has a fixed length: no directory and service together make the name of another pair.
        let other = BackendName::of(Path::new("/srv/one"), &ServiceName::new("b-app").expect("a name"));
        assert_ne!(one, other);
    }

    #[test]
    fn what_haproxy_would_read_as_something_else_is_no_address() {
        for bad in
            ["", ":80", "unix@/x:80", "/x:80", "fd@3:1", "$HOME:80", "a b:80", "a:0", "a:70000", "::1:80", "[a]:80"]
        {
            assert!(bad.parse::<Bind>().is_err(), "{bad:?}");
        }
        for good in ["127.0.0.1:80", "*:80", "[::1]:8080", "localhost:1", "[::]:443"] {
            assert_eq!(good.parse::<Bind>().expect("an address").to_string(), good);
        }
        assert!("x".parse::<BackendName>().is_err());
        assert!("pleach-a\nb".parse::<BackendName>().is_err());
        assert!(serde_json::from_str::<Weight>("257").is_err());
    }
}

//! The HTTP client.
//!
//! Redirects are not followed. Each request connects anew: a check must meet whoever answers *now*, not the one that
//! answered the last time. Loopback addresses are asked directly, whatever proxies the environment names.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use pleach_core::error::{Explain, Failure, Kind};
use pleach_core::port::{Http, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::time::Instant;

/// How much of an answer's body is kept.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody listens there.
    #[error("`{url}` refused the connection")]
    Refused {
        /// What was asked.
        url: String,
    },
    /// No answer came in time.
    #[error("`{url}` did not answer within {limit:?}")]
    TimedOut {
        /// What was asked.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// Its certificate or its TLS was not acceptable.
    #[error("could not agree on TLS with `{url}`")]
    Tls {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Connected, and then the other side broke off or did not speak HTTP.
    #[error("`{url}` broke off without an answer")]
    Broken {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The name was not found, or the network has no way there.
    #[error("could not reach `{url}`")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Not a URL, or not one that can be asked.
    #[error("`{0}` is not a URL that can be asked")]
    Url(String),
    /// The client could not be made.
    #[error("could not set up the HTTP client")]
    SetUp(#[source] reqwest::Error),
}

impl Explain for HttpError {
    fn kind(&self) -> Kind {
        match self {
            Self::Url(_) => Kind::Rejected,
            Self::SetUp(_) => Kind::Unsupported,
            Self::Tls { .. } => Kind::Rejected,
            _ => Kind::Transient,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Refused { url } | Self::TimedOut { url, .. } | Self::Broken { url, .. } | Self::Tls { url, .. } => {
                Some(format!("try `curl -sv '{url}'`"))
            }
            Self::Unreachable { url, .. } => {
                Some(format!("try `curl -sv '{url}'`, and look at the name and the network"))
            }
            Self::Url(_) => Some("write it as `http://HOST:PORT/PATH`".into()),
            Self::SetUp(_) => Some("install the system's CA certificates: `apt-get install ca-certificates`".into()),
        }
    }
}

/// Sends requests from this machine.
#[derive(Debug, Default)]
pub struct HttpClient {
    direct: OnceLock<Client>,
    proxied: OnceLock<Client>,
}

impl HttpClient {
    /// A client; nothing is set up before the first request.
    pub fn new() -> Self {
        Self::default()
    }

    fn client(&self, url: &Url) -> Result<&Client, HttpError> {
        let place = if is_loopback(url) { &self.direct } else { &self.proxied };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // The first one wins if the program has installed another provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0);
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(HttpError::SetUp)?;
        Ok(place.get_or_init(|| client))
    }

    async fn ask(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = parse_url(request)?;
        let client = self.client(&url)?;
        exchange(client, url, request).await
    }
}

pub(crate) fn parse_url(request: &HttpRequest) -> Result<Url, HttpError> {
    Url::parse(&request.url).map_err(|_| HttpError::Url(request.url.clone()))
}

/// A client that connects to `socket`, whatever it is asked for.
pub(crate) fn client_of_socket(url: &Url, socket: &Path) -> Result<Client, HttpError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).unix_socket(socket);
    if url.scheme() == "http" {
        // The system's certificates take longer to read than most answers take to come.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(HttpError::SetUp)
}

/// One request and its answer.
pub(crate) async fn exchange(client: &Client, url: Url, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes());
    let method = method.map_err(|_| HttpError::Url(request.url.clone()))?;
    let mut builder = client.request(method, url).body(request.body.clone());
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let started = Instant::now();
    let mut response = builder.send().await.map_err(|error| told(request, error))?;
    let status = response.status().as_u16();
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(request, error))? {
        body.extend_from_slice(&chunk[..chunk.len().min(BODY_LIMIT - body.len())]);
        if body.len() == BODY_LIMIT {
            break;
        }
    }
    Ok(HttpResponse { status, headers, body, elapsed: started.elapsed() })
}

#[async_trait]
impl Http for HttpClient {
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        match tokio::time::timeout(request.timeout, self.ask(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(HttpError::TimedOut { url: request.url.clone(), limit: request.timeout }.into()),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback()),
        None => false,
    }
}

/// Tells apart what a caller could mend differently, by the types in the chain of causes.
fn told(request: &HttpRequest, error: reqwest::Error) -> HttpError {
    let url = request.url.clone();
    // The URL is named already.
    let source = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&source);
    let (mut refused, mut tls) = (false, false);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        refused |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        tls |= error.is::<rustls::Error>();
        // An io::Error shows the source of what it wraps, not what it wraps.
        let wrapped = io.and_then(std::io::Error::get_ref);
        tls |= wrapped.is_some_and(|wrapped| wrapped.is::<rustls::Error>());
        cause = error.source();
    }
    match () {
        () if source.is_timeout() => HttpError::TimedOut { url, limit: request.timeout },
        () if refused => HttpError::Refused { url },
        () if tls => HttpError::Tls { url, source },
        () if source.is_connect() => HttpError::Unreachable { url, source },
        () => HttpError::Broken { url, source },
    }
}

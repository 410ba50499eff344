//! Asking a service over HTTP.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Failure;

/// The request methods that checks use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the head only.
    Head,
    /// Sends.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
    /// Asks what is allowed.
    Options,
}

impl Method {
    /// As it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// What to do.
    pub method: Method,
    /// An absolute `http` or `https` URL.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// From the start of connecting to the last byte.
    pub timeout: Duration,
}

impl HttpRequest {
    /// A request without headers and body that may take `timeout`.
    pub fn new(method: Method, url: impl Into<String>, timeout: Duration) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: Vec::new(), timeout }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// At most the adapter's bound of it.
    pub body: Vec<u8>,
    /// From the start of connecting to the last byte.
    pub elapsed: Duration,
}

/// Sends requests. Redirects are not followed: a check that wants 200 is not satisfied by 302.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends one request. An answer of any status is `Ok`; `Err` means that there was none.
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure>;
}

//! Asking services from where a host is, through a tunnel.
//!
//! The client connects to a socket of this process's own, in a folder that only its user may enter; what it writes there
//! comes out on the host. So TLS, decoding and errors are those of [`HttpClient`](crate::http::HttpClient).

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Http, HttpRequest, HttpResponse};
use tokio::io::copy_bidirectional;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::link::Link;
use super::tunnel::{Tunnel, TunnelError};
use crate::http::{HttpError, client_of_socket, exchange, parse_url};

/// Sends requests from a host.
#[derive(Clone, Debug)]
pub struct SshHttp {
    link: Arc<Link>,
}

impl SshHttp {
    /// Requests that come out on the host of `link`.
    pub fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    async fn ask(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        let begun = Instant::now();
        let url = parse_url(request)?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(HttpError::Url(request.url.clone()).into());
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tunnel = self.link.open_tcp(host, port).await.map_err(|error| match error {
            // Of one that refuses and one that cannot be reached, a host says the same.
            TunnelError::Refused { .. } => HttpError::Refused { url: request.url.clone() }.into(),
            other => Failure::from(other),
        })?;
        let folder = tempfile::tempdir().map_err(|error| no_socket(&error))?;
        let socket = folder.path().join("way");
        let listener = UnixListener::bind(&socket).map_err(|error| no_socket(&error))?;
        // Ended when this is dropped, answered or not.
        let mut bridges = JoinSet::new();
        bridges.spawn(bridge(listener, tunnel));
        let client = client_of_socket(&url, &socket)?;
        let mut response = exchange(&client, url, request).await?;
        response.elapsed = begun.elapsed();
        Ok(response)
    }
}

async fn bridge(listener: UnixListener, mut tunnel: Tunnel) {
    if let Ok((mut client, _)) = listener.accept().await {
        // Either side may break off at any time; the client tells.
        let _ = copy_bidirectional(&mut client, &mut tunnel).await;
    }
}

fn no_socket(error: &std::io::Error) -> Failure {
    Failure::new(Kind::Rejected, "could not make a socket for a tunnel")
        .because(error.to_string())
        .next(format!("look at `df -h '{0}'` and `ls -ld '{0}'`", std::env::temp_dir().display()))
}

#[async_trait]
impl Http for SshHttp {
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        match tokio::time::timeout(request.timeout, self.ask(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::TimedOut { url: request.url.clone(), limit: request.timeout }.into()),
        }
    }
}

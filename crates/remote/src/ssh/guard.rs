//! What we allow the host to do: show a key that is known, and nothing else.

use russh::Channel;
use russh::client::{self, ChannelOpenHandle, Msg, Session};
use russh::keys::PublicKeyOrCertificate;

use super::known_hosts::{HostKeyError, KnownHosts};

/// What goes wrong while the two sides greet each other.
#[derive(Debug)]
pub(super) enum GreetingError {
    Key(HostKeyError),
    Protocol(russh::Error),
}

impl From<russh::Error> for GreetingError {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

/// Judges the host's key, and refuses whatever the host would open on its own.
pub(super) struct Guard {
    pub(super) known: KnownHosts,
}

impl client::Handler for Guard {
    type Error = GreetingError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, GreetingError> {
        let verdict = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.known.check_key(key),
            PublicKeyOrCertificate::Certificate(certificate) => self.known.check_certificate(certificate),
        };
        verdict.map(|()| true).map_err(GreetingError::Key)
    }

    // A reply that is dropped is a no.
    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), GreetingError> {
        Ok(())
    }
}

//! The server's side: who it is, and whom it lets in.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::anchors::{self, Anchors};
use crate::config_error::{TlsConfigError, alpn_names};
use crate::identities::Identities;
use crate::provider::provider;
use crate::session::Session;
use crate::version::{TlsVersion, Versions};
use crate::witness::{SecretsNoted, ServerIdentity, Witnessed};

/// What all sessions of a server have in common. Cheap to clone; clones share the keys of tickets.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    identities: Identities,
    versions: Versions,
}

impl TlsServer {
    /// A server with `identities` that asks for no client certificates, speaks TLS 1.2 and 1.3, and
    /// has no application protocols.
    pub fn builder(identities: Identities) -> TlsServerBuilder {
        TlsServerBuilder {
            identities,
            client_auth: ClientAuth::None,
            alpn: Vec::new(),
            versions: Versions::default(),
        }
    }

    /// Begins a session with a client that has connected.
    pub fn session(&self) -> Session {
        Session::server(self.clone())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    pub(crate) const fn identities(&self) -> &Identities {
        &self.identities
    }

    pub(crate) const fn versions(&self) -> Versions {
        self.versions
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("identities", &self.identities)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

/// Whether clients must show a certificate. The anchors are those that issue the clients'
/// certificates, never the platform's.
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    None,
    /// One is asked for and verified, but a client without any is let in.
    Requested(Anchors),
    /// A client without a valid one is refused.
    Required(Anchors),
}

/// Collects the settings of a [`TlsServer`].
#[derive(Clone, Debug)]
pub struct TlsServerBuilder {
    identities: Identities,
    client_auth: ClientAuth,
    alpn: Vec<Vec<u8>>,
    versions: Versions,
}

impl TlsServerBuilder {
    /// Whether clients must show a certificate.
    #[must_use]
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Speaks these application protocols (RFC 7301), the best first. A client that offers others
    /// alone is refused; one that offers none is not.
    #[must_use]
    pub fn alpn<N: Into<Vec<u8>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.alpn = names.into_iter().map(Into::into).collect();
        self
    }

    /// The lowest version to speak; 1.2 unless said otherwise.
    #[must_use]
    pub const fn min_version(mut self, version: TlsVersion) -> Self {
        self.versions.min = version;
        self
    }

    /// The highest version to speak; 1.3 unless said otherwise.
    #[must_use]
    pub const fn max_version(mut self, version: TlsVersion) -> Self {
        self.versions.max = version;
        self
    }

    /// The server.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`] when the settings contradict each other.
    pub fn build(self) -> Result<TlsServer, TlsConfigError> {
        let failed = |error: &dyn fmt::Display| TlsConfigError::Provider(error.to_string());
        let alpn = alpn_names(self.alpn)?;
        let provider = provider();
        let verifier = match self.client_auth {
            ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
            ClientAuth::Requested(anchors) => client_verifier(anchors, true)?,
            ClientAuth::Required(anchors) => client_verifier(anchors, false)?,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions.for_rustls()?)
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ServerIdentity));
        config.key_log = Arc::new(SecretsNoted::SERVER);
        config.ticketer = Ticketer::new().map_err(|error| failed(&error))?;
        config.alpn_protocols = alpn;
        Ok(TlsServer {
            config: Arc::new(config),
            identities: self.identities,
            versions: self.versions,
        })
    }
}

fn client_verifier(
    anchors: Anchors,
    may_lack: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
    let anchors::Kind::Own(roots) = anchors.0 else {
        return Err(TlsConfigError::PlatformForClients);
    };
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let builder = if may_lack { builder.allow_unauthenticated() } else { builder };
    let verifier: Arc<dyn ClientCertVerifier> =
        builder.build().map_err(|error| TlsConfigError::Provider(error.to_string()))?;
    Ok(Arc::new(Witnessed(verifier)))
}

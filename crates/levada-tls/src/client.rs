//! The client's side: whom it trusts, what it offers.

use std::fmt;
use std::sync::Arc;

use levada_core::ShownCertificate;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use rustls_platform_verifier::Verifier;

use crate::anchors::{self, Anchors};
use crate::config_error::{TlsConfigError, alpn_names};
use crate::facts::Known;
use crate::identity::Identity;
use crate::name::SessionName;
use crate::provider::provider;
use crate::session::Session;
use crate::verify::{DangerNoVerification, OtherName};
use crate::version::{TlsVersion, Versions};
use crate::witness::{ClientIdentity, SecretsNoted, Witnessed};

/// What all sessions of a client have in common. Cheap to clone; clones share the memory of
/// sessions that can be resumed.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
    verifies: bool,
    identity: Option<Arc<ShownCertificate>>,
    /// Whether its handshakes may have to wait for somebody.
    may_block: bool,
    versions: Versions,
}

impl TlsClient {
    /// A client that verifies by the platform's anchors, offers TLS 1.2 and 1.3, and has no
    /// application protocols and no identity.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            anchors: Anchors::platform(),
            alpn: Vec::new(),
            identity: None,
            versions: Versions::default(),
            verifies: true,
        }
    }

    /// Begins a session with the peer `name`. Its first records wait to be written.
    ///
    /// Where the name verified is not the name asked for, sessions are not resumed: a ticket is kept
    /// by the name asked for, and must not stand in for verifying another one.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::Provider`] when the system gives no random bytes.
    pub fn session(&self, name: &SessionName) -> Result<Session, TlsConfigError> {
        let asked_for = name.sni_name().map(|name| ServerName::DnsName(name.clone()));
        let (config, asked_for) = match asked_for {
            Some(asked_for) if asked_for != *name.verified_name() => {
                let mut config = ClientConfig::clone(&self.config);
                config.dangerous().set_certificate_verifier(Arc::new(OtherName {
                    inner: self.verifier.clone(),
                    name: name.verified_name().clone(),
                }));
                (Arc::new(config), asked_for)
            }
            Some(asked_for) => (self.config.clone(), asked_for),
            None => {
                let mut config = ClientConfig::clone(&self.config);
                config.enable_sni = false;
                (Arc::new(config), name.verified_name().clone())
            }
        };
        let connection = ClientConnection::new(config, asked_for)
            .map_err(|error| TlsConfigError::Provider(error.to_string()))?;
        let known = Known::client(name, self.verifies, self.identity.clone());
        Ok(Session::client(connection, self.versions, known, self.may_block))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("versions", &self.versions).finish_non_exhaustive()
    }
}

/// Collects the settings of a [`TlsClient`].
#[derive(Clone, Debug)]
pub struct TlsClientBuilder {
    anchors: Anchors,
    alpn: Vec<Vec<u8>>,
    identity: Option<Identity>,
    versions: Versions,
    verifies: bool,
}

impl TlsClientBuilder {
    /// Trusts `anchors` instead of the platform's.
    #[must_use]
    pub fn anchors(mut self, anchors: Anchors) -> Self {
        self.anchors = anchors;
        self
    }

    /// Offers these application protocols (RFC 7301), the best first.
    #[must_use]
    pub fn alpn<N: Into<Vec<u8>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.alpn = names.into_iter().map(Into::into).collect();
        self
    }

    /// Shows `identity` to a server that asks for a client certificate.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The lowest version to offer; 1.2 unless said otherwise.
    #[must_use]
    pub const fn min_version(mut self, version: TlsVersion) -> Self {
        self.versions.min = version;
        self
    }

    /// The highest version to offer; 1.3 unless said otherwise.
    #[must_use]
    pub const fn max_version(mut self, version: TlsVersion) -> Self {
        self.versions.max = version;
        self
    }

    /// Takes any certificate from anybody: the stream is encrypted, but to whom is not known, and
    /// who sits on the way can read and alter it. For experiments alone.
    ///
    /// The signature of the handshake is still verified.
    #[must_use]
    pub const fn danger_no_verification(mut self) -> Self {
        self.verifies = false;
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`] when the settings contradict each other, or the platform's anchors cannot
    /// be loaded.
    pub fn build(self) -> Result<TlsClient, TlsConfigError> {
        let alpn = alpn_names(self.alpn)?;
        let provider = provider();
        let verifier: Arc<dyn ServerCertVerifier> = match self.anchors.0 {
            _ if !self.verifies => Arc::new(DangerNoVerification(provider.clone())),
            anchors::Kind::Platform => Arc::new(
                Verifier::new(provider.clone())
                    .map_err(|error| TlsConfigError::Platform(error.to_string()))?,
            ),
            anchors::Kind::Own(roots) => {
                WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|error| TlsConfigError::Provider(error.to_string()))?
            }
        };
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Witnessed(verifier));
        let shown = self.identity.as_ref().map(Identity::shown);
        let may_block = self.identity.as_ref().is_some_and(Identity::may_block);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions.for_rustls()?)
            .map_err(|error| TlsConfigError::Provider(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match self.identity {
            Some(identity) => builder
                .with_client_cert_resolver(Arc::new(ClientIdentity(identity.certified_key()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn;
        config.key_log = Arc::new(SecretsNoted::CLIENT);
        Ok(TlsClient {
            config: Arc::new(config),
            verifier,
            verifies: self.verifies,
            identity: shown,
            may_block,
            versions: self.versions,
        })
    }
}

//! The server's side: who it is, and whom it lets in.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use sha2::{Digest, Sha256};

use crate::anchors::{self, Anchors};
use crate::config_error::{TlsConfigError, alpn_names};
use crate::identities::Identities;
use crate::key_log::DangerKeyLog;
use crate::provider::provider;
use crate::record::RecordSize;
use crate::session::Session;
use crate::tickets::TicketKeys;
use crate::version::{TlsVersion, Versions};
use crate::witness::{SecretsNoted, ServerIdentity, Witnessed};

/// What all sessions of a server have in common. Cheap to clone; clones share the keys of tickets.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    identities: Identities,
    versions: Versions,
    record_size: RecordSize,
}

/// How long a key seals tickets, unless told otherwise: a ticket lives for 6 to 12 hours.
const TICKET_PERIOD: Duration = Duration::from_secs(6 * 3600);

/// Tickets of TLS 1.3 behind one handshake: each is used once, and a client may open two connections
/// together. The second costs the server 2 to 4 µs of 60 to 110 (`benches/handshake.rs`).
const TICKETS: usize = 2;

impl TlsServer {
    /// A server with `identities` that asks for no client certificates, speaks TLS 1.2 and 1.3, and
    /// has no application protocols.
    pub fn builder(identities: Identities) -> TlsServerBuilder {
        TlsServerBuilder {
            identities,
            client_auth: ClientAuth::None,
            alpn: Vec::new(),
            versions: Versions::default(),
            tickets: Tickets::Own,
            record_size: RecordSize::default(),
            key_log: None,
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

    pub(crate) const fn record_size(&self) -> RecordSize {
        self.record_size
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
    tickets: Tickets,
    record_size: RecordSize,
    key_log: Option<DangerKeyLog>,
}

/// By which keys sessions are resumed.
#[derive(Clone, Debug)]
enum Tickets {
    /// None are.
    None,
    /// Those of this server alone.
    Own,
    /// These.
    Given(TicketKeys),
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

    /// Seals session tickets with `keys`. Without a call the server has random keys of its own, each
    /// of which seals for 6 hours.
    #[must_use]
    pub fn tickets(mut self, keys: TicketKeys) -> Self {
        self.tickets = Tickets::Given(keys);
        self
    }

    /// Gives out no tickets and takes none: every handshake is a full one.
    #[must_use]
    pub fn without_tickets(mut self) -> Self {
        self.tickets = Tickets::None;
        self
    }

    /// Sends no record with more than so many plain bytes, from 64 to 16384, which is the default.
    /// This limits what we send, for a peer that has little room or shall read early; nothing is
    /// negotiated (RFC 8449), and what the peer sends is not limited by it.
    #[must_use]
    pub const fn max_record(mut self, bytes: usize) -> Self {
        self.record_size = RecordSize(bytes);
        self
    }

    /// Writes the secrets of every session: whoever reads them reads all that it carries.
    #[must_use]
    pub fn danger_key_log(mut self, key_log: DangerKeyLog) -> Self {
        self.key_log = Some(key_log);
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
        let scope = ticket_scope(&self.client_auth);
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
        // Sessions are in their tickets: none is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let keys = match self.tickets {
            Tickets::None => None,
            Tickets::Own => Some(TicketKeys::rotating(TICKET_PERIOD, SystemTime::now)?),
            Tickets::Given(keys) => Some(keys),
        };
        if let Some(keys) = keys {
            config.ticketer = keys.ticketer(scope);
            config.send_tls13_tickets = TICKETS;
        }
        config.key_log = Arc::new(SecretsNoted::of_server(self.key_log.as_ref()));
        config.alpn_protocols = alpn;
        config.max_fragment_size = self.record_size.for_rustls()?;
        Ok(TlsServer {
            config: Arc::new(config),
            identities: self.identities,
            versions: self.versions,
            record_size: self.record_size,
        })
    }
}

/// A fingerprint of the rules about clients: a ticket stands in for the certificate that its session
/// began with, so it counts only where that would have been judged in the same way.
fn ticket_scope(client_auth: &ClientAuth) -> [u8; 32] {
    let mut hash = Sha256::new();
    let anchors = match client_auth {
        ClientAuth::None => return hash.finalize().into(),
        ClientAuth::Requested(anchors) | ClientAuth::Required(anchors) => anchors,
    };
    if let anchors::Kind::Own(roots) = &anchors.0 {
        let root = |root: &rustls::pki_types::TrustAnchor<'_>| {
            let constraints = root.name_constraints.as_deref().unwrap_or_default();
            let mut hash = Sha256::new();
            for part in [&*root.subject, &*root.subject_public_key_info, constraints] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            hash.finalize()
        };
        // In whatever order they were read.
        let mut roots: Vec<_> = roots.roots.iter().map(root).collect();
        roots.sort_unstable();
        for root in roots {
            hash.update(root);
        }
    }
    hash.update([match client_auth {
        ClientAuth::None => 0,
        ClientAuth::Requested(_) => 1,
        ClientAuth::Required(_) => 2,
    }]);
    hash.finalize().into()
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

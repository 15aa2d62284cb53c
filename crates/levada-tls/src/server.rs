//! The server's side: who it is, and whom it lets in.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use sha2::{Digest, Sha256};
use webpki::KeyUsage;

use crate::anchors::Anchors;
use crate::common::{Common, common_settings};
use crate::config_error::{TlsConfigError, alpn_names};
use crate::facts::Trust;
use crate::identities::Identities;
use crate::judge::Judge;
use crate::key_log::DangerKeyLog;
use crate::provider::provider;
use crate::record::RecordSize;
use crate::resumption::Dated;
use crate::rules::PeerRules;
use crate::session::Session;
use crate::tickets::TicketKeys;
use crate::verify::ClientVerifier;
use crate::version::{TlsVersion, Versions};
use crate::witness::{SecretsNoted, ServerIdentity};

/// What all sessions of a server have in common. Cheap to clone; clones are one server: they share the
/// keys of tickets, and what is [replaced](Self::replace) is so for all of them.
#[derive(Clone)]
pub struct TlsServer(Arc<RwLock<Arc<Setup>>>);

/// How a server is set up, from one replacement to the next.
pub(crate) struct Setup {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) identities: Identities,
    pub(crate) versions: Versions,
    pub(crate) record_size: RecordSize,
    /// By what clients are known.
    pub(crate) trust: Trust,
    /// A fingerprint of the rules about clients: a ticket stands in for the certificate that its session
    /// began with, so it counts only where that would have been judged in the same way.
    scope: [u8; 32],
    tickets: Tickets,
    /// Whether somebody is asked about each client.
    pub(crate) asks: bool,
}

/// Tickets of TLS 1.3 behind one handshake: each is used once, and a client may open two connections
/// together. The second costs the server 2 to 4 µs of 60 to 110 (`benches/handshake.rs`).
const TICKETS: usize = 2;

impl TlsServer {
    /// A server with `identities` that asks for no client certificates, speaks TLS 1.2 and 1.3, and
    /// has no application protocols.
    pub fn builder(identities: Identities) -> TlsServerBuilder {
        TlsServerBuilder {
            common: Common::default(),
            identities,
            client_auth: ClientAuth::None,
            rules: PeerRules::new(),
            tickets: Tickets::Own(None),
        }
    }

    /// Begins a session with a client that has connected.
    pub fn session(&self) -> Session {
        Session::server(self.setup())
    }

    /// Goes on as `newer` is set up: its identities, anchors, rules, revocation lists and all else.
    ///
    /// That holds for the next session; those that are begun go on as they were. Tickets that this
    /// server has given out are good for as long as the rules about clients stay the same, unless
    /// `newer` has been given [keys](TlsServerBuilder::tickets) of tickets or has none.
    pub fn replace(&self, newer: &Self) {
        let (ours, newer) = (self.setup(), newer.setup());
        let newer = match (&ours.tickets, &newer.tickets) {
            (Tickets::Own(Some(keys)), Tickets::Own(_)) => {
                let mut config = ServerConfig::clone(&newer.config);
                config.ticketer = Arc::new(Dated(keys.ticketer(newer.scope)));
                Arc::new(Setup {
                    config: Arc::new(config),
                    identities: newer.identities.clone(),
                    tickets: ours.tickets.clone(),
                    ..*newer
                })
            }
            _ => newer,
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = newer;
    }

    /// How it is set up now.
    pub(crate) fn setup(&self) -> Arc<Setup> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setup = self.setup();
        f.debug_struct("TlsServer")
            .field("identities", &setup.identities)
            .field("versions", &setup.versions)
            .finish_non_exhaustive()
    }
}

/// Whether clients must show a certificate. The anchors are those that issue the clients'
/// certificates, never the platform's; [`Anchors::none`] where clients are
/// [pinned](PeerRules::pin).
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
    common: Common,
    identities: Identities,
    client_auth: ClientAuth,
    rules: PeerRules,
    tickets: Tickets,
}

/// By which keys sessions are resumed.
#[derive(Clone, Debug)]
enum Tickets {
    /// None are.
    None,
    /// Those of this server alone; `None` until it is built.
    Own(Option<TicketKeys>),
    /// These.
    Given(TicketKeys),
}

impl TlsServerBuilder {
    common_settings!(
        alpn: "Speaks these application protocols (RFC 7301), the best first. A client that offers \
               others alone is refused; one that offers none is not."
    );

    /// Whether clients must show a certificate.
    #[must_use]
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// What clients' certificates must satisfy beyond leading to an anchor, where they are asked for.
    #[must_use]
    pub fn client_rules(mut self, rules: PeerRules) -> Self {
        self.rules = rules;
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

    /// The server.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`] when the settings contradict each other.
    pub fn build(self) -> Result<TlsServer, TlsConfigError> {
        let asks = self.rules.asks() && !matches!(self.client_auth, ClientAuth::None);
        let failed = |error: &dyn fmt::Display| TlsConfigError::Provider(error.to_string());
        let Common { alpn, versions, record_size, key_log } = self.common;
        let alpn = alpn_names(alpn)?;
        let provider = provider();
        let ClientRules { verifier, trust, scope } =
            client_rules(self.client_auth, self.rules, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions.for_rustls()?)
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ServerIdentity));
        // Sessions are in their tickets: none is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let tickets = match self.tickets {
            // Each client is asked about, and who resumes would not be.
            _ if asks => Tickets::None,
            Tickets::Own(_) => {
                Tickets::Own(Some(TicketKeys::rotating(TicketKeys::PERIOD, SystemTime::now)?))
            }
            none_or_given => none_or_given,
        };
        if let Tickets::Own(Some(keys)) | Tickets::Given(keys) = &tickets {
            config.ticketer = Arc::new(Dated(keys.ticketer(scope)));
            config.send_tls13_tickets = TICKETS;
        }
        config.alpn_protocols = alpn;
        config.max_fragment_size = record_size.for_rustls()?;
        config.key_log = SecretsNoted::server(key_log.as_ref());
        Ok(TlsServer(Arc::new(RwLock::new(Arc::new(Setup {
            config: Arc::new(config),
            identities: self.identities,
            versions,
            record_size,
            trust,
            scope,
            tickets,
            asks,
        })))))
    }
}

/// How clients are judged.
struct ClientRules {
    verifier: Arc<dyn ClientCertVerifier>,
    trust: Trust,
    scope: [u8; 32],
}

fn client_rules(
    client_auth: ClientAuth,
    rules: PeerRules,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientRules, TlsConfigError> {
    let (anchors, is_required) = match client_auth {
        ClientAuth::None => {
            return Ok(ClientRules {
                verifier: WebPkiClientVerifier::no_client_auth(),
                trust: Trust::Anchors,
                scope: Sha256::digest([]).into(),
            });
        }
        ClientAuth::Requested(anchors) => (anchors, false),
        ClientAuth::Required(anchors) => (anchors, true),
    };
    if anchors.has_platform() {
        return Err(TlsConfigError::PlatformForClients);
    }
    let algorithms = provider.signature_verification_algorithms;
    let judge = Judge::new(anchors, rules, KeyUsage::client_auth(), algorithms)?;
    let scope = Sha256::new().chain_update([u8::from(is_required)]);
    let scope = scope.chain_update(judge.fingerprint()).finalize().into();
    let trust = judge.trust();
    let verifier = Arc::new(ClientVerifier::new(provider.clone(), judge, is_required));
    Ok(ClientRules { verifier, trust, scope })
}

//! The client's side: whom it trusts, what it offers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use levada_core::ShownCertificate;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use webpki::KeyUsage;

use crate::anchors::Anchors;
use crate::common::{Common, common_settings};
use crate::config_error::{TlsConfigError, alpn_names};
use crate::facts::{Known, Trust};
use crate::identity::Identity;
use crate::judge::Judge;
use crate::key_log::DangerKeyLog;
use crate::name::SessionName;
use crate::provider::provider;
use crate::record::RecordSize;
use crate::resumption::Lasting;
use crate::rules::PeerRules;
use crate::session::Session;
use crate::verify::{DangerNoVerification, ServerVerifier};
use crate::version::{TlsVersion, Versions};
use crate::witness::{ClientIdentity, SecretsNoted};

/// What all sessions of a client have in common. Cheap to clone; clones are one client: they share the
/// memory of sessions that can be resumed, and what is [replaced](Self::replace) is so for all of them.
///
/// That memory belongs to this client and its rules: no session that was verified by others is ever
/// resumed. It is bounded ([`resume_servers`](TlsClientBuilder::resume_servers)), and no data is sent
/// before a handshake is over (no 0-RTT).
#[derive(Clone)]
pub struct TlsClient(Arc<RwLock<Arc<Setup>>>);

/// How a client is set up, from one replacement to the next.
struct Setup {
    config: Arc<ClientConfig>,
    /// Who judges servers; `None` where all are taken.
    verifier: Option<ServerVerifier>,
    /// By what servers are known.
    trust: Trust,
    identity: Option<Arc<ShownCertificate>>,
    /// Whether its handshakes may have to wait for somebody.
    may_block: bool,
    versions: Versions,
    record_size: RecordSize,
    resume_servers: usize,
    others: Mutex<OtherNames>,
}

/// The configurations for peers whose verified name is not the one asked for, the oldest first: each
/// has a verifier and a memory of sessions of its own.
type OtherNames = VecDeque<(SessionName, Arc<ClientConfig>)>;

/// Tickets of TLS 1.3 that are kept for one server: each is used once.
const TICKETS: usize = 8;

impl TlsClient {
    /// A client that verifies by the platform's anchors, offers TLS 1.2 and 1.3, and has no
    /// application protocols and no identity.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            common: Common::default(),
            anchors: Anchors::platform(),
            identity: None,
            verifies: true,
            rules: PeerRules::new(),
            resume_servers: TlsClientBuilder::RESUME_SERVERS,
        }
    }

    /// Begins a session with the peer `name`. Its first records wait to be written.
    ///
    /// A session with the same name is resumed where the server allows it. Both names count: one that
    /// was verified for another name is not.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::Provider`] when the system gives no random bytes.
    pub fn session(&self, name: &SessionName) -> Result<Session, TlsConfigError> {
        self.setup().session(name)
    }

    /// Goes on as `newer` is set up: its identity, anchors, rules, revocation lists and all else. That
    /// holds for the next session, which resumes none from before.
    pub fn replace(&self, newer: &Self) {
        let newer = newer.setup();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = newer;
    }

    fn setup(&self) -> Arc<Setup> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Setup {
    fn session(&self, name: &SessionName) -> Result<Session, TlsConfigError> {
        let asked_for = name.sni_name().map(|name| ServerName::DnsName(name.clone()));
        let (config, asked_for) = match (asked_for, &self.verifier) {
            (Some(asked_for), Some(verifier)) if asked_for != *name.verified_name() => {
                (self.config_for_other(name, verifier), asked_for)
            }
            (Some(asked_for), _) => (self.config.clone(), asked_for),
            (None, _) => {
                let mut config = ClientConfig::clone(&self.config);
                config.enable_sni = false;
                (Arc::new(config), name.verified_name().clone())
            }
        };
        let connection = UnbufferedClientConnection::new(config, asked_for)
            .map_err(|error| TlsConfigError::Provider(error.to_string()))?;
        let known = Known::client(name, self.trust, self.identity.clone());
        Ok(Session::client(connection, self.versions, self.record_size, known, self.may_block))
    }

    /// The configuration that asks for one name and verifies another.
    fn config_for_other(&self, name: &SessionName, verifier: &ServerVerifier) -> Arc<ClientConfig> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = others.iter().find(|(other, _)| other == name) {
            return config.clone();
        }
        let name_to_verify = Some(name.verified_name().clone());
        let verifier = ServerVerifier { name: name_to_verify, ..verifier.clone() };
        let most = self.resume_servers;
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = resumption(most.min(1), Some(&verifier));
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        let config = Arc::new(config);
        if most > 0 {
            while others.len() >= most {
                others.pop_front();
            }
            others.push_back((name.clone(), config.clone()));
        }
        config
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("versions", &self.setup().versions)
            .finish_non_exhaustive()
    }
}

/// Collects the settings of a [`TlsClient`].
#[derive(Clone, Debug)]
pub struct TlsClientBuilder {
    common: Common,
    anchors: Anchors,
    identity: Option<Identity>,
    verifies: bool,
    rules: PeerRules,
    resume_servers: usize,
}

impl TlsClientBuilder {
    /// How many servers' sessions are remembered, unless told otherwise.
    pub const RESUME_SERVERS: usize = 64;

    common_settings!(alpn: "Offers these application protocols (RFC 7301), the best first.");

    /// Trusts `anchors` instead of the platform's.
    #[must_use]
    pub fn anchors(mut self, anchors: Anchors) -> Self {
        self.anchors = anchors;
        self
    }

    /// What a server's certificate must satisfy beyond leading to an anchor and being for the name.
    #[must_use]
    pub fn rules(mut self, rules: PeerRules) -> Self {
        self.rules = rules;
        self
    }

    /// Shows `identity` to a server that asks for a client certificate.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Remembers the sessions of so many servers, in memory, to resume them: up to 8 tickets of TLS 1.3
    /// and a session of TLS 1.2 for each. The server that came first is forgotten first; 0 remembers
    /// none.
    #[must_use]
    pub const fn resume_servers(mut self, most: usize) -> Self {
        self.resume_servers = most;
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
    pub fn build(mut self) -> Result<TlsClient, TlsConfigError> {
        let asks = self.verifies && self.rules.asks();
        if asks {
            // Each peer is asked about, and who resumes would not be.
            self.resume_servers = 0;
        }
        let Common { alpn, versions, record_size, key_log } = self.common;
        let alpn = alpn_names(alpn)?;
        let provider = provider();
        let verifier = if self.verifies {
            let algorithms = provider.signature_verification_algorithms;
            let judge = Judge::new(self.anchors, self.rules, KeyUsage::server_auth(), algorithms)?;
            let (provider, judge) = (provider.clone(), Arc::new(judge));
            Some(ServerVerifier { provider, judge, untils: Arc::default(), name: None })
        } else {
            None
        };
        let trust = verifier.as_ref().map_or(Trust::Danger, |verifier| verifier.judge.trust());
        let for_rustls: Arc<dyn ServerCertVerifier> = match &verifier {
            Some(verifier) => Arc::new(verifier.clone()),
            None => Arc::new(DangerNoVerification { provider: provider.clone() }),
        };
        let shown = self.identity.as_ref().map(Identity::shown);
        let may_block = asks || self.identity.as_ref().is_some_and(Identity::may_block);
        let identity = self.identity.map(|identity| identity.certified_key());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions.for_rustls()?)
            .map_err(|error| TlsConfigError::Provider(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(for_rustls)
            .with_client_cert_resolver(Arc::new(ClientIdentity(identity)));
        config.alpn_protocols = alpn;
        config.resumption = resumption(self.resume_servers, verifier.as_ref());
        config.max_fragment_size = record_size.for_rustls()?;
        config.key_log = SecretsNoted::client(key_log.as_ref());
        Ok(TlsClient(Arc::new(RwLock::new(Arc::new(Setup {
            config: Arc::new(config),
            verifier,
            trust,
            identity: shown,
            may_block,
            versions,
            record_size,
            resume_servers: self.resume_servers,
            others: Mutex::default(),
        })))))
    }
}

/// A memory of sessions with so many servers, each as long as the verdict about it holds.
fn resumption(servers: usize, verifier: Option<&ServerVerifier>) -> Resumption {
    let sessions = servers.saturating_mul(TICKETS);
    match verifier {
        _ if servers == 0 => Resumption::disabled(),
        None => Resumption::in_memory_sessions(sessions),
        Some(ServerVerifier { untils, name, .. }) => {
            Resumption::store(Arc::new(Lasting::new(sessions, untils.clone(), name.clone())))
        }
    }
}

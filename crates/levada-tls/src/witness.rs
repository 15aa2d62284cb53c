//! What rustls asks us in the middle of a handshake, told to the session that it is about.
//!
//! rustls calls verifiers and resolvers without saying for which session, and keeps nothing of a
//! certificate that is refused. But it calls them on the thread that works on a record, before that
//! work is over: they leave a note on the thread, and the session takes it.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use levada_core::{CertificateFault, Checks, Fault, Rule};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, KeyLog, NoKeyLog, SignatureScheme};
use zeroize::Zeroizing;

use crate::certificate_fault::error_for;
use crate::decision::Decider;
use crate::judge::{Verdict, rule_of};
use crate::key_log::DangerKeyLog;
use crate::record_keys::TrafficSecret;

/// What was seen in the handshake of one session.
#[derive(Default)]
pub(crate) struct Notes {
    /// Who we are as a server: chosen before rustls asks.
    pub(crate) identity: Option<Arc<CertifiedKey>>,
    /// The server has asked for a certificate of ours.
    pub(crate) identity_is_asked: bool,
    /// We have shown our certificate to a server that asked for one.
    pub(crate) identity_is_shown: bool,
    /// The OCSP response that the server has stapled to its certificate.
    pub(crate) staple: Option<Box<[u8]>>,
    /// What the checks of the peer's certificates found.
    pub(crate) checks: Option<Arc<Checks>>,
    /// The peer's certificates, where they were refused.
    pub(crate) refused: Vec<CertificateDer<'static>>,
    /// Until when the peer may be let in without being asked again, in seconds since 1970-01-01 UTC;
    /// `None` where nobody has shown anything.
    pub(crate) until: Option<u64>,
    /// Whether the handshake may have to wait for somebody.
    pub(crate) may_block: bool,
    /// Why somebody who was asked, a signer or who decides on peers, gave no good answer.
    pub(crate) failed: Option<Fault>,
    /// The traffic secret of TLS 1.3 that our next record is sealed under, while that is the first.
    pub(crate) secret: Option<TrafficSecret>,
    /// What keys for others are derived from: the exporter's secret of TLS 1.3, the master secret of
    /// TLS 1.2.
    pub(crate) exporter: Option<Zeroizing<Box<[u8]>>>,
    /// What the records behind the handshake are sealed under, where that is to be handed on.
    pub(crate) traffic: Option<Box<Traffic>>,
}

/// The secrets that the keys of a session's records come from.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Of TLS 1.3.
    pub(crate) client: TrafficSecret,
    pub(crate) server: TrafficSecret,
    /// Of TLS 1.2.
    pub(crate) master: Zeroizing<Vec<u8>>,
    pub(crate) client_random: Vec<u8>,
}

impl Traffic {
    /// Takes what is known under this label, in the words of NSS.
    fn take(&mut self, label: &str, client_random: &[u8], secret: &[u8]) {
        let place = match label {
            CLIENT_TRAFFIC => &mut self.client,
            SERVER_TRAFFIC => &mut self.server,
            MASTER => &mut self.master,
            _ => return,
        };
        *place = Zeroizing::new(secret.to_vec());
        self.client_random = client_random.to_vec();
    }
}

impl Notes {
    /// Adds what is seen during `work`.
    pub(crate) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let outer = NOTES.replace(mem::take(self));
        let result = work();
        *self = NOTES.replace(outer);
        result
    }

    pub(crate) fn note(write: impl FnOnce(&mut Self)) {
        NOTES.with_borrow_mut(write);
    }

    /// Notes what the server has stapled to its certificate.
    pub(crate) fn staple(ocsp_response: &[u8]) {
        if !ocsp_response.is_empty() {
            Self::note(|notes| notes.staple = Some(ocsp_response.into()));
        }
    }

    /// Notes a verdict, and the certificates where it refuses them. How long it holds is the answer.
    pub(crate) fn conclude(
        verdict: Verdict,
        decider: Option<&Decider>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<u64, Error> {
        let Verdict { mut checks, until } = verdict;
        let chain = || std::iter::once(end_entity).chain(intermediates).cloned();
        let decide = |decider: &Decider| decider.decide(&checks, &chain().collect::<Vec<_>>());
        let answer = decider.map_or(Ok(false), decide);
        if answer == Ok(true) {
            checks.ignore_all();
        }
        let error = checks.failed().next().map(|(_, fault)| error_for(fault).into());
        let error = error.or(answer.err());
        Self::note(|notes| {
            if error.is_some() {
                notes.refused = chain().map(CertificateDer::into_owned).collect();
            }
            notes.checks = Some(Arc::new(checks));
            notes.until = Some(until);
        });
        error.map_or(Ok(until), Err)
    }

    /// Why the peer's certificate was refused, where `error` tells of that: the ending, but for its
    /// alert.
    pub(crate) fn refusal(&self, error: &Error) -> Option<Result<CertificateFault, Rule>> {
        if self.refused.is_empty() || !matches!(error, Error::InvalidCertificate(_)) {
            return None;
        }
        let (check, fault) = self.checks.as_ref()?.failed().next()?;
        Some(rule_of(check).map_or_else(|| Ok(fault.clone()), Err))
    }
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// The server's identity, as it was chosen for the session.
#[derive(Debug)]
pub(crate) struct ServerIdentity;

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        NOTES.with_borrow(|notes| notes.identity.clone())
    }
}

const CLIENT_TRAFFIC: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER_TRAFFIC: &str = "SERVER_TRAFFIC_SECRET_0";
const MASTER: &str = "CLIENT_RANDOM";
const EXPORTER: &str = "EXPORTER_SECRET";

/// Notes the secrets that our records of a handshake are sealed under, those that keys for others come from,
/// and those of the records behind it where they are asked for; and shows all of them to who is to have them.
#[derive(Debug)]
pub(crate) struct SecretsNoted {
    /// In the words of NSS.
    ours: &'static [&'static str],
    outer: Arc<dyn KeyLog>,
}

impl SecretsNoted {
    pub(crate) fn client(outer: Option<&DangerKeyLog>) -> Arc<Self> {
        Self::new(&["CLIENT_HANDSHAKE_TRAFFIC_SECRET"], outer)
    }

    pub(crate) fn server(outer: Option<&DangerKeyLog>) -> Arc<Self> {
        Self::new(&["SERVER_HANDSHAKE_TRAFFIC_SECRET", SERVER_TRAFFIC], outer)
    }

    fn new(ours: &'static [&'static str], outer: Option<&DangerKeyLog>) -> Arc<Self> {
        let outer = outer.map_or_else(|| Arc::new(NoKeyLog) as _, DangerKeyLog::for_rustls);
        Arc::new(Self { ours, outer })
    }
}

impl KeyLog for SecretsNoted {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if self.ours.contains(&label) {
            Notes::note(|notes| notes.secret = Some(Zeroizing::new(secret.to_vec())));
        }
        Notes::note(|notes| {
            if matches!(label, EXPORTER | MASTER) {
                notes.exporter = Some(Zeroizing::new(secret.into()));
            }
            if let Some(traffic) = &mut notes.traffic {
                traffic.take(label, client_random, secret);
            }
        });
        if self.outer.will_log(label) {
            self.outer.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        self.ours.contains(&label)
            || matches!(label, CLIENT_TRAFFIC | SERVER_TRAFFIC | MASTER | EXPORTER)
            || self.outer.will_log(label)
    }
}

/// A client's identity, if it has one; noted when it is asked for, and when it is shown.
#[derive(Debug)]
pub(crate) struct ClientIdentity(pub(crate) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for ClientIdentity {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Notes::note(|notes| notes.identity_is_asked = true);
        let identity = self.0.as_ref()?;
        // rustls shows nothing when the key cannot sign as the server wants.
        identity.key.choose_scheme(schemes)?;
        Notes::note(|notes| notes.identity_is_shown = true);
        Some(identity.clone())
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

//! What rustls asks us in the middle of a handshake, told to the session that it is about.
//!
//! rustls calls verifiers and resolvers without saying for which session, and keeps nothing of a
//! certificate that is refused. But it calls them on the thread that works on a record, before that
//! work is over: they leave a note on the thread, and the session takes it.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, KeyLog, SignatureScheme};
use zeroize::Zeroizing;

use crate::key_log::DangerKeyLog;

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
    /// The peer's certificates, where they were refused.
    pub(crate) refused: Vec<CertificateDer<'static>>,
    /// Whether the handshake may have to wait for somebody.
    pub(crate) may_block: bool,
    /// Why an external signer has not signed.
    pub(crate) signer_failed: Option<String>,
    /// The traffic secret of TLS 1.3 that our next record is sealed under, while that is the first.
    pub(crate) secret: Option<Zeroizing<Vec<u8>>>,
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

    /// Notes the certificates when `verdict` refuses them.
    fn judge<T>(
        verdict: Result<T, Error>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<T, Error> {
        if verdict.is_err() {
            let chain = std::iter::once(end_entity).chain(intermediates);
            let chain = chain.map(|certificate| certificate.clone().into_owned()).collect();
            Self::note(|notes| notes.refused = chain);
        }
        verdict
    }
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// A verifier whose refusals are noted.
#[derive(Debug)]
pub(crate) struct Witnessed<V: ?Sized>(pub(crate) Arc<V>);

impl ServerCertVerifier for Witnessed<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !ocsp_response.is_empty() {
            Notes::note(|notes| notes.staple = Some(ocsp_response.into()));
        }
        let verdict =
            self.0.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        Notes::judge(verdict, end_entity, intermediates)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

impl ClientCertVerifier for Witnessed<dyn ClientCertVerifier> {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.0.verify_client_cert(end_entity, intermediates, now);
        Notes::judge(verdict, end_entity, intermediates)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}

/// The server's identity, as it was chosen for the session.
#[derive(Debug)]
pub(crate) struct ServerIdentity;

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        NOTES.with_borrow(|notes| notes.identity.clone())
    }
}

/// Notes the secrets that our records of a handshake are sealed under, and hands all on to whoever has
/// asked for them.
#[derive(Debug)]
pub(crate) struct SecretsNoted {
    /// Those that are noted, in NSS's words.
    labels: &'static [&'static str],
    log: Option<Arc<dyn KeyLog>>,
}

impl SecretsNoted {
    pub(crate) fn of_client(log: Option<&DangerKeyLog>) -> Self {
        Self {
            labels: &["CLIENT_HANDSHAKE_TRAFFIC_SECRET"],
            log: log.map(DangerKeyLog::for_rustls),
        }
    }

    pub(crate) fn of_server(log: Option<&DangerKeyLog>) -> Self {
        Self {
            labels: &["SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"],
            log: log.map(DangerKeyLog::for_rustls),
        }
    }
}

impl KeyLog for SecretsNoted {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if self.labels.contains(&label) {
            Notes::note(|notes| notes.secret = Some(Zeroizing::new(secret.to_vec())));
        }
        if let Some(log) = &self.log {
            log.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        self.log.is_some() || self.labels.contains(&label)
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

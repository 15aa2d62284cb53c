//! The judge as rustls asks it, for either role, and who judges nothing.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::judge::Judge;
use crate::resumption::Untils;
use crate::witness::Notes;

/// The signature of the handshake, which shows that the peer has the key of the certificate that it
/// shows, is verified in the same way by all of them.
macro_rules! verify_signatures_by_provider {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, cert, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, cert, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

/// Judges servers for a client.
#[derive(Clone, Debug)]
pub(crate) struct ServerVerifier {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) judge: Arc<Judge>,
    /// Until when what it says of each server holds.
    pub(crate) untils: Arc<Untils>,
    /// The name that a server must have, where that is not the one asked for.
    pub(crate) name: Option<ServerName<'static>>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked_for: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Notes::staple(ocsp_response);
        let name = self.name.as_ref().unwrap_or(asked_for);
        let verdict = self.judge.judge(end_entity, intermediates, Some(name), now);
        let until = Notes::conclude(verdict, self.judge.decider(), end_entity, intermediates)?;
        self.untils.set(name, until);
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures_by_provider!();
}

/// Judges clients for a server.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) judge: Judge,
    pub(crate) is_required: bool,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(crate) fn new(provider: Arc<CryptoProvider>, judge: Judge, is_required: bool) -> Self {
        let hints = judge.anchors().subjects();
        Self { provider, judge, is_required, hints }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.judge.judge(end_entity, intermediates, None, now);
        Notes::conclude(verdict, self.judge.decider(), end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    verify_signatures_by_provider!();
}

/// Takes every certificate. The handshake's own signature is still verified: the peer has the key
/// of the certificate that it shows, but anybody can have made that.
#[derive(Debug)]
pub(crate) struct DangerNoVerification {
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for DangerNoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Notes::staple(ocsp_response);
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures_by_provider!();
}

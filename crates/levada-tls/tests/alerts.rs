//! Alerts on an established TLS 1.3 session that no library sends by itself: sealed by hand with the
//! keys of the peer. The half of row T30 of the Telsa profile that is about TLS 1.3.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use levada_core::{AlertDescription, Ending, Role};
use levada_tls::{Engine, TlsVersion};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore};
use rustls::{ServerConfig, ServerConnection};
use support::{Authority, End, HOST, ROLES, Setup};

const AES_256: rustls::CipherSuite = rustls::CipherSuite::TLS13_AES_256_GCM_SHA384;
const APPLICATION_DATA: u8 = 23;
const ALERT: u8 = 21;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// What the peer of an established session seals its records with.
struct Pen {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Pen {
    /// A record with this content (RFC 8446 sections 5.2 and 5.3).
    fn seal(&mut self, content: &[u8], content_type: u8) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        self.sequence += 1;
        let mut inner = [content, &[content_type]].concat();
        let length = (inner.len() + AES_256_GCM.tag_len()) as u8;
        let mut record = vec![APPLICATION_DATA, 3, 3, 0, length];
        let (nonce, header) = (Nonce::assume_unique_for_key(nonce), Aad::from(&record[..]));
        self.key.seal_in_place_append_tag(nonce, header, &mut inner).unwrap();
        record.extend(inner);
        record
    }

    fn alert(&mut self, level: u8, alert: u8) -> Vec<u8> {
        self.seal(&[level, alert], ALERT)
    }
}

/// The peer, by the library alone.
fn peer_of(role: Role, authority: &Authority) -> rustls::Connection {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == AES_256);
    let provider = Arc::new(provider);
    if role == Role::Client {
        let (chain, key) = authority.issue(&[HOST], |_| {});
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.enable_secret_extraction = true;
        ServerConnection::new(Arc::new(config)).unwrap().into()
    } else {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.enable_secret_extraction = true;
        ClientConnection::new(Arc::new(config), HOST.try_into().unwrap()).unwrap().into()
    }
}

/// An end of `role` that is established, and its peer's pen.
fn established(role: Role, setup: Setup) -> (End, Pen) {
    let mut peer = peer_of(role, &setup.authority);
    let mut end = End::new(match role {
        Role::Client => setup.client.build().unwrap().session(&setup.name).unwrap(),
        Role::Server => setup.server.build().unwrap().session(),
    });
    loop {
        let mut wire = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut wire).unwrap();
        }
        end.wire.extend(&wire);
        end.open(1024);
        let said = end.write();
        if wire.is_empty() && said.is_empty() {
            break;
        }
        let mut said = &said[..];
        while !said.is_empty() {
            peer.read_tls(&mut said).unwrap();
            peer.process_new_packets().unwrap();
        }
    }
    assert!(!end.session.is_handshaking() && end.ending.is_none());
    let (sequence, secrets) = peer.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
        panic!("another suite was chosen")
    };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
    (end, Pen { key, iv: iv.as_ref().try_into().unwrap(), sequence })
}

/// Every alert of TLS 1.3 that is an error, some of older versions, and some that nobody has defined.
const FINAL: [u8; 34] = [
    1, 10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86, 100,
    109, 110, 111, 112, 113, 115, 116, 120, 200, 255,
];

#[test]
fn t30_every_other_alert_is_final_in_tls_1_3_whatever_its_level() {
    for role in ROLES {
        for level in [WARNING, FATAL] {
            for number in FINAL {
                let (mut end, mut pen) = established(role, Setup::new(TlsVersion::V1_3));
                end.wire = [
                    pen.seal(b"before", APPLICATION_DATA),
                    pen.alert(level, number),
                    pen.seal(b"behind", APPLICATION_DATA),
                ]
                .concat();
                end.open(1024);
                let ending = Ending::FatalAlert(AlertDescription(number));
                assert_eq!(end.ending, Some(ending), "{role:?}, level {level}");
                assert_eq!(end.plain, b"before");
                assert!(end.write().is_empty(), "T29: nothing is sent to who is gone");
                assert!(!end.session.seal(b"late"));
            }
        }
    }
}

#[test]
fn t30_user_canceled_is_no_end_in_tls_1_3_and_close_notify_is_a_clean_one() {
    let (close_notify, user_canceled) = (0, 90);
    for role in ROLES {
        for level in [WARNING, FATAL] {
            let (mut end, mut pen) = established(role, Setup::new(TlsVersion::V1_3));
            end.wire = [
                pen.alert(WARNING, user_canceled),
                pen.seal(b"data", APPLICATION_DATA),
                pen.alert(level, close_notify),
            ]
            .concat();
            end.open(1024);
            assert_eq!((end.plain.as_slice(), &end.ending), (&b"data"[..], &None), "{role:?}");
            assert!(end.session.peer_has_closed());
        }
    }
}

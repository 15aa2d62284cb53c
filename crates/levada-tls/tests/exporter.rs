//! Keying material and channel bindings: both ends have the same, and nobody else.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use levada_core::Role;
use levada_tls::{ChannelBinding, ExporterError, KeyingMaterial, Session, TlsVersion};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};
use sha2::{Digest, Sha256, Sha384};
use support::{HOST, Pair, Setup, VERSIONS};

const LABEL: &str = "EXPORTER-levada-test";

fn both(
    pair: &mut Pair,
    ask: impl Fn(&Session) -> Result<KeyingMaterial, ExporterError>,
) -> Vec<u8> {
    let ours = ask(&pair.client.session).unwrap();
    assert_eq!(ours, ask(&pair.server.session).unwrap());
    ours.bytes().to_vec()
}

#[test]
fn both_ends_derive_the_same_for_a_label_and_context_and_another_one_for_others() {
    for version in VERSIONS {
        let mut pair = Pair::established(Setup::new(version));
        let mut seen = Vec::new();
        let long = vec![7; KeyingMaterial::MAX_CONTEXT];
        for (label, context) in [
            (LABEL, None),
            (LABEL, Some(&b"context"[..])),
            ("EXPORTER-other", None),
            (LABEL, Some(&long[..])),
        ] {
            let material = both(&mut pair, |end| end.export_keying_material(label, context, 32));
            assert_eq!(material.len(), 32);
            assert!(!seen.contains(&material), "{label}");
            seen.push(material);
        }
        let empty = both(&mut pair, |end| end.export_keying_material(LABEL, Some(b""), 32));
        assert_eq!(seen[0] == empty, version == TlsVersion::V1_3, "RFC 8446 section 7.5");
        let most = KeyingMaterial::MAX_LEN;
        assert_eq!(
            both(&mut pair, |end| end.export_keying_material(LABEL, None, most)).len(),
            most
        );
        let mut other = Pair::established(Setup::new(version));
        let material = both(&mut other, |end| end.export_keying_material(LABEL, None, 32));
        assert_ne!(material, seen[0], "of this session alone");
    }
}

#[test]
fn what_cannot_be_derived_is_refused_and_nothing_panics() {
    for version in VERSIONS {
        let pair = Pair::established(Setup::new(version));
        let session = &pair.client.session;
        let long = "x".repeat(KeyingMaterial::MAX_LABEL + 1);
        for label in [long.as_str(), "master secret", "client finished", "key expansion"] {
            let error = session.export_keying_material(label, None, 32).unwrap_err();
            assert_eq!(error, ExporterError::Label);
        }
        session.export_keying_material(&long[1..], None, 32).unwrap();
        let context = vec![0; KeyingMaterial::MAX_CONTEXT + 1];
        let error = session.export_keying_material(LABEL, Some(&context), 32).unwrap_err();
        assert_eq!(error, ExporterError::Context);
        for length in [0, KeyingMaterial::MAX_LEN + 1, usize::MAX] {
            let error = session.export_keying_material(LABEL, None, length).unwrap_err();
            assert_eq!(error, ExporterError::Length);
        }
    }
}

#[test]
fn there_is_nothing_to_derive_before_the_handshake_is_over() {
    for version in VERSIONS {
        let mut pair = Setup::new(version).join();
        for role in [Role::Client, Role::Server] {
            let session = &pair.ends(role).0.session;
            let none = Err(ExporterError::NoSession);
            assert_eq!(session.export_keying_material(LABEL, None, 32), none);
            assert_eq!(session.channel_binding(ChannelBinding::TlsExporter), none);
            assert_eq!(session.channel_binding(ChannelBinding::TlsServerEndPoint), none);
        }
    }
}

#[test]
fn tls_exporter_is_that_of_rfc_9266() {
    for version in VERSIONS {
        let mut pair = Pair::established(Setup::new(version));
        let binding = both(&mut pair, |end| end.channel_binding(ChannelBinding::TlsExporter));
        let label = "EXPORTER-Channel-Binding";
        let material = both(&mut pair, |end| end.export_keying_material(label, Some(b""), 32));
        assert_eq!(binding, material);
    }
}

/// A server that signs its own certificate in this way.
fn signed_by(algorithm: &'static SignatureAlgorithm, version: TlsVersion) -> (Setup, Vec<u8>) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let (pem, key) = (certificate.pem(), key.serialize_pem());
    let identity =
        levada_tls::Identity::from_pem(pem.as_bytes(), Some(key.as_bytes()), None).unwrap();
    let mut setup = Setup::new(version).with_identity(&identity, version);
    setup.client = setup.client.danger_no_verification();
    (setup, certificate.der().to_vec())
}

#[test]
fn tls_server_end_point_is_the_hash_that_signed_the_certificate() {
    for version in VERSIONS {
        let end_point = |end: &Session| end.channel_binding(ChannelBinding::TlsServerEndPoint);
        let (setup, der) = signed_by(&rcgen::PKCS_ECDSA_P256_SHA256, version);
        let mut pair = Pair::established(setup);
        assert_eq!(both(&mut pair, end_point), Sha256::digest(der).to_vec());
        let (setup, der) = signed_by(&PKCS_ECDSA_P384_SHA384, version);
        let mut pair = Pair::established(setup);
        assert_eq!(both(&mut pair, end_point), Sha384::digest(der).to_vec());
        let (setup, _) = signed_by(&PKCS_ED25519, version);
        let pair = Pair::established(setup);
        for end in [&pair.client, &pair.server] {
            assert_eq!(end_point(&end.session), Err(ExporterError::NoHash));
        }
    }
}

#[test]
fn a_client_certificate_is_not_taken_for_the_servers() {
    for version in VERSIONS {
        let mut pair = Pair::established(Setup::mutual(version));
        both(&mut pair, |end| end.channel_binding(ChannelBinding::TlsServerEndPoint));
    }
}

#[test]
fn keying_material_is_not_shown() {
    let pair = Pair::established(Setup::new(TlsVersion::V1_3));
    let material = pair.client.session.export_keying_material(LABEL, None, 32).unwrap();
    assert_eq!(format!("{material:?}"), "KeyingMaterial(..)");
}

//! Settings that contradict each other, or that this machine cannot serve, are told in words.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use levada_tls::{
    Anchors, ClientAuth, Identities, TlsClient, TlsConfigError, TlsServer, TlsVersion,
};
use support::{Authority, HOST};

#[test]
fn a_range_of_versions_that_holds_none_is_refused() {
    let identities = Identities::one(&Authority::new("a").identity(&[HOST]));
    let server = TlsServer::builder(identities)
        .min_version(TlsVersion::V1_3)
        .max_version(TlsVersion::V1_2)
        .build();
    assert_eq!(server.err(), Some(TlsConfigError::NoVersion));
    let client = TlsClient::builder()
        .anchors(Authority::new("a").anchors())
        .min_version(TlsVersion::V1_3)
        .max_version(TlsVersion::V1_2)
        .build();
    assert_eq!(client.err(), Some(TlsConfigError::NoVersion));
}

#[test]
fn application_protocols_have_1_to_255_bytes() {
    for (name, is_good) in [(vec![b'x'; 255], true), (vec![b'x'; 256], false), (vec![], false)] {
        let client = TlsClient::builder().danger_no_verification().alpn([name]).build();
        assert_eq!(client.is_ok(), is_good);
    }
}

#[test]
fn clients_are_not_verified_by_the_public_authorities() {
    let identities = Identities::one(&Authority::new("a").identity(&[HOST]));
    let with_ours = Authority::new("a").anchors().and_platform();
    for auth in [
        ClientAuth::Required(Anchors::platform()),
        ClientAuth::Requested(Anchors::platform()),
        ClientAuth::Requested(with_ours),
    ] {
        let server = TlsServer::builder(identities.clone()).client_auth(auth).build();
        assert_eq!(server.err(), Some(TlsConfigError::PlatformForClients));
    }
}

#[test]
fn the_platforms_anchors_are_loaded_or_their_absence_is_told() {
    match TlsClient::builder().build() {
        Ok(_) => {}
        Err(error @ TlsConfigError::Platform(_)) => {
            assert!(error.to_string().contains("install its CA certificates"), "{error}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

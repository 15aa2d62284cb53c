//! The limit of the records that we send.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use levada_core::Role;
use levada_tls::{Engine, TlsConfigError, TlsVersion};
use support::{Pair, ROLES, Setup, VERSIONS, pattern};

/// The lengths of the records in `wire`, headers left out.
fn lengths(mut wire: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = wire {
        lengths.push(usize::from(u16::from_be_bytes([*high, *low])));
        wire = &rest[lengths[lengths.len() - 1]..];
    }
    lengths
}

/// What AES-GCM adds: the nonce's explicit part or the true content type, and the tag.
fn overhead(version: TlsVersion) -> usize {
    match version {
        TlsVersion::V1_2 => 8 + 16,
        TlsVersion::V1_3 => 1 + 16,
    }
}

#[test]
fn no_record_is_longer_and_all_bytes_arrive() {
    let data = pattern(40_000);
    for version in VERSIONS {
        for limit in [64, 1000, 16_383, 16_384] {
            for role in ROLES {
                let mut setup = Setup::new(version);
                match role {
                    Role::Client => setup.client = setup.client.max_record(limit),
                    Role::Server => setup.server = setup.server.max_record(limit),
                }
                let mut pair = Pair::established(setup);
                let (ours, peer) = pair.ends(role);
                assert!(ours.session.seal(&data));
                let wire = ours.write();
                let longest = limit + overhead(version);
                let lengths = lengths(&wire);
                assert_eq!(lengths.iter().max(), Some(&longest), "{version} {limit} {role:?}");
                assert_eq!(lengths.len(), data.len().div_ceil(limit));
                peer.wire.extend(wire);
                peer.open(64 * 1024);
                assert!(peer.plain == data);
                // The other end is not limited by it.
                assert!(peer.session.seal(&data));
                assert_eq!(self::lengths(&peer.write())[0], 16_384 + overhead(version));
            }
        }
    }
}

#[test]
fn the_handshake_is_limited_too() {
    for version in VERSIONS {
        let mut setup = Setup::mutual(version);
        setup.client = setup.client.max_record(64);
        setup.server = setup.server.max_record(64);
        let mut pair = setup.join();
        let hello = pair.client.write();
        assert!(lengths(&hello).iter().all(|&length| length <= 64), "{:?}", lengths(&hello));
        pair.server.wire.extend(hello);
        pair.server.open(1000);
        pair.talk();
        assert_eq!((&pair.client.ending, &pair.server.ending), (&None, &None));
        assert!(!pair.client.session.is_handshaking());
    }
}

#[test]
fn what_no_record_can_be_limited_to_is_refused() {
    for bytes in [0, 63, 16_385, usize::MAX] {
        let setup = Setup::new(TlsVersion::V1_3);
        let error = setup.client.max_record(bytes).build().unwrap_err();
        assert_eq!(error, TlsConfigError::RecordSize(bytes));
        let error = setup.server.max_record(bytes).build().unwrap_err();
        assert_eq!(error, TlsConfigError::RecordSize(bytes));
    }
}

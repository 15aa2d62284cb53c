//! Handshakes, data and goodbyes between two sessions.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use levada_core::Role;
use levada_tls::{ClientAuth, Engine, SessionName, TlsVersion};
use support::{Authority, End, HOST, Pair, ROLES, Setup, VERSIONS, pattern};

const SIZES: [usize; 5] = [0, 1, 16_384, 16_385, 1 << 20];

#[test]
fn data_of_every_size_passes_both_ways() {
    for version in VERSIONS {
        let mut pair = Pair::established(Setup::mutual(version));
        for role in ROLES {
            for size in SIZES {
                let (me, peer) = pair.ends(role);
                let data = pattern(size);
                assert!(me.session.seal(&data));
                peer.hear(me);
                assert_eq!(std::mem::take(&mut peer.plain), data, "{version}, {role:?}, {size}");
            }
        }
    }
}

#[test]
fn the_wire_may_come_byte_by_byte_and_the_room_may_be_one_byte() {
    for version in VERSIONS {
        let mut pair = Setup::mutual(version).join();
        let data = pattern(16_385);
        let mut is_sealed = false;
        loop {
            let (to_server, to_client) = (pair.client.write(), pair.server.write());
            if to_server.is_empty() && to_client.is_empty() {
                if is_sealed {
                    break;
                }
                assert!(pair.client.session.seal(&data) && pair.server.session.seal(&data));
                is_sealed = true;
            }
            for (end, wire) in [(&mut pair.server, to_server), (&mut pair.client, to_client)] {
                for byte in wire {
                    end.wire.push(byte);
                    end.open(1);
                    assert!(!end.session.has_plaintext());
                }
            }
        }
        assert_eq!((&pair.client.plain, &pair.server.plain), (&data, &data));
        assert_eq!((&pair.client.ending, &pair.server.ending), (&None, &None));
    }
}

#[test]
fn no_record_is_taken_while_plaintext_of_an_earlier_one_waits() {
    for role in ROLES {
        let mut pair = Pair::established(Setup::new(TlsVersion::V1_3));
        let (me, peer) = pair.ends(role);
        me.session.seal(&pattern(1000));
        let first = me.write();
        me.session.seal(&pattern(10));
        let mut wire = [first.clone(), me.write()].concat();

        let mut room = [0; 600];
        let opened = peer.session.open(&mut wire, &mut room).unwrap();
        assert_eq!((opened.taken, opened.plain), (first.len(), 600));
        assert!(peer.session.has_plaintext());
        let opened = peer.session.open(&mut wire[first.len()..], &mut room).unwrap();
        assert_eq!((opened.taken, opened.plain), (wire.len() - first.len(), 410));
        assert!(!peer.session.has_plaintext());
    }
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_complete() {
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    assert!(pair.client.session.is_handshaking() && pair.server.session.is_handshaking());
    assert!(!pair.client.session.seal(b"early"));
    assert!(!pair.server.session.seal(b"early"));
    pair.talk();
    assert!(pair.client.plain.is_empty() && pair.server.plain.is_empty());
}

#[test]
fn t28_each_half_closes_by_itself() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = Pair::established(Setup::new(version));
            let (me, peer) = pair.ends(role);
            me.session.seal(b"last words");
            me.session.close();
            me.session.close();
            assert!(!me.session.seal(b"too late"), "nothing is sealed behind our close_notify");
            peer.hear(me);
            assert_eq!(peer.plain, b"last words");
            assert!(peer.session.peer_has_closed() && !me.session.peer_has_closed());

            assert!(peer.session.seal(b"still open"), "half-open: the peer may go on");
            me.hear(peer);
            assert_eq!(me.plain, b"still open");
            peer.session.close();
            me.hear(peer);
            assert!(me.session.peer_has_closed());
            assert_eq!((&me.ending, &peer.ending), (&None, &None));
            assert!(!me.session.wants_write() && !peer.session.wants_write());
        }
    }
}

#[test]
fn t31_bytes_behind_the_goodbye_stay_untaken() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = Pair::established(Setup::new(version));
            let (me, peer) = pair.ends(role);
            me.session.seal(b"data");
            me.session.close();
            peer.wire = me.write();
            peer.wire.extend_from_slice(b"now plain");
            peer.open(1024);
            assert_eq!(peer.plain, b"data");
            assert!(peer.session.peer_has_closed());
            assert_eq!(peer.wire, b"now plain");
            assert_eq!(peer.ending, None);
        }
    }
}

#[test]
fn a_goodbye_in_the_handshake_is_told_and_the_handshake_stays_incomplete() {
    for version in VERSIONS {
        let mut pair = Setup::new(version).join();
        pair.client.session.close();
        pair.talk();
        assert!(pair.server.session.peer_has_closed() && pair.server.session.is_handshaking());
        assert_eq!((&pair.client.ending, &pair.server.ending), (&None, &None));

        let mut pair = Setup::new(version).join();
        pair.server.session.close();
        let goodbye = pair.server.write();
        assert_eq!(goodbye, [21, 3, 3, 0, 2, 1, 0]);
        pair.client.wire = goodbye;
        pair.client.open(0);
        assert!(pair.client.session.peer_has_closed() && pair.client.session.is_handshaking());
        assert_eq!(pair.client.ending, None);
    }
}

#[test]
fn a_goodbye_in_the_middle_of_a_handshake_of_tls_1_3_is_no_fault() {
    // rustls takes it for a malformed alert, and would answer with one.
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    pair.server.hear(&mut pair.client);
    let flight = pair.server.write();
    let server_hello = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
    pair.client.wire = flight[..server_hello].to_vec();
    pair.client.wire.extend([21, 3, 3, 0, 2, 1, 0]);
    pair.client.open(0);
    assert!(pair.client.session.peer_has_closed() && pair.client.session.is_handshaking());
    assert_eq!(pair.client.ending, None);
    // What was due before, and no alert; our own goodbye can follow it.
    assert_eq!(pair.client.write(), [20, 3, 3, 0, 1, 1]);
    pair.client.session.close();
    let goodbye = pair.client.write();
    assert_eq!((goodbye[0], goodbye.len()), (23, 24), "{goodbye:?}");
    assert_eq!(pair.client.session.facts().version, Some("1.3"));
}

#[test]
fn a_server_that_gives_up_behind_its_flight_leaves_its_client_established() {
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    pair.server.hear(&mut pair.client);
    pair.server.session.close();
    pair.client.wire = pair.server.write();
    pair.client.open(0);
    assert!(pair.client.session.peer_has_closed() && !pair.client.session.is_handshaking());
    assert!(pair.client.session.seal(b"to nobody"));
    pair.server.hear(&mut pair.client);
    assert!(pair.server.plain.is_empty() && pair.server.session.is_handshaking());
    assert!(!pair.server.wire.is_empty(), "who gave up takes nothing");
}

#[test]
fn facts_are_those_of_the_registries() {
    for version in VERSIONS {
        let mut setup = Setup::mutual(version);
        setup.client = setup.client.alpn(["h2", "x\u{1}"]);
        setup.server = setup.server.alpn(["x\u{1}"]);
        let mut pair = Pair::established(setup);
        for role in ROLES {
            let (me, _) = pair.ends(role);
            let facts = me.session.facts();
            assert_eq!(facts.version, Some(version.number()));
            let suite = facts.suite.unwrap();
            match version {
                TlsVersion::V1_2 => assert!(suite.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{suite}"),
                TlsVersion::V1_3 => assert_eq!(suite, "TLS_AES_128_GCM_SHA256"),
            }
            let group = if version == TlsVersion::V1_3 { "X25519MLKEM768" } else { "x25519" };
            assert_eq!(facts.group.as_deref(), Some(group));
            assert_eq!(facts.alpn.as_deref(), Some("x\\x01"));
            assert_eq!(facts.sni.as_deref(), Some(HOST));
            assert_eq!((facts.resumed, facts.peer_certificates), (Some(false), 1));
        }
    }
}

#[test]
fn the_second_session_is_resumed() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let (client, server) = (setup.client.build().unwrap(), setup.server.build().unwrap());
        for resumed in [false, true] {
            let session = client.session(&setup.name).unwrap();
            let mut pair = Pair::new(session, server.session());
            pair.talk();
            assert_eq!(pair.client.session.facts().resumed, Some(resumed), "{version}");
            assert_eq!(pair.server.session.facts().resumed, Some(resumed), "{version}");
        }
    }
}

#[test]
fn the_name_verified_and_the_name_asked_for_may_differ() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let (client, server) = (setup.client.build().unwrap(), setup.server.build().unwrap());
        let name = SessionName::new(HOST).unwrap();
        for (name, asked_for) in [
            (name.clone().with_sni("front.example").unwrap(), Some("front.example")),
            (name.without_sni(), None),
        ] {
            // Twice: a ticket must not stand in for the verification.
            for _ in 0..2 {
                let mut pair = Pair::new(client.session(&name).unwrap(), server.session());
                pair.talk();
                assert_eq!(pair.client.ending, None);
                assert_eq!(pair.server.session.facts().sni.as_deref(), asked_for);
                assert_eq!(pair.client.session.facts().sni.as_deref(), asked_for);
            }
        }
        // Sessions in which another name was verified are not taken up for this one.
        let other = SessionName::new("other.example").unwrap().with_sni("front.example").unwrap();
        let mut pair = Pair::new(client.session(&other).unwrap(), server.session());
        pair.talk();
        assert!(pair.client.ending.is_some());
    }
}

#[test]
fn addresses_are_names_too() {
    for version in VERSIONS {
        for address in ["192.0.2.7", "2001:db8::7"] {
            let mut setup = Setup::new(version);
            setup.name = SessionName::new(address).unwrap();
            let identity = setup.authority.identity(&[address]);
            let pair = Pair::established(setup.with_identity(&identity, version));
            assert_eq!(pair.server.session.facts().sni, None);
        }
    }
}

#[test]
fn the_highest_common_version_is_taken() {
    let authority = Authority::new("a");
    let mut setup =
        Setup::new(TlsVersion::V1_2).with_identity(&authority.identity(&[HOST]), TlsVersion::V1_2);
    setup.client = levada_tls::TlsClient::builder().anchors(authority.anchors());
    let pair = Pair::established(setup);
    assert_eq!(pair.client.session.facts().version, Some("1.2"));
}

#[test]
fn a_client_certificate_that_is_only_requested_may_be_missing() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        setup.server = setup.server.client_auth(ClientAuth::Requested(setup.authority.anchors()));
        let pair = Pair::established(setup);
        assert_eq!(pair.server.session.facts().peer_certificates, 0);
        assert_eq!(pair.client.session.facts().peer_certificates, 1);
    }
}

#[test]
fn without_verification_anybody_is_taken() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        setup.client = setup.client.danger_no_verification();
        setup.name = SessionName::new("somebody.else.example").unwrap();
        Pair::established(setup);
    }
}

#[test]
fn a_session_says_which_end_it_is() {
    let mut pair = Setup::new(TlsVersion::V1_3).join();
    for role in ROLES {
        let (me, _): (&mut End, _) = pair.ends(role);
        assert_eq!(me.session.role(), role);
    }
    assert_eq!(pair.client.session.role(), Role::Client);
}

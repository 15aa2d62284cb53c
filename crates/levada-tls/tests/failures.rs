//! Every failure: what the session that finds it says, and what arrives at its peer. Rows T05, T09
//! to T13, T26, T29 and T30 of the Telsa profile.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use levada_core::{AlertDescription, CertificateFault, Ending, Fault, Role};
use levada_tls::{
    Anchors, ClientAuth, Engine, Identities, SessionName, TlsClient, TlsServer, TlsVersion,
};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use support::{Authority, End, HOST, Pair, ROLES, Setup, VERSIONS, expired};

/// `finder` has found `cause` and sent `alert`, which is what has arrived at `peer`.
#[track_caller]
fn assert_found(finder: &End, peer: &End, alert: AlertDescription, cause: &Fault) {
    let ending = Ending::FatalError { alert: Some(alert), cause: cause.clone() };
    assert_eq!(finder.ending.as_ref(), Some(&ending));
    assert_eq!(peer.ending, Some(Ending::FatalAlert(alert)), "what arrives is what we say we sent");
}

/// The fault of a certificate that `finder` has refused with `alert`, which has arrived.
#[track_caller]
fn refused(finder: &End, peer: &End, alert: AlertDescription) -> CertificateFault {
    let Some(Ending::FatalError { cause: Fault::Certificate(fault), .. }) = &finder.ending else {
        panic!("no certificate was refused: {:?}", finder.ending);
    };
    assert_found(finder, peer, alert, &Fault::Certificate(fault.clone()));
    fault.clone()
}

/// The result of a client that does not like the server's certificate, or the other way round.
fn refuses(role: Role, version: TlsVersion, change: fn(&mut rcgen::CertificateParams)) -> Pair {
    let mut setup = Setup::mutual(version);
    let identity = setup.authority.identity_with(&[HOST], change);
    match role {
        Role::Client => {
            setup = Setup {
                server: TlsServer::builder(Identities::one(&identity))
                    .min_version(version)
                    .max_version(version),
                ..setup
            }
        }
        Role::Server => setup.client = setup.client.identity(identity),
    }
    let mut pair = setup.join();
    pair.talk();
    pair
}

#[test]
fn t26_an_altered_record_gives_alert_20() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = Pair::established(Setup::new(version));
            let (me, peer) = pair.ends(role);
            assert!(peer.session.seal(b"whole") && peer.session.seal(b"altered"));
            let mut wire = peer.write();
            *wire.last_mut().unwrap() ^= 1;
            me.wire = wire;
            me.open(1024);
            assert_eq!(me.plain, b"whole", "what came before the failure is delivered");
            peer.hear(me);
            assert_found(me, peer, AlertDescription::BAD_RECORD_MAC, &Fault::BadRecord);
        }
    }
}

#[test]
fn an_ending_behind_plaintext_is_announced_and_told_again_and_again() {
    let mut pair = Pair::established(Setup::new(TlsVersion::V1_3));
    let (me, peer) = pair.ends(Role::Server);
    assert!(peer.session.seal(b"whole") && peer.session.seal(b"altered"));
    let mut wire = peer.write();
    *wire.last_mut().unwrap() ^= 1;
    let mut room = [0; 100];
    let opened = me.session.open(&mut wire, &mut room).unwrap();
    assert_eq!((opened.taken, opened.plain), (wire.len(), 5));
    assert!(me.session.has_plaintext(), "the driver must come back without new bytes");
    for _ in 0..3 {
        assert!(me.session.open(&mut wire, &mut room).is_err());
        assert!(!me.session.has_plaintext());
    }
    assert!(!me.session.seal(b"more"));
}

#[test]
fn t26_an_alert_goes_behind_what_is_sealed() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = Pair::established(Setup::new(version));
            let (me, peer) = pair.ends(role);
            assert!(me.session.seal(b"sealed before"));
            assert!(peer.session.seal(b"altered"));
            let mut wire = peer.write();
            *wire.last_mut().unwrap() ^= 1;
            me.wire = wire;
            me.open(1024);
            peer.hear(me);
            assert_eq!(peer.plain, b"sealed before");
            assert_found(me, peer, AlertDescription::BAD_RECORD_MAC, &Fault::BadRecord);
        }
    }
}

#[test]
fn nothing_goes_behind_our_close_notify_not_even_an_alert() {
    for version in VERSIONS {
        for role in ROLES {
            for flushes in [false, true] {
                let mut pair = Pair::established(Setup::new(version));
                let (me, peer) = pair.ends(role);
                assert!(me.session.seal(b"ab"));
                me.session.close();
                let mut ours = if flushes { me.write() } else { Vec::new() };
                assert!(peer.session.seal(b"altered"));
                let mut wire = peer.write();
                *wire.last_mut().unwrap() ^= 1;
                me.wire = wire;
                me.open(1024);
                let found = Ending::FatalError { alert: None, cause: Fault::BadRecord };
                assert_eq!(me.ending, Some(found));
                ours.extend(me.write());
                peer.wire = ours;
                peer.open(1024);
                assert_eq!((&peer.plain[..], &peer.ending), (&b"ab"[..], &None));
                assert!(peer.session.peer_has_closed());
                assert!(peer.wire.is_empty());
            }
        }
    }
}

#[test]
fn t05_t26_an_unknown_authority_gives_alert_48() {
    for version in VERSIONS {
        for role in ROLES {
            let stranger = Authority::new("somebody else's authority").anchors();
            let mut setup = Setup::mutual(version);
            match role {
                Role::Client => setup.client = setup.client.anchors(stranger),
                Role::Server => {
                    setup.server = setup.server.client_auth(ClientAuth::Required(stranger));
                }
            }
            let mut pair = setup.join();
            pair.talk();
            let (me, peer) = pair.ends(role);
            let fault = refused(me, peer, AlertDescription::UNKNOWN_CA);
            assert_eq!(fault, CertificateFault::UnknownIssuer);
            // The client of TLS 1.3 is established when it learns that it is not let in.
            let knew = role == Role::Server && version == TlsVersion::V1_3;
            assert_eq!(peer.session.is_handshaking(), !knew);
        }
    }
}

#[test]
fn t05_a_wrong_name_tells_both_names() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        let identity = setup.authority.identity(&["a.example", "*.b.example", "192.0.2.1"]);
        setup.name = SessionName::new("c.example").unwrap();
        let mut pair = setup.with_identity(&identity, version).join();
        pair.talk();
        let fault = refused(&pair.client, &pair.server, AlertDescription::BAD_CERTIFICATE);
        let CertificateFault::WrongName { wanted, presented } = fault else {
            panic!("not the name: {fault:?}")
        };
        assert_eq!(wanted, "c.example");
        assert_eq!(presented[..2], ["a.example", "*.b.example"]);
        assert!(presented[2].starts_with("192.0.2.1"), "{presented:?}");
    }
}

#[test]
fn t26_an_expired_certificate_gives_alert_45() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = refuses(role, version, expired);
            let (me, peer) = pair.ends(role);
            let fault = refused(me, peer, AlertDescription::CERTIFICATE_EXPIRED);
            let CertificateFault::Expired { not_after, now } = fault else {
                panic!("not expired: {fault:?}")
            };
            assert_eq!(not_after, Some(978_307_200), "2001-01-01");
            assert!(now > not_after);
        }
    }
}

#[test]
fn t26_a_certificate_not_yet_valid_gives_alert_45() {
    for version in VERSIONS {
        let mut pair = refuses(Role::Client, version, |params| {
            params.not_before = rcgen::date_time_ymd(3000, 1, 1);
        });
        let (me, peer) = pair.ends(Role::Client);
        let fault = refused(me, peer, AlertDescription::CERTIFICATE_EXPIRED);
        assert!(matches!(fault, CertificateFault::NotYetValid { not_before: Some(_), .. }));
    }
}

#[test]
fn t26_an_authority_is_no_leaf() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = refuses(role, version, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            });
            let (me, peer) = pair.ends(role);
            let fault = refused(me, peer, AlertDescription::CERTIFICATE_UNKNOWN);
            assert_eq!(fault, CertificateFault::CaAsEndEntity);
        }
    }
}

#[test]
fn t26_a_certificate_for_another_use_gives_alert_43() {
    for version in VERSIONS {
        let mut pair = refuses(Role::Server, version, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        let (me, peer) = pair.ends(Role::Server);
        let fault = refused(me, peer, AlertDescription::UNSUPPORTED_CERTIFICATE);
        assert_eq!(
            fault.to_string(),
            "it is not meant for this use: it needs clientAuth and has serverAuth"
        );
    }
}

#[test]
fn t11_t26_a_missing_client_certificate() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        setup.server = setup.server.client_auth(ClientAuth::Required(setup.authority.anchors()));
        let mut pair = setup.join();
        pair.talk();
        let alert = AlertDescription::CERTIFICATE_REQUIRED;
        assert_found(&pair.server, &pair.client, alert, &Fault::NoCertificate);
        // In TLS 1.3 the client is established before it learns.
        assert_eq!(pair.client.session.is_handshaking(), version == TlsVersion::V1_2);
        assert_eq!(pair.server.session.facts().sni.as_deref(), Some(HOST));
    }
}

#[test]
fn t26_no_protocol_in_common_gives_alert_120() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        setup.client = setup.client.alpn(["h2"]);
        setup.server = setup.server.alpn(["mqtt"]);
        let mut pair = setup.join();
        pair.talk();
        let alert = AlertDescription::NO_APPLICATION_PROTOCOL;
        assert_found(&pair.server, &pair.client, alert, &Fault::NoAlpn);
        assert_eq!(pair.server.session.facts().sni.as_deref(), Some(HOST));
    }
}

#[test]
fn t26_no_version_in_common_gives_alert_70() {
    for (ours, theirs) in
        [(TlsVersion::V1_2, TlsVersion::V1_3), (TlsVersion::V1_3, TlsVersion::V1_2)]
    {
        let mut setup = Setup::new(ours);
        setup.server = setup.server.min_version(theirs).max_version(theirs);
        let mut pair = setup.join();
        pair.talk();
        let cause = Fault::NothingInCommon(format!("version (we allow only {theirs})"));
        let alert = AlertDescription::PROTOCOL_VERSION;
        assert_found(&pair.server, &pair.client, alert, &cause);
    }
}

#[test]
fn an_unknown_name_is_refused_with_alert_112_and_known_ones_are_served() {
    for version in VERSIONS {
        let authority = Authority::new("a");
        let (one, wild) =
            (authority.identity(&["one.example"]), authority.identity(&["*.wild.example"]));
        let table = Identities::builder().with(&one).unwrap().with(&wild).unwrap();
        let strict = TlsServer::builder(table.build().unwrap()).build().unwrap();
        let client = TlsClient::builder()
            .anchors(authority.anchors())
            .min_version(version)
            .max_version(version)
            .build()
            .unwrap();
        let session = |name: &SessionName| {
            let mut pair = Pair::new(client.session(name).unwrap(), strict.session());
            pair.talk();
            pair
        };
        for known in ["one.example", "ONE.example", "a.wild.example"] {
            let pair = session(&SessionName::new(known).unwrap());
            assert_eq!((&pair.client.ending, &pair.server.ending), (&None, &None), "{known}");
        }
        for unknown in ["two.example", "wild.example", "a.b.wild.example"] {
            let pair = session(&SessionName::new(unknown).unwrap());
            let cause = Fault::UnknownName(Some(unknown.to_owned()));
            assert_found(&pair.server, &pair.client, AlertDescription::UNRECOGNIZED_NAME, &cause);
            assert_eq!(pair.server.session.facts().sni.as_deref(), Some(unknown));
        }
        let pair = session(&SessionName::new("one.example").unwrap().without_sni());
        let cause = Fault::UnknownName(None);
        assert_found(&pair.server, &pair.client, AlertDescription::UNRECOGNIZED_NAME, &cause);
    }
}

/// A ClientHello of `version` with the extensions `all`.
fn client_hello(version: [u8; 2], all: &[u8]) -> Vec<u8> {
    let mut body = Vec::from(version);
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0]);
    body.extend((all.len() as u16).to_be_bytes());
    body.extend(all);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

#[test]
fn t05_t26_a_client_of_tls_1_1_gives_old_version_and_alert_70() {
    let found = |setup: Setup, hello: &[u8]| {
        let end = &mut End::given(setup.server.build().unwrap().session(), hello);
        assert_eq!(end.write(), [21, 3, 3, 0, 2, 2, 70]);
        end.ending.clone()
    };
    let old = Ending::FatalError {
        alert: Some(AlertDescription::PROTOCOL_VERSION),
        cause: Fault::OldVersion,
    };
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    for version in VERSIONS {
        for extensions in [&signatures[..], &[]] {
            let hello = client_hello([3, 2], extensions);
            assert_eq!(found(Setup::new(version), &hello), Some(old.clone()));
        }
    }
    // The same in the way of today: a list of versions, none of which is ours.
    let both = Setup::new(TlsVersion::V1_2);
    let both = Setup { server: both.server.max_version(TlsVersion::V1_3), ..both };
    assert_eq!(
        found(both, &client_hello([3, 3], &[&signatures[..], &[0, 43, 0, 3, 2, 3, 2]].concat())),
        Some(old)
    );
}

#[test]
fn t05_a_server_of_tls_1_1_gives_old_version_and_alert_70() {
    let setup = Setup::new(TlsVersion::V1_2);
    let client = setup.client.max_version(TlsVersion::V1_3).build().unwrap();
    let mut end = End::new(client.session(&setup.name).unwrap());
    end.write();
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x2f, 0]);
    end.wire = hello;
    end.open(0);
    let alert = Some(AlertDescription::PROTOCOL_VERSION);
    assert_eq!(end.ending, Some(Ending::FatalError { alert, cause: Fault::OldVersion }));
    assert_eq!(end.write()[3..], [0, 2, 2, 70]);
}

#[test]
fn t05_plaintext_is_not_tls_and_is_left_untaken() {
    for wire in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x17\x03\x03",
        b"4",
    ] {
        let setup = Setup::new(TlsVersion::V1_3);
        let client = setup.client.build().unwrap().session(&setup.name).unwrap();
        let server = setup.server.build().unwrap().session();
        for mut session in [client, server] {
            let mut hello = Vec::new();
            while session.wants_write() {
                session.write_wire(&mut hello).unwrap();
            }
            let mut end = End::given(session, wire);
            let first = wire[..wire.len().min(16)].to_vec();
            let ending = Ending::FatalError { alert: None, cause: Fault::NotTls { first } };
            assert_eq!(end.ending, Some(ending));
            assert_eq!(end.wire, wire, "a fallback could hand all of it on");
            assert!(end.write().is_empty());
        }
    }
}

#[test]
fn t11_t29_a_fatal_alert_is_told_and_nothing_is_sent_after_it() {
    for number in [10, 40, 42, 48, 70, 80, 112, 200] {
        for level in [2, 7] {
            let setup = Setup::new(TlsVersion::V1_2);
            let client = setup.client.build().unwrap().session(&setup.name).unwrap();
            let server = setup.server.build().unwrap().session();
            for session in [client, server] {
                let mut end = End::given(session, &[21, 3, 1, 0, 2, level, number]);
                let alert = AlertDescription(number);
                assert_eq!(end.ending, Some(Ending::FatalAlert(alert)), "level {level}");
                assert!(end.write().is_empty());
            }
        }
    }
}

#[test]
fn t30_warning_alerts_do_not_end_a_handshake_but_a_flood_of_them_does() {
    let warning = [21, 3, 1, 0, 2, 1, 112];
    let mut pair = Setup::new(TlsVersion::V1_2).join();
    for end in [&mut pair.client, &mut pair.server] {
        end.wire.extend([warning; 3].concat());
        end.open(0);
    }
    pair.talk();
    assert!(!pair.client.session.is_handshaking() && !pair.server.session.is_handshaking());

    let setup = Setup::new(TlsVersion::V1_2);
    let client = setup.client.build().unwrap().session(&setup.name).unwrap();
    let server = setup.server.build().unwrap().session();
    for session in [client, server] {
        let mut end = End::new(session);
        end.write();
        end.wire = [warning; 20].concat();
        end.open(0);
        let Some(Ending::FatalError { alert, cause: Fault::Protocol(_) }) = &end.ending else {
            panic!("a flood was endured: {:?}", end.ending)
        };
        // rustls has no alert for this one: it is ours.
        assert_eq!(*alert, Some(AlertDescription::UNEXPECTED_MESSAGE));
        assert_eq!(end.write(), [21, 3, 3, 0, 2, 2, 10]);
    }
}

/// rustls has no alert for more ChangeCipherSpecs than anybody needs, and seals what is sent by now.
#[test]
fn t26_a_fault_without_an_alert_of_the_librarys_is_told_under_the_keys_of_tls_1_3() {
    let flood = [20, 3, 3, 0, 1, 1].repeat(4);
    for role in ROLES {
        let mut pair = Setup::new(TlsVersion::V1_3).join();
        pair.server.wire = pair.client.write();
        pair.server.open(0);
        let mut flight = pair.server.write();
        if role == Role::Client {
            let server_hello = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
            flight.truncate(server_hello);
            flight.extend(&flood);
            pair.client.wire = flight;
            pair.client.open(0);
        } else {
            // It can read what is sealed, and its own Finished is lost.
            pair.client.wire = flight;
            pair.client.open(0);
            pair.client.write();
            pair.server.wire = flood.clone();
            pair.server.open(0);
        }
        let (finder, peer) = pair.ends(role);
        let Some(Ending::FatalError { alert: Some(alert), cause: Fault::Protocol(_) }) =
            finder.ending
        else {
            panic!("a flood was endured: {:?}", finder.ending)
        };
        peer.hear(finder);
        assert_eq!(peer.ending, Some(Ending::FatalAlert(alert)), "{role:?}");
    }
}

#[test]
fn t26_an_illegal_header_gives_alert_50_without_waiting_for_its_body() {
    for role in ROLES {
        for header in [[19, 3, 3, 0, 9], [22, 3, 3, 0, 0], [22, 3, 3, 0xff, 0xff]] {
            let mut pair = Setup::new(TlsVersion::V1_3).join();
            let (me, _) = pair.ends(role);
            if header[0] == 19 {
                // Not as the first record, where it is no TLS.
                me.wire = vec![21, 3, 1, 0, 2, 1, 112];
            }
            me.write();
            me.wire.extend(header);
            me.open(0);
            let Some(Ending::FatalError { alert, cause: Fault::Protocol(_) }) = &me.ending else {
                panic!("{header:?} was endured: {:?}", me.ending)
            };
            assert_eq!(*alert, Some(AlertDescription::DECODE_ERROR), "{header:?}");
            assert_eq!(me.write()[3..], [0, 2, 2, 50]);
        }
    }
}

#[test]
fn t26_a_message_out_of_turn_gives_alert_10() {
    // A ServerHelloDone where each role waits for a hello.
    for role in ROLES {
        let mut pair = Setup::new(TlsVersion::V1_2).join();
        let (me, _) = pair.ends(role);
        me.write();
        me.wire = vec![22, 3, 3, 0, 4, 14, 0, 0, 0];
        me.open(0);
        let Some(Ending::FatalError { alert, cause: Fault::Protocol(how) }) = &me.ending else {
            panic!("it was endured: {:?}", me.ending)
        };
        assert!(how.contains("ServerHelloDone") && how.contains("only"), "{how}");
        assert_eq!(*alert, Some(AlertDescription::UNEXPECTED_MESSAGE));
        assert_eq!(me.write()[3..], [0, 2, 2, 10]);
    }
}

#[test]
fn a_hello_longer_than_can_be_is_refused() {
    let setup = Setup::new(TlsVersion::V1_3);
    // A ClientHello that announces 16 MiB and goes on and on.
    let mut wire = vec![22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    wire.resize(5 + 16_384, 0);
    for _ in 0..8 {
        wire.extend([22, 3, 1, 0x40, 0]);
        wire.extend([0; 16_384]);
    }
    let mut end = End::given(setup.server.build().unwrap().session(), &wire);
    let Some(Ending::FatalError { alert: Some(alert), cause: Fault::Protocol(_) }) = &end.ending
    else {
        panic!("it was endured: {:?}", end.ending)
    };
    assert_eq!(*alert, AlertDescription::DECODE_ERROR);
    assert_eq!(end.write(), [21, 3, 3, 0, 2, 2, 50]);
}

#[test]
fn anchors_without_a_certificate_or_with_a_bad_one_are_refused_in_words() {
    let told = |text: &str| Anchors::from_pem(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        told("one\n\ntwo\n"),
        "there is no certificate (\"BEGIN CERTIFICATE\") in the 2 lines of the trust anchors: is it \
         the right file, and PEM?"
    );
    let good = Authority::new("a").pem;
    let lines = good.lines().count();
    let bad = format!("{good}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    assert_eq!(
        told(&bad),
        format!(
            "the trust anchor that begins in line {} cannot be used: it cannot be read",
            lines + 1
        )
    );
}

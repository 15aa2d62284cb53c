//! Sessions whose records somebody else does: the keys that are handed over are those of the peer, and what
//! stays behind still answers. The peer is rustls by itself.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/kernel.rs"]
mod kernel;
mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use kernel::Direction as Records;
use levada_core::{AlertDescription, Ending, Role};
use levada_tls::{
    ChannelBinding, Direction, Duty, Engine, Handover, Identity, KernelSession, KernelSessionError,
    NotReady, Outgoing, Permit, Sent, SignatureScheme, TlsVersion,
};
use rcgen::{KeyPair, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig,
    ServerConnection,
};
use support::{Authority, End, HOST, Pair, ROLES, Setup, VERSIONS};

const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const LABEL: &str = "EXPORTER-levada-test";

const SUITES: [(TlsVersion, CipherSuite); 6] = [
    (TlsVersion::V1_3, CipherSuite::TLS13_AES_128_GCM_SHA256),
    (TlsVersion::V1_3, CipherSuite::TLS13_AES_256_GCM_SHA384),
    (TlsVersion::V1_3, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    (TlsVersion::V1_2, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    (TlsVersion::V1_2, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (TlsVersion::V1_2, CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The peer, by the library alone, that speaks one suite.
fn peer_of(role: Role, authority: &Authority, suite: CipherSuite) -> Connection {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|known| known.suite() == suite);
    let provider = Arc::new(provider);
    let versions = provider.cipher_suites[0].version();
    if role == Role::Client {
        let (chain, key) = authority.issue(&[HOST], |_| {});
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(&[versions]).unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        ServerConnection::new(Arc::new(config)).unwrap().into()
    } else {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(&[versions]).unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        ClientConnection::new(Arc::new(config), HOST.try_into().unwrap()).unwrap().into()
    }
}

/// What a peer has to say, in records.
fn said(peer: &mut Connection) -> Vec<Vec<u8>> {
    let mut wire = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut wire).unwrap();
    }
    records(&wire)
}

fn records(wire: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut all) = (wire, Vec::new());
    while !rest.is_empty() {
        let end = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        all.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    all
}

fn tell(peer: &mut Connection, mut wire: &[u8]) {
    while !wire.is_empty() {
        peer.read_tls(&mut wire).unwrap();
        peer.process_new_packets().unwrap();
    }
}

/// An end of `role` right behind its handshake, its peer, and records of the peer that it has not seen: it
/// is shown one at a time, and none behind the handshake.
fn established(role: Role, setup: &Setup, suite: CipherSuite) -> (End, Connection, Vec<Vec<u8>>) {
    let mut peer = peer_of(role, &setup.authority, suite);
    let mut end = End::new(match role {
        Role::Client => setup.client.clone().build().unwrap().session(&setup.name).unwrap(),
        Role::Server => setup.server.clone().build().unwrap().session(),
    });
    assert!(end.session.for_kernel());
    let mut unseen = Vec::new();
    loop {
        let wire = end.write();
        tell(&mut peer, &wire);
        unseen.extend(said(&mut peer));
        if !end.session.is_handshaking() && !end.session.wants_write() && wire.is_empty() {
            return (end, peer, unseen);
        }
        if end.session.is_handshaking() && !unseen.is_empty() {
            end.wire = unseen.remove(0);
            end.open(1024);
            assert_eq!(end.ending, None);
        }
    }
}

/// That end with its records in the hands of a kernel.
struct Handed {
    end: End,
    peer: Connection,
    session: KernelSession,
    transmit: Records,
    receive: Records,
    /// What came behind the handshake that is no data.
    unseen: Vec<Vec<u8>>,
}

impl Handed {
    fn new(role: Role, setup: &Setup, suite: CipherSuite) -> Self {
        let (mut end, peer, unseen) = established(role, setup, suite);
        let Handover { session, transmit, receive } = end.session.handover().unwrap();
        let copy = end.session.handover().unwrap().receive;
        end.session.handed_over(receive);
        let (transmit, receive) = (Records::new(transmit), Records::new(copy));
        Self { end, peer, session, transmit, receive, unseen }
    }

    fn heard(&mut self) -> Vec<u8> {
        let mut plain = vec![0; 1024];
        match self.peer.reader().read(&mut plain) {
            Ok(count) => plain[..count].to_vec(),
            Err(_) => Vec::new(),
        }
    }
}

#[test]
fn the_keys_that_are_handed_over_are_those_of_the_peer() {
    for (version, suite) in SUITES {
        let setup = Setup::new(version);
        for role in ROLES {
            let mut handed = Handed::new(role, &setup, suite);
            let case = format!("{role:?} {suite:?}");
            for record in std::mem::take(&mut handed.unseen) {
                assert_eq!(handed.receive.open(&record).0, HANDSHAKE, "{case}: a ticket");
            }
            for round in 0..3_u8 {
                let ours = [round; 100];
                let record = handed.transmit.seal(DATA, &ours);
                tell(&mut handed.peer, &record);
                assert_eq!(handed.heard(), ours, "{case}");
                handed.peer.writer().write_all(&[round; 200]).unwrap();
                for record in said(&mut handed.peer) {
                    assert_eq!(handed.receive.open(&record), (DATA, vec![round; 200]), "{case}");
                }
            }
            // The duties' goodbye is one for the peer, and the peer's for them.
            let mut duties = handed.session.duties();
            duties.close();
            let goodbye = duties.outgoing().unwrap();
            let record = handed.transmit.seal(goodbye.content_type(), &goodbye.content());
            assert_eq!(duties.sent(), Sent::Done);
            tell(&mut handed.peer, &record);
            let state = handed.peer.process_new_packets().unwrap();
            assert!(state.peer_has_closed(), "{case}");
            handed.peer.send_close_notify();
            let (content_type, content) = handed.receive.open(&said(&mut handed.peer)[0]);
            assert_eq!(duties.received(content_type, &content), [Duty::EndOfData], "{case}");
            assert!(duties.is_done());
        }
    }
}

#[test]
fn keys_are_renewed_as_the_peer_renews_them() {
    for (version, suite) in SUITES.into_iter().filter(|(version, _)| *version == TlsVersion::V1_3) {
        let setup = Setup::new(version);
        for role in ROLES {
            let mut handed = Handed::new(role, &setup, suite);
            handed.session.set_rekeys(true);
            // What another process is given has all that it takes.
            let bytes = handed.session.to_bytes();
            assert!(bytes.len() <= KernelSession::MAX_LEN);
            let mut session = KernelSession::from_bytes(&bytes).unwrap();
            let mut duties = session.duties();
            for record in std::mem::take(&mut handed.unseen) {
                handed.receive.open(&record);
            }
            for _ in 0..3 {
                // The peer asks for new keys of ours, too.
                handed.peer.refresh_traffic_keys().unwrap();
                handed.peer.writer().write_all(b"under new keys").unwrap();
                let records = said(&mut handed.peer);
                let (content_type, content) = handed.receive.open(&records[0]);
                assert_eq!(duties.received(content_type, &content), [Duty::RenewReceive]);
                handed.receive = Records::new(session.renew(Direction::Receive).unwrap());
                assert_eq!(handed.receive.open(&records[1]), (DATA, b"under new keys".to_vec()));

                assert_eq!(duties.permit(100), Permit::Behind, "the answer goes first");
                let answer = duties.outgoing().unwrap();
                assert_eq!(answer, Outgoing::KeyUpdate);
                let record = handed.transmit.seal(answer.content_type(), &answer.content());
                assert_eq!(duties.sent(), Sent::RenewTransmit);
                handed.transmit = Records::new(session.renew(Direction::Transmit).unwrap());
                tell(&mut handed.peer, &record);
                assert_eq!(duties.permit(100), Permit::Bytes(100));
                let record = handed.transmit.seal(DATA, b"so are we");
                tell(&mut handed.peer, &record);
                assert_eq!(handed.heard(), b"so are we");
            }
        }
    }
}

#[test]
fn what_stays_behind_answers_for_the_handshake_and_says_nothing_to_the_peer() {
    for (version, suite) in SUITES {
        let setup = Setup::new(version);
        for role in ROLES {
            let (mut end, peer, _) = established(role, &setup, suite);
            let facts = end.session.facts();
            let keys = end.session.export_keying_material(LABEL, Some(b"context"), 32).unwrap();
            let certificate = end.session.peer_chain().next().map(<[u8]>::to_vec);
            let receive = end.session.handover().unwrap().receive;
            end.session.handed_over(receive);

            assert_eq!(end.session.facts(), facts);
            let after = end.session.export_keying_material(LABEL, Some(b"context"), 32).unwrap();
            assert_eq!(after, keys);
            let theirs = peer.export_keying_material([0; 32], LABEL.as_bytes(), Some(b"context"));
            assert_eq!(after.bytes(), theirs.unwrap());
            assert!(end.session.channel_binding(ChannelBinding::TlsExporter).is_ok());
            assert_eq!(end.session.peer_chain().next().map(<[u8]>::to_vec), certificate);

            assert!(!end.session.seal(b"data"));
            end.session.close();
            assert!(!end.session.wants_write());
            let opened = end.session.open(&mut [DATA, 3, 3, 0, 1, 1], &mut [0; 16]).unwrap();
            assert_eq!((opened.taken, opened.plain), (0, 0));
            assert_eq!(end.session.handover().unwrap_err(), NotReady::NotPrepared);
        }
    }
}

#[test]
fn tickets_that_come_through_the_kernel_resume_the_next_session() {
    for records in [16_384, 64] {
        let setup = Setup::new(TlsVersion::V1_3);
        let client = setup.client.clone().build().unwrap();
        let server = setup.server.clone().max_record(records).build().unwrap();
        let mut pair = Pair::new(client.session(&setup.name).unwrap(), server.session());
        assert!(pair.client.session.for_kernel() && pair.server.session.for_kernel());
        // The last flight of the client, and no more: tickets follow it.
        pair.server.hear(&mut pair.client);
        let flight = pair.server.write();
        for record in self::records(&flight) {
            pair.client.wire = record;
            pair.client.open(1024);
        }
        pair.server.hear(&mut pair.client);
        let tickets = self::records(&pair.server.write());
        assert!(!tickets.is_empty());

        let Handover { session, receive, .. } = pair.client.session.handover().unwrap();
        let mut kernel = Records::new(pair.client.session.handover().unwrap().receive);
        pair.client.session.handed_over(receive);
        let mut duties = session.duties();
        let mut kept = 0;
        for record in tickets {
            let (content_type, content) = kernel.open(&record);
            for duty in duties.received(content_type, &content) {
                let Duty::Keep(ticket) = duty else { panic!("{duty:?}") };
                pair.client.session.take_ticket(&ticket).unwrap();
                kept += 1;
            }
        }
        assert_eq!(kept, 2);

        // The server's keys begin behind its tickets, in however many records they went.
        let Handover { transmit, .. } = pair.server.session.handover().unwrap();
        let record = Records::new(transmit).seal(DATA, b"behind the tickets");
        assert_eq!(kernel.open(&record), (DATA, b"behind the tickets".to_vec()));

        let mut next = Pair::new(client.session(&setup.name).unwrap(), server.session());
        next.talk();
        assert_eq!(next.client.session.facts().resumed, Some(true));
        // And that one can be handed over, too.
        let mut again = Pair::new(client.session(&setup.name).unwrap(), server.session());
        again.server.session.for_kernel();
        again.talk();
        assert_eq!(again.server.session.facts().resumed, Some(true));
        let keys = again.server.session.handover().unwrap().transmit;
        again.client.wire = Records::new(keys).seal(DATA, b"resumed");
        again.client.open(1024);
        assert_eq!((again.client.plain, again.client.ending), (b"resumed".to_vec(), None));
    }
}

#[test]
fn tickets_of_a_handshake_that_others_have_worked_on_are_counted_and_kept() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let (chain, key) = setup.authority.issue(&[HOST], |_| {});
        let key = Arc::new(KeyPair::from_pem(&key).unwrap());
        let signer = move |_: SignatureScheme, message: Vec<u8>| {
            let key = key.clone();
            async move { Ok(key.sign(&message)?) }
        };
        let identity = Identity::with_signer(chain.as_bytes(), signer).unwrap();
        let setup = setup.with_identity(&identity, version);
        let mut pair = setup.join();
        assert!(pair.server.session.for_kernel());
        // What it has to say is left waiting until the client has said all.
        pair.server.hear(&mut pair.client);
        let flight = pair.server.write();
        pair.client.wire.extend(flight);
        pair.client.open(1024);
        pair.server.hear(&mut pair.client);
        assert!(!pair.server.session.is_handshaking(), "{version}");
        let tickets = records(&pair.server.write());
        assert!(!tickets.is_empty(), "{version}: tickets, or Finished");
        pair.client.wire.extend(tickets.concat());
        pair.client.open(1024);
        let keys = pair.server.session.handover().unwrap().transmit;
        pair.client.wire.extend(Records::new(keys).seal(DATA, b"behind them"));
        pair.client.open(1024);
        let client = (&pair.client.plain[..], &pair.client.ending);
        assert_eq!(client, (&b"behind them"[..], &None), "{version}");
    }
}

#[test]
fn what_is_no_ticket_is_refused() {
    let setup = Setup::new(TlsVersion::V1_3);
    for (message, alert) in [
        (&[24, 0, 0, 1, 1][..], AlertDescription::UNEXPECTED_MESSAGE),
        (&[4, 0, 0, 9, 1], AlertDescription::UNEXPECTED_MESSAGE),
        (&[], AlertDescription::UNEXPECTED_MESSAGE),
        (&[4, 0, 0, 2, 1, 1], AlertDescription::DECODE_ERROR),
    ] {
        let mut handed = Handed::new(Role::Client, &setup, SUITES[0].1);
        let ending = handed.end.session.take_ticket(message).unwrap_err();
        let Ending::FatalError { alert: told, .. } = &ending else { panic!("{ending:?}") };
        assert_eq!(*told, Some(alert), "{message:?}");
        assert!(handed.end.session.facts().version.is_some());
    }
    let mut server = Handed::new(Role::Server, &setup, SUITES[0].1);
    server.end.session.take_ticket(&[1, 2, 3]).unwrap();
}

#[test]
fn only_an_unused_session_that_was_prepared_is_handed_over() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = Pair::established(Setup::new(version));
            let (end, _) = pair.ends(role);
            assert_eq!(end.session.handover().unwrap_err(), NotReady::NotPrepared);
            assert!(!end.session.for_kernel(), "too late");

            let mut pair = Setup::new(version).join();
            let (end, _) = pair.ends(role);
            assert!(end.session.for_kernel());
            assert_eq!(end.session.handover().unwrap_err(), NotReady::NotPrepared);
            pair.talk();
            let (end, peer) = pair.ends(role);
            assert!(peer.session.seal(b"data"));
            end.hear(peer);
            assert_eq!(end.session.handover().unwrap_err(), NotReady::InUse);

            let mut pair = Setup::new(version).join();
            pair.ends(role).0.session.for_kernel();
            pair.talk();
            let (end, _) = pair.ends(role);
            end.session.forget_traffic();
            assert_eq!(end.session.handover().unwrap_err(), NotReady::NotPrepared);
            assert!(end.session.seal(b"and it goes on here"));
        }
    }
}

#[test]
fn a_session_of_another_process_is_taken_as_it_was_made_or_not_at_all() {
    for (version, suite) in SUITES {
        let handed = Handed::new(Role::Server, &Setup::new(version), suite);
        let bytes = handed.session.to_bytes();
        let again = KernelSession::from_bytes(&bytes).unwrap();
        assert_eq!(*again.to_bytes(), *bytes);
        assert_eq!((again.role(), again.version()), (Role::Server, version));
        for end in 0..bytes.len() {
            let error = KernelSession::from_bytes(&bytes[..end]).unwrap_err();
            assert_eq!(error, KernelSessionError::Length);
        }
        let long = [&bytes[..], &[0]].concat();
        assert_eq!(KernelSession::from_bytes(&long).unwrap_err(), KernelSessionError::Length);
        let wrong = |place: usize, value: u8| {
            let mut bytes = bytes.to_vec();
            bytes[place] = value;
            KernelSession::from_bytes(&bytes).unwrap_err()
        };
        assert_eq!(wrong(0, 9), KernelSessionError::Layout(9));
        assert_eq!(wrong(1, 0), KernelSessionError::Value);
        assert_eq!(wrong(2, 2), KernelSessionError::Value);
        assert_eq!(wrong(5, 0x50), KernelSessionError::Value);
        assert!(matches!(wrong(3, 0xee), KernelSessionError::Suite(_)));
        // Where there are secrets, none is shown.
        let shown = format!("{again:?} {:?} {:?}", again.duties(), handed.end.session);
        for secret in bytes[15..].chunks(16) {
            assert!(!shown.contains(&format!("{secret:?}")[1..20]), "{shown}");
        }
    }
}

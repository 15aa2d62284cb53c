//! Alerts at the edges: after the handshake, and under a reset.

use levada::{AlertDescription, Ended, Ending, Event, Party, Role, Socket, State};
use levada_tls::TlsClientBuilder;
use std::io::ErrorKind;

use crate::ours::Ours;
use crate::peer::Peer;
use crate::table::cause;
use crate::world::{KNOWN, Layer, Moved, STRANGER, Setup, client, patient, session, strict_server};

/// A client certificate that TLS 1.3 refuses only when the client is established already, and TLS 1.2
/// before it is.
#[tokio::test]
async fn t11_a_client_certificate_refused_in_tls_1_3_is_an_alert_on_an_established_stream() {
    type With = fn(TlsClientBuilder) -> TlsClientBuilder;
    let cases: [(With, AlertDescription); 2] = [
        (|none| none, AlertDescription::CERTIFICATE_REQUIRED),
        (|builder| builder.identity(STRANGER.identity()), AlertDescription::UNKNOWN_CA),
    ];
    for moved in [Moved::Memory, Moved::Tcp, Moved::Unix] {
        for (with, alert) in &cases {
            for layer in Layer::TLS {
                let setup = Setup { moved, layer, role: Role::Client };
                let near = client(layer, |builder| with(builder.anchors(KNOWN.anchors())));
                let (socket, peer) = setup.start_with(patient(), Some(near)).await;
                let mut peer = peer.with_session(strict_server(layer));
                let ours = Ours::new(socket);
                let us = async {
                    let read = ours.read_all().await;
                    (read.error.unwrap(), ours.closed().await, ours.told())
                };
                let them = async {
                    peer.take_until_failed().await;
                    let (alert, _) = peer.fatal_alert();
                    peer.send(&alert).await;
                    peer.fin().await;
                };
                let ((error, ended, told), ()) = tokio::join!(us, them);
                assert_eq!(cause(&ended.ending), &Ending::FatalAlert(*alert), "{setup:?}");
                let established = layer == Layer::Tls13;
                assert_eq!(ended.code() == "ERR_TLS_FATAL_ALERT", established);
                assert_eq!(told.contains(&Event::State(State::Established)), established);
                assert!(told.contains(&Event::Alert(Party::Peer, *alert)));
                assert_eq!(
                    (error.kind(), Ended::of(&error)),
                    (ErrorKind::InvalidData, Some(&ended))
                );
            }
        }
    }
}

/// The peer says why, and resets because of what we go on writing: what it said is what is told.
#[tokio::test]
async fn t21_an_alert_before_a_reset_is_told_and_not_the_reset() {
    for setup in Setup::all().filter(|setup| setup.layer.is_tls()) {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.write(b"hello").await.unwrap();
            ours.flush().await.unwrap();
            ours.may_go_on().await;
            // A writer that does not read at all.
            let (_, error) = ours.write_without_end().await;
            let ended = ours.closed().await;
            assert_eq!(
                ended.ending,
                Ending::FatalAlert(AlertDescription::BAD_RECORD_MAC),
                "{setup:?}"
            );
            assert_eq!((error.kind(), Ended::of(&error)), (ErrorKind::BrokenPipe, Some(&ended)));
            let read = ours.read_all().await;
            assert_eq!(read.bytes, b"before it", "{setup:?}");
            assert_eq!(read.error.unwrap().kind(), ErrorKind::InvalidData);
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(|peer| peer.plain == b"hello").await;
            let words = [peer.seal(b"before it"), peer.fatal_alert().0].concat();
            peer.send(&words).await;
            peer.reset();
            ours.go_on();
        };
        tokio::join!(us, them);
    }
}

/// T26: what we find wrong with a certificate is the alert that the peer reads, before FIN.
#[tokio::test]
async fn t26_a_certificate_that_nobody_trusts_is_told_to_the_server() {
    for moved in [Moved::Memory, Moved::Tcp, Moved::Unix] {
        for layer in Layer::TLS {
            let setup = Setup { moved, layer, role: Role::Client };
            let near = client(layer, |builder| builder.anchors(STRANGER.anchors()));
            let (socket, mut peer) = setup.start_with(patient(), Some(near)).await;
            let ours = Ours::new(socket);
            let us = async {
                let error = ours.read_all().await.error.unwrap();
                ours.drop_stream();
                Ended::of(&error).unwrap().clone()
            };
            let them = async {
                let flight = peer.last_or_only_flight().await;
                peer.send(&flight).await;
                peer.take_all().await;
            };
            let (ended, ()) = tokio::join!(us, them);
            let Ending::FatalError { alert, .. } = cause(&ended.ending) else {
                panic!("{ended:?}")
            };
            assert_eq!(*alert, Some(AlertDescription::UNKNOWN_CA));
            assert_eq!(peer.alert, *alert, "{setup:?}");
            assert_eq!(ended.code(), "connectFailed");
        }
    }
}

/// T30: a warning is no ending in TLS 1.2.
#[tokio::test]
async fn t30_a_warning_alert_does_not_end_tls_1_2() {
    let setup = Setup { moved: Moved::Memory, layer: Layer::Tls12, role: Role::Server };
    let (near, far) = setup.carrier(4096).await;
    let socket = Socket::adopt(near, session(setup.layer, setup.role), patient());
    let mut peer = Peer::new(far, session(setup.layer, Role::Client), setup);
    let ours = Ours::new(socket);
    let us = async {
        let read = ours.read_all().await;
        assert!(read.error.is_none(), "{:?}", read.error);
        assert_eq!(read.bytes, b"and on it goes");
    };
    let them = async {
        // user_canceled (90) as a warning, before anything else.
        peer.send(&[21, 3, 3, 0, 2, 1, 90]).await;
        peer.handshake().await;
        peer.send_plain(b"and on it goes").await;
        peer.say_goodbye().await;
    };
    tokio::join!(us, them);
}

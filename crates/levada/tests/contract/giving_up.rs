//! Ending by our own will: before the stream is established, and by abort and drop.

use std::io::ErrorKind;

use levada::{Address, Ended, Ending, Event, Mode, Role, Socket, State};

use crate::ours::Ours;
use crate::peer::{Peer, WireEnd};
use crate::world::{Layer, Moved, Setup, patient, session};

/// T06: nothing was written, so ending is a cancel, and no error.
#[tokio::test]
async fn t06_given_up_while_dialling() {
    // Nobody accepts there, but the kernel connects: given up before the first look, it is never
    // found out.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let to = address.parse::<Address>().unwrap().for_connecting().unwrap();
    for layer in Layer::TLS {
        let session = session(layer, Role::Client);
        let mut socket = Socket::dial(to.endpoint.clone(), session, patient());
        let mut events = socket.events();
        tokio::io::AsyncWriteExt::shutdown(&mut socket).await.unwrap();
        let ended = socket.closed().await;
        assert_eq!((ended.code(), ended.is_clean()), ("connectFinalized", true));
        assert!(ended.phase.is_before_established());
        assert_eq!(tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 1]).await.unwrap(), 0);
        let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert_eq!(told.last(), Some(&Event::Ended(ended)));
        assert!(!told.contains(&Event::State(State::Established)));
    }
}

/// T07: the same while the handshake runs. The peer gets at most a close_notify, and FIN.
#[tokio::test]
async fn t07_given_up_while_handshaking() {
    for setup in Setup::all().filter(|setup| setup.layer.is_tls()) {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            // A server that has nothing of the client is handshaking, too.
            ours.poll_once_up();
            assert_eq!(ours.state(), State::Handshaking);
            ours.shutdown().await.unwrap();
            let ended = ours.closed().await;
            let late = ours.write(b"late").await.unwrap_err();
            assert_eq!((late.kind(), Ended::of(&late)), (ErrorKind::BrokenPipe, Some(&ended)));
            assert!(ours.read_all().await.error.is_none());
            ours.drop_stream();
            ended
        };
        let (ended, ()) = tokio::join!(us, peer.take_all());
        assert_eq!(ended.ending, Ending::ConnectFinalized, "{setup:?}");
        assert_eq!(ended.phase, State::Handshaking);
        assert_eq!((peer.end, peer.alert), (Some(WireEnd::Fin), None), "{setup:?}");
    }
}

/// T08: behind a write, ending is no cancel: the bytes go out after the handshake, then our goodbye.
#[tokio::test]
async fn t08_a_goodbye_behind_a_queued_write_is_kept() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            assert_eq!(ours.write(b"do not lose me").await.unwrap(), 14);
            ours.shutdown().await.unwrap();
            assert!(ours.read_all().await.error.is_none());
            ours.closed().await
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(Peer::has_goodbye).await;
            assert_eq!(peer.plain, b"do not lose me", "{setup:?}");
            peer.say_goodbye().await;
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.ending, Ending::Finished, "{setup:?}");
    }
}

/// T38: aborting and dropping are the same to the peer, which cannot take either for a clean end.
#[tokio::test]
async fn t38_abort_and_drop_are_no_clean_end_for_the_peer() {
    for setup in Setup::all() {
        for drops in [false, true] {
            let (socket, mut peer) = setup.start(patient()).await;
            let ours = Ours::new(socket);
            let us = async {
                ours.write(b"said").await.unwrap();
                ours.flush().await.unwrap();
                ours.may_go_on().await;
                if drops {
                    ours.drop_stream();
                } else {
                    ours.abort();
                    let ended = ours.closed().await;
                    assert_eq!((ended.code(), ended.phase), ("aborted", State::Established));
                    let read = ours.read_all().await.error.unwrap();
                    assert_eq!(read.kind(), ErrorKind::ConnectionAborted);
                    let write = ours.write(b"late").await.unwrap_err();
                    assert_eq!(
                        (write.kind(), Ended::of(&write)),
                        (ErrorKind::BrokenPipe, Some(&ended))
                    );
                }
                let told = ours.told();
                let Some(Event::Ended(ended)) = told.last() else { panic!("{told:?}") };
                assert_eq!(ended.ending, Ending::Aborted);
            };
            let them = async {
                peer.handshake().await;
                peer.take_until(|peer| peer.plain == b"said").await;
                let before = peer.raw.len();
                ours.go_on();
                peer.take_all().await;
                assert_eq!(peer.raw.len(), before, "nothing is invented");
            };
            tokio::join!(us, them);
            if setup.layer.is_tls() {
                assert!(!peer.has_goodbye(), "{setup:?}: an end without close_notify");
            } else if setup.moved != Moved::Unix {
                // A Unix socket has no reset to give: see the Facts, and the log.
                assert_eq!(peer.end, Some(WireEnd::Reset), "{setup:?}");
            }
        }
    }
}

/// An abort fails the write that waits, once.
#[tokio::test]
async fn t38_a_write_that_waits_fails_with_the_abort() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.flush().await.unwrap();
            ours.arm();
            let (_, error) = ours.write_without_end().await;
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert_eq!(Ended::of(&error).unwrap().ending, Ending::Aborted, "{setup:?}");
        };
        let them = async {
            peer.handshake().await;
            ours.waits().await;
            ours.abort();
        };
        tokio::join!(us, them);
        assert_ne!(setup.layer.is_tls(), ours.facts_mode() == Mode::Plain);
    }
}

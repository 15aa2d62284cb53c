//! The errors of writes: the original one, once, for what met the end, and another for all that follow.

use std::io::{self, ErrorKind};

use levada::{Address, Ended, Ending, Listener, Role, Socket};
use levada_tls::{Identities, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ours::Ours;
use crate::world::{KNOWN, Layer, Moved, Setup, patient, session};

/// T24: every write is settled once, whoever meets the end.
#[tokio::test]
async fn t24_only_the_call_that_meets_the_end_gets_the_original_error() {
    for setup in Setup::all().filter(|setup| setup.moved != Moved::Unix) {
        for reader_meets_it in [false, true] {
            let (socket, mut peer) = setup.start(patient()).await;
            let ours = Ours::new(socket);
            let us = async {
                ours.write(b"up").await.unwrap();
                ours.flush().await.unwrap();
                ours.may_go_on().await;
                if reader_meets_it {
                    let read = ours.read_all().await.error.unwrap();
                    assert_eq!(read.kind(), ErrorKind::ConnectionReset);
                } else {
                    let (_, error) = ours.write_without_end().await;
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{setup:?}");
                    assert_eq!(Ended::of(&error), ours.ended().as_ref());
                }
                let later: [io::Result<usize>; 4] = [
                    ours.write(b"late").await,
                    ours.flush().await.map(|()| 0),
                    ours.flush().await.map(|()| 0),
                    ours.shutdown().await.map(|()| 0),
                ];
                for result in later {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{setup:?}");
                    assert_eq!(Ended::of(&error), ours.ended().as_ref());
                }
            };
            let them = async {
                peer.handshake().await;
                peer.take_until(|peer| peer.plain == b"up").await;
                peer.reset();
                ours.go_on();
            };
            tokio::join!(us, them);
        }
    }
}

/// T08: the same from the very beginning, before there is a transport.
#[tokio::test]
async fn t08_written_and_ended_before_it_is_dialled() {
    for layer in Layer::ALL {
        let bind = "tcp://127.0.0.1:0".parse::<Address>().unwrap().for_listening().unwrap();
        let tls = layer
            .is_tls()
            .then(|| TlsServer::builder(Identities::one(&KNOWN.identity())).build().unwrap());
        let listener = Listener::bind(&bind.endpoint, tls, patient()).await.unwrap();
        let address = format!("tcp://{}", listener.local().unwrap());
        let to = address.parse::<Address>().unwrap().for_connecting().unwrap();
        let mut client = Socket::dial(to.endpoint, session(layer, Role::Client), patient());
        let us = async {
            client.write_all(b"do not lose me").await.unwrap();
            client.shutdown().await.unwrap();
            client.closed().await
        };
        let them = async {
            let mut server = listener.accept().await.unwrap();
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"do not lose me");
            server.shutdown().await.unwrap();
            server.closed().await
        };
        let (ours, theirs) = tokio::join!(us, them);
        assert_eq!((ours.ending, theirs.ending), (Ending::Finished, Ending::Finished));
    }
}

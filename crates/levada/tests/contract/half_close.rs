//! Two goodbyes: in either order, crossing, and under the policy that makes one of them end both.

use std::io::ErrorKind;

use levada::{ClosePolicy, Ended, Ending, Event, Party, State};

use crate::ours::Ours;
use crate::peer::{Peer, WireEnd};
use crate::world::{Moved, Setup, patient};

const QUESTION: &[u8] = b"a question";
const ANSWER: &[u8] = b"an answer that is rather long";

#[tokio::test]
async fn we_begin_and_read_on_to_the_tail() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.write(QUESTION).await.unwrap();
            ours.shutdown().await.unwrap();
            // It resolves once all has left for the kernel, not with the peer's goodbye.
            assert_eq!((ours.state(), ours.ended()), (State::Closing, None), "{setup:?}");
            let read = ours.read_all().await;
            assert!(read.error.is_none());
            assert_eq!(read.bytes, ANSWER);
            let ended = ours.closed().await;
            ours.drop_stream();
            ended
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(Peer::has_goodbye).await;
            assert_eq!(peer.plain, QUESTION, "{setup:?}");
            if setup.layer.is_tls() {
                assert_eq!(peer.end, None, "close_notify comes without FIN");
            }
            peer.send_plain(ANSWER).await;
            peer.say_goodbye().await;
            peer.take_all().await;
            assert_eq!(peer.end, Some(WireEnd::Fin), "FIN goes when both directions are done");
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.ending, Ending::Finished, "{setup:?}");
        assert_eq!(ended.facts.first_goodbye, Some(Party::Local));
    }
}

#[tokio::test]
async fn they_begin_and_we_write_on_to_our_own_goodbye() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            let read = ours.read_all().await;
            assert_eq!((read.bytes.as_slice(), read.error.is_none()), (QUESTION, true));
            assert_eq!((ours.state(), ours.ended()), (State::Established, None), "{setup:?}");
            for part in ANSWER.chunks(3) {
                ours.write(part).await.unwrap();
            }
            ours.shutdown().await.unwrap();
            // With the second goodbye the stream has ended: nothing is to be waited for.
            assert_eq!(ours.ended().unwrap().ending, Ending::Finished);
            ours.closed().await
        };
        let them = async {
            peer.handshake().await;
            peer.send_plain(QUESTION).await;
            peer.say_goodbye().await;
            peer.take_until(Peer::has_goodbye).await;
            peer.take_all().await;
            assert_eq!((peer.plain.as_slice(), peer.end), (ANSWER, Some(WireEnd::Fin)));
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.facts.first_goodbye, Some(Party::Peer), "{setup:?}");
    }
}

#[tokio::test]
async fn goodbyes_that_cross_finish_both() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.write(QUESTION).await.unwrap();
            ours.flush().await.unwrap();
            ours.may_go_on().await;
            ours.shutdown().await.unwrap();
            // A reader alone drives the close to its end.
            let read = ours.read_all().await;
            assert_eq!((read.bytes.as_slice(), read.error.is_none()), (ANSWER, true));
            ours.ended().unwrap().ending
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(|peer| peer.plain == QUESTION).await;
            peer.send_plain(ANSWER).await;
            peer.say_goodbye().await;
            ours.go_on();
            peer.take_until(Peer::has_goodbye).await;
            assert!(peer.has_goodbye());
        };
        let (ending, ()) = tokio::join!(us, them);
        assert_eq!(ending, Ending::Finished, "{setup:?}");
    }
}

/// T13, T23, T28: Telsa's rule. Ours goes out at once, and a write that waits is told why it cannot.
#[tokio::test]
async fn under_both_their_goodbye_ends_us_and_what_waits_fails_with_the_end_inside() {
    let mut options = patient();
    options.close = ClosePolicy::Both;
    for setup in Setup::all() {
        for draining in [false, true] {
            let (socket, mut peer) = setup.start(options).await;
            let ours = Ours::new(socket);
            let us = async {
                ours.write(QUESTION).await.unwrap();
                ours.flush().await.unwrap();
                ours.may_go_on().await;
                if draining {
                    ours.arm();
                    let (read, (_, error)) =
                        tokio::join!(ours.read_all(), ours.write_without_end());
                    assert!(read.error.is_none(), "{:?}", read.error);
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                    let ended = ours.closed().await;
                    assert_eq!(Ended::of(&error), Some(&ended), "{setup:?}");
                } else {
                    assert!(ours.read_all().await.error.is_none());
                }
                let ended = ours.closed().await;
                let late = ours.write(b"late").await.unwrap_err();
                assert_eq!((late.kind(), Ended::of(&late)), (ErrorKind::BrokenPipe, Some(&ended)));
                let told = ours.told();
                ours.drop_stream();
                (ended, told)
            };
            let them = async {
                peer.handshake().await;
                peer.take_until(|peer| peer.plain == QUESTION).await;
                ours.go_on();
                if draining {
                    ours.waits().await;
                }
                peer.say_goodbye().await;
                peer.take_all().await;
                assert!(peer.has_goodbye(), "the reply, behind what was sealed");
                assert_eq!(peer.end, Some(WireEnd::Fin), "neither RST nor a bare FIN");
            };
            let ((ended, told), ()) = tokio::join!(us, them);
            assert_eq!(ended.ending, Ending::CloseNotify { unsent: 0 }, "{setup:?}");
            assert_eq!(
                ended.facts.bytes.written,
                (peer.plain.len()) as u64,
                "all that was accepted"
            );
            let tail: Vec<_> = told.iter().rev().take(4).rev().collect();
            assert_eq!(
                tail,
                [
                    &Event::Goodbye(Party::Peer),
                    &Event::State(State::Closing),
                    &Event::Goodbye(Party::Local),
                    &Event::Ended(ended),
                ]
            );
        }
    }
}

/// Waiting for the end alone neither says goodbye nor loses count of what is thrown away.
#[tokio::test]
async fn closed_takes_in_what_comes_and_counts_it() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.shutdown_when_up().await;
            ours.closed().await
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(Peer::has_goodbye).await;
            peer.send_plain(&[1; 10_000]).await;
            peer.say_goodbye().await;
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.ending, Ending::Finished);
        assert_eq!((ended.facts.bytes.read, ended.facts.bytes.discarded), (0, 10_000), "{setup:?}");
    }
}

/// T32: writing after our own goodbye is our mistake, and does no harm to the stream.
#[tokio::test]
async fn a_write_behind_our_own_goodbye_fails_and_ends_nothing() {
    for setup in Setup::all_over(Moved::Memory) {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.shutdown_when_up().await;
            let error = ours.write(b"more").await.unwrap_err();
            assert_eq!((error.kind(), Ended::of(&error)), (ErrorKind::BrokenPipe, None));
            ours.shutdown().await.unwrap();
            assert_eq!(ours.read_all().await.bytes, ANSWER);
            assert_eq!(ours.closed().await.ending, Ending::Finished);
            ours.shutdown().await.unwrap();
        };
        let them = async {
            peer.handshake().await;
            peer.send_plain(ANSWER).await;
            peer.say_goodbye().await;
            peer.take_until(Peer::has_goodbye).await;
            assert_eq!(peer.plain, b"");
        };
        tokio::join!(us, them);
    }
}

/// Once both goodbyes are complete, a reset is no ending any more.
#[tokio::test]
async fn a_reset_behind_both_goodbyes_is_not_seen() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            assert!(ours.read_all().await.error.is_none());
            ours.shutdown().await.unwrap();
            ours.may_go_on().await;
            let again = ours.read_all().await;
            assert!(again.error.is_none(), "{setup:?}: {:?}", again.error);
            ours.closed().await
        };
        let them = async {
            peer.handshake().await;
            peer.say_goodbye().await;
            peer.take_until(Peer::has_goodbye).await;
            peer.reset();
            ours.go_on();
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.ending, Ending::Finished, "{setup:?}");
    }
}

//! Deadlines, in virtual time.

use std::time::Duration;

use levada::{Deadline, Ended, Ending, Fault, Options};
use tokio::time::sleep;

use crate::ours::Ours;
use crate::table::cause;
use crate::world::{Moved, Setup};

/// How long it lived.
fn seconds(ended: &Ended) -> u64 {
    ended.facts.times.total.unwrap().as_secs()
}

fn over_tls() -> impl Iterator<Item = Setup> {
    Setup::all_over(Moved::Memory).filter(|setup| setup.layer.is_tls())
}

#[tokio::test(start_paused = true)]
async fn t05_bytes_do_not_prolong_a_handshake() {
    for setup in over_tls() {
        let (socket, mut peer) = setup.start(Options::default()).await;
        let ours = Ours::new(socket);
        let drip = async {
            // The front of a record that never gets whole.
            peer.send(&[22, 3, 3, 0x3f, 0xff]).await;
            while ours.ended().is_none() {
                sleep(Duration::from_secs(1)).await;
                peer.send(&[1]).await;
            }
        };
        let (ended, ()) = tokio::join!(ours.closed(), drip);
        assert_eq!(cause(&ended.ending), &Ending::TimedOut(Deadline::Handshake), "{setup:?}");
        assert_eq!(seconds(&ended), 10);
    }
}

/// A slow tail is not cut: the deadline of closing counts silence, not time.
#[tokio::test(start_paused = true)]
async fn deadline_close_measures_idleness() {
    for setup in Setup::all_over(Moved::Memory) {
        let (socket, mut peer) = setup.start(Options::default()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.shutdown_when_up().await;
            let read = ours.read_all().await;
            assert_eq!(read.bytes.len(), 6, "{setup:?}");
            let ended = ours.closed().await;
            assert_eq!(ended.ending, Ending::TimedOut(Deadline::Close));
            assert_eq!(seconds(&ended), 6 * 100 + 120, "{setup:?}");
        };
        let them = async {
            peer.handshake().await;
            for _ in 0..6 {
                sleep(Duration::from_secs(100)).await;
                peer.send_plain(b"x").await;
            }
            while ours.ended().is_none() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::join!(us, them);
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_idle_counts_from_the_last_byte_either_way() {
    let mut options = Options::default();
    options.deadlines.idle = Some(Duration::from_secs(30));
    for setup in Setup::all_over(Moved::Memory) {
        let (socket, mut peer) = setup.start(options).await;
        let ours = Ours::new(socket);
        let us = async {
            let read = ours.read_all().await;
            assert_eq!(read.error.unwrap().kind(), std::io::ErrorKind::TimedOut);
        };
        let them = async {
            peer.handshake().await;
            for turn in 0..4 {
                sleep(Duration::from_secs(20)).await;
                if turn % 2 == 0 {
                    peer.send_plain(b"theirs").await;
                } else {
                    ours.write(b"ours").await.unwrap();
                    ours.flush().await.unwrap();
                }
            }
            while ours.ended().is_none() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::join!(us, them);
        let ended = ours.ended().unwrap();
        assert_eq!(ended.ending, Ending::TimedOut(Deadline::Idle));
        assert_eq!(seconds(&ended), 4 * 20 + 30, "{setup:?}");
    }
}

/// T22: the alert goes behind what is sealed. A peer that does not take that never reads it, and the
/// ending does not say that it was sent.
#[tokio::test(start_paused = true)]
async fn t22_an_alert_that_cannot_drain_is_given_up() {
    for setup in over_tls() {
        let (socket, mut peer) = setup.start(Options::default()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.flush().await.unwrap();
            ours.arm();
            let ((_, error), read) = tokio::join!(ours.write_without_end(), ours.read_all());
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            assert_eq!(read.error.unwrap().kind(), std::io::ErrorKind::InvalidData);
            ours.closed().await
        };
        let them = async {
            peer.handshake().await;
            ours.waits().await;
            let mut altered = peer.seal(b"altered");
            *altered.last_mut().unwrap() ^= 1;
            peer.send(&altered).await;
            while ours.ended().is_none() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(seconds(&ended), 120);
        assert_eq!(
            ended.ending,
            Ending::FatalError { alert: None, cause: Fault::BadRecord },
            "{setup:?}"
        );
    }
}

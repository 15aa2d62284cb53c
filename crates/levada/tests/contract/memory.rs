//! What waits inside is bounded, both ways, before the handshake ends and after.

use levada::Ending;

use crate::ours::Ours;
use crate::peer::Peer;
use crate::world::{Moved, Setup, patient};

/// Accepted before the stream is established.
const QUEUE: usize = 64 * 1024;
/// Sealed at once.
const SEAL: usize = 128 * 1024;

#[tokio::test]
async fn t18_t24_a_queue_before_the_handshake_is_bounded_and_goes_out_whole() {
    for setup in Setup::all().filter(|setup| setup.layer.is_tls()) {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        ours.fill(&[b'q'; 10_000]).await;
        assert_eq!(ours.facts().bytes.written, QUEUE as u64, "{setup:?}");
        let us = async {
            ours.shutdown().await.unwrap();
            assert!(ours.read_all().await.error.is_none());
            ours.closed().await
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(Peer::has_goodbye).await;
            assert_eq!(peer.plain, vec![b'q'; QUEUE]);
            peer.say_goodbye().await;
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.ending, Ending::Finished);
    }
}

/// T36: a flush is answered when the bytes have left for the kernel, and not before.
#[tokio::test]
async fn t36_writes_wait_for_a_peer_that_does_not_read() {
    for setup in Setup::all() {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.flush().await.unwrap();
            ours.fill(&[b'w'; 10_000]).await;
            let bytes = ours.facts().bytes;
            assert!(bytes.written <= bytes.wire_written + SEAL as u64, "{setup:?}");
            ours.flush().await.unwrap();
            let bytes = ours.facts().bytes;
            assert!(bytes.wire_written >= bytes.written, "{setup:?}");
            ours.go_on();
            ours.shutdown().await.unwrap();
            bytes.written
        };
        let them = async {
            peer.handshake().await;
            peer.take_until(Peer::has_goodbye).await;
        };
        let (written, ()) = tokio::join!(us, them);
        assert_eq!(peer.plain.len() as u64, written, "{setup:?}");
    }
}

/// T35: who does not read stops the transport, and goes on where it stopped.
#[tokio::test]
async fn t35_a_consumer_that_stops_stops_the_transport() {
    const FLOOD: usize = 512 * 1024;
    for setup in Setup::all_over(Moved::Memory) {
        let (socket, mut peer) = setup.start(patient()).await;
        let ours = Ours::new(socket);
        let us = async {
            ours.flush().await.unwrap();
            let before = ours.facts().bytes.wire_read;
            let mut room = [0; 100];
            assert!(ours.read(&mut room).await.unwrap() > 0);
            // Writing does not read, whatever waits there.
            for _ in 0..100 {
                ours.write(b"a word").await.unwrap();
                ours.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            let read = ours.facts().bytes.wire_read - before;
            assert!(read <= 40 * 1024, "{setup:?}: {read}");
            let rest = ours.read_all().await;
            assert!(rest.error.is_none());
            rest.bytes.len()
        };
        let them = async {
            peer.handshake().await;
            peer.send_plain(&vec![b'f'; FLOOD]).await;
            peer.say_goodbye().await;
        };
        let (rest, ()) = tokio::join!(us, them);
        assert!((FLOOD - 100..FLOOD).contains(&rest), "{setup:?}: {rest}");
    }
}

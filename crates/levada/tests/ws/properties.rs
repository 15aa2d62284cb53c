//! B1 as a property, over the whole stack: any writes, any reads, both ways at once.

use std::time::Duration;

use levada::ws::{DeflateParams, WsOptions};
use levada::{Role, WsStream};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{End, Over, Peer, Trickle, pair};

#[derive(Clone, Debug)]
struct Plan {
    writes: Vec<usize>,
    reads: Vec<usize>,
    flushes: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = prop_oneof![0..4_usize, 120..130_usize, 1000..5000_usize, 65_530..65_540_usize];
    (vec(size, 1..6), vec(1..9000_usize, 1..6), any::<bool>())
        .prop_map(|(writes, reads, flushes)| Plan { writes, reads, flushes })
}

/// Writes and reads by plan; the writer closes only when the peer has everything, since a Close frame
/// ends both directions.
async fn run<S: crate::support::Io>(
    end: WsStream<S>,
    plan: &Plan,
    expected: usize,
    done: &tokio::sync::Barrier,
) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(end);
    let write = async {
        for (index, &size) in plan.writes.iter().enumerate() {
            writer.write_all(&vec![index as u8; size]).await.unwrap();
            if plan.flushes {
                writer.flush().await.unwrap();
            }
        }
        writer.flush().await.unwrap();
        done.wait().await;
        writer.shutdown().await.unwrap();
    };
    let read = async {
        let mut got = Vec::new();
        let mut sizes = plan.reads.iter().cycle();
        while got.len() < expected {
            let mut room = vec![0; *sizes.next().unwrap()];
            let count = reader.read(&mut room).await.unwrap();
            assert!(count > 0);
            got.extend_from_slice(&room[..count]);
        }
        // Behind the last byte of a compressed message its end may stand, for which the writer waits.
        let mut room = [0; 10];
        let (_, end) = tokio::join!(done.wait(), reader.read(&mut room));
        assert_eq!(end.unwrap(), 0);
        got
    };
    tokio::join!(write, read).1
}

/// How messages are compressed, if they are.
fn agreed() -> impl Strategy<Value = Option<DeflateParams>> {
    let params = |(flags, bits): ([bool; 2], [u8; 2])| DeflateParams {
        server_no_context_takeover: flags[0],
        client_no_context_takeover: flags[1],
        server_max_window_bits: bits[0],
        client_max_window_bits: bits[1],
    };
    prop::option::of((any::<[bool; 2]>(), [9..=15_u8, 9..=15_u8]).prop_map(params))
}

fn compressed<S: crate::support::Io + 'static>(
    end: WsStream<S>,
    agreed: Option<DeflateParams>,
) -> WsStream<S> {
    match agreed {
        Some(agreed) => end.with_deflate(agreed),
        None => end,
    }
}

fn bytes(plan: &Plan) -> Vec<u8> {
    plan.writes.iter().enumerate().flat_map(|(index, &size)| vec![index as u8; size]).collect()
}

/// Runs `both`. Its time is virtual and passes when nobody is awake: a lost wake-up fails at once.
fn block_on<F: Future>(both: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let both = async { tokio::time::timeout(Duration::from_secs(3600), both).await };
    runtime.block_on(both).expect("both ends wait for each other")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// B1: over memory and over TLS.
    #[test]
    fn b1_both_ways(one in plan(), other in plan(), over in 0..2_usize, agreed in agreed()) {
        let over = [Over::Memory, Over::Tls][over];
        block_on(async {
            let [client, server]: [End; 2] = pair(over).map(|end| compressed(end, agreed));
            let done = tokio::sync::Barrier::new(4);
            let (ones, others) = (bytes(&one), bytes(&other));
            let (from_server, from_client) = tokio::join!(
                run(client, &one, others.len(), &done),
                run(server, &other, ones.len(), &done)
            );
            assert!(from_server == others && from_client == ones);
        });
    }

    /// B1, K1: over a carrier that waits before any number of bytes.
    #[test]
    fn b1_k1_over_a_carrier_that_waits(
        one in plan(), other in plan(), step in 1..40_usize, room in 1..200_usize,
        agreed in agreed(),
    ) {
        // Every byte costs polls: fewer of them.
        let small = |mut plan: Plan| {
            for size in &mut plan.writes {
                *size %= 700;
            }
            plan
        };
        let (one, other) = (small(one), small(other));
        block_on(async {
            let (near, far) = tokio::io::duplex(room);
            let [near, far] = [near, far].map(|io| Trickle::new(io, step));
            let client = WsStream::after_upgrade(near, [], Role::Client, WsOptions::default());
            let server = WsStream::after_upgrade(far, [], Role::Server, WsOptions::default());
            let [client, server] = [client, server].map(|end| compressed(end, agreed));
            let done = tokio::sync::Barrier::new(4);
            let (ones, others) = (bytes(&one), bytes(&other));
            let (from_server, from_client) = tokio::join!(
                run(client, &one, others.len(), &done),
                run(server, &other, ones.len(), &done)
            );
            assert!(from_server == others && from_client == ones);
        });
    }

    /// X2, X4: no bytes of a peer's make it panic, hang or spin.
    #[test]
    fn x2_no_input_is_too_much(
        wire in vec(any::<u8>(), 0..300), client in any::<bool>(), size in 1..6000_usize,
        agreed in agreed(),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        block_on(async {
            let (near, mut far) = tokio::io::duplex(4096);
            let stream = WsStream::after_upgrade(near, [], role, WsOptions::default());
            let mut stream = compressed(stream, agreed);
            far.write_all(&wire).await.unwrap();
            far.shutdown().await.unwrap();
            let mut room = vec![0; size];
            while !matches!(stream.read(&mut room).await, Ok(0) | Err(_)) {}
            prop_assert!(stream.ended().is_some());
            let _ = stream.write(b"x").await.unwrap_err();
            Ok(())
        })?;
    }

    /// X2: nor any frames.
    #[test]
    fn x2_no_frames_are_too_much(
        frames in vec((0..16_u8, any::<[bool; 2]>(), vec(any::<u8>(), 0..20)), 0..20),
        size in 1..6000_usize,
        agreed in agreed(),
    ) {
        block_on(async {
            let (near, far) = tokio::io::duplex(4096);
            let stream = WsStream::after_upgrade(near, [], Role::Server, WsOptions::default());
            let mut stream = compressed(stream, agreed);
            let mut peer = Peer::new(far, Role::Server);
            for (opcode, [fin, packed], payload) in &frames {
                let packed = if *packed && agreed.is_some() { 0x40 } else { 0 };
                peer.send(opcode | packed | if *fin { 0x80 } else { 0 }, payload).await;
            }
            peer.io.shutdown().await.unwrap();
            let mut room = vec![0; size];
            while !matches!(stream.read(&mut room).await, Ok(0) | Err(_)) {}
            prop_assert!(stream.ended().is_some());
            Ok(())
        })?;
    }
}

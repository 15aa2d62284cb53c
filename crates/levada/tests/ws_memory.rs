//! B4: what a peer's frame costs. A program of its own, since all of its memory is counted.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::System;

use cap::Cap;
use levada::ws::{DeflateParams, WsOptions};
use levada::{Carrier, Options, Role, Socket, WsStream, relay};
use levada_ws::deflate::Deflater;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// The one frame, in bytes.
const FRAME: u64 = 64 << 20;

/// What the one message becomes, in bytes.
const BOMB: u64 = 256 << 20;

/// B4: a compressed message that becomes 256 MiB goes through in less than 1 MiB as well.
async fn a_bomb() {
    let zeros = vec![0; 1 << 20];
    let mut deflater = Deflater::new(levada_ws::Role::Client, DeflateParams::default());
    let mut payload = Vec::new();
    for piece in 0..BOMB >> 20 {
        if piece > 0 {
            // What stands between two of them is what the end of a message lacks (RFC 7692 section 7.2.1).
            payload.extend([0, 0, 0xff, 0xff]);
        }
        deflater.deflate(&zeros, &mut payload);
    }
    assert!((payload.len() as u64) < BOMB / 500);
    let (mut peer, near) = duplex(64 << 10);
    let (far, mut out) = duplex(64 << 10);
    let mut room = vec![0; 64 << 10];
    let before = MEMORY.allocated();
    MEMORY.set_limit(before + (1 << 20)).unwrap();
    let options = WsOptions::default;
    let ours = WsStream::after_upgrade(near, [], Role::Server, options());
    let mut ours = ours.with_deflate(DeflateParams::default());
    let mut other = Socket::adopt(Carrier::foreign(far), None, Options::default());
    let send = async {
        peer.write_all(&[0xc2, 0xff]).await.unwrap();
        peer.write_all(&(payload.len() as u64).to_be_bytes()).await.unwrap();
        peer.write_all(&[0; 4]).await.unwrap();
        peer.write_all(&payload).await.unwrap();
    };
    let drain = async {
        let mut came = 0;
        while came < BOMB {
            let count = out.read(&mut room).await.unwrap();
            assert!(room[..count].iter().all(|byte| *byte == 0));
            came += count as u64;
        }
    };
    tokio::select! {
        _ = relay(&mut ours, &mut other) => panic!("neither has ended"),
        ((), ()) = async { tokio::join!(send, drain) } => {}
    }
    MEMORY.set_limit(usize::MAX).unwrap();
    assert_eq!(ours.facts().bytes.read, BOMB);
}

/// B3, B4: a frame of 64 MiB goes in at one stream and out at another in less than 1 MiB, whatever
/// the roles, and whoever joins the two.
#[tokio::test]
async fn b4_a_frame_of_64_mib_goes_through_in_less_than_one() {
    let roles = [Role::Client, Role::Server];
    for (role, relays) in roles.into_iter().flat_map(|role| [(role, true), (role, false)]) {
        let masked = if role == Role::Server { 0x80 } else { 0 };
        let (mut peer, near) = duplex(64 << 10);
        let (far, out) = duplex(64 << 10);
        let piece = vec![0x55; 16 << 10];
        let mut room = vec![0; 64 << 10];
        let before = MEMORY.allocated();
        MEMORY.set_limit(before + (1 << 20)).unwrap();
        let mut ours = WsStream::after_upgrade(near, [], role, WsOptions::default());
        let mut other = WsStream::after_upgrade(far, [], role, WsOptions::default());
        let reader = if role == Role::Client { Role::Server } else { Role::Client };
        let mut out = WsStream::after_upgrade(out, [], reader, WsOptions::default());
        let send = async {
            peer.write_all(&[0x82, masked | 127]).await.unwrap();
            peer.write_all(&FRAME.to_be_bytes()).await.unwrap();
            // A key of zeroes.
            peer.write_all(&[0; 4][..usize::from(masked / 32)]).await.unwrap();
            for _ in 0..FRAME >> 14 {
                peer.write_all(&piece).await.unwrap();
            }
        };
        let drain = async {
            let mut came = 0;
            while came < FRAME {
                came += out.read(&mut room).await.unwrap() as u64;
            }
        };
        tokio::select! {
            () = join(&mut ours, &mut other, relays) => panic!("neither has ended"),
            ((), ()) = async { tokio::join!(send, drain) } => {}
        }
        MEMORY.set_limit(usize::MAX).unwrap();
        assert_eq!(ours.counters().frames_received, 1);
        assert_eq!(ours.counters().bytes_received, FRAME);
    }
    a_bomb().await;
}

/// Joins the two, by our relay or by tokio's.
async fn join(one: &mut WsStream<DuplexStream>, other: &mut WsStream<DuplexStream>, relays: bool) {
    if relays {
        relay(one, other).await;
    } else {
        let _ = copy_bidirectional(one, other).await;
    }
}

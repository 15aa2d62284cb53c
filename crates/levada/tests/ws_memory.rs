//! B4: what a peer's frame costs. A program of its own, since all of its memory is counted.

use std::alloc::System;

use cap::Cap;
use levada::ws::WsOptions;
use levada::{Role, WsStream, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// The one frame, in bytes.
const FRAME: u64 = 64 << 20;

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
}

/// Joins the two, by our relay or by tokio's.
async fn join(one: &mut WsStream<DuplexStream>, other: &mut WsStream<DuplexStream>, relays: bool) {
    if relays {
        relay(one, other).await;
    } else {
        let _ = copy_bidirectional(one, other).await;
    }
}

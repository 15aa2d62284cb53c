//! What a stream costs over which nothing goes. A program of its own, since all of its memory is counted.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::System;

use cap::Cap;
use levada::{
    Address, Identities, Identity, Listener, Options, SessionName, Socket, TlsClient, TlsServer,
    relay,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const STREAMS: usize = 64;

/// Bytes of heap that one may hold, as counted where this was written: rustls' connection and its state
/// 2,250, our two sockets and the rest of the session 2,100, the task and the registrations with the
/// runtime 1,000. Twice 592 bytes for the keys are not among them, since they are not Rust's.
const MOST: usize = 5600;

fn dial(address: &str, tls: Option<&TlsClient>) -> Socket {
    let to = format!("tcp://{address}").parse::<Address>().unwrap().for_connecting().unwrap();
    let session = tls.map(|tls| tls.session(&SessionName::new("localhost").unwrap()).unwrap());
    Socket::dial(to.endpoint, session, Options::default())
}

#[tokio::test]
async fn an_idle_bridge_owns_state_and_no_buffers() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let identity = Identity::from_pem(cert.as_bytes(), Some(key.as_bytes()), None).unwrap();
    let server = TlsServer::builder(Identities::one(&identity)).build().unwrap();
    let client = TlsClient::builder().danger_no_verification().build().unwrap();

    let on = "tcp://127.0.0.1:0".parse::<Address>().unwrap().for_listening().unwrap();
    let listener = Listener::bind(&on.endpoint, server, Options::default()).await.unwrap();
    let here = listener.local().unwrap().to_string();
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = target.local_addr().unwrap().to_string();

    let (mut bridges, mut ends) = (JoinSet::new(), Vec::new());
    for _ in 0..STREAMS {
        let mut near = dial(&here, Some(&client));
        let (up, accepted) = tokio::join!(
            async {
                near.write_all(b"there").await.unwrap();
                near.flush().await
            },
            async {
                let accepted = listener.accept().await.unwrap().into_socket().unwrap();
                let (mut left, mut right) = (Box::new(accepted), Box::new(dial(&there, None)));
                bridges.spawn(async move { relay(&mut *left, &mut *right).await });
                target.accept().await
            },
        );
        up.unwrap();
        let (mut far, _) = accepted.unwrap();
        let mut room = [0; 5];
        far.read_exact(&mut room).await.unwrap();
        far.write_all(b"again").await.unwrap();
        near.read_exact(&mut room).await.unwrap();
        ends.push((near, far));
    }

    // What goes with the bridges is what they held: both ends stay, and are not polled.
    let all = MEMORY.allocated();
    bridges.shutdown().await;
    // The runtime forgets their sockets with its next look at the system.
    tokio::task::yield_now().await;
    let held = (all - MEMORY.allocated()) / STREAMS;
    assert!(held <= MOST, "{held} bytes each");
    assert!(held > MOST / 2, "{held} bytes each: this proves nothing");
}

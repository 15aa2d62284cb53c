//! Tickets that come as records of the kernel's.

use levada::{Ending, KernelTls, Role, Session, SessionName, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kernel::{client, has_kernel_tls, options, server, tcp_pair};

/// Lets both meet with the kernel on both sides, and tells whether the session was resumed.
async fn meet(near: Session, far: Session) -> bool {
    let (near_tcp, far_tcp) = tcp_pair().await;
    let mut ours = Socket::adopt(near_tcp, near, options());
    let mut theirs = Socket::adopt(far_tcp, far, options());
    let (up, other) = tokio::join!(ours.established(), theirs.established());
    up.unwrap();
    other.unwrap();
    for end in [&ours, &theirs] {
        assert!(matches!(end.facts().kernel_tls, Some(KernelTls::Armed { .. })));
    }
    let mut got = [0; 8];
    theirs.write_all(b"question").await.unwrap();
    ours.read_exact(&mut got).await.unwrap();
    ours.write_all(b"answered").await.unwrap();
    theirs.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"answered");
    let resumed = ours.facts().tls.unwrap().resumed.unwrap();
    let (one, other) = tokio::join!(ours.shutdown(), theirs.shutdown());
    one.unwrap();
    other.unwrap();
    let (one, other) = tokio::join!(ours.closed(), theirs.closed());
    assert_eq!((one.ending, other.ending), (Ending::Finished, Ending::Finished));
    resumed
}

#[tokio::test]
async fn the_next_session_is_resumed() {
    if !has_kernel_tls("the_next_session_is_resumed") {
        return;
    }
    let (client, server) = (client(), server());
    let name = SessionName::new("localhost").unwrap();
    let session = || {
        let session = client.session(&name).unwrap();
        assert_eq!(session.role(), Role::Client);
        session
    };
    assert!(!meet(session(), server.session()).await);
    assert!(meet(session(), server.session()).await);
    assert!(meet(session(), server.session()).await);
}

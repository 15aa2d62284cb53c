//! A stream that is taken apart, for another process to go on with it.

use levada::{
    ChannelBinding, Ending, KernelHandover, KernelSession, KernelTls, Mode, Options, Role, Socket,
};
use levada_tls::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kernel::{ROLES, SUITES, has_kernel_tls, options, pair, tcp_pair};

#[tokio::test]
async fn whoever_has_the_descriptor_and_the_bytes_goes_on_and_the_session_still_answers() {
    if !has_kernel_tls("whoever_has_the_descriptor") {
        return;
    }
    for (_, suite) in SUITES {
        for role in ROLES {
            let (ours, mut theirs) = pair(role, suite).await;
            let KernelHandover { session, keeper, descriptor } =
                ours.into_kernel_session().unwrap();
            // The descriptor of the application is another one, and the first is closed.
            let again = descriptor.try_clone().unwrap();
            drop(descriptor);
            let bytes = session.to_bytes();
            drop(session);
            let session = KernelSession::from_bytes(&bytes).unwrap();
            let facts = keeper.facts();
            let binding = keeper.channel_binding(ChannelBinding::TlsExporter).unwrap();

            let handover = KernelHandover { session, keeper, descriptor: again };
            let mut ours = handover.adopt(Options::default()).unwrap();
            assert!(matches!(ours.facts().kernel_tls, Some(KernelTls::Armed { .. })));
            let mode = if role == Role::Client { Mode::TlsClient } else { Mode::TlsServer };
            assert_eq!(ours.mode(), mode);
            assert_eq!(ours.facts().tls.as_deref(), Some(&facts));
            let now = ours.channel_binding(ChannelBinding::TlsExporter).await.unwrap();
            assert_eq!(now, binding);

            theirs.write_all(b"question").await.unwrap();
            theirs.flush().await.unwrap();
            let mut got = [0; 8];
            ours.read_exact(&mut got).await.unwrap();
            ours.write_all(b"answered").await.unwrap();
            theirs.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"answered");
            ours.shutdown().await.unwrap();
            assert_eq!(theirs.read(&mut got).await.unwrap(), 0);
            theirs.shutdown().await.unwrap();
            assert_eq!(ours.closed().await.ending, Ending::Finished);
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_used_stays_whole() {
    if !has_kernel_tls("a_stream_that_was_used_stays_whole") {
        return;
    }
    let (mut ours, mut theirs) = pair(Role::Client, SUITES[0].1).await;
    ours.write_all(b"used").await.unwrap();
    let mut ours = *ours.into_kernel_session().unwrap_err();
    ours.write_all(b" and well").await.unwrap();
    let mut got = [0; 13];
    theirs.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"used and well");
}

#[tokio::test]
async fn only_what_the_kernel_does_is_taken_apart() {
    let (near, mut far) = tcp_pair().await;
    let plain = Socket::adopt(near, None, options());
    let mut plain = *plain.into_kernel_session().unwrap_err();
    plain.write_all(b"plain").await.unwrap();
    let mut got = [0; 5];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"plain");
}

//! Where the kernel does not do the records, TLS goes on here, and the facts say why.

use levada::{Ending, KernelTls, NoKernelTls, Pipe, Session, SessionName, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::kernel::{client, must, options, server, tcp_pair};
use crate::world::patient;

fn near() -> Session {
    client().session(&SessionName::new("localhost").unwrap()).unwrap()
}

/// Data goes both ways and both say goodbye; what the first says of the kernel.
async fn live(mut ours: Socket, mut theirs: Socket) -> Option<KernelTls> {
    let (one, other) = tokio::join!(ours.established(), theirs.established());
    one.unwrap();
    other.unwrap();
    let mut got = [0; 8];
    ours.write_all(b"question").await.unwrap();
    ours.flush().await.unwrap();
    theirs.read_exact(&mut got).await.unwrap();
    theirs.write_all(b"answered").await.unwrap();
    theirs.flush().await.unwrap();
    ours.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"answered");
    let told = ours.facts().kernel_tls;
    let (one, other) = tokio::join!(ours.shutdown(), theirs.shutdown());
    one.unwrap();
    other.unwrap();
    let (one, other) = tokio::join!(ours.closed(), theirs.closed());
    assert_eq!((one.ending, other.ending), (Ending::Finished, Ending::Finished));
    assert_eq!(one.facts.kernel_tls, told);
    told
}

#[tokio::test]
async fn a_kernel_that_cannot_says_so() {
    let (one, other) = tcp_pair().await;
    let ours = Socket::adopt(one, near(), options());
    let told = live(ours, Socket::adopt(other, server().session(), options())).await;
    if must("LEVADA_KERNEL_TLS") {
        assert!(matches!(told, Some(KernelTls::Armed { .. })), "{told:?}");
    } else {
        let cannot = KernelTls::Declined(NoKernelTls::Unsupported);
        assert!(matches!(&told, Some(KernelTls::Armed { .. })) || told == Some(cannot), "{told:?}");
    }
}

#[tokio::test]
async fn nobody_is_told_who_has_not_asked() {
    let (one, other) = tcp_pair().await;
    let ours = Socket::adopt(one, near(), patient());
    assert_eq!(live(ours, Socket::adopt(other, server().session(), options())).await, None);
}

#[tokio::test]
async fn what_is_no_tcp_says_so() {
    let declined = Some(KernelTls::Declined(NoKernelTls::NotTcp));
    let (one, other) = UnixStream::pair().unwrap();
    let ours = Socket::adopt(one, near(), options());
    assert_eq!(live(ours, Socket::adopt(other, server().session(), options())).await, declined);
    let (one, other) = Pipe::pair(1 << 16);
    let ours = Socket::adopt(one, near(), options());
    assert_eq!(live(ours, Socket::adopt(other, server().session(), options())).await, declined);
}

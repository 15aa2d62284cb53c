//! New keys of either end, and kernels that cannot take them.

use levada::{
    AlertDescription, Ended, Ending, Fault, KernelHandover, KernelTls, Role, Socket, TlsVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::{AlertDescription as TheirAlert, CipherSuite, Error};

use crate::kernel::{ROLES, SUITES, has_kernel_tls, options, pair, suites_of_tls_1_3};

const ROUNDS: usize = 5;

fn renews(ours: &Socket) -> bool {
    matches!(ours.facts().kernel_tls, Some(KernelTls::Armed { rekeys: true }))
}

/// Has the peer go on with new keys, and ask for new ones of ours.
fn renew(theirs: &mut TlsStream<TcpStream>) {
    match theirs {
        TlsStream::Client(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
        TlsStream::Server(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
    }
}

#[tokio::test]
async fn a_peer_that_renews_its_keys_is_followed_and_answered() {
    if !has_kernel_tls("a_peer_that_renews_its_keys") {
        return;
    }
    for suite in suites_of_tls_1_3() {
        for role in ROLES {
            let (mut ours, mut theirs) = pair(role, suite).await;
            if !renews(&ours) {
                cannot_be_followed(ours, theirs).await;
                continue;
            }
            let mut got = [0; 1000];
            for round in 0..ROUNDS as u8 {
                renew(&mut theirs);
                theirs.write_all(&[round; 1000]).await.unwrap();
                theirs.flush().await.unwrap();
                ours.read_exact(&mut got).await.unwrap();
                assert_eq!(got, [round; 1000], "{suite:?} as {role:?}");
                ours.write_all(&[round + 100; 1000]).await.unwrap();
                theirs.read_exact(&mut got).await.unwrap();
                assert_eq!(got, [round + 100; 1000]);
            }
            finish(ours, theirs).await;
        }
    }
}

/// The session ends in words on both sides.
async fn cannot_be_followed(mut ours: Socket, mut theirs: TlsStream<TcpStream>) {
    renew(&mut theirs);
    theirs.write_all(b"under new keys").await.unwrap();
    theirs.flush().await.unwrap();
    let error = ours.read_to_end(&mut Vec::new()).await.unwrap_err();
    let ended = Ended::of(&error).unwrap();
    let Ending::FatalError { alert, cause: Fault::Internal(words) } = &ended.ending else {
        panic!("{ended:?}")
    };
    assert_eq!(*alert, Some(AlertDescription::INTERNAL_ERROR));
    assert!(words.contains("which this kernel cannot"), "{words}");
    let error = theirs.read_to_end(&mut Vec::new()).await.unwrap_err();
    let told = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    assert_eq!(told, Some(&Error::AlertReceived(TheirAlert::InternalError)));
}

async fn finish(mut ours: Socket, mut theirs: TlsStream<TcpStream>) {
    ours.shutdown().await.unwrap();
    theirs.shutdown().await.unwrap();
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(ours.closed().await.ending, Ending::Finished);
}

/// The socket again, with keys that last for so many records.
fn short_lived(ours: Socket, records: u64) -> Socket {
    let KernelHandover { mut session, keeper, descriptor } = ours.into_kernel_session().unwrap();
    session.renew_after(records);
    KernelHandover { session, keeper, descriptor }.adopt(options()).unwrap()
}

async fn worn(role: Role, suite: CipherSuite, records: u64) -> (Socket, TlsStream<TcpStream>) {
    let (ours, theirs) = pair(role, suite).await;
    (short_lived(ours, records), theirs)
}

#[tokio::test]
async fn our_keys_are_renewed_in_time_and_the_peer_follows() {
    if !has_kernel_tls("our_keys_are_renewed_in_time") {
        return;
    }
    for suite in suites_of_tls_1_3() {
        for role in ROLES {
            let (mut ours, mut theirs) = worn(role, suite, 3).await;
            if !renews(&ours) {
                continue;
            }
            // 20 small records, and then more than one key may seal at once.
            for round in 0..20_u8 {
                ours.write_all(&[round; 10]).await.unwrap();
            }
            let bulk = vec![7; 300_000];
            let mut got = vec![0; 200 + bulk.len()];
            let (written, read) = tokio::join!(ours.write_all(&bulk), theirs.read_exact(&mut got));
            written.unwrap();
            read.unwrap();
            for (round, part) in got[..200].chunks(10).enumerate() {
                assert_eq!(part, [round as u8; 10], "{suite:?} as {role:?}");
            }
            assert!(got[200..] == bulk);
            // The peer's keys are its own.
            theirs.write_all(b"heard").await.unwrap();
            theirs.flush().await.unwrap();
            let mut heard = [0; 5];
            ours.read_exact(&mut heard).await.unwrap();
            finish(ours, theirs).await;
        }
    }
}

#[tokio::test]
async fn keys_that_are_worn_out_and_cannot_be_renewed_are_an_end_without_goodbye() {
    if !has_kernel_tls("keys_that_are_worn_out") {
        return;
    }
    for (version, suite) in SUITES {
        for role in ROLES {
            let (mut ours, mut theirs) = worn(role, suite, 3).await;
            if renews(&ours) {
                continue;
            }
            let error = loop {
                if let Err(error) = ours.write_all(b"more").await {
                    break error;
                }
            };
            let ended = Ended::of(&error).unwrap();
            let Ending::FatalError { alert: None, cause: Fault::Internal(words) } = &ended.ending
            else {
                panic!("{ended:?}")
            };
            let wanted = match version {
                TlsVersion::V1_2 => "TLS 1.3 would renew them",
                TlsVersion::V1_3 => "this kernel cannot go on",
            };
            assert!(words.contains(wanted), "{words}");
            drop(ours);
            let mut got = Vec::new();
            let error = theirs.read_to_end(&mut got).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "no goodbye was said");
            assert!(!got.is_empty() && got.len() <= 12, "{}", got.len());
        }
    }
}

//! Bytes, goodbyes and facts of streams whose records the kernel does.

use std::pin::Pin;

use levada::{
    Carrier, Ended, Ending, KernelTls, Mode, Options, Party, Socket, State, TlsVersion, relay,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio_rustls::TlsStream;

use crate::kernel::{ROLES, SUITES, has_kernel_tls, must, pair, tcp_pair};
use crate::world::patient;

const LABEL: &str = "EXPORTER-levada-test";

/// Bytes that are nowhere twice the same for long.
fn pattern(count: usize) -> Vec<u8> {
    (0..count as u32 / 4)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// Writes all of `bytes` and then says goodbye, while it reads to the end.
async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = split(stream);
    let mut got = Vec::new();
    let writing = async {
        for part in bytes.chunks(100_000) {
            writer.write_all(part).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    let (read, ()) = tokio::join!(reader.read_to_end(&mut got), writing);
    read.unwrap();
    got
}

#[tokio::test]
async fn a_mebibyte_goes_both_ways_in_every_suite_and_role_and_both_ends_say_goodbye() {
    if !has_kernel_tls("a_mebibyte_goes_both_ways") {
        return;
    }
    for (version, suite) in SUITES {
        for role in ROLES {
            let case = format!("{suite:?} as {role:?}");
            let (mut ours, mut theirs) = pair(role, suite).await;
            let facts = ours.facts();
            let Some(KernelTls::Armed { rekeys }) = facts.kernel_tls else {
                panic!("{case}: {:?}", facts.kernel_tls)
            };
            if version == TlsVersion::V1_3 && must("LEVADA_KERNEL_TLS_REKEY") {
                assert!(rekeys, "{case}");
            }
            assert!(ours.mode() != Mode::Plain && facts.plain.is_none());
            assert_eq!(ours.state(), State::Established);
            let tls = facts.tls.unwrap();
            assert_eq!(tls.version, Some(version.number()));

            let keys = ours.export_keying_material(LABEL, Some(b"context"), 32).await.unwrap();
            let (label, context) = (LABEL.as_bytes(), Some(&b"context"[..]));
            let wanted = match &theirs {
                TlsStream::Client(end) => {
                    end.get_ref().1.export_keying_material([0; 32], label, context)
                }
                TlsStream::Server(end) => {
                    end.get_ref().1.export_keying_material([0; 32], label, context)
                }
            };
            assert_eq!(keys.bytes(), wanted.unwrap(), "{case}");

            let (up, down) = (pattern(1 << 20), pattern((1 << 20) + 4000));
            let (got, heard) = tokio::join!(exchange(&mut ours, &up), exchange(&mut theirs, &down));
            assert!(got == down && heard == up, "{case}");
            let ended = ours.closed().await;
            assert_eq!(ended.ending, Ending::Finished, "{case}");
            assert_eq!((ended.facts.bytes.read, ended.facts.bytes.written), (1_052_576, 1 << 20));
            assert_eq!(ended.facts.tls.as_deref(), Some(&*tls), "{case}");
        }
    }
}

#[tokio::test]
async fn a_reader_with_room_for_one_byte_gets_all_and_the_end() {
    if !has_kernel_tls("a_reader_with_room_for_one_byte") {
        return;
    }
    for (_, suite) in SUITES {
        for role in ROLES {
            let (mut ours, mut theirs) = pair(role, suite).await;
            theirs.write_all(b"byte for byte").await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut got = Vec::new();
            loop {
                let mut room = [0];
                match ours.read(&mut room).await.unwrap() {
                    0 => break,
                    _ => got.push(room[0]),
                }
            }
            assert_eq!(got, b"byte for byte", "{suite:?} as {role:?}");
            assert_eq!(ours.facts().first_goodbye, Some(Party::Peer));
            ours.write_all(b"and we go on").await.unwrap();
            ours.shutdown().await.unwrap();
            assert_eq!(ours.closed().await.ending, Ending::Finished);
            let mut heard = Vec::new();
            theirs.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"and we go on");
        }
    }
}

#[tokio::test]
async fn halves_in_two_tasks_lose_no_wakeup() {
    if !has_kernel_tls("halves_in_two_tasks_lose_no_wakeup") {
        return;
    }
    for role in ROLES {
        let (ours, theirs) = pair(role, SUITES[0].1).await;
        let bytes = pattern(4 << 20);
        let (mut reader, mut writer) = split(ours);
        let sent = bytes.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
            writer
        });
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            (reader, got)
        });
        let heard = exchange(theirs, &bytes).await;
        let (writer, (reader, got)) = (writing.await.unwrap(), reading.await.unwrap());
        assert!(heard == bytes && got == bytes);
        assert_eq!(reader.unsplit(writer).closed().await.ending, Ending::Finished);
    }
}

#[tokio::test]
async fn a_relay_joins_it_with_a_plain_stream_and_passes_both_ends_on() {
    if !has_kernel_tls("a_relay_joins_it_with_a_plain_stream") {
        return;
    }
    for role in ROLES {
        let (mut ours, theirs) = pair(role, SUITES[0].1).await;
        let (near, far) = tcp_pair().await;
        let mut plain = Socket::adopt(near, None, patient());
        let (up, down) = (pattern(3 << 20), pattern(2 << 20));
        let (ends, got, heard) =
            tokio::join!(relay(&mut ours, &mut plain), exchange(theirs, &up), exchange(far, &down));
        assert!(got == down && heard == up);
        assert_eq!((ends.0.ending, ends.1.ending), (Ending::Finished, Ending::Finished));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_never_a_clean_end() {
    if !has_kernel_tls("a_connection_that_breaks_off") {
        return;
    }
    for (_, suite) in SUITES {
        for role in ROLES {
            let (mut ours, mut theirs) = pair(role, suite).await;
            theirs.write_all(b"the half of it").await.unwrap();
            theirs.flush().await.unwrap();
            // FIN without close_notify.
            Pin::new(theirs.get_mut().0).shutdown().await.unwrap();
            let mut got = Vec::new();
            let error = ours.read_to_end(&mut got).await.unwrap_err();
            assert_eq!(got, b"the half of it");
            assert_eq!(Ended::of(&error).unwrap().ending, Ending::SocketClose, "{suite:?}");
        }
    }
}

#[tokio::test]
async fn what_is_written_before_the_handshake_leaves_through_the_kernel() {
    if !has_kernel_tls("what_is_written_before_the_handshake") {
        return;
    }
    let (near, far) = tcp_pair().await;
    let name = levada::SessionName::new("localhost").unwrap();
    let client = crate::kernel::client().session(&name).unwrap();
    let mut ours = Socket::adopt(near, client, crate::kernel::options());
    ours.write_all(b"early").await.unwrap();
    let server = crate::kernel::server().session();
    let mut theirs = Socket::adopt(Carrier::from(far), server, Options::default());
    let mut heard = [0; 5];
    let (up, read) = tokio::join!(ours.established(), theirs.read_exact(&mut heard));
    up.unwrap();
    read.unwrap();
    assert_eq!(&heard, b"early");
    assert!(matches!(ours.facts().kernel_tls, Some(KernelTls::Armed { .. })));
}

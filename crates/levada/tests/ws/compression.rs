//! Messages that are compressed (RFC 7692): the same stream of bytes.

use std::io::ErrorKind;

use levada::ws::{ClientOptions, DeflateParams, ServerOptions, WsOptions};
use levada::{Ended, Ending, Event, Role, WsStream};
use levada_ws::deflate::Deflater;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{Over, Peer, ROLES, code_in, kind, poll_read, read_all, told, with_peer};

const FRESH: DeflateParams = DeflateParams {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

/// Text as people write it: it shrinks.
fn text(len: usize) -> Vec<u8> {
    let words = ["a", "kept", "water", "channel", "with", "a", "footpath", "beside", "it"];
    let mut text = Vec::new();
    for at in 0.. {
        if text.len() >= len {
            break;
        }
        text.extend_from_slice(words[at * at % words.len()].as_bytes());
        text.push(b' ');
    }
    text.truncate(len);
    text
}

/// The payload that the peer of `role` makes of each message.
fn packed(role: Role, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let theirs = match role {
        Role::Client => levada_ws::Role::Server,
        Role::Server => levada_ws::Role::Client,
    };
    let mut deflater = Deflater::new(theirs, DeflateParams::default());
    let pack = |message: &&[u8]| {
        let mut payload = Vec::new();
        deflater.deflate(message, &mut payload);
        payload
    };
    messages.iter().map(pack).collect()
}

fn compressing(role: Role) -> (WsStream<DuplexStream>, Peer) {
    let (stream, peer) = with_peer(role, WsOptions::default());
    (stream.with_deflate(DeflateParams::default()), peer)
}

/// It takes both; facts tell what came of it, and all else is as ever.
#[tokio::test]
async fn b1_both_ends_agree_and_say_so() {
    for (theirs, agreed) in [
        (Some(DeflateParams::default()), Some("permessage-deflate; server_no_context_takeover")),
        (
            Some(FRESH),
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        (None, None),
    ] {
        for over in Over::ALL {
            let [near, far] = over.carriers();
            let mut client = ClientOptions::new("example.org", "/").unwrap();
            let wanted = DeflateParams { server_no_context_takeover: true, ..Default::default() };
            client.offer = client.offer.with_deflate(wanted);
            let mut server = ServerOptions::default();
            server.rules.deflate = theirs;
            let data = text(9000);
            let (ours, theirs) = tokio::join!(
                async {
                    let mut stream = WsStream::connect(near, client).await.unwrap();
                    stream.write_all(&data).await.unwrap();
                    stream.shutdown().await.unwrap();
                    stream.closed().await
                },
                async {
                    let mut stream = WsStream::accept(far, server).await.unwrap();
                    let all = read_all(&mut stream).await.0;
                    assert!(all == data);
                    stream.closed().await
                }
            );
            for ended in [ours, theirs] {
                let facts = ended.facts.web_socket.as_ref().unwrap();
                assert_eq!(facts.extension.as_deref(), agreed, "{over:?}");
                assert!(ended.is_clean(), "{ended}");
                let bytes = ended.facts.bytes;
                let (plain, wire) =
                    (bytes.read + bytes.written, bytes.wire_read + bytes.wire_written);
                assert_eq!(plain, 9000);
                assert_eq!(wire < 3000, agreed.is_some(), "{wire} of {plain}");
            }
        }
    }
}

/// B3, B5: readers of every kind, whatever the frames: fragments, pings between them, messages that say
/// nothing, and some that are not compressed.
#[tokio::test]
async fn b3_b5_what_comes_is_read_by_buffers_of_every_size() {
    let data = text(100_000);
    for (role, size) in
        ROLES.into_iter().flat_map(|role| [1, 100, 5000, 200_000].map(|n| (role, n)))
    {
        let (mut stream, mut peer) = compressing(role);
        let mut events = stream.events();
        let messages = packed(role, &[&data, b"", &data[..40_000], b"last"]);
        let (head, tail) = messages[0].split_at(messages[0].len() / 2);
        peer.send_any(0x42, head).await;
        peer.send(0x89, b"between").await;
        peer.send(0x00, b"").await;
        peer.send_any(0x00, tail).await;
        // The end of the message by itself.
        peer.send(0x80, b"").await;
        peer.send_any(0xc2, &messages[1]).await;
        peer.send_any(0x82, b"not compressed").await;
        peer.send_any(0xc2, &messages[2]).await;
        peer.send_any(0xc2, &messages[3]).await;
        peer.answer_close().await;
        peer.io.shutdown().await.unwrap();
        let wanted = [&data[..], b"not compressed", &data[..40_000], b"last"].concat();
        let mut got = Vec::new();
        let mut room = vec![0; size];
        loop {
            let count = stream.read(&mut room).await.unwrap();
            if count == 0 {
                break;
            }
            got.extend_from_slice(&room[..count]);
        }
        assert!(got == wanted, "{role:?} {size}: {} of {} bytes", got.len(), wanted.len());
        assert_eq!(stream.facts().bytes.read, wanted.len() as u64);
        assert!(told(&mut events).contains(&Event::Ping(b"between".to_vec())));
    }
}

/// What a borrowing reader has seen and not consumed is not lost.
#[tokio::test]
async fn b8_a_borrowing_reader_takes_what_it_wants() {
    let (mut stream, mut peer) = compressing(Role::Client);
    let data = text(50_000);
    peer.send_any(0xc2, &packed(Role::Client, &[&data])[0]).await;
    let mut got = Vec::new();
    while got.len() < data.len() {
        let seen = stream.fill_buf().await.unwrap();
        let count = seen.len().min(777);
        got.extend_from_slice(&seen[..count]);
        stream.consume(count);
    }
    assert!(got == data);
}

/// B2, B9: small writes are one message, and what does not shrink still goes.
#[tokio::test]
async fn b2_b9_what_is_written_is_gathered_and_bounded() {
    for role in ROLES {
        let (mut stream, mut peer) = compressing(role);
        for _ in 0..100 {
            stream.write_all(b"again and again, ").await.unwrap();
        }
        stream.flush().await.unwrap();
        let (first, payload) = peer.next().await;
        assert_eq!(first, 0xc2);
        assert!(payload.len() < 60, "{} bytes", payload.len());

        // Nobody reads: what is accepted has a bound.
        let mut noise = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 33) as u8
        })
        .take(1 << 20)
        .collect();
        let mut accepted = 0;
        while let Some(Ok(count)) = futures_util::FutureExt::now_or_never(stream.write(&noise)) {
            accepted += count;
        }
        // The carrier takes 256 KiB of it.
        assert!((256 << 10..512 << 10).contains(&accepted), "{accepted}");
        assert!(stream.buffered() <= 128 << 10);
    }
}

/// X1, X4, C10: what does not decompress ends the stream with 1007, behind what came before it.
#[tokio::test]
async fn x1_x4_what_does_not_decompress_is_an_error_behind_what_came_before() {
    for role in ROLES {
        let (mut stream, mut peer) = compressing(role);
        peer.send_any(0xc2, &packed(role, &[b"good"])[0]).await;
        peer.send(0xc2, &[0xff; 5]).await;
        peer.io.shutdown().await.unwrap();
        let mut room = [0; 8];
        assert_eq!(stream.read(&mut room).await.unwrap(), 4);
        for _ in 0..3 {
            let error = stream.read(&mut room).await.unwrap_err();
            assert_eq!((kind(&error), code_in(&error)), (ErrorKind::InvalidData, "ws_protocol"));
            assert_eq!(Ended::of(&error).unwrap().ending, Ending::WsProtocol(1007));
            let error = stream.write(b"x").await.unwrap_err();
            assert_eq!(kind(&error), ErrorKind::InvalidData);
        }
        assert_eq!(peer.next().await.1[..2], 1007_u16.to_be_bytes());
    }
}

/// C1, C4: the peer's end counts behind all that its messages become.
#[tokio::test]
async fn c1_c4_the_end_comes_behind_all_that_was_compressed() {
    let data = text(60_000);
    for is_cut in [false, true] {
        let (mut stream, mut peer) = compressing(Role::Client);
        peer.send_any(0xc2, &packed(Role::Client, &[&data])[0]).await;
        if !is_cut {
            peer.answer_close().await;
        }
        drop(peer);
        // All of it is there, and the end too; a reader of small pieces gets it piece by piece.
        assert!(matches!(poll_read(&mut stream, 10), std::task::Poll::Ready(Ok(10))));
        let (rest, result) = read_all(&mut stream).await;
        assert!(rest == data[10..]);
        assert_eq!(result.is_err(), is_cut);
        assert_eq!(stream.ended().unwrap().ending == Ending::SocketClose, is_cut);
    }
}

/// E10: data behind text that was refused is whole, though it refers to the text.
#[tokio::test]
async fn e10_data_behind_refused_text_is_whole() {
    let (mut stream, mut peer) = compressing(Role::Server);
    let data = text(1000);
    let messages = packed(Role::Server, &[&data, &data]);
    peer.send_any(0xc1, &messages[0]).await;
    peer.send_any(0xc2, &messages[1]).await;
    peer.answer_close().await;
    peer.io.shutdown().await.unwrap();
    let (all, _) = read_all(&mut stream).await;
    assert!(all == data);
    assert_eq!(stream.closed().await.ending, Ending::WsProtocol(1003));
}

/// B4: who only waits for the end drops a bomb piece by piece, and lets others have their turn.
#[tokio::test(flavor = "current_thread")]
async fn b4_a_bomb_that_nobody_reads_keeps_no_thread() {
    let (mut stream, mut peer) = compressing(Role::Client);
    let zeros = vec![0; 32 << 20];
    let payload = &packed(Role::Client, &[&zeros])[0];
    assert!(payload.len() < 40_000);
    peer.send_any(0xc2, payload).await;
    peer.answer_close().await;
    drop(peer);
    let mut turns = 0;
    let ended = tokio::select! {
        biased;
        ended = stream.closed() => ended,
        () = async { loop { turns += 1; tokio::task::yield_now().await } } => unreachable!(),
    };
    assert_eq!(ended.facts.bytes.discarded, zeros.len() as u64);
    assert!(turns >= 16, "{turns}");
}

//! E1-E8, E10: what is told.

use std::io::ErrorKind;

use levada::ws::{TextPolicy, WsOptions};
use levada::{Ending, Event, Options, Party, Pipe, Role, Socket, State, WsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{ROLES, kind, poll_read, read_all, told, with_peer};

/// E1, E2, E3, E5, E8: in their order with the data, and the end last.
#[tokio::test]
async fn e1_e2_e3_e5_e8_everything_is_told_in_order() {
    for role in ROLES {
        // Small reads go through the inbox, large ones do not.
        for size in [4, 8192] {
            let (mut stream, mut peer) = with_peer(role, WsOptions::default());
            let mut events = stream.events();
            let mut room = vec![0; size];
            peer.send(0x82, b"data").await;
            assert_eq!(stream.read(&mut room).await.unwrap(), 4);
            assert_eq!(told(&mut events), []);
            peer.send(0x89, b"ping").await;
            peer.send(0x8a, b"pong").await;
            peer.send(0x82, b"more").await;
            assert_eq!(stream.read(&mut room).await.unwrap(), 4);
            let wanted = [Event::Ping(b"ping".to_vec()), Event::Pong(b"pong".to_vec())];
            assert_eq!(told(&mut events), wanted);
            assert_eq!(peer.next().await, (0x8a, b"ping".to_vec()), "E2");

            let mut body = 4000_u16.to_be_bytes().to_vec();
            body.extend_from_slice(b"why");
            peer.send(0x88, &body).await;
            peer.io.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut room).await.unwrap(), 0);
            let told = told(&mut events);
            let reason = "why".to_owned();
            let wanted = [
                Event::CloseFrame { code: Some(4000), reason },
                Event::Goodbye(Party::Peer),
                Event::State(State::Closing),
                Event::Goodbye(Party::Local),
            ];
            assert_eq!(told[..4], wanted);
            assert!(matches!(&told[4..], [Event::Ended(ended)] if ended.code() == "ws_close"));
            assert_eq!(events.next().await, None, "E5: nothing follows");
        }
    }
}

/// E4: a carrier that fails behind both Close frames is only an event; before them it is the end.
#[tokio::test]
async fn e4_a_failure_after_both_goodbyes_is_only_an_event() {
    for closes in [true, false] {
        let (near, far) = Pipe::pair(1000);
        let [near, mut far] = [near, far].map(|io| Socket::adopt(io, None, Options::default()));
        let mut stream = WsStream::after_upgrade(near, [], Role::Client, WsOptions::default());
        let mut events = stream.events();
        if closes {
            stream.shutdown().await.unwrap();
            far.read_exact(&mut [0; 8]).await.unwrap();
            far.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        }
        assert!(poll_read(&mut stream, 8).is_pending());
        far.abort();
        let read = stream.read(&mut [0; 8]).await;
        let told = told(&mut events);
        if closes {
            assert_eq!(read.unwrap(), 0);
            assert!(stream.ended().unwrap().is_clean());
            let failed = |event: &Event| matches!(event, Event::TransportFailed(_));
            assert_eq!(told.iter().filter(|event| failed(event)).count(), 1);
        } else {
            assert_eq!(kind(&read.unwrap_err()), ErrorKind::ConnectionReset);
            assert!(matches!(&*told, [Event::Ended(_)]));
        }
    }
}

/// E6, E7: several listeners come and go; one that nobody reads stops nothing and is told its loss.
#[tokio::test]
async fn e6_e7_listeners_never_stop_the_data() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let (mut slow, gone) = (stream.events(), stream.events());
        drop(gone);
        for _ in 0..1000 {
            peer.send(0x8a, b"x").await;
        }
        peer.send(0x82, b"data").await;
        let mut room = [0; 8];
        assert_eq!(stream.read(&mut room).await.unwrap(), 4);
        let mut late = stream.events();
        peer.send(0x8a, b"y").await;
        peer.send(0x82, b"z").await;
        assert_eq!(stream.read(&mut room).await.unwrap(), 1);
        assert_eq!(told(&mut late), [Event::Pong(b"y".to_vec())]);
        let told = told(&mut slow);
        assert!(matches!(told[0], Event::Lost(lost) if lost as usize + told.len() - 1 == 1001));
    }
}

/// E10: text is refused with 1003, behind what is under way, and the stream goes on to its end; the
/// read gives end of file, since nothing was lost that bytes could be.
#[tokio::test]
async fn e10_text_is_refused_and_the_rest_is_read() {
    for role in ROLES {
        let (mut stream, mut peer) = with_peer(role, WsOptions::default());
        let mut events = stream.events();
        stream.write_all(b"accepted before").await.unwrap();
        peer.send(0x81, b"text").await;
        peer.send(0x82, b"bytes").await;
        let mut room = [0; 8];
        assert_eq!(stream.read(&mut room).await.unwrap(), 5);
        assert_eq!(told(&mut events)[0], Event::TextRefused);
        assert_eq!(peer.next().await, (0x82, b"accepted before".to_vec()));
        assert_eq!(peer.next().await, (0x88, 1003_u16.to_be_bytes().to_vec()));
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::NotConnected);
        peer.send(0x88, &1003_u16.to_be_bytes()).await;
        peer.io.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut room).await.unwrap(), 0);
        assert_eq!(stream.ended().unwrap().ending, Ending::WsProtocol(1003));
        assert_eq!(kind(&stream.write(b"x").await.unwrap_err()), ErrorKind::NotConnected);
    }
}

/// E10, §1.8: by option text is bytes.
#[tokio::test]
async fn e10_text_may_be_taken_as_bytes() {
    for role in ROLES {
        let mut options = WsOptions::default();
        options.text = TextPolicy::AsBytes;
        let (mut stream, mut peer) = with_peer(role, options);
        peer.send(0x81, "täxt".as_bytes()).await;
        peer.answer_close().await;
        peer.io.shutdown().await.unwrap();
        let (data, end) = read_all(&mut stream).await;
        end.unwrap();
        assert_eq!(data, "täxt".as_bytes());
    }
}

//! Both ends over pipes in memory.

mod many;

use std::io;
use std::time::Duration;

use levada_address::Http;
use levada_core::{Deadline, Ended, Ending, Party, State};
use levada_ws::CloseCode;
use levada_ws::handshake::{OriginPattern, Origins, Paths, Rejection};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::client::Call;
use super::server::{Guest, Hall};
use crate::memory::Pipe;
use crate::per_address::PerAddress;
use crate::pool::Layer;
use crate::socket::{Options, Socket};
use crate::stream::Stream;
use crate::ws::{ClientOptions, DeflateParams, HandshakeError, ServerOptions, WsStream};

/// A listener's hall, and what holds for its connections.
struct Server {
    hall: Hall,
    options: ServerOptions,
}

impl Server {
    fn new(options: ServerOptions) -> Self {
        Self { hall: Hall::new(Http::V2), options }
    }

    /// A pipe whose other end the hall greets.
    fn pipe(&self, capacity: usize) -> Pipe {
        let (near, far) = Pipe::pair(capacity);
        let guest = Guest {
            web_socket: self.options.clone(),
            options: Options::default().into(),
            permit: None,
            handshakes: None,
            per_address: Some(PerAddress::new(9)),
        };
        self.hall.greet(Socket::adopt(far, Layer::default(), Options::default()), guest);
        near
    }

    async fn accept(&self) -> WsStream {
        match self.hall.accept().await {
            Stream::WebSocket(stream) => *stream,
            other @ Stream::Socket(_) => panic!("{:?}", other.ended()),
        }
    }

    /// A client who has asked so, and the stream that it has got.
    async fn pair_asking(&self, options: &ClientOptions, capacity: usize) -> (WsStream, WsStream) {
        let mut near = client(self.pipe(capacity), options);
        let (established, far) = tokio::join!(near.established(), async {
            let mut far = self.accept().await;
            far.established().await.unwrap();
            far
        });
        established.unwrap();
        assert_eq!(near.facts().http, Some("2"));
        assert_eq!(far.facts().http, Some("2"));
        (near, far)
    }
}

fn client(pipe: Pipe, options: &ClientOptions) -> WsStream {
    let (offer, limits) = (&options.offer, options.limits);
    let call = Call::new(offer, limits, false, Http::V2).unwrap();
    let (calling, answered) = call.begin(None);
    WsStream::calling(Socket::adopt_calling(pipe, calling), options.clone(), answered)
}

fn options(target: &str) -> ClientOptions {
    ClientOptions::new("host.example", target).unwrap()
}

async fn pair(server: &Server, capacity: usize) -> (WsStream, WsStream) {
    server.pair_asking(&options("/"), capacity).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Sends `parts` from one end, and reads all of it in pieces of `room` bytes at the other: what came, and
/// the ends of both.
async fn carry(
    mut from: WsStream,
    mut to: WsStream,
    parts: &[Vec<u8>],
    room: usize,
) -> (Vec<u8>, [Ended; 2]) {
    let send = async {
        for part in parts {
            from.write_all(part).await.unwrap();
        }
        from.shutdown().await.unwrap();
        let mut rest = Vec::new();
        from.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        from.closed().await
    };
    let take = async {
        let (mut got, mut piece) = (Vec::new(), vec![0; room]);
        loop {
            match to.read(&mut piece).await.unwrap() {
                0 => break,
                count => got.extend_from_slice(&piece[..count]),
            }
        }
        (got, to.closed().await)
    };
    let (near, (got, far)) = tokio::join!(send, take);
    assert!(near.is_clean() && far.is_clean(), "{near} {far}");
    assert!(matches!(near.ending, Ending::WsClose { code: Some(1000), by: Party::Local, .. }));
    assert!(matches!(far.ending, Ending::WsClose { code: Some(1000), by: Party::Peer, .. }));
    (got, [near, far])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn b1_bytes_go_through_whole_and_in_order_however_they_are_cut(
        sizes in prop::collection::vec(prop::sample::select(vec![1_usize, 125, 65_535, 65_536, 300_000]), 1..4),
        room in prop::sample::select(vec![7_usize, 4096, 65_536]),
        capacity in prop::sample::select(vec![64_usize, 1000, 65_536]),
        from_client: bool,
    ) {
        // Through a small pipe much data is slow without telling more. (One that does not even hold the
        // preface and the settings of both ends stands still.)
        let small = capacity < 100 || room < 100;
        let sizes = sizes.into_iter().map(|size| if small { size.min(70_000) } else { size });
        let parts: Vec<Vec<u8>> = sizes
            .map(|size| (0..size).map(|at| (at % 251) as u8).collect())
            .collect();
        let got = runtime().block_on(async {
            let server = Server::new(ServerOptions::default());
            let (near, far) = pair(&server, capacity).await;
            let (from, to) = if from_client { (near, far) } else { (far, near) };
            carry(from, to, &parts, room).await.0
        });
        prop_assert_eq!(got, parts.concat());
    }
}

#[tokio::test(start_paused = true)]
async fn the_rules_are_those_of_http_1_1() {
    let mut server = Server::new(ServerOptions::default());
    let rules = &mut server.options.rules;
    rules.paths = Paths::Listed(vec!["/vnc".to_owned()]);
    rules.subprotocols = vec!["binary".to_owned()];
    let patterns = vec![OriginPattern::new("https://good.example").unwrap()];
    rules.origins = Origins::Listed { patterns, allow_absent: true };
    let ask = async |target: &str, origin: Option<&str>| {
        let mut options = options(target);
        options.offer = options.offer.with_subprotocol("binary").unwrap();
        if let Some(origin) = origin {
            options.offer = options.offer.with_origin(origin).unwrap();
        }
        let mut near = client(server.pipe(64 * 1024), &options);
        let (near_up, (far, far_up)) = tokio::join!(near.established(), async {
            let mut far = server.accept().await;
            let up = far.established().await;
            (far, up)
        });
        assert_eq!(far.facts().http, Some("2"));
        (near, near_up, far, far_up)
    };
    let (near, up, far, _) = ask("/vnc?token=1", Some("https://good.example")).await;
    up.unwrap();
    assert_eq!(near.subprotocol(), Some("binary"));
    assert_eq!(far.request().unwrap().target(), "/vnc?token=1");
    assert_eq!(far.request().unwrap().host(), "host.example");
    for (target, origin, wanted) in
        [("/other", None, 404), ("/vnc", Some("https://bad.example"), 403)]
    {
        let (_, up, _, far_up) = ask(target, origin).await;
        let Err(HandshakeError::Rejected(Rejection::Status { status, .. }, ended)) = up else {
            panic!("{up:?}");
        };
        assert_eq!(status, wanted);
        assert_eq!(ended.phase, State::Handshaking);
        assert!(matches!(far_up, Err(HandshakeError::Refused(..))), "{far_up:?}");
    }
}

/// B1: what extended CONNECT agrees on is what HTTP/1.1 would have, and messages shrink either way.
#[tokio::test(start_paused = true)]
async fn b1_messages_are_compressed_as_both_ends_agree() {
    const FRESH: DeflateParams = DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let text = b"a kept water channel with a footpath beside it; ".repeat(4000);
    for (offered, taken, agreed) in [
        (None, Some(DeflateParams::default()), None),
        (Some(DeflateParams::default()), None, None),
        (
            Some(DeflateParams::default()),
            Some(DeflateParams::default()),
            Some("permessage-deflate"),
        ),
        (
            Some(DeflateParams::default()),
            Some(FRESH),
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
    ] {
        let mut server = Server::new(ServerOptions::default());
        server.options.rules.deflate = taken;
        let mut options = options("/");
        if let Some(offered) = offered {
            options.offer = options.offer.with_deflate(offered);
        }
        for from_client in [true, false] {
            let (near, far) = server.pair_asking(&options, 64 * 1024).await;
            let (from, to) = if from_client { (near, far) } else { (far, near) };
            let (got, ends) = carry(from, to, &[text.clone(), text.clone()], 4096).await;
            assert!(got == text.repeat(2));
            for ended in ends {
                let extension = &ended.facts.web_socket.as_ref().unwrap().extension;
                assert_eq!(extension.as_deref(), agreed);
                let bytes = ended.facts.bytes;
                let wire = bytes.wire_read + bytes.wire_written;
                assert_eq!(wire < text.len() as u64 / 20, agreed.is_some(), "{wire}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_is_truncation_for_its_peer() {
    let server = Server::new(ServerOptions::default());
    for near_goes in [true, false] {
        let (near, far) = pair(&server, 64 * 1024).await;
        let (mut gone, mut stays) = if near_goes { (near, far) } else { (far, near) };
        gone.write_all(b"last words").await.unwrap();
        gone.flush().await.unwrap();
        // Nothing that the stream itself would say.
        drop(gone.into_inner());
        let mut got = Vec::new();
        let error = stays.read_to_end(&mut got).await.unwrap_err();
        assert_eq!(got, b"last words");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(Ended::of(&error).unwrap().ending, Ending::SocketClose);
    }
}

#[tokio::test(start_paused = true)]
async fn c12_a_stream_that_is_dropped_says_so_behind_what_was_written() {
    let server = Server::new(ServerOptions::default());
    for near_goes in [true, false] {
        let (near, far) = pair(&server, 64 * 1024).await;
        let (mut gone, mut stays) = if near_goes { (near, far) } else { (far, near) };
        gone.write_all(b"last words").await.unwrap();
        drop(gone);
        let mut got = Vec::new();
        stays.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"last words");
        let ending = stays.closed().await.ending;
        let code = Some(CloseCode::GOING_AWAY.number());
        assert_eq!(ending, Ending::WsClose { code, reason: String::new(), by: Party::Peer });
    }
}

#[tokio::test(start_paused = true)]
async fn each_end_may_close_with_a_code_and_a_reason() {
    let server = Server::new(ServerOptions::default());
    for near_closes in [true, false] {
        let (near, far) = pair(&server, 64 * 1024).await;
        let (mut first, mut second) = if near_closes { (near, far) } else { (far, near) };
        let code = CloseCode::new(4000).unwrap();
        let (by_first, by_second) = tokio::join!(
            async {
                first.close(code, "enough").await.unwrap();
                first.closed().await
            },
            second.closed()
        );
        let closed = |by| Ending::WsClose { code: Some(4000), reason: "enough".to_owned(), by };
        assert_eq!(by_first.ending, closed(Party::Local));
        assert_eq!(by_second.ending, closed(Party::Peer));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_told_by_its_own_name() {
    let server = Server::new(ServerOptions::default());
    let (near, far) = Pipe::pair(64 * 1024);
    // What the client sends goes through, until the connection between is cut.
    let mut near = client(near, &options("/"));
    let mut middle = [
        Socket::adopt(far, Layer::default(), Options::default()),
        Socket::adopt(server.pipe(64 * 1024), Layer::default(), Options::default()),
    ];
    let relayed = tokio::spawn(async move {
        let [left, right] = &mut middle;
        timeout(Duration::from_secs(1), crate::relay(left, right)).await.unwrap_err();
    });
    let (up, mut far) = tokio::join!(near.established(), server.accept());
    up.unwrap();
    far.established().await.unwrap();
    relayed.await.unwrap();
    for end in [&mut near, &mut far] {
        let error = end.read(&mut [0; 8]).await.unwrap_err();
        let ended = Ended::of(&error).unwrap();
        assert!(matches!(ended.ending, Ending::SocketError(_)), "{ended}");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_late() {
    let (near, far) = Pipe::pair(64 * 1024);
    let mut near = client(near, &options("/"));
    let error = near.established().await.unwrap_err();
    drop(far);
    let Ending::ConnectFailed(failure) = &error.ended().ending else { panic!("{error}") };
    let late = levada_core::ConnectFailure::Ended(Ending::TimedOut(Deadline::Handshake));
    assert_eq!(**failure, late);
}

#[tokio::test(start_paused = true)]
async fn a_server_of_http_1_1_is_told_from_one_of_http_2() {
    let (near, far) = Pipe::pair(64 * 1024);
    let mut near = client(near, &options("/"));
    let mut far = Socket::adopt(far, Layer::default(), Options::default());
    far.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let error = near.established().await.unwrap_err();
    assert!(error.to_string().contains("HTTP/2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_leave_the_version_to_its_clients() {
    let mut server = Server::new(ServerOptions::default());
    server.hall = Hall::new(Http::Auto);
    let (near, far) = pair(&server, 64 * 1024).await;
    drop((near, far));
    let pipe = Socket::adopt(server.pipe(3), Layer::default(), Options::default());
    let mut near = WsStream::client(pipe, options("/"));
    let (up, far) = tokio::join!(near.established(), async {
        let mut far = server.accept().await;
        far.established().await.unwrap();
        far
    });
    up.unwrap();
    assert_eq!(near.facts().http, Some("1.1"));
    assert_eq!(far.facts().http, Some("1.1"));
    assert_eq!(carry(near, far, &[b"as before".to_vec()], 4).await.0, b"as before");
}

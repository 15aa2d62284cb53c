//! Both ends over pipes in memory.

use std::io;
use std::time::Duration;

use levada_address::Http;
use levada_core::{Deadline, Ended, Ending, Party, State};
use levada_ws::CloseCode;
use levada_ws::handshake::{OriginPattern, Origins, Paths, Rejection};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::Call;
use super::server::{Guest, Hall};
use super::*;
use crate::memory::Pipe;
use crate::per_address::PerAddress;
use crate::pool::Layer;
use crate::socket::{Options, Socket};
use crate::stream::Stream;
use crate::ws::{ClientOptions, HandshakeError, ServerOptions, WsStream};

/// A listener's hall, and what holds for its connections.
struct Server {
    hall: Hall,
    options: ServerOptions,
    http: Http,
}

impl Server {
    fn new(options: ServerOptions) -> Self {
        Self { hall: Hall::new(), options, http: Http::V2 }
    }

    /// A pipe whose other end the hall greets.
    fn pipe(&self, capacity: usize) -> Socket {
        let (near, far) = Pipe::pair(capacity);
        let socket = |pipe| Socket::adopt(pipe, Layer::default(), Options::default());
        let guest = Guest {
            http: self.http,
            web_socket: self.options.clone(),
            options: Options::default().into(),
            permit: None,
            handshakes: None,
            per_address: Some(PerAddress::new(9)),
        };
        self.hall.greet(socket(far), guest);
        socket(near)
    }

    async fn accept(&self) -> WsStream {
        match self.hall.accept().await {
            Stream::WebSocket(stream) => *stream,
            other @ Stream::Socket(_) => panic!("{:?}", other.ended()),
        }
    }
}

fn client(pipe: Socket, options: &ClientOptions) -> WsStream {
    let (offer, limits) = (&options.offer, options.limits);
    let call = Call::new(offer, limits, false, Http::V2).unwrap();
    let (calling, answered) = call.begin(None);
    // As a dialled socket does, it calls when it is up.
    let mut socket = pipe;
    let (carrier, prefix) = match socket.state() {
        State::Established => socket.into_carrier().unwrap(),
        _ => unreachable!(),
    };
    assert!(prefix.is_empty());
    socket = Socket::adopt_calling(carrier, calling);
    WsStream::calling(socket, options.clone(), answered)
}

fn options(target: &str) -> ClientOptions {
    ClientOptions::new("host.example", target).unwrap()
}

async fn pair(server: &Server) -> (WsStream, WsStream) {
    let mut near = client(server.pipe(64 * 1024), &options("/"));
    let (established, mut far) = tokio::join!(near.established(), async {
        let mut far = server.accept().await;
        far.established().await.unwrap();
        far
    });
    established.unwrap();
    assert_eq!(near.facts().http, Some("2"));
    assert_eq!(far.facts().http, Some("2"));
    far.events();
    (near, far)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

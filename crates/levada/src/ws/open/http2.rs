//! The opening handshake of a stream that HTTP/2 carries: what it asks and answers goes by that, and
//! all else is as in HTTP/1.1.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use levada_core::Role;
use levada_ws::handshake::{ClientHandshake, Refusal, Request, Response};
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use super::{Answered, Opening, Phase, Responder, Stop};
use crate::http2::VERSION;
use crate::socket::Socket;
use crate::ws::keys::nonce;
use crate::ws::{ClientOptions, ServerOptions, WsStream, life_below};

impl Opening {
    /// Goes on when the carrier is up: with what it was answered, or with `None` where we have to ask.
    pub(super) fn poll_called<S: AsyncWrite + Unpin>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Response, Stop>>> {
        // It says nothing of its own before it is up.
        if let Err(error) = ready!(io.poll_flush(cx)) {
            return Poll::Ready(Some(Err(Stop::Io(error))));
        }
        let Phase::Calling(handshake, answered) = &mut self.phase else {
            return Poll::Ready(None);
        };
        Poll::Ready(match answered.try_recv() {
            Ok(Answered::Open(response)) => {
                self.http = VERSION;
                Some(Ok(response))
            }
            Ok(Answered::Rejected(rejection)) => {
                self.http = VERSION;
                Some(Err(Stop::Rejected(rejection)))
            }
            Ok(Answered::AskByHttp1) => {
                let head = handshake.request();
                self.phase = Phase::Client(handshake.clone());
                self.send(head);
                None
            }
            Err(_) => Some(Err(Stop::Eof)),
        })
    }
}

impl WsStream {
    /// A client's stream over a socket that [calls](Socket::calling) by HTTP/2; `answered` tells what
    /// came of that.
    pub(crate) fn calling(
        mut socket: Socket,
        options: ClientOptions,
        answered: oneshot::Receiver<Answered>,
    ) -> Self {
        let below = life_below(&mut socket);
        let handshake = ClientHandshake::new(options.offer.clone(), nonce(), options.limits);
        let opening = Opening::new(Phase::Calling(handshake, answered));
        let mut stream = Self::new(socket, Role::Client, options.stream);
        stream.begin_opening(opening, below);
        stream
    }

    /// A server's stream, on a socket that HTTP/2 carries, for a request that was read there.
    pub(crate) fn asked_by_http2(
        mut socket: Socket,
        asked: Result<Request, Refusal>,
        options: &ServerOptions,
        responder: Responder,
    ) -> Self {
        let below = life_below(&mut socket);
        let (phase, verdict) = match asked {
            Ok(request) => {
                let verdict = options.rules.judge(&request);
                (Phase::Asked(request, Vec::new()), verdict)
            }
            Err(refusal) => (Phase::Refusing(refusal.clone()), Err(refusal)),
        };
        let mut opening =
            Opening { http: VERSION, responder: Some(responder), ..Opening::new(phase) };
        opening.decide(Some(verdict));
        let mut stream = Self::new(socket, Role::Server, options.stream.clone());
        stream.begin_opening(opening, below);
        stream
    }
}

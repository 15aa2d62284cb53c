//! The opening handshake (RFC 6455 section 4), for both ends, polled in line as all of the stream.

#[cfg(feature = "http2")]
mod http2;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use std::{fmt, io};

use levada_core::{Deadline, Ended, Ending, Event, Fault, Mode, Party, State, Step};
use levada_ws::handshake::{
    Answer, ClientHandshake, Limits, Progress, Refusal, Rejection, Request, Response, Rules,
    ServerHandshake,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
#[cfg(feature = "http2")]
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::inbox::Inbox;
use super::keys::nonce;
use super::tick::Ticker;
use super::{ClientOptions, ServerOptions, WsOptions, WsStream, room};
use crate::alarm::Alarm;
use crate::events::Events;
#[cfg(feature = "http2")]
use crate::http2::client::Answer as Answered;
#[cfg(feature = "http2")]
use crate::http2::server::Responder;
use crate::wakers::Half;

/// How long a client may take to end the carrier once it is refused, so that no reset takes our
/// response away from it.
const LINGER: Duration = Duration::from_secs(2);

/// An opening handshake that runs.
#[derive(Debug)]
pub(super) struct Opening {
    phase: Phase,
    /// What still has to leave of a head of ours.
    head: Vec<u8>,
    /// Whether the carrier may hold bytes of ours that it has not been flushed of.
    dirty: bool,
    alarm: Option<Alarm>,
    /// What happens below, until the carrier is up.
    below: Option<Events>,
    /// The room among those that are on their way up.
    permit: Option<OwnedSemaphorePermit>,
    /// The version of HTTP that carries it.
    http: &'static str,
    /// Where the answer goes to a request that did not come as bytes of ours.
    #[cfg(feature = "http2")]
    responder: Option<Responder>,
}

#[derive(Debug)]
enum Phase {
    /// Our request goes out, and then the response comes.
    Client(ClientHandshake),
    /// The carrier asks by HTTP/2 on its way up, and tells what became of it; it may be that we have to.
    #[cfg(feature = "http2")]
    Calling(ClientHandshake, oneshot::Receiver<Answered>),
    /// A request is to come, and the rules decide; without them the owner does.
    Server(ServerHandshake, Option<Rules>),
    /// The owner has to decide about this client.
    Asked(Request, Vec<u8>),
    /// The answer goes out that lets the client in.
    Answering(Request, Answer, Vec<u8>),
    /// The refusal goes out, and then our end of the carrier.
    Refusing(Refusal),
    /// The client, which is refused, is to end the carrier.
    Lingering(Refusal),
}

/// What the opening handshake has said.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// The client's request, and our answer.
    Request(Request, Answer),
    /// The server's response.
    Response(Response),
    /// The server's response opens no WebSocket.
    Rejected(Rejection),
    /// We have refused the client.
    Refused(Refusal),
}

/// Why a handshake stopped.
enum Stop {
    Io(io::Error),
    Eof,
    Deadline,
    Rejected(Rejection),
    Refused(Refusal),
}

impl Opening {
    pub(super) fn client(options: &ClientOptions) -> Self {
        let handshake = ClientHandshake::new(options.offer.clone(), nonce(), options.limits);
        let head = handshake.request().clone();
        Self { head, dirty: true, ..Self::new(Phase::Client(handshake)) }
    }

    pub(super) fn server(limits: Limits, rules: Option<Rules>) -> Self {
        Self::new(Phase::Server(ServerHandshake::new(limits), rules))
    }

    const fn new(phase: Phase) -> Self {
        Self {
            phase,
            head: Vec::new(),
            dirty: false,
            alarm: None,
            below: None,
            permit: None,
            http: "1.1",
            #[cfg(feature = "http2")]
            responder: None,
        }
    }

    /// Goes on. Ready with what was said, and with what was read behind it.
    fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Said, Vec<u8>), Stop>> {
        let mut io = Pin::new(io);
        loop {
            if let Err(error) = ready!(self.poll_send(io.as_mut(), cx)) {
                return Poll::Ready(Err(self.stop(Stop::Io(error))));
            }
            match &mut self.phase {
                Phase::Client(handshake) => {
                    let take = |wire: &[u8]| handshake.handle_wire(wire).map_err(Stop::Rejected);
                    let read = ready!(poll_head(io.as_mut(), cx, take));
                    return Poll::Ready(read.map(|(head, behind)| (Said::Response(head), behind)));
                }
                #[cfg(feature = "http2")]
                Phase::Calling(..) => {
                    if let Some(said) = ready!(self.poll_called(io.as_mut(), cx)) {
                        return Poll::Ready(
                            said.map(|response| (Said::Response(response), Vec::new())),
                        );
                    }
                }
                Phase::Server(handshake, rules) => {
                    let take = |wire: &[u8]| handshake.handle_wire(wire).map_err(Stop::Refused);
                    match ready!(poll_head(io.as_mut(), cx, take)) {
                        Ok((request, behind)) => {
                            let verdict = rules.as_ref().map(|rules| rules.judge(&request));
                            self.phase = Phase::Asked(request, behind);
                            self.decide(verdict);
                        }
                        Err(Stop::Refused(refusal)) => {
                            let rules = rules.as_ref();
                            let page = rules.and_then(|rules| handshake.page(&refusal, rules));
                            self.refuse(page.map_or(refusal, Refusal::Page));
                        }
                        Err(stop) => return Poll::Ready(Err(stop)),
                    }
                }
                Phase::Asked(..) => return Poll::Pending,
                Phase::Answering(request, answer, behind) => {
                    let said = Said::Request(request.clone(), std::mem::take(answer));
                    return Poll::Ready(Ok((said, std::mem::take(behind))));
                }
                Phase::Refusing(refusal) => {
                    // The client may be gone: it is refused all the same.
                    let shut = ready!(io.as_mut().poll_shutdown(cx));
                    let refusal = refusal.clone();
                    if shut.is_err() {
                        return Poll::Ready(Err(Stop::Refused(refusal)));
                    }
                    self.phase = Phase::Lingering(refusal);
                }
                Phase::Lingering(refusal) => {
                    // Whatever comes is not the end of a head.
                    let take = |_: &[u8]| Ok(Progress::<()> { consumed: 0, head: None });
                    let _ = ready!(poll_head(io.as_mut(), cx, take));
                    return Poll::Ready(Err(Stop::Refused(refusal.clone())));
                }
            }
        }
    }

    /// Sends a head. Ready when all of it has left.
    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.head.is_empty() {
            match ready!(io.as_mut().poll_write(cx, &self.head)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => drop(self.head.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        while self.dirty {
            match ready!(io.as_mut().poll_flush(cx)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.dirty = false;
                    result?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Does what the rules say, where there are any.
    fn decide(&mut self, verdict: Option<Result<Answer, Refusal>>) {
        match verdict {
            Some(Ok(answer)) => self.accept(answer),
            Some(Err(refusal)) => self.refuse(refusal),
            None => {}
        }
    }

    /// The owner lets the client in, or the rules do.
    fn accept(&mut self, answer: Answer) {
        let Phase::Asked(request, behind) = &mut self.phase else { return };
        #[cfg(feature = "http2")]
        let accepted = match self.responder {
            Some(_) => {
                Responder::accept(&mut self.responder, request, &answer).map(|()| Vec::new())
            }
            None => request.accept(&answer),
        };
        #[cfg(not(feature = "http2"))]
        let accepted = request.accept(&answer);
        match accepted {
            Ok(head) => {
                let (request, behind) = (request.clone(), std::mem::take(behind));
                self.phase = Phase::Answering(request, answer, behind);
                self.send(head);
            }
            Err(_) => self.refuse(Refusal::Application { status: 500, fields: Vec::new() }),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        #[cfg(feature = "http2")]
        let head = match self.responder.take() {
            Some(responder) => {
                responder.refuse(&refusal);
                Vec::new()
            }
            None => refusal.to_response(),
        };
        #[cfg(not(feature = "http2"))]
        let head = refusal.to_response();
        self.send(head);
        // A page is large: it has the time that is left for the handshake.
        if !matches!(refusal, Refusal::Page(_)) {
            self.alarm = Some(Alarm::set(Deadline::Handshake, LINGER, 0));
        }
        self.phase = Phase::Refusing(refusal);
    }

    fn send(&mut self, head: Vec<u8>) {
        self.head = head;
        self.dirty = true;
    }

    /// Why the handshake stops, where `other` is what happened last: a client that was refused
    /// stays refused, whatever becomes of the response.
    fn stop(&self, other: Stop) -> Stop {
        match &self.phase {
            Phase::Refusing(refusal) | Phase::Lingering(refusal) => Stop::Refused(refusal.clone()),
            _ => other,
        }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.alarm.as_mut().is_some_and(|alarm| alarm.poll(cx, 0).is_ready())
    }
}

/// Reads to the end of a head, and gives it with what stands behind it.
fn poll_head<S: AsyncRead + Unpin, T>(
    mut io: Pin<&mut S>,
    cx: &mut Context<'_>,
    mut take: impl FnMut(&[u8]) -> Result<Progress<T>, Stop>,
) -> Poll<Result<(T, Vec<u8>), Stop>> {
    room::with_reading(|room| {
        loop {
            let mut buf = ReadBuf::new(room);
            match ready!(io.as_mut().poll_read(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => return Poll::Ready(Err(Stop::Eof)),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(Stop::Io(error))),
            }
            let progress = take(buf.filled())?;
            if let Some(head) = progress.head {
                return Poll::Ready(Ok((head, buf.filled()[progress.consumed..].to_vec())));
            }
        }
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Begins: what happens below is told as ours until the carrier is up.
    pub(super) fn begin_opening(
        &mut self,
        mut opening: Opening,
        below: Option<(State, Mode, Events)>,
    ) {
        let Some((state, mode, events)) = below else {
            self.opening = Some(Box::new(opening));
            self.watch.step(Step::Carry);
            return self.begin_handshake();
        };
        opening.below = Some(events);
        self.opening = Some(Box::new(opening));
        // Steps that were taken before anybody listened: what was accepted has its transport already.
        match state {
            State::HostLookup => self.watch.step(Step::Resolve),
            State::Connecting => self.watch.step(Step::Connect),
            State::Connected | State::Handshaking => self.watch.step(Step::Carry),
            _ => {}
        }
        if state == State::Handshaking {
            self.watch.wrap(mode);
            self.watch.step(Step::Handshake);
        }
    }

    pub(crate) fn holding_until_established(
        mut self,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        if let Some(opening) = &mut self.opening {
            opening.permit = permit;
        }
        self
    }

    /// Ready when the stream is established, or has ended before it was.
    pub(super) fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.opening.is_none() {
            return Poll::Ready(());
        }
        self.go_up(cx)
    }

    /// As [`poll_up`](Self::poll_up), for a stream that is opening: apart, since data never meets it.
    #[cold]
    fn go_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(mut opening), Some(io)) = (self.opening.take(), self.io.as_mut()) else {
            return Poll::Ready(());
        };
        let polled = opening.poll(io, cx);
        self.opening = Some(opening);
        self.hear_below();
        let Some(mut opening) = self.opening.take() else { return Poll::Ready(()) };
        let outcome = match polled {
            Poll::Ready(outcome) => outcome,
            Poll::Pending if opening.is_late(cx) => Err(opening.stop(Stop::Deadline)),
            Poll::Pending => {
                self.opening = Some(opening);
                return Poll::Pending;
            }
        };
        self.watch.facts.http = opening.below.is_none().then_some(opening.http);
        match outcome {
            Ok((said, behind)) => self.establish(said, behind),
            Err(stop) => self.give_up(stop),
        }
        Poll::Ready(())
    }

    /// Tells what has happened below: until it is up, the carrier's life is ours.
    fn hear_below(&mut self) {
        loop {
            let below = self.opening.as_mut().and_then(|opening| opening.below.as_mut());
            let Some(event) = below.and_then(Events::try_next) else { return };
            match event {
                Event::State(State::HostLookup) => self.watch.step(Step::Resolve),
                Event::State(State::Connecting) => self.watch.step(Step::Connect),
                Event::State(State::Connected) => self.watch.step(Step::Carry),
                Event::State(State::Handshaking) => self.watch.step(Step::Handshake),
                Event::State(State::Established) => self.begin_handshake(),
                Event::Mode(mode) => self.watch.wrap(mode),
                Event::State(_) | Event::Goodbye(_) | Event::Lost(_) | Event::Ended(_) => {}
                other => self.watch.tell(|| other),
            }
        }
    }

    /// The carrier is up.
    fn begin_handshake(&mut self) {
        if self.watch.state() != State::Handshaking {
            self.watch.step(Step::Handshake);
        }
        self.watch.end_of_phase(Instant::now());
        if let Some(opening) = &mut self.opening {
            opening.below = None;
            let time = self.ticker.deadlines().handshake;
            opening.alarm = time.map(|time| Alarm::set(Deadline::Handshake, time, 0));
        }
    }

    fn establish(&mut self, said: Said, behind: Vec<u8>) {
        let (subprotocol, deflate) = match &said {
            Said::Request(_, answer) => (answer.subprotocol.clone(), answer.deflate),
            Said::Response(response) => {
                (response.subprotocol().map(ToOwned::to_owned), response.deflate())
            }
            // Neither establishes anything.
            Said::Rejected(_) | Said::Refused(_) => (None, None),
        };
        self.agree(subprotocol, deflate);
        self.said = Some(Box::new(said));
        self.watch.facts.times.handshake = Some(self.watch.end_of_phase(Instant::now()));
        self.watch.facts.bytes.wire_read = behind.len() as u64;
        self.inbox = Inbox::new(behind);
        // The codec's time begins here.
        self.ticker = Ticker::new(self.ticker.deadlines());
        self.watch.step(Step::Establish);
        if !self.connection.can_write() {
            self.begin_goodbye(Party::Local);
        }
        (self.moved.input, self.moved.output) = (true, true);
    }

    /// Ends the stream before it is established.
    fn give_up(&mut self, stop: Stop) {
        // The carrier's goodbye goes if it can go without waiting. A client that is refused has had it, and
        // a carrier that failed takes none.
        if !matches!(stop, Stop::Refused(_) | Stop::Io(_)) {
            let _ = self.io().poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        let fault =
            |cause: String| Ending::FatalError { alert: None, cause: Fault::WsHandshake(cause) };
        let ending = match stop {
            Stop::Io(error) => self.ending_of_carrier(&error),
            Stop::Eof => Ending::SocketClose,
            Stop::Deadline => Ending::TimedOut(Deadline::Handshake),
            Stop::Rejected(rejection) => {
                let ending = fault(rejection.to_string());
                self.said = Some(Box::new(Said::Rejected(rejection)));
                ending
            }
            Stop::Refused(refusal) => {
                let ending = fault(refusal.to_string());
                self.said = Some(Box::new(Said::Refused(refusal)));
                ending
            }
        };
        self.watch.facts.times.handshake = Some(self.watch.end_of_phase(Instant::now()));
        self.end(ending);
    }

    /// Why there is no WebSocket, once [`poll_up`](Self::poll_up) has found that out.
    fn handshake_error(&self, ended: &Ended) -> HandshakeError {
        let ended = ended.clone();
        match self.said.as_deref() {
            Some(Said::Rejected(rejection)) => HandshakeError::Rejected(rejection.clone(), ended),
            Some(Said::Refused(refusal)) => HandshakeError::Refused(refusal.clone(), ended),
            _ => HandshakeError::Ended(ended),
        }
    }

    /// Waits until the opening handshake is done.
    ///
    /// # Errors
    ///
    /// Why there is no WebSocket, if the stream ends before. The carrier's own goodbye has then gone, if
    /// it could without waiting; the carrier itself ends when the stream is dropped.
    ///
    /// # Cancel safety
    ///
    /// It can be called again.
    pub async fn established(&mut self) -> Result<(), HandshakeError> {
        poll_fn(|cx| self.poll_established(cx)).await
    }

    /// Polls until the opening handshake is done.
    pub(crate) fn poll_established(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), HandshakeError>> {
        self.poll_half(Half::Write, cx, Self::poll_up).map(|()| match self.watch.ended() {
            Some(ended) if ended.phase.is_before_established() => Err(self.handshake_error(ended)),
            // What it has come to since is for reads and writes to tell.
            _ => Ok(()),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> WsStream<S> {
    /// Opens a WebSocket as client, on a carrier that is up or on its way.
    /// [`client`](WsStream::client) only begins to.
    ///
    /// # Errors
    ///
    /// Why there is none. After [`HandshakeError::Rejected`] the response tells more: where to go
    /// instead, how to authenticate, when to try again.
    ///
    /// # Cancel safety
    ///
    /// The future owns the carrier: dropping it ends both.
    pub async fn connect(io: S, options: ClientOptions) -> Result<Self, HandshakeError> {
        let mut stream = Self::client(io, options);
        stream.established().await?;
        Ok(stream)
    }

    /// Opens a WebSocket as server, on a carrier that is up or on its way, for every client that the
    /// rules let in. [`Incoming::read`] is for those who decide by themselves, and
    /// [`server`](WsStream::server) only begins.
    ///
    /// # Errors
    ///
    /// Why there is none. A client that is refused has been told so.
    ///
    /// # Cancel safety
    ///
    /// The future owns the carrier: dropping it ends both.
    pub async fn accept(io: S, options: ServerOptions) -> Result<Self, HandshakeError> {
        let mut stream = Self::server(io, options);
        stream.established().await?;
        Ok(stream)
    }
}

/// A client that asks for a WebSocket and waits for an answer.
#[derive(Debug)]
pub struct Incoming<S> {
    stream: WsStream<S>,
    request: Request,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Incoming<S> {
    /// Reads a client's request. One that is wrong in form is refused here.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn read(io: S, limits: Limits, options: WsOptions) -> Result<Self, HandshakeError> {
        let mut stream = WsStream::deciding(io, limits, options);
        let request = poll_fn(|cx| {
            stream.poll_half(Half::Read, cx, |stream, cx| {
                let up = stream.poll_up(cx);
                let asked = stream.opening.as_mut().and_then(|opening| match &opening.phase {
                    Phase::Asked(request, _) => {
                        // The owner may take his time.
                        opening.alarm = None;
                        Some(request.clone())
                    }
                    _ => None,
                });
                if asked.is_some() { Poll::Ready(asked) } else { up.map(|()| None) }
            })
        });
        match (request.await, stream.watch.ended()) {
            (Some(request), _) => Ok(Self { stream, request }),
            (None, Some(ended)) => Err(stream.handshake_error(ended)),
            (None, None) => unreachable!("a request that nobody has judged opens nothing"),
        }
    }

    /// What the client asks for.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Lets the client in. With an answer that has something in it which the client did not offer it is
    /// refused instead, with status 500.
    ///
    /// # Errors
    ///
    /// When the carrier does not take the answer in time.
    pub async fn accept(mut self, answer: Answer) -> Result<WsStream<S>, HandshakeError> {
        if let Some(opening) = &mut self.stream.opening {
            let time = self.stream.ticker.deadlines().handshake;
            opening.alarm = time.map(|time| Alarm::set(Deadline::Handshake, time, 0));
            opening.accept(answer);
        }
        self.stream.established().await?;
        Ok(self.stream)
    }

    /// Turns the client away, and resolves when it has been told so.
    pub async fn refuse(mut self, refusal: Refusal) -> HandshakeError {
        if let Some(opening) = &mut self.stream.opening {
            opening.refuse(refusal);
        }
        match self.stream.established().await {
            Err(error) => error,
            Ok(()) => unreachable!("a refusal opens nothing"),
        }
    }
}

/// Why no WebSocket was opened.
#[derive(Clone, Debug)]
pub enum HandshakeError {
    /// The server's answer opens none.
    Rejected(Rejection, Ended),
    /// The client was refused, and has been told so.
    Refused(Refusal, Ended),
    /// The carrier ended or failed, or a deadline passed.
    Ended(Ended),
}

impl HandshakeError {
    /// How the stream ended that never was established.
    pub const fn ended(&self) -> &Ended {
        match self {
            Self::Rejected(_, ended) | Self::Refused(_, ended) | Self::Ended(ended) => ended,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ended().fmt(f)
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.ended())
    }
}

impl From<HandshakeError> for io::Error {
    /// With the [`Ended`] inside.
    fn from(error: HandshakeError) -> Self {
        error.ended().clone().into()
    }
}

//! The opening handshake (RFC 6455 section 4), for both ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use levada_core::{Deadline, Ended, Ending, Fault, Life, OsError, Role, Step};
use levada_ws::handshake::{
    Answer, ClientHandshake, Limits, Progress, Refusal, Rejection, Request, ServerHandshake,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::keys::nonce;
use super::{ClientOptions, Opening, ServerOptions, WsOptions, WsStream};

/// Bytes of a head that are read at once.
const ROOM: usize = 4 * 1024;

/// How long a client may take to end the carrier once it is refused, so that no reset takes our
/// response away from it.
const LINGER: Duration = Duration::from_secs(2);

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

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Opens a WebSocket as client, on a carrier that is up.
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
        let ClientOptions { offer, limits, stream } = options;
        let mut door = Door::new(io, Role::Client, stream);
        let mut handshake = ClientHandshake::new(offer, nonce(), limits);
        let deadline = door.deadline();
        let talk = async {
            door.write(&handshake.request()).await?;
            door.read(|wire| handshake.handle_wire(wire).map_err(Stop::Rejected)).await
        };
        match within(deadline, talk).await {
            Ok(response) => Ok(door.open(Opening::Response(response))),
            Err(Stop::Rejected(rejection)) => {
                let ended = door.end(fault(&rejection));
                Err(HandshakeError::Rejected(rejection, ended))
            }
            Err(stop) => Err(HandshakeError::Ended(door.fail(stop))),
        }
    }

    /// Opens a WebSocket as server, on a carrier that is up, for every client that the rules let in.
    /// [`Incoming::read`] is for those who decide by themselves.
    ///
    /// # Errors
    ///
    /// Why there is none. A client that is refused has been told so.
    ///
    /// # Cancel safety
    ///
    /// The future owns the carrier: dropping it ends both.
    pub async fn accept(io: S, options: ServerOptions) -> Result<Self, HandshakeError> {
        let ServerOptions { rules, limits, stream } = options;
        let incoming = Incoming::read(io, limits, stream).await?;
        match rules.judge(incoming.request()) {
            Ok(answer) => incoming.accept(answer).await,
            Err(refusal) => Err(incoming.refuse(refusal).await),
        }
    }
}

/// A client that asks for a WebSocket and waits for an answer.
#[derive(Debug)]
pub struct Incoming<S> {
    door: Door<S>,
    request: Request,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    /// Reads a client's request. One that is wrong in form is refused here.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn read(io: S, limits: Limits, options: WsOptions) -> Result<Self, HandshakeError> {
        let mut door = Door::new(io, Role::Server, options);
        let mut handshake = ServerHandshake::new(limits);
        let deadline = door.deadline();
        let talk = door.read(|wire| handshake.handle_wire(wire).map_err(Stop::Refused));
        match within(deadline, talk).await {
            Ok(request) => Ok(Self { door, request }),
            Err(Stop::Refused(refusal)) => Err(door.refuse(refusal).await),
            Err(stop) => Err(HandshakeError::Ended(door.fail(stop))),
        }
    }

    /// What the client asks for.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Lets the client in. An answer with a subprotocol that it did not offer is refused instead,
    /// with status 500.
    ///
    /// # Errors
    ///
    /// When the carrier does not take the answer in time.
    pub async fn accept(mut self, answer: Answer) -> Result<WsStream<S>, HandshakeError> {
        let Ok(head) = self.request.accept(&answer) else {
            let refusal = Refusal::Application { status: 500, fields: Vec::new() };
            return Err(self.refuse(refusal).await);
        };
        let deadline = self.door.deadline();
        match within(deadline, self.door.write(&head)).await {
            Ok(()) => Ok(self.door.open(Opening::Request(self.request, answer.subprotocol))),
            Err(stop) => Err(HandshakeError::Ended(self.door.fail(stop))),
        }
    }

    /// Turns the client away, and resolves when it has been told so.
    pub async fn refuse(self, refusal: Refusal) -> HandshakeError {
        self.door.refuse(refusal).await
    }
}

/// Why a handshake stopped.
enum Stop {
    Io(io::Error),
    Eof,
    Deadline,
    Rejected(Rejection),
    Refused(Refusal),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Does `work` until the deadline.
async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    match deadline {
        Some(at) => timeout_at(at, work).await.unwrap_or(Err(Stop::Deadline)),
        None => work.await,
    }
}

/// A carrier with an opening handshake on it.
#[derive(Debug)]
struct Door<S> {
    io: S,
    role: Role,
    options: WsOptions,
    life: Life,
    born: Instant,
    /// What was read behind the head.
    prefix: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Door<S> {
    fn new(io: S, role: Role, options: WsOptions) -> Self {
        let mut life = Life::new();
        for step in [Step::Carry, Step::Handshake] {
            let _ = life.step(step);
        }
        Self { io, role, options, life, born: Instant::now(), prefix: Vec::new() }
    }

    fn deadline(&self) -> Option<Instant> {
        self.options.deadlines.handshake.map(|time| Instant::now() + time)
    }

    /// Sends a head.
    async fn write(&mut self, mut head: &[u8]) -> Result<(), Stop> {
        while !head.is_empty() {
            match poll_fn(|cx| Pin::new(&mut self.io).poll_write(cx, head)).await {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(count) => head = &head[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(poll_fn(|cx| Pin::new(&mut self.io).poll_flush(cx)).await?)
    }

    /// Reads a head, and keeps what stands behind it.
    async fn read<T>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<Progress<T>, Stop>,
    ) -> Result<T, Stop> {
        let mut room = vec![0; ROOM];
        loop {
            let mut buf = ReadBuf::new(&mut room);
            match poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut buf)).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            if buf.filled().is_empty() {
                return Err(Stop::Eof);
            }
            let progress = take(buf.filled())?;
            if let Some(head) = progress.head {
                self.prefix = buf.filled()[progress.consumed..].to_vec();
                return Ok(head);
            }
        }
    }

    fn open(mut self, opening: Opening) -> WsStream<S> {
        let _ = self.life.step(Step::Establish);
        self.options.facts.times.handshake = Some(self.born.elapsed());
        let Self { io, role, options, life, born, prefix } = self;
        let mut stream = WsStream::opened(io, prefix, role, options, life, born);
        stream.opening = Some(Box::new(opening));
        stream
    }

    /// How the stream ends that is never established.
    fn end(&mut self, ending: Ending) -> Ended {
        let mut facts = self.options.facts.clone();
        facts.role.get_or_insert(self.role);
        facts.times.handshake = Some(self.born.elapsed());
        facts.times.total = facts.times.handshake;
        let _ = self.life.end(ending, Arc::new(facts));
        self.life.ended().expect("it has just ended").clone()
    }

    fn fail(&mut self, stop: Stop) -> Ended {
        let ending = match stop {
            Stop::Io(error) => match Ended::of(&error) {
                Some(below) if !below.is_clean() => {
                    self.options.facts.tls.clone_from(&below.facts.tls);
                    below.ending.clone()
                }
                Some(_) => Ending::SocketClose,
                None => Ending::SocketError(OsError::from(&error)),
            },
            Stop::Eof => Ending::SocketClose,
            Stop::Deadline => Ending::TimedOut(Deadline::Handshake),
            Stop::Rejected(rejection) => fault(&rejection),
            Stop::Refused(refusal) => fault(&refusal),
        };
        self.end(ending)
    }

    /// Sends the refusal, ends our direction, and waits a little for the client's end.
    async fn refuse(mut self, refusal: Refusal) -> HandshakeError {
        let response = refusal.to_response();
        let farewell = async {
            self.write(&response).await?;
            poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
            // Whatever comes is not the end of a head.
            self.read(|_| Ok(Progress::<()> { consumed: 0, head: None })).await
        };
        // The client may be gone, or not end: it is refused all the same.
        let _ = timeout(LINGER, farewell).await;
        let ended = self.end(fault(&refusal));
        HandshakeError::Refused(refusal, ended)
    }
}

fn fault(cause: &impl fmt::Display) -> Ending {
    Ending::FatalError { alert: None, cause: Fault::WsHandshake(cause.to_string()) }
}

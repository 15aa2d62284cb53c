//! A client that speaks raw packets, as the original's do.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use levada_pool_wire::body::{Control, StartTls};
use levada_pool_wire::{
    CallbackId, ControlKey, ErrorCode, Identity, Message, Packet, RequestId, StartTlsFlags,
};
use levada_sys::descriptors;

use super::PATIENCE;

/// One control connection.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    next: u16,
}

/// The plain end of a session, on the application's side.
pub(crate) type Plain = UnixStream;

impl Client {
    pub(crate) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, next: 100 }
    }

    /// Sends one packet, with a descriptor if there is one.
    pub(crate) fn send(&self, packet: &Packet, descriptor: Option<BorrowedFd<'_>>) {
        let bytes = packet.encode();
        let sent =
            descriptors::send(self.stream.as_fd(), bytes.expose(), descriptor.as_slice()).unwrap();
        assert_eq!(sent, 388);
    }

    /// Sends a request, and returns its id.
    pub(crate) fn request(&mut self, message: Message, fd: Option<BorrowedFd<'_>>) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.send(&Packet { request, callback: None, message }, fd);
        request
    }

    /// The next packet.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Packet {
        let mut bytes = [0; 388];
        self.stream.read_exact(&mut bytes).expect("the pool replies");
        Packet::decode(&bytes).unwrap()
    }

    /// A request, and its reply.
    #[track_caller]
    pub(crate) fn call(&mut self, message: Message, fd: Option<BorrowedFd<'_>>) -> Message {
        let request = self.request(message, fd);
        let reply = self.receive();
        assert_eq!((reply.request, reply.callback), (request, None));
        reply.message
    }

    /// Answers the question of `asked` under a request id of its own, as the async library does.
    pub(crate) fn answer(
        &mut self,
        asked: &Packet,
        message: Message,
        fd: Option<BorrowedFd<'_>>,
    ) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        assert!(asked.callback.is_some(), "it is a question");
        self.send(&Packet { request, callback: asked.callback, message }, fd);
        request
    }

    /// Protects `network`, with a socket pair as plain side, and returns its end and the reply.
    #[track_caller]
    pub(crate) fn protect(&mut self, request: StartTls, network: &impl AsFd) -> (Plain, StartTls) {
        self.request(Message::StartTls(request), Some(network.as_fd()));
        self.finish_tls().unwrap_or_else(|code| panic!("refused with +{code}"))
    }

    /// Waits for the end of a handshake, with a socket pair as plain side, and returns its end and the
    /// reply, or the code that refused it.
    #[track_caller]
    pub(crate) fn finish_tls(&mut self) -> Result<(Plain, StartTls), u8> {
        let asked = self.receive();
        if let Message::Error(_) = asked.message {
            return Err(code_of(&asked.message));
        }
        let plain = self.give_plain(&asked);
        Ok((plain, starttls_of(self.receive().message)))
    }

    /// Answers PLAINTEXT_CONNECT with one end of a pair.
    #[track_caller]
    pub(crate) fn give_plain(&mut self, asked: &Packet) -> Plain {
        let Message::PlaintextConnect(body) = &asked.message else { panic!("{asked:?}") };
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        self.answer(asked, Message::PlaintextConnect(body.clone()), Some(theirs.as_fd()));
        ours
    }

    pub(crate) fn detach(&mut self, key: &ControlKey) -> Result<(), u8> {
        let control = Control { flags: 0, control_key: key.clone() };
        done(self.call(Message::ControlDetach(control), None))
    }

    pub(crate) fn reattach(&mut self, key: &ControlKey) -> Result<(), u8> {
        let control = Control { flags: 0, control_key: key.clone() };
        done(self.call(Message::ControlReattach(control), None))
    }

    /// Whether the pool has closed the connection, without waiting for that.
    pub(crate) fn is_closed_now(&mut self) -> bool {
        let ping = Message::Ping(levada_pool_wire::body::Ping::default());
        let packet = Packet { request: RequestId(1), callback: None, message: ping };
        let sent = descriptors::send(self.stream.as_fd(), packet.encode().expose(), &[]);
        sent.is_err() || self.stream.read_exact(&mut [0; 388]).is_err()
    }

    /// Waits until the pool has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }
}

fn done(message: Message) -> Result<(), u8> {
    match message {
        Message::Success => Ok(()),
        other => Err(code_of(&other)),
    }
}

/// The number of an ERROR, counted from the base.
#[track_caller]
pub(crate) fn code_of(message: &Message) -> u8 {
    let Message::Error(failure) = message else { panic!("no ERROR: {message:?}") };
    failure.number.code().map_or_else(|| panic!("{failure:?}"), ErrorCode::offset)
}

#[track_caller]
pub(crate) fn starttls_of(message: Message) -> StartTls {
    match message {
        Message::StartTls(body) => body,
        other => panic!("no STARTTLS: {other:?}"),
    }
}

/// What a TLS client asks for that wants to reach `remote`.
pub(crate) fn as_client(remote: &str) -> StartTls {
    StartTls {
        flags: StartTlsFlags::CLIENT,
        remote_id: Identity::new(remote).unwrap(),
        ..StartTls::default()
    }
}

/// What a TLS server asks for that is `local`, and does not care who its clients are.
pub(crate) fn as_server(local: &str) -> StartTls {
    StartTls {
        flags: StartTlsFlags::SERVER.with(StartTlsFlags::IGNORE_REMOTEID),
        local_id: Identity::new(local).unwrap(),
        ..StartTls::default()
    }
}

/// A callback id that nobody has been asked under.
pub(crate) fn foreign_callback() -> CallbackId {
    CallbackId(std::num::NonZeroU16::new(7).unwrap())
}

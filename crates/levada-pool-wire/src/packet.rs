//! A packet: two ids and a message.

use core::num::NonZeroU16;

use crate::body::{Control, Failure, Info, Lidentry, PinEntry, Ping, Prng, StartTls};
use crate::codec::{DecodeError, PacketBytes, Reader, Writer};
use crate::command::{Command, LocalCommand, Unassigned};
use crate::error_code::ErrorCode;
use crate::layout::{self, BODY_SIZE, PACKET_SIZE};
use crate::secret::Secret;

/// The number that a client gives to a request. Any number is legal, 0 too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct RequestId(pub u16);

/// The number of a callback, in its question and in its answer. The packet's 0 is no callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CallbackId(pub NonZeroU16);

/// What every packet has, whatever its body holds.
///
/// Source: TLS Pool protocol V2, packet layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The exchange, as the client numbers it.
    pub request: RequestId,
    /// The callback that is asked or answered.
    pub callback: Option<CallbackId>,
    /// What the packet says or asks.
    pub command: Command,
}

impl Header {
    /// The header of any 388 bytes.
    pub fn decode(bytes: &[u8; PACKET_SIZE]) -> Self {
        Self::read(&Reader::new(bytes))
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        Self {
            request: RequestId(reader.u16(&layout::header::REQUEST_ID)),
            callback: NonZeroU16::new(reader.u16(&layout::header::CALLBACK_ID)).map(CallbackId),
            command: Command::from_wire(reader.u32(&layout::header::COMMAND)),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(&layout::header::REQUEST_ID, self.request.0);
        writer.u16(&layout::header::CALLBACK_ID, self.callback.map_or(0, |id| id.0.get()));
        writer.u32(&layout::header::COMMAND, self.command.to_wire());
    }
}

/// One packet of a control connection, in either direction.
///
/// Source: TLS Pool protocol V2, packet layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The exchange, as the client numbers it.
    pub request: RequestId,
    /// The callback that is asked or answered.
    pub callback: Option<CallbackId>,
    /// Command and body.
    pub message: Message,
}

/// A command with the body that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Done, and nothing more to say.
    Success,
    /// Not done, or not answered.
    Error(Failure),
    /// Who one is, and which facilities there are.
    Ping(Ping),
    /// A request to protect a connection, and the reply that it is protected.
    StartTls(StartTls),
    /// The question whether a local identity is right, and the answer.
    StartTlsLocalId(StartTls),
    /// A registration for PIN entry, the question for a PIN, and the answer.
    PinEntry(PinEntry),
    /// The question for the plaintext socket, and the answer.
    PlaintextConnect(StartTls),
    /// A request to derive key material, and the material.
    Prng(Prng),
    /// A question about a session, and the fact.
    Info(Info),
    /// A request to detach a session.
    ControlDetach(Control),
    /// A request to attach a session.
    ControlReattach(Control),
    /// A registration to choose local identities.
    LidentryRegister(Lidentry),
    /// The question for a local identity, and the answer.
    LidentryCallback(Lidentry),
    /// A private extension, with its body as it came.
    Local(LocalCommand, Secret<BODY_SIZE>),
    /// A command that V2 does not have, with its body as it came.
    Unknown(Unassigned, Secret<BODY_SIZE>),
}

impl Packet {
    /// The packet that these bytes are.
    ///
    /// Bytes that no field of the body uses are ignored; see [`Packet::encode`].
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when a field holds what it cannot hold. It keeps the header, for an answer.
    pub fn decode(bytes: &[u8; PACKET_SIZE]) -> Result<Self, DecodeError> {
        let reader = &Reader::new(bytes);
        let Header { request, callback, command } = Header::read(reader);
        let message = match command {
            Command::Success => Message::Success,
            Command::Error => Message::Error(Failure::read(reader)),
            Command::Ping => Message::Ping(Ping::read(reader)?),
            Command::StartTls => Message::StartTls(StartTls::read(reader)?),
            Command::StartTlsLocalId => Message::StartTlsLocalId(StartTls::read(reader)?),
            Command::PinEntry => Message::PinEntry(PinEntry::read(reader)?),
            Command::PlaintextConnect => Message::PlaintextConnect(StartTls::read(reader)?),
            Command::Prng => Message::Prng(Prng::read(reader)),
            Command::Info => Message::Info(Info::read(reader)?),
            Command::ControlDetach => Message::ControlDetach(Control::read(reader)),
            Command::ControlReattach => Message::ControlReattach(Control::read(reader)),
            Command::LidentryRegister => Message::LidentryRegister(Lidentry::read(reader)?),
            Command::LidentryCallback => Message::LidentryCallback(Lidentry::read(reader)?),
            Command::Local(command) => {
                Message::Local(command, reader.secret(&layout::opaque::BODY))
            }
            Command::Unknown(number) => {
                Message::Unknown(number, reader.secret(&layout::opaque::BODY))
            }
        };
        Ok(Self { request, callback, message })
    }

    /// The bytes of this packet. What no field uses is zero, so that nothing of our memory leaves
    /// with it; the spare bytes of STARTTLS are a field.
    pub fn encode(&self) -> PacketBytes {
        let mut writer = Writer::new();
        self.header().write(&mut writer);
        match &self.message {
            Message::Success => {}
            Message::Error(body) => body.write(&mut writer),
            Message::Ping(body) => body.write(&mut writer),
            Message::StartTls(body)
            | Message::StartTlsLocalId(body)
            | Message::PlaintextConnect(body) => body.write(&mut writer),
            Message::PinEntry(body) => body.write(&mut writer),
            Message::Prng(body) => body.write(&mut writer),
            Message::Info(body) => body.write(&mut writer),
            Message::ControlDetach(body) | Message::ControlReattach(body) => {
                body.write(&mut writer);
            }
            Message::LidentryRegister(body) | Message::LidentryCallback(body) => {
                body.write(&mut writer);
            }
            Message::Local(_, body) | Message::Unknown(_, body) => {
                writer.bytes(&layout::opaque::BODY, body.expose());
            }
        }
        writer.finish()
    }

    /// The two ids and the command.
    pub const fn header(&self) -> Header {
        let Self { request, callback, ref message } = *self;
        Header { request, callback, command: message.command() }
    }
}

impl Message {
    /// The command of this message.
    pub const fn command(&self) -> Command {
        match self {
            Self::Success => Command::Success,
            Self::Error(_) => Command::Error,
            Self::Ping(_) => Command::Ping,
            Self::StartTls(_) => Command::StartTls,
            Self::StartTlsLocalId(_) => Command::StartTlsLocalId,
            Self::PinEntry(_) => Command::PinEntry,
            Self::PlaintextConnect(_) => Command::PlaintextConnect,
            Self::Prng(_) => Command::Prng,
            Self::Info(_) => Command::Info,
            Self::ControlDetach(_) => Command::ControlDetach,
            Self::ControlReattach(_) => Command::ControlReattach,
            Self::LidentryRegister(_) => Command::LidentryRegister,
            Self::LidentryCallback(_) => Command::LidentryCallback,
            Self::Local(command, _) => Command::Local(*command),
            Self::Unknown(number, _) => Command::Unknown(*number),
        }
    }
}

impl From<ErrorCode> for Message {
    fn from(code: ErrorCode) -> Self {
        Self::Error(Failure::from(code))
    }
}

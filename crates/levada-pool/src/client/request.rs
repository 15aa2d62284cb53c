//! What is asked of a pool, and what comes back.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use levada_core::{Ending, TlsFacts, Verification};
use levada_pool_wire::body::{Fact, Failure, Info, InfoKind, Ping, Prng, PrngRequest, StartTls};
use levada_pool_wire::{
    ControlKey, ErrorCode, Facilities, HandBack, HandBackOutcome, HandshakeTimeout, Identity,
    Message, Moment, Offer, Report, Role, StartTlsFlags, Text, TextError,
};

use crate::client::error::PoolError;

/// How long a pool lets a handshake take that states no time.
///
/// Source: TLS Pool protocol V2, STARTTLS.
const HANDSHAKE: Duration = Duration::from_secs(40);

/// How long a pool may be silent where nobody else is waited for.
pub(crate) const SILENCE: Duration = Duration::from_secs(20);

/// How to protect a connection.
///
/// ```
/// use levada_pool::TlsRequest;
///
/// let request = TlsRequest::client("mail.orvelte.nep")?.service("imap")?.alpn(["imap"]);
/// # let _ = request;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsRequest {
    pub(crate) body: StartTls,
    pub(crate) alpn: Vec<Vec<u8>>,
    /// `None` where nothing was said.
    pub(crate) hand_back: Option<bool>,
}

impl TlsRequest {
    /// We are the TLS client, and the peer has to be `peer`: a domain or `user@domain`. The pool
    /// asks for its domain by SNI and verifies it.
    ///
    /// # Errors
    ///
    /// [`TextError`] for more than 127 bytes, or a NUL.
    pub fn client(peer: impl AsRef<[u8]>) -> Result<Self, TextError> {
        let remote_id = Identity::new(peer)?;
        let body = StartTls { flags: StartTlsFlags::CLIENT, remote_id, ..StartTls::default() };
        Ok(Self { body, alpn: Vec::new(), hand_back: None })
    }

    /// We are the TLS server, under whichever identity the peer asks for. A certificate of the peer
    /// is not asked for.
    pub fn server() -> Self {
        let flags = StartTlsFlags::SERVER.with(StartTlsFlags::IGNORE_REMOTEID);
        let body = StartTls { flags, ..StartTls::default() };
        Self { body, alpn: Vec::new(), hand_back: None }
    }

    /// Who we are: the identity to show.
    ///
    /// # Errors
    ///
    /// [`TextError`] for more than 127 bytes, or a NUL.
    pub fn local(mut self, identity: impl AsRef<[u8]>) -> Result<Self, TextError> {
        self.body.local_id = Identity::new(identity)?;
        Ok(self)
    }

    /// Whom the peer has to be: of a server's client it is who its certificate has to be for.
    ///
    /// # Errors
    ///
    /// [`TextError`] for more than 127 bytes, or a NUL.
    pub fn remote(mut self, identity: impl AsRef<[u8]>) -> Result<Self, TextError> {
        self.body.remote_id = Identity::new(identity)?;
        Ok(self)
    }

    /// The protocol inside TLS, by its name in IANA's registry of services: a key for the pool's
    /// policy.
    ///
    /// # Errors
    ///
    /// [`TextError`] for more than 15 bytes, or a NUL.
    pub fn service(mut self, service: impl AsRef<[u8]>) -> Result<Self, TextError> {
        self.body.service = Text::new(service)?;
        Ok(self)
    }

    /// Application protocols (ALPN) to offer or to choose from, the preferred one first. Only
    /// Levada's pool takes them.
    #[must_use]
    pub fn alpn<T: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.alpn = protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Whether to ask for the connection back under kernel TLS: our own socket is the plaintext side then, and
    /// the pool is no longer on the way of the data. Where the kernel, the pool or its policy does not do it,
    /// the pool relays; [`Protected::hand_back`] says what came of it, and why.
    ///
    /// Where nothing is said, [`blocking::Stream`](crate::blocking::Stream) asks, and a bare descriptor is
    /// relayed: whoever has one under kernel TLS has to care for the records that carry no data, in which a
    /// plain `read` fails: KeyUpdate, tickets, alerts, close_notify. That stream and `levada::PoolTls` do.
    /// [`polled::Client`](crate::polled::Client) never asks.
    #[must_use]
    pub const fn hand_back(mut self, wanted: bool) -> Self {
        self.hand_back = Some(wanted);
        self
    }

    /// Whether the connection is [asked for back](Self::hand_back) by name.
    pub fn wants_hand_back(&self) -> bool {
        self.hand_back == Some(true)
    }

    /// How long the handshake may take; the pool's own default if nothing is said. `None` waits.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.body.timeout = match timeout {
            None => HandshakeTimeout::NEVER,
            // 0 stands for the default, and all ones for no limit.
            Some(time) => {
                let ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
                HandshakeTimeout::from_wire(ms.clamp(1, u32::MAX - 1))
            }
        };
        self
    }

    /// Adds flags of the protocol, such as [`StartTlsFlags::LOCALID_CHECK`] or
    /// [`StartTlsFlags::FORK`].
    #[must_use]
    pub fn with(mut self, flags: StartTlsFlags) -> Self {
        self.body.flags = self.body.flags.with(flags);
        self
    }

    /// Takes flags of the protocol back: without [`StartTlsFlags::IGNORE_REMOTEID`] a server
    /// requires a certificate of its client.
    #[must_use]
    pub fn without(mut self, flags: StartTlsFlags) -> Self {
        self.body.flags = self.body.flags.without(flags);
        self
    }

    /// How long the pool may take for the handshake and be silent until then; `None` is for ever.
    pub fn patience(&self) -> Option<Duration> {
        let due = self.body.timeout.deadline(Moment::default(), HANDSHAKE);
        due.map(|due| due.after(SILENCE).elapsed())
    }

    /// Which side of TLS we are.
    pub fn role(&self) -> Option<Role> {
        self.body.flags.role().ok()
    }

    /// The request with a fresh control key, and the offer that goes before it.
    pub(crate) fn begin(&self) -> Result<(StartTls, Option<Message>), PoolError> {
        let mut key = [0; 16];
        fill_random(&mut key).map_err(|error| PoolError::local(&error))?;
        let control_key = ControlKey::new(key);
        let mut offer = None;
        if !self.alpn.is_empty() {
            let offered = Offer { control_key: control_key.clone(), alpn: self.alpn.clone() };
            let refuse = |error: levada_pool_wire::NoOffer| PoolError::Local {
                kind: std::io::ErrorKind::InvalidInput,
                text: error.to_string(),
            };
            offer = Some(offered.to_message().map_err(refuse)?);
        }
        Ok((StartTls { control_key, ..self.body.clone() }, offer))
    }
}

fn fill_random(mut room: &mut [u8]) -> std::io::Result<()> {
    while !room.is_empty() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let count = rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut *room, flags))?;
        room = &mut room[count..];
    }
    Ok(())
}

/// A connection that a pool protects.
#[derive(Debug)]
pub struct Protected {
    /// Our end: what is written here reaches the peer under TLS, what the peer sends is read here. A
    /// Unix stream socket, non-blocking or not as it was made: see each client. Where the connection was
    /// handed back it is the socket that went to the pool, as it is.
    pub plain: OwnedFd,
    /// The state to go on with under kernel TLS, or why the pool relays; `None` where kernel TLS was not
    /// [asked for](TlsRequest::hand_back), and with a pool that does not know it.
    pub hand_back: Option<HandBackOutcome>,
    /// The key to the session: whoever has it and may, can ask about it, detach it and attach it.
    pub control_key: ControlKey,
    /// Who we are, as it came to be.
    pub local_id: Identity,
    /// Who the peer is, verified; empty for a client that was not asked.
    pub remote_id: Identity,
}

/// The pool's question whether we stand for an identity that the peer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalIdQuestion {
    /// The identity that the peer asks for; empty if it asks for none.
    pub local_id: Identity,
    /// Whom the peer claims to be, if it does.
    pub remote_id: Identity,
    pub(crate) body: StartTls,
}

impl LocalIdQuestion {
    pub(crate) fn new(body: StartTls) -> Self {
        Self { local_id: body.local_id, remote_id: body.remote_id, body }
    }

    /// The answer that stands for `identity`.
    pub(crate) fn accept(self, identity: Identity) -> Message {
        Message::StartTlsLocalId(StartTls { local_id: identity, ..self.body })
    }
}

/// Who a pool is, and what it can do: the answer to PING.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolIdentity {
    /// The dated identity of its producer, such as `20151111api@tlspool.arpa2.net`.
    pub producer: String,
    /// What both sides have of what was asked for.
    pub facilities: Facilities,
}

pub(crate) fn ping(facilities: Facilities) -> Message {
    // The text is short enough.
    let producer = Text::new(Ping::V2).unwrap_or_default();
    Message::Ping(Ping { producer, facilities })
}

/// PRNG, which asks for derived keys.
pub(crate) fn export(
    control_key: ControlKey,
    label: &[u8],
    context: Option<&[u8]>,
    output_len: usize,
) -> Result<Message, PoolError> {
    let prng = Prng::from_request(&PrngRequest { control_key, label, context, output_len });
    prng.map(Message::Prng).map_err(|fault| PoolError::AgainstTheRules(fault.code()))
}

/// The keys in the reply.
pub(crate) fn exported(reply: &Message) -> Result<Vec<u8>, PoolError> {
    let Message::Prng(reply) = reply else { return Err(out_of_place()) };
    reply.output().map(<[u8]>::to_vec).map_err(|fault| PoolError::Protocol(fault.to_string()))
}

/// INFO, which asks for a fact, or whether it is `fact`.
pub(crate) fn info(
    control_key: ControlKey,
    kind: InfoKind,
    fact: Option<&[u8]>,
) -> Result<Message, PoolError> {
    let fact = fact.map(Fact::new).transpose();
    let fact = fact.map_err(|_| PoolError::AgainstTheRules(ErrorCode::NotImplemented))?;
    Ok(Message::Info(Info { control_key, kind, fact }))
}

/// The fact in the reply.
pub(crate) fn fact(reply: Message) -> Result<Vec<u8>, PoolError> {
    let Message::Info(Info { fact: Some(fact), .. }) = reply else { return Err(out_of_place()) };
    Ok(fact.as_bytes().to_vec())
}

/// The answer of a client that does not want to.
pub(crate) fn refusal() -> Message {
    /// The system's error number for "not permitted".
    const EPERM: u8 = 1;
    Message::Error(Failure::from_errno(EPERM))
}

/// What a reply to STARTTLS says, with our end of the plaintext, which is what we `kept` of the network's
/// socket where the pool has asked for no other.
pub(crate) fn protected(
    reply: Message,
    plain: Option<UnixStream>,
    kept: Option<OwnedFd>,
) -> Result<Protected, PoolError> {
    let (Message::StartTls(body), Some(plain)) = (reply, plain.map(OwnedFd::from).or(kept)) else {
        return Err(out_of_place());
    };
    let StartTls { control_key, local_id, remote_id, .. } = body;
    Ok(Protected { plain, hand_back: None, control_key, local_id, remote_id })
}

/// HANDBACK: the wish, or the question what came of it.
pub(crate) fn hand_back(control_key: ControlKey) -> Message {
    HandBack::question(control_key).into()
}

/// What came of the wish. Who was handed back has to have the state.
pub(crate) fn handed_back(
    reply: Result<Message, PoolError>,
    is_relayed: bool,
) -> Result<Option<HandBackOutcome>, PoolError> {
    let outcome = match reply {
        Ok(Message::Local(HandBack::COMMAND, body)) => {
            let told = HandBack::from_body(&body);
            told.map_err(|error| PoolError::Protocol(error.to_string()))?.outcome
        }
        // A pool that does not know the command relays.
        Err(error) if !is_relayed => return Err(error),
        _ => None,
    };
    match outcome {
        Some(Err(_)) | None if is_relayed => Ok(outcome),
        Some(Ok(_)) if !is_relayed => Ok(outcome),
        _ => Err(out_of_place()),
    }
}

/// What TLS agreed on, as the report about a session tells it.
pub(crate) fn tls_facts(
    report: Result<Report, PoolError>,
    remote_id: &Identity,
) -> Result<TlsFacts, PoolError> {
    match report {
        Ok(report) => Ok(report.tls.unwrap_or_default()),
        // A pool of another make tells no more than names.
        Err(error) if error.code() == Some(ErrorCode::UnknownCommand) => {
            let verified_name = remote_id.as_str().filter(|name| !name.is_empty());
            Ok(TlsFacts {
                verified_name: verified_name.map(str::to_owned),
                verification: verified_name.map(|_| Verification::Verified),
                ..TlsFacts::default()
            })
        }
        Err(error) => Err(error),
    }
}

/// How the peer's direction of a relayed session ended, as the report about it tells: nothing for its goodbye.
pub(crate) fn peers_end(report: Result<Report, PoolError>) -> Result<(), Ending> {
    match report {
        Ok(Report { ending: Some(ending), .. }) if !ending.is_clean() => Err(ending),
        Ok(Report { peer_goodbye: true, .. } | Report { ending: Some(_), .. }) => Ok(()),
        Ok(_) => Err(Ending::SocketClose),
        // A pool of another make cannot say, and what cannot be told from truncation is truncation.
        Err(error) if error.code() == Some(ErrorCode::UnknownCommand) => Err(Ending::SocketClose),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn out_of_place() -> PoolError {
    PoolError::Protocol("a reply to something else".to_owned())
}

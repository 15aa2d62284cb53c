//! The peer of a WebSocket: frames made by hand, above the layer that the [`Peer`] beneath has.

use levada::Role;
use levada_ws::handshake::{Answer, ClientHandshake, Limits, Offer, ServerHandshake};

use crate::peer::Peer;

/// A frame that came: its first byte, and its payload unmasked.
pub(crate) type Frame = (u8, Vec<u8>);

pub(crate) const BINARY: u8 = 0x82;
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;

pub(crate) struct WsPeer {
    pub(crate) below: Peer,
    /// Whom we are the peer of.
    role: Role,
    /// Where in what came the frames begin.
    head: usize,
}

impl WsPeer {
    /// The peer of a WebSocket of this role.
    pub(crate) const fn new(below: Peer, role: Role) -> Self {
        Self { below, role, head: 0 }
    }

    /// Brings up what is below; gives the head of the opening handshake that it would send. Where that
    /// is an answer, the question has come.
    pub(crate) async fn opening(&mut self) -> Vec<u8> {
        self.below.handshake().await;
        if self.role == Role::Server {
            let offer = Offer::new("levada.example", "/").unwrap();
            return ClientHandshake::new(offer, [7; 16], Limits::default()).request();
        }
        self.take_head().await;
        let request = ServerHandshake::new(Limits::default()).handle_wire(&self.below.plain);
        request.unwrap().head.unwrap().accept(&Answer::default()).unwrap()
    }

    /// Goes through the opening handshake.
    pub(crate) async fn open(&mut self) {
        let head = self.opening().await;
        self.below.send_plain(&head).await;
        if self.role == Role::Server {
            self.take_head().await;
        }
    }

    /// Takes the head that the other end sends.
    async fn take_head(&mut self) {
        self.below.take_until(|peer| end_of_head(&peer.plain).is_some()).await;
        self.head = end_of_head(&self.below.plain).unwrap();
    }

    /// A whole frame; that of a client is masked with a key of zeroes.
    pub(crate) fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        assert!(payload.len() < 126);
        let mask = if self.role == Role::Server { 0x80 } else { 0 };
        let mut frame = vec![first, mask | payload.len() as u8];
        frame.resize(if mask == 0 { 2 } else { 6 }, 0);
        frame.extend_from_slice(payload);
        frame
    }

    /// A Close frame.
    pub(crate) fn close_frame(&self, code: Option<u16>, reason: &str) -> Vec<u8> {
        let code = code.map(u16::to_be_bytes);
        let body = [code.as_ref().map_or(&[][..], |code| code), reason.as_bytes()].concat();
        self.frame(CLOSE, &body)
    }

    /// The whole frames that have come.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        frames(&self.below.plain[self.head..])
    }

    /// The payload of the data frames among them.
    pub(crate) fn data(&self) -> Vec<u8> {
        let frames = self.frames().into_iter();
        frames.filter(|frame| frame.0 == BINARY).flat_map(|frame| frame.1).collect()
    }

    /// Reads until a Close frame has come, or the end of the wire.
    pub(crate) async fn take_close(&mut self) {
        let head = self.head;
        let has_close = |peer: &Peer| frames(&peer.plain[head..]).iter().any(|f| f.0 == CLOSE);
        self.below.take_until(has_close).await;
    }

    /// Reads until data has come.
    pub(crate) async fn take_data(&mut self) {
        let head = self.head;
        self.below.take_until(|peer| !frames(&peer.plain[head..]).is_empty()).await;
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|start| start + 4)
}

/// The whole frames at the beginning of `wire`.
fn frames(mut wire: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = next_frame(wire) {
        frames.push(frame);
        wire = rest;
    }
    frames
}

fn next_frame(wire: &[u8]) -> Option<(Frame, &[u8])> {
    let [first, second, rest @ ..] = wire else { return None };
    let (len, rest) = match second & 127 {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*len)).unwrap(), rest)
        }
        short => (usize::from(short), rest),
    };
    let (key, rest) = match second & 128 {
        0 => ([0; 4], rest),
        _ => rest.split_first_chunk().map(|(key, rest)| (*key, rest))?,
    };
    let (payload, rest) = rest.split_at_checked(len)?;
    let plain = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some(((*first, plain), rest))
}

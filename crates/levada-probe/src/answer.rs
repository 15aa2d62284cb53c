//! What a server answers to a ClientHello, read as it comes (RFC 8446 section 4.1.3, RFC 5246 section
//! 7.4).

use alloc::vec::Vec;

use levada_core::AlertDescription;

use crate::version::Version;

/// The first thing that a server says to a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It chose.
    Chosen(Chosen),
    /// It refused with this fatal alert, or said goodbye (close_notify).
    Alert(AlertDescription),
    /// It does not speak TLS: its first bytes, at most 16.
    NotTls(Vec<u8>),
    /// It speaks TLS wrongly: what is wrong, in words.
    Malformed(&'static str),
}

/// What a server chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The number of the version.
    pub version: u16,
    /// The number of the suite.
    pub suite: u16,
    /// The number of the group, where the answer tells it.
    pub group: Option<u16>,
}

impl Chosen {
    /// The version, if it is one that there is.
    pub fn version(&self) -> Option<Version> {
        Version::of(self.version)
    }
}

/// How far to read before an answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Up to the ServerHello. In TLS 1.3 it tells the group, too.
    ServerHello,
    /// Up to the group: before TLS 1.3 it stands in the ServerKeyExchange, behind the certificates.
    Group,
}

/// Takes a server's bytes and finds the answer in them.
#[derive(Debug)]
pub struct Reader {
    until: Until,
    /// What came of the record that is not complete.
    wire: Vec<u8>,
    /// What came of the handshake message that is not complete.
    messages: Vec<u8>,
    /// What the ServerHello says, while the group is waited for.
    chosen: Option<Chosen>,
    taken: usize,
}

/// No answer is longer: a server says that much at most before it has to wait for us, chains of many
/// certificates included.
const MOST: usize = 128 * 1024;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

const SERVER_HELLO: u8 = 2;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;

/// Extensions, by their numbers.
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

impl Reader {
    /// One that has got nothing yet.
    pub const fn new(until: Until) -> Self {
        Self { until, wire: Vec::new(), messages: Vec::new(), chosen: None, taken: 0 }
    }

    /// Takes what came next; the answer, once it is complete. More is not taken then: it gives the same
    /// one again, or a wrong one.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.taken = self.taken.saturating_add(bytes.len());
        if self.taken > MOST {
            return Some(Answer::Malformed("it says more than any server has to"));
        }
        self.wire.extend_from_slice(bytes);
        self.read().unwrap_or_else(|broken| Some(Answer::Malformed(broken.0)))
    }

    /// What is known where the server ends behind what came: the ServerHello, whose group it kept to
    /// itself.
    pub fn finish(self) -> Option<Answer> {
        self.chosen.map(Answer::Chosen)
    }

    fn read(&mut self) -> Result<Option<Answer>, Broken> {
        loop {
            if !looks_like_tls(&self.wire) {
                let first = self.wire[..self.wire.len().min(16)].to_vec();
                return Ok(Some(Answer::NotTls(first)));
            }
            let [kind, _, _, high, low, rest @ ..] = &self.wire[..] else { return Ok(None) };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = rest.get(..length) else { return Ok(None) };
            match *kind {
                ALERT => {
                    let [level, description] = *payload else {
                        return Err(Broken("an alert has two bytes"));
                    };
                    let alert = AlertDescription(description);
                    // A warning is no answer: one about the name comes in front of a ServerHello.
                    if level == 2 || alert == AlertDescription::CLOSE_NOTIFY {
                        return Ok(Some(Answer::Alert(alert)));
                    }
                }
                HANDSHAKE => self.messages.extend_from_slice(payload),
                _ => return Err(Broken("a record of another kind comes before its ServerHello")),
            }
            self.wire.drain(..5 + length);
            while let Some(message) = self.next_message() {
                if let Some(answer) = self.answer(&message)? {
                    return Ok(Some(answer));
                }
            }
        }
    }

    /// The next whole handshake message: its type, its length and its body.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        let [_, a, b, c, ..] = self.messages[..] else { return None };
        let length = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        if self.messages.len() < length {
            return None;
        }
        let rest = self.messages.split_off(length);
        Some(core::mem::replace(&mut self.messages, rest))
    }

    fn answer(&mut self, message: &[u8]) -> Result<Option<Answer>, Broken> {
        let (kind, mut body) = (message[0], Bytes(&message[4..]));
        match (kind, &mut self.chosen) {
            (SERVER_HELLO, chosen @ None) => {
                let hello = server_hello(body)?;
                let is_whole = self.until == Until::ServerHello
                    || hello.version >= Version::Tls13.number()
                    || hello.group.is_some();
                *chosen = Some(hello);
                Ok(is_whole.then_some(Answer::Chosen(hello)))
            }
            (_, None) => Err(Broken("another message comes before its ServerHello")),
            (SERVER_KEY_EXCHANGE, Some(chosen)) => {
                // Named curves alone tell a group (RFC 8422 section 5.4).
                const NAMED_CURVE: u8 = 3;
                if body.number::<1>()? == u32::from(NAMED_CURVE) {
                    chosen.group = Some(body.number::<2>()? as u16);
                }
                Ok(Some(Answer::Chosen(*chosen)))
            }
            (SERVER_HELLO_DONE, Some(chosen)) => Ok(Some(Answer::Chosen(*chosen))),
            (_, Some(_)) => Ok(None),
        }
    }
}

/// Whether these can be the first bytes of a server that speaks TLS: a record of a kind and of a major
/// version that there are.
fn looks_like_tls(wire: &[u8]) -> bool {
    matches!(wire, [] | [20..=23] | [20..=23, 3, ..])
}

fn server_hello(mut hello: Bytes<'_>) -> Result<Chosen, Broken> {
    let mut version = hello.number::<2>()? as u16;
    let _random = hello.take(32)?;
    let _session_id = hello.vector::<1>()?;
    let suite = hello.number::<2>()? as u16;
    let _compression = hello.take(1)?;
    let mut group = None;
    // Before TLS 1.3 there may be none at all.
    if !hello.0.is_empty() {
        let mut extensions = hello.vector::<2>()?;
        while !extensions.0.is_empty() {
            let number = extensions.number::<2>()? as u16;
            let mut body = extensions.vector::<2>()?;
            match number {
                SUPPORTED_VERSIONS => version = body.number::<2>()? as u16,
                // The share in a ServerHello begins with its group; a HelloRetryRequest has that alone.
                KEY_SHARE => group = Some(body.number::<2>()? as u16),
                _ => {}
            }
        }
    }
    Ok(Chosen { version, suite, group })
}

/// What is wrong with an answer.
struct Broken(&'static str);

/// Bytes that are taken from the front.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken("a message is cut"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of `BYTES` bytes, at most four.
    fn number<const BYTES: usize>(&mut self) -> Result<u32, Broken> {
        let bytes = self.take(BYTES)?;
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// What stands behind its length of `BYTES` bytes.
    fn vector<const BYTES: usize>(&mut self) -> Result<Self, Broken> {
        let length = self.number::<BYTES>()? as usize;
        self.take(length).map(Bytes)
    }
}

//! A frame reader as plain as can be: all bytes at once, one after another. It is what the
//! streaming decoder is compared with.

use levada_ws::frame::{Chunk, DataKind, Decoder, Item, SizeLimits};
use levada_ws::{CloseFrame, Role, Violation};

/// What a wire says, with neighbouring bytes of a message joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Start(DataKind),
    Bytes(Vec<u8>),
    End,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Violation(Violation),
}

#[derive(Default)]
pub(crate) struct Tokens(pub(crate) Vec<Token>);

impl Tokens {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Token::Bytes(before)) => before.extend_from_slice(bytes),
            _ => self.0.push(Token::Bytes(bytes.to_vec())),
        }
    }

    fn chunk(&mut self, chunk: &Chunk, wire: &[u8]) {
        if chunk.starts_message {
            self.0.push(Token::Start(chunk.kind));
        }
        self.bytes(&wire[chunk.payload.clone()]);
        if chunk.ends_message {
            self.0.push(Token::End);
        }
    }
}

/// What the decoder under test says when the wire comes in these pieces, the last one again and
/// again.
pub(crate) fn decoded(sender: Role, wire: &[u8], pieces: &[usize]) -> Vec<Token> {
    let mut decoder = Decoder::new(sender, SizeLimits::default());
    let mut tokens = Tokens::default();
    let mut wire = wire.to_vec();
    let mut rest = &mut wire[..];
    let mut index = 0;
    while !rest.is_empty() {
        let size = pieces.get(index.min(pieces.len().wrapping_sub(1))).copied();
        let size = size.unwrap_or(usize::MAX).clamp(1, rest.len());
        index += 1;
        let (mut piece, behind) = rest.split_at_mut(size);
        loop {
            let step = match decoder.decode(piece) {
                Ok(step) => step,
                Err(violation) => {
                    assert_eq!(decoder.decode(&mut []), Err(violation), "X4: it is final");
                    tokens.0.push(Token::Violation(violation));
                    return tokens.0;
                }
            };
            match step.item {
                None => {
                    assert_eq!(step.consumed, piece.len(), "no item: all is consumed");
                    break;
                }
                Some(Item::Data(chunk)) => tokens.chunk(&chunk, piece),
                Some(Item::Ping(payload)) => tokens.0.push(Token::Ping(payload.to_vec())),
                Some(Item::Pong(payload)) => tokens.0.push(Token::Pong(payload.to_vec())),
                Some(Item::Close(frame)) => tokens.0.push(Token::Close(frame)),
            }
            piece = &mut piece[step.consumed..];
        }
        rest = behind;
    }
    tokens.0
}

/// What the wire says.
pub(crate) fn expected(sender: Role, wire: &[u8]) -> Vec<Token> {
    let mut tokens = Tokens::default();
    let mut in_message = false;
    let mut rest = wire;
    let end = loop {
        match frame(sender, &mut rest, &mut in_message, &mut tokens) {
            Ok(Some(())) => {}
            Ok(None) => break None,
            Err(violation) => break Some(violation),
        }
    };
    tokens.0.extend(end.map(Token::Violation));
    tokens.0
}

/// Reads one frame; `None` where the bytes end.
fn frame(
    sender: Role,
    rest: &mut &[u8],
    in_message: &mut bool,
    tokens: &mut Tokens,
) -> Result<Option<()>, Violation> {
    let Some(first) = number(rest, 1) else { return Ok(None) };
    let (fin, rsv, opcode) = (first >= 128, first / 16 % 8, first % 16);
    if rsv != 0 {
        return Err(Violation::ReservedBits(rsv as u8));
    }
    match (opcode, fin, *in_message) {
        (3..8 | 11.., _, _) => return Err(Violation::ReservedOpcode(opcode as u8)),
        (8.., false, _) => return Err(Violation::ControlFragmented),
        (0, _, false) => return Err(Violation::ContinuationWithoutStart),
        (1 | 2, _, true) => return Err(Violation::MessageInsideMessage),
        _ => {}
    }
    let Some(second) = number(rest, 1) else { return Ok(None) };
    match (second >= 128, sender) {
        (true, Role::Server) => return Err(Violation::Masked),
        (false, Role::Client) => return Err(Violation::Unmasked),
        _ => {}
    }
    let short = second % 128;
    if opcode >= 8 && short > 125 {
        return Err(Violation::ControlTooLong);
    }
    let (width, least) = match short {
        127 => (8, 65_536),
        126 => (2, 126),
        _ => (0, 0),
    };
    let Some(long) = number(rest, width) else { return Ok(None) };
    let len = if width == 0 { short } else { long };
    if len >= 1 << 63 {
        return Err(Violation::LengthTopBit);
    }
    if len < least {
        return Err(Violation::LengthNotMinimal);
    }
    let Some(key) = number(rest, if sender == Role::Client { 4 } else { 0 }) else {
        return Ok(None);
    };
    let key = (key as u32).to_be_bytes();

    let there = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
    let (payload, behind) = rest.split_at(there);
    *rest = behind;
    let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
    let is_whole = payload.len() as u64 == len;

    if opcode < 8 {
        if opcode > 0 {
            let kind = if opcode == 1 { DataKind::Text } else { DataKind::Binary };
            tokens.0.push(Token::Start(kind));
        }
        tokens.bytes(&payload);
        *in_message = true;
        if is_whole && fin {
            tokens.0.push(Token::End);
            *in_message = false;
        }
    } else if is_whole {
        tokens.0.push(match opcode {
            9 => Token::Ping(payload),
            10 => Token::Pong(payload),
            _ => Token::Close(CloseFrame::from_body(&payload)?),
        });
    }
    Ok(is_whole.then_some(()))
}

/// The next bytes as a number in network byte order.
fn number(rest: &mut &[u8], width: usize) -> Option<u64> {
    let (bytes, behind) = rest.split_at_checked(width)?;
    *rest = behind;
    Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

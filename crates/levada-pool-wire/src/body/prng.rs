//! PRNG: key material derived from a session (RFC 5705, RFC 8446 section 7.5).

use core::error::Error;
use core::fmt;

use crate::codec::{Reader, Writer};
use crate::error_code::ErrorCode;
use crate::layout::{Field, FieldInfo, prng as at};
use crate::secret::{ControlKey, Secret};

/// Bytes of the buffer that the control key takes in a request.
const KEY_LEN: usize = 16;

/// The body of PRNG. What the buffer means depends on the direction: [`Prng::request`] reads it
/// as the pool does, [`Prng::output`] as the client does.
///
/// Source: TLS Pool protocol V2, PRNG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prng {
    label_len: i16,
    context_len: i16,
    output_len: i16,
    buffer: Secret<350>,
}

/// What a client wants derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrngRequest<'a> {
    /// Of which session.
    pub control_key: ControlKey,
    /// The exporter's label, 1 to 254 bytes. Which labels are allowed is the pool's policy.
    pub label: &'a [u8],
    /// The exporter's context, up to 254 bytes; together with the label up to 334.
    pub context: Option<&'a [u8]>,
    /// How many bytes, 1 to 350.
    pub output_len: usize,
}

impl Prng {
    /// The most bytes of a label, and of a context.
    pub const MAX_INPUT: usize = 254;
    /// The most bytes of label and context together.
    pub const MAX_INPUTS: usize = 334;
    /// The most bytes that can be derived at once.
    pub const MAX_OUTPUT: usize = 350;

    /// The body of a request.
    ///
    /// # Errors
    ///
    /// [`PrngFault`] when a length is out of the bounds that [`PrngRequest`] states.
    pub fn from_request(request: &PrngRequest<'_>) -> Result<Self, PrngFault> {
        let stated = |len: usize| i16::try_from(len).unwrap_or(i16::MAX);
        let mut prng = Self {
            label_len: stated(request.label.len()),
            context_len: request.context.map_or(-1, |context| stated(context.len())),
            output_len: stated(request.output_len),
            buffer: Secret::default(),
        };
        let Lengths { label, context, .. } = prng.lengths()?;
        let (key, inputs) = prng.buffer.expose_mut().split_at_mut(KEY_LEN);
        key.copy_from_slice(request.control_key.expose());
        inputs[..label].copy_from_slice(request.label);
        inputs[label..label + context.unwrap_or(0)]
            .copy_from_slice(request.context.unwrap_or_default());
        Ok(prng)
    }

    /// This body as a request.
    ///
    /// # Errors
    ///
    /// [`PrngFault`] when a length is out of the bounds that [`PrngRequest`] states.
    pub fn request(&self) -> Result<PrngRequest<'_>, PrngFault> {
        let lengths = self.lengths()?;
        let (key, inputs) = self.buffer.expose().split_at(KEY_LEN);
        let mut control_key = [0; KEY_LEN];
        control_key.copy_from_slice(key);
        let (label, rest) = inputs.split_at(lengths.label);
        Ok(PrngRequest {
            control_key: ControlKey::new(control_key),
            label,
            context: lengths.context.map(|len| &rest[..len]),
            output_len: lengths.output,
        })
    }

    /// The reply to this request: lengths echoed, the derived bytes at the start of the buffer,
    /// zeros behind them.
    ///
    /// # Errors
    ///
    /// [`PrngFault`] when the request is out of bounds, or `output` is not as long as it asks.
    pub fn reply(&self, output: &[u8]) -> Result<Self, PrngFault> {
        if self.lengths()?.output != output.len() {
            return Err(PrngFault::new(&at::OUTPUT_LEN, self.output_len));
        }
        let mut buffer = Secret::default();
        buffer.expose_mut()[..output.len()].copy_from_slice(output);
        Ok(Self {
            label_len: self.label_len,
            context_len: self.context_len,
            output_len: self.output_len,
            buffer,
        })
    }

    /// The derived bytes of this reply.
    ///
    /// # Errors
    ///
    /// [`PrngFault`] when the length is not 1 to 350.
    pub fn output(&self) -> Result<&[u8], PrngFault> {
        let len = within(&at::OUTPUT_LEN, self.output_len, 1, Self::MAX_OUTPUT)?;
        Ok(&self.buffer.expose()[..len])
    }

    /// The lengths of a request, checked.
    fn lengths(&self) -> Result<Lengths, PrngFault> {
        let label = within(&at::LABEL_LEN, self.label_len, 1, Self::MAX_INPUT)?;
        let context = match self.context_len {
            ..0 => None,
            stated => {
                let room = Self::MAX_INPUT.min(Self::MAX_INPUTS - label);
                Some(within(&at::CONTEXT_LEN, stated, 0, room)?)
            }
        };
        let output = within(&at::OUTPUT_LEN, self.output_len, 1, Self::MAX_OUTPUT)?;
        Ok(Lengths { label, context, output })
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        Self {
            label_len: reader.i16(&at::LABEL_LEN),
            context_len: reader.i16(&at::CONTEXT_LEN),
            output_len: reader.i16(&at::OUTPUT_LEN),
            buffer: reader.secret(&at::BUFFER),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.i16(&at::LABEL_LEN, self.label_len);
        writer.i16(&at::CONTEXT_LEN, self.context_len);
        writer.i16(&at::OUTPUT_LEN, self.output_len);
        writer.bytes(&at::BUFFER, self.buffer.expose());
    }
}

struct Lengths {
    label: usize,
    context: Option<usize>,
    output: usize,
}

fn within(field: &Field<2>, stated: i16, least: usize, most: usize) -> Result<usize, PrngFault> {
    usize::try_from(stated)
        .ok()
        .filter(|len| (least..=most).contains(len))
        .ok_or_else(|| PrngFault::new(field, stated))
}

/// A length that PRNG cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrngFault {
    /// The field, with its offset from the start of the packet.
    pub field: FieldInfo,
    /// The length that it states.
    pub stated: i16,
}

impl PrngFault {
    fn new(field: &Field<2>, stated: i16) -> Self {
        Self { field: field.info(), stated }
    }

    /// The code that answers such a request.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::PrngUnavailable
    }
}

impl fmt::Display for PrngFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldInfo { part, name, offset, .. } = self.field;
        write!(f, "{part}.{name} at byte {offset}: {} is out of bounds", self.stated)
    }
}

impl Error for PrngFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(
        label: &'a [u8],
        context: Option<&'a [u8]>,
        output_len: usize,
    ) -> PrngRequest<'a> {
        PrngRequest { control_key: ControlKey::new([9; 16]), label, context, output_len }
    }

    #[test]
    fn a7_no_context_and_an_empty_context_differ() {
        for context in [None, Some(&b""[..]), Some(&b"ctx"[..])] {
            let asked = request(b"EXPERIMENTAL levada", context, 32);
            let prng = Prng::from_request(&asked).unwrap();
            assert_eq!(prng.request(), Ok(asked));
        }
    }

    #[test]
    fn a2_the_limits_of_label_context_and_output() {
        let bytes = [b'x'; 400];
        let fits = |label: usize, context: Option<usize>, output: usize| {
            let asked = request(&bytes[..label], context.map(|len| &bytes[..len]), output);
            match Prng::from_request(&asked) {
                Ok(prng) => {
                    assert_eq!(prng.request(), Ok(asked));
                    "fits"
                }
                Err(fault) => fault.field.name,
            }
        };
        assert_eq!(fits(254, Some(80), 350), "fits");
        assert_eq!(fits(80, Some(254), 1), "fits");
        assert_eq!(fits(254, Some(81), 350), "in2_len");
        assert_eq!(fits(1, Some(255), 350), "in2_len");
        assert_eq!(fits(255, None, 350), "in1_len");
        assert_eq!(fits(0, None, 350), "in1_len");
        assert_eq!(fits(1, None, 351), "out_len");
        assert_eq!(fits(1, None, 0), "out_len");
    }

    #[test]
    fn a7_the_reply_echoes_the_lengths_and_holds_nothing_of_the_request() {
        let asked = Prng::from_request(&request(b"EXPERIMENTAL x", Some(b"y"), 4)).unwrap();
        let reply = asked.reply(b"keys").unwrap();
        assert_eq!(reply.output(), Ok(&b"keys"[..]));
        assert_eq!((reply.label_len, reply.context_len, reply.output_len), (14, 1, 4));
        assert_eq!(reply.buffer.expose()[4..], [0; 346]);
        assert!(asked.reply(b"key").is_err());
    }

    #[test]
    fn any_lengths_are_read_or_refused_with_25() {
        for label_len in [i16::MIN, -1, 0, 1, 254, 255, i16::MAX] {
            for context_len in [i16::MIN, -1, 0, 80, 254, 255, i16::MAX] {
                for output_len in [i16::MIN, -1, 0, 1, 350, 351, i16::MAX] {
                    let buffer = Secret::default();
                    let prng = Prng { label_len, context_len, output_len, buffer };
                    let _ = prng.output();
                    if let Err(fault) = prng.request() {
                        assert_eq!(fault.code().offset(), 25);
                    }
                }
            }
        }
    }
}

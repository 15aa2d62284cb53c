//! What a close frame carries: a code and a reason (RFC 6455 §5.5.1, §7.4).

use alloc::string::String;
use core::fmt;

use crate::Violation;
use crate::frame::ControlPayload;

/// The longest reason in bytes of UTF-8: a control frame holds 125 bytes, and the code takes two.
const MAX_REASON: usize = 123;

/// A close code that may go on the wire: 1000-1003, 1007-1014 and 3000-4999.
///
/// 1004-1006 and 1015 are reserved for use inside an endpoint, and no other value below 3000 is
/// assigned (RFC 6455 §7.4, IANA "WebSocket Close Code Number Registry").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: a frame broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: a kind of data came that the endpoint does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: a message's content does not fit its type.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1009: a message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: something failed that the peer is not to blame for.
    pub const INTERNAL: Self = Self(1011);

    /// The code with this number.
    ///
    /// # Errors
    ///
    /// When the number may not go on the wire.
    pub fn new(number: u16) -> Result<Self, ForbiddenCloseCode> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Self(number)),
            _ => Err(ForbiddenCloseCode(number)),
        }
    }

    /// The number as it stands on the wire.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A close code that may not go on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForbiddenCloseCode(pub u16);

impl fmt::Display for ForbiddenCloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close code {} may not go on the wire", self.0)
    }
}

impl core::error::Error for ForbiddenCloseCode {}

/// A close reason that is longer than 123 bytes; see [`cut_reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonTooLong {
    /// The length in bytes that was asked for.
    pub len: usize,
}

impl fmt::Display for ReasonTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a close reason of {} bytes exceeds the {MAX_REASON} that fit", self.len)
    }
}

impl core::error::Error for ReasonTooLong {}

/// The longest beginning of `reason` that fits a close frame (123 bytes), cut between characters.
pub fn cut_reason(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// The code and the reason of a close frame. Displays as `1000` or `1000 (done)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: String,
}

impl CloseFrame {
    /// A close frame with a code and a reason of at most 123 bytes.
    ///
    /// # Errors
    ///
    /// When the reason is longer; [`cut_reason`] makes it fit.
    pub fn new(code: CloseCode, reason: &str) -> Result<Self, ReasonTooLong> {
        if reason.len() > MAX_REASON {
            return Err(ReasonTooLong { len: reason.len() });
        }
        Ok(Self { code, reason: reason.into() })
    }

    /// A close frame whose reason is cut to what fits.
    pub fn with_cut_reason(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: cut_reason(reason).into() }
    }

    /// Why the connection closes, as a number.
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// Why the connection closes, in words; often empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The body on the wire: the code in network byte order, then the reason.
    pub fn to_body(&self) -> ControlPayload {
        ControlPayload::joined(self.code.0.to_be_bytes(), self.reason.as_bytes())
    }

    /// Reads the body of a received close frame; an empty body says nothing and is legal.
    ///
    /// # Errors
    ///
    /// A [`Violation`] for a body of one byte, a code that may not be sent, or a reason that is no
    /// UTF-8.
    pub fn from_body(body: &[u8]) -> Result<Option<Self>, Violation> {
        let (code, reason) = match body {
            [] => return Ok(None),
            [_] => return Err(Violation::CloseBodyOneByte),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let code = CloseCode::new(code).map_err(|_| Violation::CloseCode(code))?;
        let reason = str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason: reason.into() }))
    }
}

impl Default for CloseFrame {
    /// 1000 and no reason.
    fn default() -> Self {
        Self::from(CloseCode::NORMAL)
    }
}

impl From<CloseCode> for CloseFrame {
    /// A close frame with a code and no reason.
    fn from(code: CloseCode) -> Self {
        Self { code, reason: String::new() }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_only_codes_that_may_go_on_the_wire_exist() {
        for number in 0..=u16::MAX {
            let legal = matches!(number, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert_eq!(CloseCode::new(number).is_ok(), legal, "{number}");
        }
        for number in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(CloseCode::new(number), Err(ForbiddenCloseCode(number)));
        }
    }

    #[test]
    fn c6_a_reason_is_cut_between_characters() {
        let long = "ü".repeat(62);
        assert_eq!(long.len(), 124);
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, &long), Err(ReasonTooLong { len: 124 }));
        assert_eq!(cut_reason(&long).len(), 122);
        let frame = CloseFrame::with_cut_reason(CloseCode::NORMAL, &long);
        assert_eq!(CloseFrame::from_body(&frame.to_body()), Ok(Some(frame)));
        let exact = "x".repeat(123);
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, &exact).unwrap().to_body().len(), 125);
    }

    #[test]
    fn c7_a_bad_body_is_a_violation() {
        let cases: [(&[u8], Violation); 4] = [
            (&[3], Violation::CloseBodyOneByte),
            (&[3, 0xed], Violation::CloseCode(1005)),
            (&[0, 0, b'x'], Violation::CloseCode(0)),
            (&[3, 0xe8, 0xff], Violation::CloseReasonNotUtf8),
        ];
        for (body, violation) in cases {
            assert_eq!(CloseFrame::from_body(body), Err(violation));
        }
        assert_eq!(CloseFrame::from_body(&[]), Ok(None));
    }
}

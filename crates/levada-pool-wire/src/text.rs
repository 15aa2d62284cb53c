//! Text in a field of fixed size, ended by a NUL.

use core::error::Error;
use core::fmt;
use core::str;

/// Up to `N - 1` bytes of text that hold no NUL.
///
/// The protocol names no character set, so any other byte is text; empty text has a meaning in
/// many fields. What follows the NUL in a received field is dropped, and zeros when sent: it may
/// be what the sender's memory held before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<const N: usize> {
    /// The text, then zeros up to the end; the last byte is always zero.
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// No text at all.
    pub const EMPTY: Self = Self { bytes: [0; N] };

    /// The most bytes that fit.
    pub const MAX_LEN: usize = N - 1;

    /// Text from its bytes.
    ///
    /// # Errors
    ///
    /// [`TextError`] when they do not fit, or hold a NUL.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, TextError> {
        let text = text.as_ref();
        if text.len() > Self::MAX_LEN {
            return Err(TextError::TooLong { len: text.len(), limit: Self::MAX_LEN });
        }
        if let Some(at) = text.iter().position(|&byte| byte == 0) {
            return Err(TextError::Nul { at });
        }
        Ok(Self::cut(text))
    }

    /// The text before the first NUL, of what fits.
    pub(crate) fn cut(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        let visible = text.iter().take(Self::MAX_LEN).take_while(|&&byte| byte != 0);
        for (to, from) in bytes.iter_mut().zip(visible) {
            *to = *from;
        }
        Self { bytes }
    }

    /// The text of a received field, or `None` when nothing ends it.
    pub(crate) fn terminated(field: &[u8; N]) -> Option<Self> {
        field.contains(&0).then(|| Self::cut(field))
    }

    /// The whole field as it is sent.
    pub(crate) const fn field(&self) -> &[u8; N] {
        &self.bytes
    }

    /// The text without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        str::from_utf8(self.as_bytes()).ok()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// Why bytes cannot be the text of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// More bytes than the field has room for.
    TooLong {
        /// How many there are.
        len: usize,
        /// How many fit.
        limit: usize,
    },
    /// A NUL, which would end the text early.
    Nul {
        /// Where it stands.
        at: usize,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit } => {
                write!(f, "{len} bytes of text where at most {limit} fit")
            }
            Self::Nul { at } => write!(f, "a NUL inside the text, at byte {at}"),
        }
    }
}

impl Error for TextError {}

/// A local or remote identity: `user@domain` or `domain`, up to 127 bytes.
///
/// Empty means that none is given, or in an answer that none is granted. The protocol sets no
/// character set beyond "no NUL"; whether the domain part is a host name is for the verifier.
///
/// Source: TLS Pool protocol V2, packet layout and limits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Identity(pub(crate) Text<128>);

impl Identity {
    /// No identity.
    pub const EMPTY: Self = Self(Text::EMPTY);

    /// An identity from its bytes.
    ///
    /// # Errors
    ///
    /// [`TextError`] for more than 127 bytes, or a NUL among them.
    pub fn new(identity: impl AsRef<[u8]>) -> Result<Self, TextError> {
        Text::new(identity).map(Self)
    }

    /// The identity without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The identity, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// Whether no identity is given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands before the last `@`, or `None` when the identity is a domain alone.
    pub fn user(&self) -> Option<&[u8]> {
        self.at().map(|at| &self.as_bytes()[..at])
    }

    /// What stands behind the last `@`, or all of it: the name that TLS asks for (SNI).
    pub fn domain(&self) -> &[u8] {
        &self.as_bytes()[self.at().map_or(0, |at| at + 1)..]
    }

    fn at(&self) -> Option<usize> {
        self.as_bytes().iter().rposition(|&byte| byte == b'@')
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_an_identity_has_up_to_127_bytes_and_no_nul() {
        assert_eq!(Identity::new([b'x'; 127]).unwrap().as_bytes().len(), 127);
        assert_eq!(Identity::new([b'x'; 128]), Err(TextError::TooLong { len: 128, limit: 127 }));
        assert_eq!(Identity::new(b"a\0b"), Err(TextError::Nul { at: 1 }));
        assert!(Identity::new("").unwrap().is_empty());
        assert_eq!(Identity::new([0xff]).unwrap().as_str(), None);
    }

    #[test]
    fn an_identity_is_a_user_at_a_domain_or_a_domain() {
        let parts = |text: &str| {
            let identity = Identity::new(text).unwrap();
            (identity.user().map(<[u8]>::to_vec), identity.domain().to_vec())
        };
        assert_eq!(parts("orvelte.nep"), (None, b"orvelte.nep".to_vec()));
        assert_eq!(
            parts("bakker@orvelte.nep"),
            (Some(b"bakker".to_vec()), b"orvelte.nep".to_vec())
        );
        assert_eq!(parts("a@b@c"), (Some(b"a@b".to_vec()), b"c".to_vec()));
        assert_eq!(parts("@"), (Some(b"".to_vec()), b"".to_vec()));
        assert_eq!(parts(""), (None, b"".to_vec()));
    }

    #[test]
    fn what_follows_the_nul_is_dropped() {
        assert_eq!(Text::terminated(b"pin\0left").unwrap().field(), b"pin\0\0\0\0\0");
        assert_eq!(Text::terminated(b"no end"), None);
        assert_eq!(Text::<4>::cut(b"no end").as_bytes(), b"no ");
    }
}

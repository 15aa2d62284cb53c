//! What the load asks of the backend, as the first bytes of a connection and again after each
//! answer.

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Send so many bytes of the pattern.
    Source(u64),
    /// Take and check so many bytes of the pattern, then answer with their number (8 bytes, big
    /// endian).
    Sink(u64),
    /// Send back so many bytes as they come.
    Echo(u64),
}

/// Length of a request in bytes.
pub(crate) const LENGTH: usize = 16;

/// A backend that is reached by something else hangs up, and so shows a wrong set-up.
const MAGIC: &[u8; 7] = b"levada\0";

impl Request {
    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let (kind, count) = match self {
            Self::Source(count) => (b'<', count),
            Self::Sink(count) => (b'>', count),
            Self::Echo(count) => (b'=', count),
        };
        let mut bytes = [0; LENGTH];
        bytes[..7].copy_from_slice(MAGIC);
        bytes[7] = kind;
        bytes[8..].copy_from_slice(&count.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (kind, count) = rest.split_first()?;
        let count = u64::from_be_bytes(*count.first_chunk()?);
        match (magic == MAGIC, kind) {
            (true, b'<') => Some(Self::Source(count)),
            (true, b'>') => Some(Self::Sink(count)),
            (true, b'=') => Some(Self::Echo(count)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_way() {
        for request in [Request::Source(0), Request::Sink(1 << 40), Request::Echo(u64::MAX)] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn others_are_no_requests() {
        assert_eq!(Request::decode(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(Request::decode(b"levada\0?\0\0\0\0\0\0\0\0"), None);
    }
}

//! What the peer's hello says that rustls does not tell.

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const EXTENDED_MASTER_SECRET: u16 = 23;
/// Content type, version and length of a record; kind and length of a handshake message.
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// No hello is longer: rustls takes no more either.
const LONGEST: usize = 64 * 1024;

/// The peer's ClientHello or ServerHello, until it is whole; then what is to be known of it.
pub(crate) enum PeerHello {
    /// What came of it so far.
    Coming(Vec<u8>),
    /// Whether it agrees to the extended master secret (RFC 7627): as a server rustls always does,
    /// and as a client it always asks for it, so that the peer's word decides.
    Known { extended_master_secret: bool },
}

impl PeerHello {
    pub(crate) const fn new() -> Self {
        Self::Coming(Vec::new())
    }

    pub(crate) const fn has_extended_master_secret(&self) -> bool {
        matches!(self, Self::Known { extended_master_secret: true })
    }

    /// Takes in a record of the peer, header included.
    pub(crate) fn take(&mut self, record: &[u8]) {
        let Self::Coming(hello) = self else { return };
        if record.first() != Some(&HANDSHAKE) {
            return;
        }
        hello.extend_from_slice(record.get(RECORD_HEADER..).unwrap_or_default());
        if hello.len() < MESSAGE_HEADER {
            return;
        }
        let length = u32::from_be_bytes([0, hello[1], hello[2], hello[3]]) as usize;
        let end = MESSAGE_HEADER + length;
        if hello.len() < end && end <= LONGEST {
            return;
        }
        let whole = hello.get(..end).and_then(agrees_to_extended_master_secret);
        *self = Self::Known { extended_master_secret: whole.unwrap_or(false) };
    }
}

/// Reads a hello (RFC 5246 section 7.4.1); `None` where it is damaged, which rustls finds, too.
fn agrees_to_extended_master_secret(hello: &[u8]) -> Option<bool> {
    let (&kind, _) = hello.split_first()?;
    // The version and the random bytes.
    let rest = hello.get(MESSAGE_HEADER + 2 + 32..)?;
    let (_session_id, rest) = split_counted(rest, 1)?;
    let rest = match kind {
        CLIENT_HELLO => {
            let (_cipher_suites, rest) = split_counted(rest, 2)?;
            split_counted(rest, 1)?.1
        }
        SERVER_HELLO => rest.get(2 + 1..)?,
        _ => return None,
    };
    let (mut extensions, _) = split_counted(rest, 2)?;
    while !extensions.is_empty() {
        let (kind, rest) = extensions.split_first_chunk()?;
        if u16::from_be_bytes(*kind) == EXTENDED_MASTER_SECRET {
            return Some(true);
        }
        extensions = split_counted(rest, 2)?.1;
    }
    Some(false)
}

/// Splits off what has its length before it, in so many bytes.
fn split_counted(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello with these extensions, as records of at most `most` bytes.
    fn records(kind: u8, extensions: &[u16], most: usize) -> Vec<Vec<u8>> {
        let mut body = vec![3; 34];
        body.extend([2, 9, 9]);
        body.extend(if kind == CLIENT_HELLO { &[0, 2, 1, 1, 1, 0][..] } else { &[1, 1, 0] });
        body.extend(((extensions.len() * 5) as u16).to_be_bytes());
        for extension in extensions {
            body.extend(extension.to_be_bytes());
            body.extend([0, 1, 7]);
        }
        let mut message = vec![kind, 0, 0, body.len() as u8];
        message.extend(body);
        let record = |piece: &[u8]| [&[22, 3, 3, 0, piece.len() as u8], piece].concat();
        message.chunks(most).map(record).collect()
    }

    fn known(records: &[Vec<u8>]) -> bool {
        let mut hello = PeerHello::new();
        for record in records {
            hello.take(record);
        }
        assert!(matches!(hello, PeerHello::Known { .. }));
        hello.has_extended_master_secret()
    }

    #[test]
    fn the_extension_is_found_in_either_hello_however_it_is_cut() {
        for kind in [CLIENT_HELLO, SERVER_HELLO] {
            for most in [1, 3, 7, 1000] {
                assert!(known(&records(kind, &[5, 23], most)), "{kind} {most}");
                assert!(!known(&records(kind, &[5, 22], most)), "{kind} {most}");
                assert!(!known(&records(kind, &[], most)), "{kind} {most}");
            }
        }
    }

    #[test]
    fn what_is_no_hello_agrees_to_nothing() {
        assert!(!known(&[vec![22, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff]]), "longer than any hello");
        let whole = records(CLIENT_HELLO, &[23], 1000).remove(0);
        for length in 3..whole.len() - 5 - MESSAGE_HEADER {
            let mut cut = whole[..5 + MESSAGE_HEADER + length].to_vec();
            cut[8] = length as u8;
            assert!(!known(&[cut]), "{length}");
        }
        let mut hello = PeerHello::new();
        hello.take(&[21, 3, 3, 0, 2, 2, 40]);
        hello.take(&[22]);
        assert!(!hello.has_extended_master_secret());
    }
}

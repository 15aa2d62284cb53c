//! What the peer's hello says that rustls does not tell.

use crate::hello::CLIENT_HELLO;
use crate::reader::Reader;
use crate::record;

const SERVER_HELLO: u8 = 2;
const EXTENDED_MASTER_SECRET: u16 = 23;
/// No hello is longer: rustls takes no more either.
const LONGEST: usize = 64 * 1024;

/// The peer's ClientHello or ServerHello, until it is whole; then what is to be known of it.
pub(crate) enum PeerHello {
    /// What came of it so far.
    Coming(Vec<u8>),
    /// Whether it agrees to the extended master secret (RFC 7627): as a server rustls always does,
    /// and as a client it always asks for it, so that the peer's word decides.
    Known {
        extended_master_secret: bool,
        /// Its random bytes; zeros where it is damaged.
        random: [u8; 32],
    },
}

impl PeerHello {
    pub(crate) const fn new() -> Self {
        Self::Coming(Vec::new())
    }

    pub(crate) const fn has_extended_master_secret(&self) -> bool {
        matches!(self, Self::Known { extended_master_secret: true, .. })
    }

    /// Its random bytes; none before it is whole.
    pub(crate) fn random(&self) -> &[u8] {
        match self {
            Self::Coming(_) => &[],
            Self::Known { random, .. } => random,
        }
    }

    /// Takes in a record of the peer, header included.
    pub(crate) fn take(&mut self, record: &[u8]) {
        let Self::Coming(hello) = self else { return };
        let Some(content) = record::handshake(record) else { return };
        hello.extend_from_slice(content);
        let extended_master_secret = match Reader(hello).message() {
            // rustls finds what is damaged, too.
            Some((kind, body)) => agrees_to_extended_master_secret(kind, body).unwrap_or(false),
            None if hello.len() > LONGEST => false,
            None => return,
        };
        let random = random_of(hello).unwrap_or_default();
        *self = Self::Known { extended_master_secret, random };
    }
}

/// The random bytes of a hello, of which the front is enough.
pub(crate) fn random_of(hello: &[u8]) -> Option<[u8; 32]> {
    let mut hello = Reader(hello);
    let _kind_and_length = hello.take(4)?;
    let _version = hello.take(2)?;
    hello.take(32)?.try_into().ok()
}

/// Reads a hello (RFC 5246 section 7.4.1); `None` where it is damaged.
fn agrees_to_extended_master_secret(kind: u8, mut hello: Reader<'_>) -> Option<bool> {
    // The version and the random bytes, and the session id.
    hello.take(2 + 32)?;
    hello.vector8()?;
    match kind {
        CLIENT_HELLO => {
            let _cipher_suites = hello.vector16()?;
            let _compressions = hello.vector8()?;
        }
        SERVER_HELLO => {
            let _cipher_suite_and_compression = hello.take(2 + 1)?;
        }
        _ => return None,
    }
    let mut extensions = hello.vector16()?;
    while !extensions.is_empty() {
        if extensions.extension()?.0 == EXTENDED_MASTER_SECRET {
            return Some(true);
        }
    }
    Some(false)
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
        let endless = [&[22, 3, 3, 0x40, 0, 1, 0xff, 0xff][..], &[0xff; 16 * 1024 - 3]].concat();
        assert!(!known(&vec![endless; 5]), "longer than any hello");
        let whole = records(CLIENT_HELLO, &[23], 1000).remove(0);
        for length in 3..whole.len() - 5 - 4 {
            let mut cut = whole[..5 + 4 + length].to_vec();
            cut[8] = length as u8;
            assert!(!known(&[cut]), "{length}");
        }
        let mut hello = PeerHello::new();
        hello.take(&[21, 3, 3, 0, 2, 2, 40]);
        hello.take(&[22]);
        assert!(!hello.has_extended_master_secret());
    }
}

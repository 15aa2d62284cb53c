//! The certificates that a peer has shown, as a text of PAGE.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

/// The certificates that a peer has shown, its own first, each in DER; it travels as
/// [`Document::PeerChain`](crate::Document::PeerChain).
///
/// Layout: each certificate behind its length, 3 bytes, the highest first, as TLS writes them (RFC 5246
/// section 7.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain(pub Vec<Vec<u8>>);

impl Chain {
    /// The most bytes that a chain has, with its lengths.
    pub const MAX_LEN: usize = 256 * 1024;

    /// The bytes of a chain; what does not fit any more is left out, from the end.
    pub fn encode<T: AsRef<[u8]>>(certificates: impl IntoIterator<Item = T>) -> Vec<u8> {
        let mut out = Vec::new();
        for certificate in certificates {
            let der = certificate.as_ref();
            if der.is_empty() || out.len() + 3 + der.len() > Self::MAX_LEN {
                break;
            }
            out.extend_from_slice(&(der.len() as u32).to_be_bytes()[1..]);
            out.extend_from_slice(der);
        }
        out
    }

    /// The chain that these bytes are.
    ///
    /// # Errors
    ///
    /// [`NoChain`] for anything that [`encode`](Self::encode) does not make.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoChain> {
        if bytes.len() > Self::MAX_LEN {
            return Err(NoChain);
        }
        let (mut certificates, mut rest) = (Vec::new(), bytes);
        while let Some((&[high, middle, low], behind)) = rest.split_first_chunk() {
            let len = u32::from_be_bytes([0, high, middle, low]) as usize;
            let (der, behind) = behind.split_at_checked(len).ok_or(NoChain)?;
            if der.is_empty() {
                return Err(NoChain);
            }
            certificates.push(der.to_vec());
            rest = behind;
        }
        if rest.is_empty() { Ok(Self(certificates)) } else { Err(NoChain) }
    }
}

/// Lengths that do not add up, or more bytes than a chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoChain;

impl fmt::Display for NoChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool's chain of certificates cannot be read: its lengths do not add up")
    }
}

impl Error for NoChain {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        for bytes in [&[0][..], &[0, 0], &[0, 0, 0], &[0, 0, 2, 1], &[0, 0, 1, 1, 0]] {
            assert_eq!(Chain::decode(bytes), Err(NoChain), "{bytes:?}");
        }
        assert_eq!(Chain::decode(&vec![0; Chain::MAX_LEN + 1]), Err(NoChain));
        assert_eq!(Chain::decode(&[]), Ok(Chain::default()));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let certificates = vec![vec![1; 100_000], vec![2; 100_000], vec![3; 100_000], vec![4]];
        let bytes = Chain::encode(&certificates);
        assert_eq!(Chain::decode(&bytes), Ok(Chain(certificates[..2].to_vec())));
    }

    proptest! {
        #[test]
        fn a_chain_survives(
            certificates in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 0..6),
        ) {
            let bytes = Chain::encode(&certificates);
            prop_assert_eq!(Chain::decode(&bytes), Ok(Chain(certificates)));
        }

        #[test]
        fn any_bytes_are_a_chain_or_an_error(bytes in prop::collection::vec(0..4_u8, 0..40)) {
            if let Ok(Chain(certificates)) = Chain::decode(&bytes) {
                prop_assert_eq!(Chain::encode(&certificates), bytes);
            }
        }
    }
}

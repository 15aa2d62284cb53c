//! Secrets of a session become the keys that its records are sealed with.
//!
//! Source: RFC 8446 sections 7.2 and 7.3; RFC 5246 section 6.3, RFC 5288 section 3, RFC 7905 section 2.

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use levada_core::Role;
use rustls::crypto::tls13::OkmBlock;
use rustls::{CipherSuite, Tls12CipherSuite, Tls13CipherSuite};
use zeroize::Zeroizing;

use crate::record::APPLICATION_DATA;
use crate::version::TlsVersion;

/// How records are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordCipher {
    /// AES-128 in GCM.
    Aes128Gcm,
    /// AES-256 in GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    Chacha20Poly1305,
}

impl RecordCipher {
    pub(crate) const fn of(suite: CipherSuite) -> Option<Self> {
        Some(match suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Self::Aes128Gcm,
            CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Self::Aes256Gcm,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Self::Chacha20Poly1305,
            _ => return None,
        })
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
            Self::Chacha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// What the records of one direction are sealed with, from some record on. Wiped when dropped; `Debug`
/// does not show it.
pub struct RecordKeys {
    /// The version of TLS.
    pub version: TlsVersion,
    /// How they are sealed.
    pub cipher: RecordCipher,
    /// The key, of the cipher's length.
    pub key: Zeroizing<Vec<u8>>,
    /// The nonce, before the sequence number is added to it. With AES in TLS 1.2, the salt of 4 bytes and
    /// then the explicit part of the next record that we send: it has to be counted up from there, and
    /// none from before may come again.
    pub nonce: Zeroizing<[u8; 12]>,
    /// The sequence number of the next record.
    pub sequence: u64,
}

impl RecordKeys {
    /// Protects the next record: up to 16384 bytes of this content type.
    pub(crate) fn seal(&mut self, content_type: u8, content: &[u8]) -> Option<Vec<u8>> {
        let algorithm = self.cipher.algorithm();
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &self.key).ok()?);
        let is_explicit =
            self.version == TlsVersion::V1_2 && self.cipher != RecordCipher::Chacha20Poly1305;
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = *self.nonce;
        if is_explicit {
            let next = u64::from_be_bytes(*self.nonce.last_chunk()?).wrapping_add(1);
            self.nonce[4..].copy_from_slice(&next.to_be_bytes());
        } else {
            for (byte, number) in nonce[4..].iter_mut().zip(sequence) {
                *byte ^= number;
            }
        }
        let explicit = if is_explicit { &nonce[4..] } else { &[] };
        let header = |content_type, length: usize| {
            let [high, low] = (length as u16).to_be_bytes();
            [content_type, 3, 3, high, low]
        };
        let (mut body, header, additional) = match self.version {
            // RFC 8446 section 5.2.
            TlsVersion::V1_3 => {
                let inner = [content, &[content_type]].concat();
                let header = header(APPLICATION_DATA, inner.len() + algorithm.tag_len());
                (inner, header, header.to_vec())
            }
            // RFC 5246 section 6.2.3.3.
            TlsVersion::V1_2 => {
                let additional = [&sequence[..], &header(content_type, content.len())].concat();
                let length = explicit.len() + content.len() + algorithm.tag_len();
                (content.to_vec(), header(content_type, length), additional)
            }
        };
        let whole = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(whole, Aad::from(additional), &mut body).ok()?;
        Some([&header, explicit, &body].concat())
    }
}

impl fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordKeys")
            .field("version", &self.version)
            .field("cipher", &self.cipher)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// A secret of TLS 1.3 that the records of one direction are sealed under, until it is renewed.
pub(crate) type TrafficSecret = Zeroizing<Vec<u8>>;

/// The keys of `secret`, from the record with the number `sequence` on.
pub(crate) fn tls13_keys(
    suite: &Tls13CipherSuite,
    secret: &[u8],
    sequence: u64,
) -> Option<RecordKeys> {
    let cipher = RecordCipher::of(suite.common.suite)?;
    let mut key = Zeroizing::new(vec![0; cipher.algorithm().key_len()]);
    let mut nonce = Zeroizing::new([0; 12]);
    expand(suite, secret, b"key", &[], &mut key)?;
    expand(suite, secret, b"iv", &[], &mut nonce[..])?;
    Some(RecordKeys { version: TlsVersion::V1_3, cipher, key, nonce, sequence })
}

/// The secret behind `secret`.
pub(crate) fn next_secret(suite: &Tls13CipherSuite, secret: &[u8]) -> Option<TrafficSecret> {
    let mut next = Zeroizing::new(vec![0; secret.len()]);
    expand(suite, secret, b"traffic upd", &[], &mut next)?;
    Some(next)
}

/// HKDF-Expand-Label (RFC 8446 section 7.1), with a label of up to 249 bytes.
pub(crate) fn expand(
    suite: &Tls13CipherSuite,
    secret: &[u8],
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let length = (out.len() as u16).to_be_bytes();
    let label_length = [b"tls13 ".len() as u8 + label.len() as u8];
    let context_length = [context.len() as u8];
    let info: [&[u8]; 6] = [&length, &label_length, b"tls13 ", label, &context_length, context];
    suite.hkdf_provider.expander_for_okm(&OkmBlock::new(secret)).expand_slice(&info, out).ok()
}

/// What the keys of a TLS 1.2 session come from.
pub(crate) struct Tls12Secrets<'a> {
    pub(crate) master: &'a [u8],
    pub(crate) client_random: &'a [u8],
    pub(crate) server_random: &'a [u8],
}

impl Tls12Secrets<'_> {
    /// The keys that `role` sends and receives with, behind so many records in each direction.
    pub(crate) fn keys(
        &self,
        suite: &Tls12CipherSuite,
        role: Role,
        sequence: u64,
    ) -> Option<(RecordKeys, RecordKeys)> {
        let cipher = RecordCipher::of(suite.common.suite)?;
        let shape = suite.aead_alg.key_block_shape();
        let (key_len, iv_len) = (shape.enc_key_len, shape.fixed_iv_len);
        let mut block = Zeroizing::new(vec![0; 2 * (key_len + iv_len) + shape.explicit_nonce_len]);
        let seed = [self.server_random, self.client_random].concat();
        suite.prf_provider.for_secret(&mut block, self.master, b"key expansion", &seed);
        let (keys, ivs) = block.split_at(2 * key_len);
        let (ivs, explicit) = ivs.split_at(2 * iv_len);
        let of = |key: &[u8], iv: &[u8]| {
            let mut nonce = Zeroizing::new([0; 12]);
            nonce[..iv_len].copy_from_slice(iv);
            if let Ok(explicit) = explicit.try_into() {
                let first = first_unused(u64::from_be_bytes(explicit), sequence);
                nonce[iv_len..].copy_from_slice(&first.to_be_bytes());
            }
            let key = Zeroizing::new(key.to_vec());
            RecordKeys { version: TlsVersion::V1_2, cipher, key, nonce, sequence }
        };
        let client = of(&keys[..key_len], &ivs[..iv_len]);
        let server = of(&keys[key_len..], &ivs[iv_len..]);
        Some(match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        })
    }
}

/// The first explicit nonce to count up from behind `sent` records whose nonces were `start` with their
/// number added bit by bit, as rustls does it: none may come twice under one key (RFC 5288 section 3).
const fn first_unused(start: u64, sent: u64) -> u64 {
    let Some(last) = sent.checked_sub(1) else { return start };
    // The nonces from before lie in one block of a power of two; the next begins behind it.
    let low = match last.checked_ilog2() {
        Some(bits) => u64::MAX >> (63 - bits),
        None => 0,
    };
    (start | low).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_explicit_nonce_comes_twice() {
        for start in [0, 1, 2, 7, 0x1234_5678_9abc_def0, u64::MAX - 1, u64::MAX] {
            for sent in 0..40 {
                let first = first_unused(start, sent);
                let used: Vec<_> = (0..sent).map(|number| start ^ number).collect();
                for next in 0..200_u64 {
                    assert!(!used.contains(&first.wrapping_add(next)), "{start:x} {sent} {next}");
                }
            }
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = RecordKeys {
            version: TlsVersion::V1_3,
            cipher: RecordCipher::Aes128Gcm,
            key: Zeroizing::new(vec![77; 16]),
            nonce: Zeroizing::new([78; 12]),
            sequence: 3,
        };
        let shown = format!("{keys:?}");
        assert!(!shown.contains("77") && !shown.contains("78"), "{shown}");
    }
}

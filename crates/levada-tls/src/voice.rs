//! Alerts that rustls does not send: in plaintext, or sealed by ourselves.
//!
//! rustls tells the peer nothing when a signer fails, nor of some other faults, and nobody but it can
//! seal a record. But what it made of the record that failed has not left yet and never will. So the
//! alert takes the place of that: in plaintext where our records are not encrypted yet, else as the
//! first record under the key that rustls had told us of. In TLS 1.2 only Finished stands behind the
//! change of keys, so there is nothing to say between that and the peer's own Finished.

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use levada_core::AlertDescription;
use rustls::crypto::tls13::OkmBlock;
use rustls::{CipherSuite, Tls13CipherSuite};
use zeroize::Zeroizing;

use crate::record;

const APPLICATION_DATA: u8 = 23;

/// How an alert of ours is to be said in the handshake.
pub(crate) enum Voice {
    /// Our records are not encrypted yet.
    Plain,
    /// They are encrypted, and the next one is the first under this secret of TLS 1.3.
    Sealed(&'static Tls13CipherSuite, Zeroizing<Vec<u8>>),
    /// They are encrypted, and by rustls alone.
    Mute,
}

impl Voice {
    /// A record with this alert, or nothing where none can be made.
    pub(crate) fn alert(&self, alert: AlertDescription) -> Option<Vec<u8>> {
        let plain = record::alert_record(alert);
        match self {
            Self::Plain => Some(plain.to_vec()),
            Self::Sealed(suite, secret) => seal_first(suite, secret, plain),
            Self::Mute => None,
        }
    }
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Sealed(..) => "Sealed",
            Self::Mute => "Mute",
        })
    }
}

/// Protects the `plain` record as the first one under `secret` (RFC 8446 section 5.2): the nonce of
/// sequence number 0 is the IV itself.
fn seal_first(suite: &Tls13CipherSuite, secret: &[u8], plain: [u8; 7]) -> Option<Vec<u8>> {
    let algorithm: &Algorithm = match suite.common.suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => &AES_128_GCM,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => &AES_256_GCM,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => &CHACHA20_POLY1305,
        _ => return None,
    };
    let mut key = Zeroizing::new(vec![0; algorithm.key_len()]);
    let mut iv = [0; NONCE_LEN];
    expand(suite, secret, b"key", &mut key)?;
    expand(suite, secret, b"iv", &mut iv)?;

    let [content_type, _, _, _, _, level, description] = plain;
    let mut inner = vec![level, description, content_type];
    let length = (inner.len() + algorithm.tag_len()) as u8;
    let mut record = vec![APPLICATION_DATA, 3, 3, 0, length];
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).ok()?);
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(iv),
        Aad::from(&record[..]),
        &mut inner,
    )
    .ok()?;
    record.extend(inner);
    Some(record)
}

/// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
fn expand(suite: &Tls13CipherSuite, secret: &[u8], label: &[u8], out: &mut [u8]) -> Option<()> {
    let length = (out.len() as u16).to_be_bytes();
    let label_length = [b"tls13 ".len() as u8 + label.len() as u8];
    let info: [&[u8]; 5] = [&length, &label_length, b"tls13 ", label, &[0]];
    suite.hkdf_provider.expander_for_okm(&OkmBlock::new(secret)).expand_slice(&info, out).ok()
}

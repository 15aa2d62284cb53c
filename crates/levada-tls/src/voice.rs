//! Alerts that rustls does not send: in plaintext, or sealed by ourselves.
//!
//! rustls tells the peer nothing when a signer fails, nor of some other faults, and nobody but it can
//! seal a record. But what it made of the record that failed has not left yet and never will. So the
//! alert takes the place of that: in plaintext where our records are not encrypted yet, else as the
//! first record under the key that rustls had told us of. In TLS 1.2 only Finished stands behind the
//! change of keys, so there is nothing to say between that and the peer's own Finished.

use std::fmt;

use levada_core::AlertDescription;
use rustls::Tls13CipherSuite;

use crate::record;
use crate::record_keys::{TrafficSecret, tls13_keys};

/// How an alert of ours is to be said in the handshake.
pub(crate) enum Voice {
    /// Our records are not encrypted yet.
    Plain,
    /// They are encrypted, and the next one is the first under this secret of TLS 1.3.
    Sealed(&'static Tls13CipherSuite, TrafficSecret),
    /// They are encrypted, and by rustls alone.
    Mute,
}

impl Voice {
    /// A record with this alert, or nothing where none can be made.
    pub(crate) fn alert(&self, alert: AlertDescription) -> Option<Vec<u8>> {
        let plain = record::alert_record(alert);
        match self {
            Self::Plain => Some(plain.to_vec()),
            Self::Sealed(suite, secret) => {
                let [content_type, _, _, _, _, content @ ..] = plain;
                tls13_keys(suite, secret, 0)?.seal(content_type, &content)
            }
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

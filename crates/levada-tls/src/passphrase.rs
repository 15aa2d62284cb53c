//! Passphrases: bytes that are wiped after use and never shown.

use std::fmt;

use zeroize::Zeroizing;

/// A passphrase, byte for byte: take off the line end of a file before. Wiped when dropped; its
/// `Debug` does not show it.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes `bytes` over; no copy is made.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for whoever they are to be shown to.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

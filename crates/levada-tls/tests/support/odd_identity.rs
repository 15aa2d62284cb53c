//! What must hold of whatever is given as an identity. Shared by the tests and the fuzz target.

use levada_tls::{Identity, Passphrase};

/// The passphrase of the keys in the corpus.
pub(crate) const PASSPHRASE: &str = "correct-horse";

/// Reads `file` as a chain with its key, as a key beside a good certificate, and as a certificate.
///
/// # Panics
///
/// When what is said about it shows the passphrase, or cannot stand in a log.
pub(crate) fn check(file: &[u8]) {
    const CERT: &[u8] = include_bytes!("../data/ec-cert.pem");
    const KEY: &[u8] = include_bytes!("../data/ec-pkcs8.pem");
    for (chain, key) in [(file, None), (CERT, Some(file)), (file, Some(KEY))] {
        let mut is_asked = false;
        let read = Identity::with_passphrase(chain, key, || {
            is_asked = true;
            Some(Passphrase::new(PASSPHRASE.into()))
        });
        let said = match read {
            Ok(identity) => format!("{identity:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!said.contains(PASSPHRASE), "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}

//! What must hold of whatever is given as revocation lists. Shared by the tests and the fuzz target.

use levada_tls::Crls;

/// Reads `file`.
///
/// # Panics
///
/// When there are lists without one, or what is said about it cannot stand in a log.
pub(crate) fn check(file: &[u8]) {
    match Crls::from_bytes(file) {
        Ok(crls) => assert!(!crls.is_empty(), "{crls:?}"),
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains(char::is_control) && !said.is_empty(), "{said:?}");
        }
    }
}

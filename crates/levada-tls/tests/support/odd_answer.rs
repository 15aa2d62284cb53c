//! What must hold of whatever a signer in another process answers. Shared by the tests and the fuzz
//! target.

use levada_tls::{MAX_SIGNING_ANSWER, read_signing_answer};

/// Reads `answer`.
///
/// # Panics
///
/// When a signature is longer than an answer may be, or what is said could not stand in a log.
pub(crate) fn check(answer: &[u8]) {
    match read_signing_answer(answer) {
        Ok(signature) => {
            assert!(signature.len() < MAX_SIGNING_ANSWER && answer.starts_with(b"signature "));
        }
        Err(why) => assert!(!why.contains(char::is_control), "{why:?}"),
    }
}

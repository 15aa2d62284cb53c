//! What must hold of whatever is stapled to a certificate. Shared by the tests and the fuzz target.

use levada_core::StapleStatus;
use levada_tls::read_staple;

/// Reads `der`.
///
/// # Panics
///
/// When what is told of it contradicts itself, or could not stand in a log.
pub(crate) fn check(der: &[u8]) {
    let staple = read_staple(der);
    assert_eq!(staple.bytes, der.len());
    let answered =
        matches!(staple.status, StapleStatus::Good | StapleStatus::Revoked | StapleStatus::Unknown);
    assert!(!answered || (staple.serial.is_some() && staple.this_update.is_some()));
    let serial = staple.serial.unwrap_or_default();
    assert!(serial.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')), "{serial}");
    assert!(serial.len() <= 2 * der.len());
}

//! A server that says anything: what must hold whatever comes, in whatever pieces. Shared by the property
//! tests and the fuzz target.

use levada_probe::{Answer, Reader, Until};

/// Reads one answer whole and in pieces; the first byte says how it is cut.
///
/// # Panics
///
/// When the two differ.
pub(crate) fn check(data: &[u8]) {
    let [cut, wire @ ..] = data else { return };
    for until in [Until::ServerHello, Until::Group] {
        let whole = Reader::new(until).take(wire);
        let mut reader = Reader::new(until);
        let mut pieces = wire.chunks(1 + usize::from(*cut));
        let cut = pieces.find_map(|piece| reader.take(piece));
        match (&whole, &cut) {
            // Of what is no TLS, the first piece tells less.
            (Some(Answer::NotTls(whole)), Some(Answer::NotTls(cut))) => {
                assert!(whole.starts_with(cut) && whole.len() <= 16);
            }
            _ => assert_eq!(whole, cut),
        }
    }
}

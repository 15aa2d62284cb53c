//! Whatever a proxy answers, it is read without harm, and the same in any pieces.

use levada::ProxyAnswer;

/// The end of the answer, if it has one.
pub(crate) fn run(input: &[u8]) {
    let whole = ProxyAnswer::default().handle_wire(input);
    if let Ok(Some(end)) = whole {
        assert!(input[..end].ends_with(b"\n"), "it ends with its head");
    }
    let mut pieces = ProxyAnswer::default();
    let ends = (1..).zip(input.chunks(1));
    let bytewise = ends
        .map(|(at, byte)| pieces.handle_wire(byte).map(|end| end.map(|_| at)))
        .find_map(Result::transpose)
        .transpose();
    assert_eq!(bytewise, whole);
}

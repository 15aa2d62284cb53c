//! What holds for any bytes that pass for a report. The fuzz target `pool_report` and the tests share
//! this function.

use levada_pool_wire::Report;

/// Reads a report and writes it: it is the same then, but for texts that are too long and words that we
/// do not know.
pub(crate) fn check(data: &[u8]) {
    let report = match Report::decode(data) {
        Ok(report) => report,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let ours = report.encode();
    let again = Report::decode(&ours).expect("our own reports are reports");
    assert_eq!(again.encode(), ours);
    let Report { tls, peer_goodbye, ending, peer_chain_sha256 } = &report;
    assert_eq!(again.peer_goodbye, *peer_goodbye);
    assert_eq!(again.tls.is_some(), tls.is_some());
    assert_eq!(again.peer_chain_sha256, *peer_chain_sha256);
    // It can be told.
    if let Some(ending) = ending {
        assert_eq!(again.ending.as_ref().map(levada_core::Ending::code), Some(ending.code()));
        let _ = (ending.to_string(), ending.is_clean(), format!("{again:?}"));
    }
}

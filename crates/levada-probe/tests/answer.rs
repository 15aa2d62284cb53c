//! What a server may answer to a ClientHello, whole, in pieces and broken.

#[path = "support/hostile.rs"]
mod hostile;

use levada_core::AlertDescription;
use levada_probe::{Answer, Chosen, Reader, Until};
use proptest::prelude::*;

/// A handshake message in a record of its own.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![22, 3, 3, 0, body.len() as u8 + 4, kind, 0, 0, body.len() as u8];
    record.extend(body);
    record
}

fn server_hello(version: [u8; 2], suite: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([9; 32]);
    body.extend([0, suite[0], suite[1], 0]);
    if !extensions.is_empty() {
        body.extend([0, extensions.len() as u8]);
        body.extend(extensions);
    }
    message(2, &body)
}

fn given(until: Until, wire: &[u8]) -> Option<Answer> {
    Reader::new(until).take(wire)
}

fn chosen(version: u16, suite: u16, group: Option<u16>) -> Answer {
    Answer::Chosen(Chosen { version, suite, group })
}

#[test]
fn tls_1_3_tells_version_and_group_in_extensions() {
    let retry = server_hello([3, 3], [0x13, 1], &[0, 51, 0, 2, 0x11, 0xec, 0, 43, 0, 2, 3, 4]);
    let answer = chosen(0x0304, 0x1301, Some(0x11ec));
    for until in [Until::ServerHello, Until::Group] {
        assert_eq!(given(until, &retry), Some(answer.clone()));
    }
}

#[test]
fn before_tls_1_3_the_group_comes_behind_the_certificates() {
    let mut wire = server_hello([3, 3], [0xc0, 0x2f], &[]);
    assert_eq!(given(Until::ServerHello, &wire), Some(chosen(0x0303, 0xc02f, None)));
    assert_eq!(given(Until::Group, &wire), None);
    wire.extend(message(11, &[0; 100]));
    wire.extend(message(12, &[3, 0, 0x1d, 1, 2, 3]));
    assert_eq!(given(Until::Group, &wire), Some(chosen(0x0303, 0xc02f, Some(0x1d))));
}

#[test]
fn a_suite_without_a_group_says_so_by_its_last_message() {
    let mut wire = server_hello([3, 1], [0, 0x2f], &[]);
    let mut reader = Reader::new(Until::Group);
    assert_eq!(reader.take(&wire), None);
    assert_eq!(reader.finish(), Some(chosen(0x0301, 0x2f, None)), "or by its end");
    wire.extend(message(14, &[]));
    assert_eq!(given(Until::Group, &wire), Some(chosen(0x0301, 0x2f, None)));
}

#[test]
fn a_warning_is_no_answer_and_a_fatal_alert_is_one() {
    let mut wire = vec![21, 3, 1, 0, 2, 1, 112];
    assert_eq!(given(Until::ServerHello, &wire), None);
    wire.extend(server_hello([3, 1], [0, 0x2f], &[]));
    assert_eq!(given(Until::ServerHello, &wire), Some(chosen(0x0301, 0x2f, None)));
    let refused = Some(Answer::Alert(AlertDescription::HANDSHAKE_FAILURE));
    assert_eq!(given(Until::ServerHello, &[21, 3, 0, 0, 2, 2, 40]), refused);
}

#[test]
fn what_is_no_tls_is_told_from_tls_that_is_wrong() {
    let http = b"HTTP/1.1 400 Bad Request\r\n";
    assert_eq!(given(Until::ServerHello, http), Some(Answer::NotTls(http[..16].to_vec())));
    for wrong in [
        &[21, 3, 3, 0, 1, 2][..],
        &[23, 3, 3, 0, 1, 2],
        &message(11, &[1]),
        &message(2, &[3, 3]),
        &server_hello([3, 3], [0, 0x2f], &[0, 43, 0, 9]),
    ] {
        let answer = given(Until::ServerHello, wrong);
        assert!(matches!(answer, Some(Answer::Malformed(_))), "{wrong:?}: {answer:?}");
    }
}

#[test]
fn a_server_that_never_comes_to_the_point_is_left() {
    let mut reader = Reader::new(Until::ServerHello);
    let warning = [21, 3, 3, 0, 2, 1, 112].repeat(1000);
    let answer = std::iter::repeat_with(|| reader.take(&warning)).take(100).flatten().next();
    assert!(matches!(answer, Some(Answer::Malformed(_))), "{answer:?}");
}

/// The committed fuzz corpus through the body of the fuzz target, and every beginning of each input.
#[test]
fn the_corpus_does_no_harm() {
    for input in levada_testkit::fuzz::corpus("probe_answer") {
        (0..=input.len()).for_each(|end| hostile::check(&input[..end]));
    }
}

proptest! {
    #[test]
    fn pieces_make_no_difference_and_nothing_does_harm(
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        hostile::check(&data);
    }

    #[test]
    fn nor_do_altered_answers(
        at in 0_usize..200,
        bits in 1_u8..,
        cut in any::<u8>(),
    ) {
        let mut wire = server_hello([3, 3], [0xc0, 0x2f], &[0, 51, 0, 2, 0, 0x1d]);
        wire.extend(message(11, &[0; 100]));
        wire.extend(message(12, &[3, 0, 0x1d, 1, 2, 3]));
        let at = at % wire.len();
        wire[at] ^= bits;
        wire.insert(0, cut);
        hostile::check(&wire);
    }
}

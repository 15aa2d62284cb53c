//! Whatever is stapled to a certificate, reading it does no harm.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use levada_core::StapleStatus;
use levada_testkit::fuzz::corpus;
use levada_tls::read_staple;

#[path = "support/odd_staple.rs"]
mod odd_staple;

const GOOD: &[u8] = include_bytes!("../../../fuzz/corpus/staple/good");

#[test]
fn the_fuzzers_corpus_is_read() {
    for case in corpus("staple") {
        odd_staple::check(&case);
    }
}

#[test]
fn each_piece_and_each_flipped_bit_is_no_harm() {
    for length in 0..GOOD.len() {
        odd_staple::check(&GOOD[..length]);
        assert_eq!(read_staple(&GOOD[..length]).status, StapleStatus::Unreadable);
    }
    for index in 0..GOOD.len() {
        for bit in 0..8 {
            let mut altered = GOOD.to_vec();
            altered[index] ^= 1 << bit;
            odd_staple::check(&altered);
        }
    }
}

#[test]
fn what_openssl_says_of_a_certificate_is_told() {
    let good = read_staple(GOOD);
    assert_eq!((good.status, good.serial.as_deref()), (StapleStatus::Good, Some("1234")));
    let [this, next] = [good.this_update, good.next_update].map(Option::unwrap);
    assert_eq!(next - this, 7 * 24 * 3600);
    let revoked = read_staple(include_bytes!("../../../fuzz/corpus/staple/revoked"));
    assert_eq!((revoked.status, revoked.serial.as_deref()), (StapleStatus::Revoked, Some("1234")));
    let unknown = read_staple(include_bytes!("../../../fuzz/corpus/staple/unknown"));
    assert_eq!((unknown.status, unknown.next_update), (StapleStatus::Unknown, None));
    let later = read_staple(include_bytes!("../../../fuzz/corpus/staple/try-later"));
    assert_eq!((later.status, later.serial), (StapleStatus::NoAnswer, None));
}

//! Whatever comes in, a session neither panics nor goes round in circles, and keeps its promises.

use levada_testkit::fuzz::corpus;
use proptest::prelude::*;

#[path = "support/hostile.rs"]
mod hostile;

#[test]
fn the_fuzzers_corpus_passes() {
    for case in corpus("tls_session") {
        hostile::check(&case);
    }
}

#[test]
fn a_true_handshake_in_any_pieces_is_no_harm() {
    for mode in [2, 3, 6, 7] {
        for cut in [0, 1, 2, 80, 255] {
            hostile::check(&[mode, cut]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_no_harm(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        hostile::check(&data);
    }

    #[test]
    fn garbage_in_records_is_no_harm(
        role in 0_u8..2,
        cut in any::<u8>(),
        records in proptest::collection::vec(
            (19_u8..26, 0_u8..5, proptest::collection::vec(any::<u8>(), 0..80), 0_u8..2),
            0..12,
        ),
    ) {
        let mut data = vec![role, cut, 21, 3, 1, 0, 2, 1, 90];
        for (content, minor, body, excess) in records {
            data.extend([content, 3, minor, 0, body.len() as u8 + excess]);
            data.extend(body);
        }
        hostile::check(&data);
    }

    #[test]
    fn altered_handshakes_are_no_harm(
        mode in 2_u8..8,
        cut in any::<u8>(),
        flips in proptest::collection::vec((0_u16..3000, any::<u8>()), 1..4),
    ) {
        let mut data = vec![mode, cut];
        for (distance, bits) in flips {
            data.extend(distance.to_be_bytes());
            data.push(bits);
        }
        hostile::check(&data);
    }
}

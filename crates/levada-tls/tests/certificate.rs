//! Whatever is shown as a certificate, reading it does no harm.

#[path = "support/odd_certificate.rs"]
mod odd_certificate;

use levada_testkit::fuzz::corpus;

const TRUE_ONE: &[u8] = include_bytes!("data/ec-cert.der");

#[test]
fn the_fuzzers_corpus_is_read() {
    for case in corpus("certificate") {
        odd_certificate::check(&case);
    }
}

#[test]
fn each_piece_and_each_flipped_bit_is_no_harm() {
    assert!(levada_tls::read_certificate(TRUE_ONE).read().is_some());
    for length in 0..TRUE_ONE.len() {
        assert!(levada_tls::read_certificate(&TRUE_ONE[..length]).read().is_none());
    }
    for index in 0..TRUE_ONE.len() {
        for bit in 0..8 {
            let mut altered = TRUE_ONE.to_vec();
            altered[index] ^= 1 << bit;
            odd_certificate::check(&altered);
        }
    }
}

#[test]
fn every_kind_of_name_is_told_as_it_was_put_in() {
    let shown =
        levada_tls::read_certificate(include_bytes!("../../../fuzz/corpus/certificate/names"));
    let facts = shown.read().expect("OpenSSL made it");
    let names: Vec<_> = facts.names.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "DNS:*.host.example",
            "IP:192.0.2.7",
            "IP:2001:db8::7",
            "URI:spiffe://a.example/b",
            "email:a@b.example",
            "registeredID:1.2.3.4",
            "directoryName:CN=x,O=Example",
            "otherName:#060A2B060104018237140203A0100C0E7573657240612E6578616D706C65",
        ]
    );
    assert!(facts.is_ca);
    assert_eq!(facts.not_after - facts.not_before, 36_500 * 24 * 3600);
}

#[test]
fn version_1_has_neither_names_nor_rights() {
    let der = include_bytes!("../../../fuzz/corpus/certificate/version-1");
    let shown = levada_tls::read_certificate(der);
    let facts = shown.read().expect("OpenSSL made it");
    assert_eq!((facts.subject.as_str(), facts.names.len(), facts.is_ca), ("CN=old", 0, false));
}

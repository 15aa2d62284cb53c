//! What holds for any text and any address.

mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use levada_address::{Address, Form, OPTIONS, SCHEMES, Scheme, Schemes, ValueKind};
use proptest::prelude::*;

/// Text that looks like an address more often than chance would have it.
fn address_like() -> impl Strategy<Value = String> {
    let words: Vec<String> = OPTIONS
        .iter()
        .map(|row| row.word.to_owned())
        .chain(SCHEMES.iter().map(|row| format!("{}:", row.name)))
        .collect();
    let piece = prop_oneof![
        4 => prop::sample::select(words),
        4 => "[:/?&=@%#.,*]",
        1 => prop::sample::select(vec!["//", "[::1]", "10.0.0.1", ":80", "off", "10s", "any", "h2"])
            .prop_map(str::to_owned),
        1 => "%[0-9a-fA-F]{2}",
        2 => "[a-z0-9-]{1,8}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"))
}

/// A value of `kind` in clear.
fn value(kind: ValueKind) -> BoxedStrategy<Vec<u8>> {
    let text = |pattern: &'static str| pattern.prop_map(String::into_bytes).boxed();
    match kind {
        ValueKind::Path => prop::collection::vec(1..=255_u8, 1..20).boxed(),
        ValueKind::Key => text("[ -~]{1,20}|pkcs11:token=[!-~]{0,20}"),
        ValueKind::PeerName => text("[a-z]{1,9}\\.org|10\\.0\\.0\\.[0-9]|\\[::[0-9a-f]{1,4}\\]"),
        ValueKind::DnsName => text("[a-z]{1,9}(\\.[a-z]{1,9}){0,3}"),
        ValueKind::Alpn => text("[ -+\\--~]{1,9}(,[ -+\\--~]{1,9}){0,3}"),
        ValueKind::Bind => text("10\\.0\\.0\\.[0-9](:[1-9][0-9]{0,3})?|\\[::1\\]:[1-9]"),
        ValueKind::Variable => text("[A-Z_]{1,9}"),
        ValueKind::Pin => text("spki:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=|cert:[0-9A-F]{64}"),
        ValueKind::SanRule => text(
            "dns:(\\*\\.)?[a-z]{1,9}\\.org|ip:10\\.0\\.0\\.0/2[4-9]|spiffe://[a-z]{1,9}(/[a-z]/\\*)?",
        ),
        ValueKind::Moment => text("20[0-9]{2}-0[1-9]-1[0-9]T1[0-9]:00:00Z"),
        ValueKind::RecordSize => text("[1-9][0-9]{2,3}|64"),
        ValueKind::Target => text("/[!-\"$-~]{0,20}"),
        ValueKind::Origin => text("any|null|https?://(\\*\\.)?[a-z]{1,9}\\.org(:[1-9][0-9]{0,3})?"),
        ValueKind::Subprotocols => text("[a-z]{1,9}(,[0-9]{1,9})?"),
        ValueKind::Proxy => text("https?://([a-z]{1,9}@)?[a-z]{1,9}\\.org:[1-9][0-9]{0,3}"),
        ValueKind::Deadline => text("off|[1-9][0-9]{0,5}(ms|s)"),
        choice => prop::sample::select(choice.choices().collect::<Vec<_>>())
            .prop_map(|choice| choice.as_bytes().to_vec())
            .boxed(),
    }
}

/// A good address with up to one of each option that its scheme has, all bytes encoded.
fn good_address() -> impl Strategy<Value = String> {
    let endpoint = |form: Form| match form {
        Form::HostPort => {
            let host =
                "|\\*|[a-z]{1,9}|[a-z]{1,9}\\.org\\.?|10\\.0\\.0\\.[0-9]|\\[::[0-9a-f]{1,4}\\]";
            (host, any::<u16>()).prop_map(|(host, port)| format!("//{host}:{port}")).boxed()
        }
        Form::Path => {
            let path = prop::collection::vec(1..=255_u8, 1..=107).prop_map(|path| percent(&path));
            prop_oneof![path.clone(), path.prop_map(|name| format!("@{name}"))].boxed()
        }
        _ => Just(String::new()).boxed(),
    };
    prop::sample::select(SCHEMES).prop_flat_map(move |scheme| {
        let options = OPTIONS
            .iter()
            .filter(|row| row.schemes.contains(scheme.scheme))
            .map(|row| {
                let option =
                    value(row.kind).prop_map(|value| format!("{}={}", row.word, percent(&value)));
                prop::option::of(option)
            })
            .collect::<Vec<_>>();
        (endpoint(scheme.form), options).prop_map(move |(endpoint, options)| {
            let options: Vec<_> = options.into_iter().flatten().collect();
            let mark = if options.is_empty() { "" } else { "?" };
            format!("{}:{endpoint}{mark}{}", scheme.name, options.join("&"))
        })
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_soundly(text in any::<String>()) {
        support::invariants::check(&text);
    }

    #[test]
    fn text_like_an_address_is_read_or_refused_soundly(text in address_like()) {
        support::invariants::check(&text);
    }

    #[test]
    fn a_good_address_is_read_and_shown(text in good_address()) {
        prop_assert!(text.parse::<Address>().is_ok(), "{text}");
        support::invariants::check(&text);
    }

    #[test]
    fn a_word_that_is_set_reads_the_same_when_it_is_written(
        (row, value) in prop::sample::select(OPTIONS).prop_flat_map(|row| {
            let value = value(row.kind);
            (Just(row), value)
        })
    ) {
        let scheme = match row.schemes {
            Schemes::Any => Scheme::Tls,
            Schemes::Only(schemes) => schemes[0],
        };
        let base = format!("{scheme}://example.org:443");
        let mut set: Address = base.parse().unwrap();
        prop_assert!(set.set(row.word, OsString::from_vec(value.clone())).unwrap());
        let written = format!("{base}?{}={}", row.word, percent(&value));
        prop_assert_eq!(set, written.parse::<Address>().unwrap());
    }

    #[test]
    fn any_word_and_value_are_set_or_refused_soundly(
        word in prop_oneof![
            prop::sample::select(OPTIONS).prop_map(|row| row.word.to_owned()),
            any::<String>(),
        ],
        value in any::<Vec<u8>>(),
    ) {
        let mut address: Address = "tls://example.org:443".parse().unwrap();
        if let Err(error) = address.set(&word, OsString::from_vec(value)) {
            support::invariants::assert_sound(&error);
            prop_assert!(address.options().is_empty());
        }
    }
}

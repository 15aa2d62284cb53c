//! What must hold of whatever is written as a rule or a pin. Shared by the tests and the fuzz target.

use levada_core::{Pin, SanRule, SubjectName};

/// Reads `text` as both, and holds the rule against names that it may and may not allow.
///
/// # Panics
///
/// When what is written is not read as the same, or a rule allows a certificate without names.
pub(crate) fn check(text: &str) {
    if let Ok(pin) = text.parse::<Pin>() {
        assert_eq!(pin.to_string().parse(), Ok(pin), "{text:?}");
    }
    let Ok(rule) = text.parse::<SanRule>() else { return };
    let written = rule.to_string();
    assert_eq!(written.parse(), Ok(rule.clone()), "{text:?}");
    assert!(!rule.allows(&[]), "{text:?}");
    let (_, value) = written.split_once(':').expect("a kind stands first");
    let own = [
        SubjectName::Dns(value.to_owned()),
        SubjectName::Uri(value.to_owned()),
        SubjectName::Uri(written.clone()),
        SubjectName::Ip([127, 0, 0, 1].into()),
    ];
    for name in &own {
        let _ = rule.allows(std::slice::from_ref(name));
    }
    // A certificate with two URIs has no SPIFFE ID.
    if written.starts_with("spiffe:") {
        assert!(!rule.allows(&own), "{text:?}");
    }
    // What no certificate can have is allowed by nobody.
    assert!(!rule.allows(&[SubjectName::Dns(format!("{value}\\n"))]), "{text:?}");
}

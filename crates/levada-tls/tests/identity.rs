//! Reading identities: every form of key, and every mistake told in words that mend it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use levada_tls::{
    Identities, IdentitiesError, Identity, IdentityError, IdentityWarning, KeyAlgorithm,
    Passphrase, check_private_key,
};
use support::Authority;

const CERT: &[u8] = include_bytes!("data/ec-cert.pem");
const KEY: &[u8] = include_bytes!("data/ec-pkcs8.pem");
const ENCRYPTED: &[u8] = include_bytes!("data/ec-pbkdf2.pem");

fn passphrase() -> Passphrase {
    Passphrase::new(b"correct-horse".to_vec())
}

fn error(chain: &[u8], key: Option<&[u8]>, passphrase: Option<&Passphrase>) -> IdentityError {
    match Identity::from_pem(chain, key, passphrase) {
        Ok(identity) => panic!("it was taken: {identity:?}"),
        Err(error) => error,
    }
}

#[test]
fn every_usual_form_of_key_is_read() {
    let rsa: &[u8] = include_bytes!("data/rsa-cert.pem");
    let ed: &[u8] = include_bytes!("data/ed25519-cert.pem");
    for (cert, key) in [
        (CERT, KEY),
        (CERT, include_bytes!("data/ec-sec1.pem")),
        (rsa, include_bytes!("data/rsa-pkcs1.pem")),
        (ed, include_bytes!("data/ed25519-pkcs8.pem")),
    ] {
        Identity::from_pem(cert, Some(key), None).unwrap();
        Identity::from_pem(&[key, cert].concat(), None, None).unwrap();
    }
}

#[test]
fn a_key_without_its_certificate_tells_its_algorithm() {
    let rsa: &[u8] = include_bytes!("data/rsa-pkcs1.pem");
    let ed: &[u8] = include_bytes!("data/ed25519-pkcs8.pem");
    assert_eq!(check_private_key(KEY, None), Ok(KeyAlgorithm::Ecdsa));
    assert_eq!(check_private_key(rsa, None), Ok(KeyAlgorithm::Rsa));
    assert_eq!(check_private_key(ed, None), Ok(KeyAlgorithm::Ed25519));
    assert_eq!(check_private_key(ENCRYPTED, Some(&passphrase())), Ok(KeyAlgorithm::Ecdsa));
    assert_eq!(check_private_key(ENCRYPTED, None), Err(IdentityError::PassphraseMissing));
    assert_eq!(check_private_key(CERT, None), Err(IdentityError::NoKey));
}

#[test]
fn encrypted_keys_open_with_their_passphrase_alone() {
    let des3 = include_bytes!("data/ec-des3.pem");
    for key in [ENCRYPTED, include_bytes!("data/ec-scrypt.pem"), des3] {
        Identity::from_pem(CERT, Some(key), Some(&passphrase())).unwrap();
        assert_eq!(error(CERT, Some(key), None), IdentityError::PassphraseMissing);
    }
    for wrong in [&b"wrong"[..], b"", b"correct-horse\n"] {
        let wrong = Passphrase::new(wrong.to_vec());
        assert_eq!(error(CERT, Some(ENCRYPTED), Some(&wrong)), IdentityError::PassphraseWrong);
    }
    assert_eq!(error(CERT, Some(KEY), Some(&passphrase())), IdentityError::PassphraseNotNeeded);
}

/// Rows S17 and "encrypted keys": whatever OpenSSL makes of a key, as PEM and as DER.
#[test]
fn s17_keys_that_openssl_encrypts_open_with_their_passphrase_alone() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str| format!("{}/identity-{}-{name}", folder.display(), std::process::id());
    let key = file("key.pem");
    std::fs::write(&key, KEY).unwrap();
    let openssl = |words: &[&str]| {
        let done = Command::new("openssl").args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let mut made = Vec::new();
    for cipher in ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3"] {
        for prf in ["SHA1", "SHA224", "SHA256", "SHA384", "SHA512"] {
            let prf = format!("hmacWith{prf}");
            let words = ["-v2", cipher, "-v2prf", &prf, "-iter", "1000"].map(str::to_owned);
            made.push((format!("{cipher}-{prf}"), words.to_vec()));
        }
        let scrypt = ["-v2", cipher, "-scrypt", "-scrypt_N", "1024"].map(str::to_owned);
        made.push((format!("{cipher}-scrypt"), scrypt.to_vec()));
    }
    for (name, words) in made {
        for form in ["pem", "der"] {
            let out = file(&format!("{name}.{form}"));
            let mut all = vec!["pkcs8", "-topk8", "-in", &key, "-outform", form, "-out", &out];
            all.extend(words.iter().map(String::as_str));
            all.extend(["-passout", "pass:correct-horse"]);
            openssl(&all);
            let encrypted = std::fs::read(&out).unwrap();
            std::fs::remove_file(&out).unwrap();
            let read = Identity::from_pem(CERT, Some(&encrypted), Some(&passphrase()));
            assert!(read.is_ok(), "{name} as {form}: {}", read.unwrap_err());
            let wrong = Passphrase::new(b"correct-mule".to_vec());
            assert_eq!(error(CERT, Some(&encrypted), Some(&wrong)), IdentityError::PassphraseWrong);
            assert_eq!(error(CERT, Some(&encrypted), None), IdentityError::PassphraseMissing);
        }
    }
    std::fs::remove_file(&key).unwrap();
}

#[test]
fn der_is_read_in_every_form_of_key() {
    let der = |pem: &[u8]| pem::parse(pem).unwrap().into_contents();
    let rsa: &[u8] = include_bytes!("data/rsa-cert.pem");
    let ed: &[u8] = include_bytes!("data/ed25519-cert.pem");
    for (cert, key) in [
        (CERT, KEY),
        (CERT, include_bytes!("data/ec-sec1.pem")),
        (rsa, include_bytes!("data/rsa-pkcs1.pem")),
        (ed, include_bytes!("data/ed25519-pkcs8.pem")),
    ] {
        Identity::from_pem(&der(cert), Some(&der(key)), None).unwrap();
        Identity::from_pem(&der(cert), Some(key), None).unwrap();
        Identity::from_pem(cert, Some(&der(key)), None).unwrap();
    }
    let encrypted = der(ENCRYPTED);
    Identity::from_pem(&der(CERT), Some(&encrypted), Some(&passphrase())).unwrap();
    assert_eq!(error(&der(CERT), Some(&encrypted), None), IdentityError::PassphraseMissing);
    assert_eq!(error(&der(KEY), None, None), IdentityError::NoCertificate);
    assert_eq!(error(CERT, Some(&der(CERT)), None), IdentityError::NoKey);
}

#[test]
fn a_callback_is_asked_where_the_key_is_encrypted_and_only_there() {
    let asked = Cell::new(0);
    let ask = |answer: Option<Passphrase>| {
        let asked = &asked;
        move || {
            asked.set(asked.get() + 1);
            answer
        }
    };
    Identity::with_passphrase(CERT, Some(KEY), ask(None)).unwrap();
    assert_eq!(asked.get(), 0);
    Identity::with_passphrase(CERT, Some(ENCRYPTED), ask(Some(passphrase()))).unwrap();
    assert_eq!(asked.get(), 1);
    let error = Identity::with_passphrase(CERT, Some(ENCRYPTED), ask(None)).unwrap_err();
    assert_eq!(error, IdentityError::PassphraseMissing);
}

/// An expired leaf is told, and taken: see [`Identity::warning`].
#[test]
fn what_peers_will_refuse_is_a_warning() {
    let authority = Authority::new("root");
    let now = SystemTime::now();
    assert_eq!(authority.identity(&["a.example"]).warning(now), None);
    let expired = authority.identity_with(&["a.example"], support::expired);
    let warning = expired.warning(now).unwrap();
    assert_eq!(
        warning,
        IdentityWarning::Expired { name: "a.example".to_owned(), not_after: 978_307_200 }
    );
    assert!(warning.to_string().contains("a.example has expired"));
    let early = SystemTime::UNIX_EPOCH;
    let warning = expired.warning(early).unwrap();
    assert!(matches!(warning, IdentityWarning::NotYetValid { not_before: 946_684_800, .. }));
}

#[test]
fn old_encryption_comes_with_the_command_that_converts_it() {
    let legacy = error(CERT, Some(include_bytes!("data/ec-legacy.pem")), Some(&passphrase()));
    assert_eq!(legacy, IdentityError::LegacyEncryption);
    assert!(legacy.to_string().contains("openssl pkcs8 -topk8 -in FILE -out key.pem"));
    let weak = error(CERT, Some(include_bytes!("data/ec-pbes1.pem")), Some(&passphrase()));
    assert!(matches!(weak, IdentityError::UnsupportedEncryption(_)), "{weak:?}");
    assert!(weak.to_string().contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"));
}

#[test]
fn files_that_are_no_pem_are_told_apart() {
    let pkcs12 = error(include_bytes!("data/ec.p12"), None, Some(&passphrase()));
    assert_eq!(pkcs12, IdentityError::Pkcs12);
    assert!(pkcs12.to_string().contains("openssl pkcs12 -in FILE -out identity.pem"));
    assert_eq!(error(b"\x30\x00", None, None), IdentityError::Der);
    let only_certificate = error(include_bytes!("data/ec-cert.der"), None, None);
    assert_eq!(only_certificate, IdentityError::NoKey);
    assert_eq!(error(b"certificate", None, None), IdentityError::NotPem);
    assert_eq!(error(b"", None, None), IdentityError::NotPem);
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    assert_eq!(error(KEY, None, None), IdentityError::NoCertificate);
    assert_eq!(error(CERT, None, None), IdentityError::NoKey);
    assert_eq!(error(CERT, Some(CERT), None), IdentityError::NoKey);
    assert_eq!(error(CERT, Some(&[KEY, KEY].concat()), None), IdentityError::SeveralKeys(2));
    assert_eq!(
        error(CERT, Some(include_bytes!("data/rsa-pkcs1.pem")), None),
        IdentityError::KeyMismatch
    );
    let block = |label: &str| {
        format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n").into_bytes()
    };
    assert!(matches!(error(CERT, Some(&block("PRIVATE KEY")), None), IdentityError::BadKey(_)));
    assert!(matches!(
        error(CERT, Some(&block("OPENSSH PRIVATE KEY")), None),
        IdentityError::BadKey(_)
    ));
    assert!(matches!(
        error(&block("CERTIFICATE"), Some(KEY), None),
        IdentityError::BadCertificate { number: 1, .. }
    ));
    assert!(matches!(error(b"-----BEGIN X-----\n", None, None), IdentityError::Damaged(_)));
}

#[test]
fn the_order_of_a_chain_is_checked() {
    let authority = Authority::new("root");
    let (leaf, key) = authority.issue(&["a.example"], |_| {});
    let chain = |certs: &[&str]| certs.concat().into_bytes();
    let read = |certs: &[&str]| Identity::from_pem(&chain(certs), Some(key.as_bytes()), None);
    read(&[&leaf]).unwrap();
    read(&[&leaf, &authority.pem]).unwrap();
    assert_eq!(read(&[&authority.pem, &leaf]).unwrap_err(), IdentityError::LeafNotFirst(2));
    let stranger = Authority::new("stranger");
    assert_eq!(read(&[&leaf, &stranger.pem]).unwrap_err(), IdentityError::ChainOrder(1));
    assert_eq!(
        read(&[&leaf, &authority.pem, &stranger.pem]).unwrap_err(),
        IdentityError::ChainOrder(2)
    );
}

#[test]
fn names_are_those_of_the_certificate_and_each_has_one_identity() {
    let authority = Authority::new("root");
    let identity = authority.identity(&["A.example", "*.b.example", "192.0.2.1"]);
    assert_eq!(identity.names(), ["a.example", "*.b.example"]);
    let table = Identities::builder().with(&identity).unwrap().build().unwrap();
    for name in ["a.example", "A.EXAMPLE", "x.b.example", "x.B.example"] {
        assert!(table.has(Some(name)), "{name}");
    }
    for name in [Some("b.example"), Some("y.x.b.example"), Some("192.0.2.1"), None] {
        assert!(!table.has(name), "{name:?}");
    }
    let twice = Identities::builder().with(&identity).unwrap().with(&identity);
    assert_eq!(twice.err(), Some(IdentitiesError::Taken("a.example".to_owned())));
    let nameless = authority.identity(&["192.0.2.1"]);
    assert_eq!(Identities::builder().with(&nameless).err(), Some(IdentitiesError::NoNames));
    assert_eq!(
        Identities::builder().with_names(["a b"], &identity).err(),
        Some(IdentitiesError::BadName("a b".to_owned()))
    );
    assert_eq!(Identities::builder().build().err(), Some(IdentitiesError::Empty));
    let table = Identities::builder().with(&identity).unwrap().with_default(&nameless);
    assert!(table.build().unwrap().has(None));
}

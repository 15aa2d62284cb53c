//! Files of identities and revocation lists, and signers' answers: the fuzzers' corpora, chance, and
//! lists made by OpenSSL.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/odd_answer.rs"]
mod odd_answer;
#[path = "support/odd_crl.rs"]
mod odd_crl;
#[path = "support/odd_identity.rs"]
mod odd_identity;
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use levada_core::{CertificateFault, Role};
use levada_testkit::fuzz::corpus;
use levada_tls::{
    Anchors, ClientAuth, CrlError, Crls, Identities, Identity, IdentityError, Passphrase,
    PeerRules, SessionName, TlsClient, TlsServer,
};
use proptest::prelude::*;
use support::{Authority, HOST, Pair};

#[test]
fn the_fuzzers_corpora_are_read() {
    let (identities, lists) = (corpus("identity"), corpus("crl"));
    let answers = corpus("signing_answer");
    for file in &identities {
        odd_identity::check(file);
    }
    for file in &lists {
        odd_crl::check(file);
    }
    for answer in &answers {
        odd_answer::check(answer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Files that chance has damaged, and what it makes alone.
    #[test]
    fn damaged_files_are_refused_soundly(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for (target, check) in [
            ("identity", odd_identity::check as fn(&[u8])),
            ("crl", odd_crl::check),
            ("signing_answer", odd_answer::check),
        ] {
            check(&noise);
            let mut files = corpus(target);
            let file = file.get_mut(&mut files);
            *at.get_mut(file) = byte;
            check(file);
        }
    }
}

/// Row S17: a key whose encryption asks for years of work is refused at once.
#[test]
fn a_key_that_would_take_years_to_open_is_refused_at_once() {
    const CERT: &[u8] = include_bytes!("data/ec-cert.pem");
    let der = pem::parse(include_bytes!("data/ec-pbkdf2.pem")).unwrap().into_contents();
    let scrypt = pem::parse(include_bytes!("data/ec-scrypt.pem")).unwrap().into_contents();
    let altered = |der: &[u8], from: &[u8], to: &[u8]| {
        let at = der.windows(from.len()).position(|window| window == from).unwrap();
        [&der[..at], to, &der[at + from.len()..]].concat()
    };
    let is_refused = |key: &[u8]| {
        let passphrase = Passphrase::new(b"correct-horse".to_vec());
        let error = Identity::from_pem(CERT, Some(key), Some(&passphrase)).unwrap_err();
        matches!(error, IdentityError::BadKey(why) if why.contains("longer than anybody"))
    };
    // 4096 iterations of PBKDF2 are no trouble, only wrong.
    assert!(!is_refused(&altered(&der, &[2, 2, 8, 0], &[2, 2, 0x10, 0])));
    // The octets of the salt in front are used up for a count of four octets.
    let salt = der.windows(2).position(|window| window == [4, 8]).unwrap();
    let mut many = der.clone();
    many.splice(salt..salt + 14, [4, 6, 0, 0, 0, 0, 0, 0, 2, 4, 0x7f, 0xff, 0xff, 0xff]);
    assert!(is_refused(&many));
    // 32512 blocks of 127 * 128 bytes for scrypt are half a gigabyte.
    let big = altered(&scrypt, &[2, 2, 0x40, 0, 2, 1, 8], &[2, 2, 0x40, 0, 2, 1, 0x7f]);
    let bigger = altered(&big, &[2, 2, 0x40, 0], &[2, 2, 0x7f, 0]);
    assert!(is_refused(&bigger));
}

#[test]
fn files_that_are_no_lists_are_told_apart() {
    let read = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/crl");
        Crls::from_bytes(&fs::read(folder.join(name)).unwrap())
    };
    assert_eq!(read("pem").unwrap().len(), 1);
    assert_eq!(read("der").unwrap().len(), 1);
    assert_eq!(read("two").unwrap().len(), 2);
    assert_eq!(read("no-list").unwrap_err(), CrlError::None);
    assert!(read("version-1").unwrap_err().to_string().contains("crlnumber"));
    assert!(read("cut").unwrap_err().to_string().contains("damaged"));
    assert!(matches!(Crls::from_bytes(b"-----BEGIN X-----\n"), Err(CrlError::Damaged(_))));
    assert_eq!(Crls::from_bytes(b"").unwrap_err(), CrlError::None);
}

/// A list that `openssl ca -gencrl` has made refuses whom it revokes, and no other.
#[test]
fn lists_of_openssl_are_gone_by() {
    let own = Authority::new("own");
    let anchors = Anchors::from_pem(include_bytes!("data/crl-ca.pem")).unwrap();
    for list in ["pem", "der"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/crl");
        let crls = Crls::from_bytes(&fs::read(folder.join(list)).unwrap()).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let rules = PeerRules::new().crls(crls).verify_at(at);
        let server = TlsServer::builder(Identities::one(&own.identity(&[HOST])))
            .client_auth(ClientAuth::Required(anchors.clone()))
            .client_rules(rules)
            .build()
            .unwrap();
        let meet = |identity: &[u8]| {
            let identity = Identity::from_pem(identity, None, None).unwrap();
            let client = TlsClient::builder().anchors(own.anchors()).identity(identity);
            let name = SessionName::new(HOST).unwrap();
            let client = client.build().unwrap().session(&name).unwrap();
            let mut pair = Pair::new(client, server.session());
            pair.talk();
            let (server, _) = pair.ends(Role::Server);
            server.ending.as_ref().and_then(|ending| ending.certificate_fault().cloned())
        };
        assert_eq!(meet(include_bytes!("data/crl-good.pem")), None);
        let revoked = meet(include_bytes!("data/crl-revoked.pem"));
        assert_eq!(revoked, Some(CertificateFault::Revoked));
    }
}

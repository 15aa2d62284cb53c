//! Rules about the peer's certificate: each lets the right peer in and refuses the wrong one, in both
//! roles and versions, with the alert that arrives, and tells all that is wrong at once. Rows T37 and
//! "name used for verification", "list of verification errors" of the anchors.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::time::{Duration, SystemTime};

use levada_core::{
    AlertDescription as Alert, CertificateFault, Check, Checks, Ending, Fault, Lapse, Outcome, Pin,
    Role, Rule, TlsFacts, Verification,
};
use levada_tls::{
    Anchors, ClientAuth, CrlScope, Crls, Engine, Identities, Identity, PeerRules, SessionName,
    TlsClient, TlsConfigError, TlsServer, TlsVersion, read_certificate,
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType};
use sha2::{Digest, Sha256};
use support::{Authority, HOST, Pair, ROLES, VERSIONS, expired};

/// What one end does when it meets `peer`, and the other.
fn meet(
    role: Role,
    version: TlsVersion,
    peer: &Identity,
    anchors: &Anchors,
    rules: &PeerRules,
) -> Pair {
    let own = Authority::new("of the one who judges");
    let (mut client, mut server) = match role {
        Role::Client => (
            TlsClient::builder().anchors(anchors.clone()).rules(rules.clone()),
            TlsServer::builder(Identities::one(peer)),
        ),
        Role::Server => (
            TlsClient::builder().anchors(own.anchors()).identity(peer.clone()),
            TlsServer::builder(Identities::one(&own.identity(&[HOST])))
                .client_auth(ClientAuth::Required(anchors.clone()))
                .client_rules(rules.clone()),
        ),
    };
    client = client.min_version(version).max_version(version);
    server = server.min_version(version).max_version(version);
    let name = SessionName::new(HOST).unwrap();
    let client = client.build().unwrap().session(&name).unwrap();
    let mut pair = Pair::new(client, server.build().unwrap().session());
    pair.talk();
    pair
}

/// The peer is let in, in both roles and versions; the facts of each meeting.
#[track_caller]
fn lets_in(peer: &Identity, anchors: &Anchors, rules: &PeerRules) -> Vec<TlsFacts> {
    let mut all = Vec::new();
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = meet(role, version, peer, anchors, rules);
            let (judge, other) = pair.ends(role);
            assert_eq!((&judge.ending, &other.ending), (&None, &None), "{version} {role:?}");
            assert!(!judge.session.is_handshaking() && !other.session.is_handshaking());
            all.push(judge.session.facts());
        }
    }
    all
}

/// The peer is refused, in both roles and versions, and hears `alert`; the endings and all checks.
#[track_caller]
fn refuses(
    peer: &Identity,
    anchors: &Anchors,
    rules: &PeerRules,
    alert: Alert,
) -> Vec<(Ending, Checks)> {
    let mut all = Vec::new();
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = meet(role, version, peer, anchors, rules);
            let (judge, other) = pair.ends(role);
            let ending =
                judge.ending.clone().unwrap_or_else(|| panic!("{version} {role:?}: let in"));
            assert_eq!(other.ending, Some(Ending::FatalAlert(alert)), "{version} {role:?}");
            if let Ending::FatalError { alert: said, .. } = &ending {
                assert_eq!(*said, Some(alert), "{version} {role:?}");
            }
            let facts = judge.session.facts();
            assert_eq!(facts.verification, Some(Verification::Refused));
            assert_eq!(facts.peer_certificates, facts.peer_chain.len());
            all.push((ending, Checks::clone(facts.checks.as_ref().unwrap())));
        }
    }
    all
}

/// As [`refuses`], by a rule of ours.
#[track_caller]
fn refuses_by(rule: Rule, peer: &Identity, anchors: &Anchors, rules: &PeerRules) -> Checks {
    let all = refuses(peer, anchors, rules, Alert::ACCESS_DENIED);
    for (ending, _) in &all {
        assert_eq!(*ending, Ending::Refused(rule));
    }
    all[0].1.clone()
}

/// As [`refuses`], for the same fault each time.
#[track_caller]
fn refuses_for(
    fault: &CertificateFault,
    alert: Alert,
    peer: &Identity,
    anchors: &Anchors,
    rules: &PeerRules,
) -> Checks {
    let all = refuses(peer, anchors, rules, alert);
    for (ending, _) in &all {
        let cause = Fault::Certificate(fault.clone());
        assert_eq!(*ending, Ending::FatalError { alert: Some(alert), cause });
    }
    all[0].1.clone()
}

fn failed(checks: &Checks) -> Vec<Check> {
    checks.failed().map(|(check, _)| check).collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn pins_of(pem: &str) -> [Pin; 2] {
    let der = pem::parse(pem).unwrap().into_contents();
    let shown = read_certificate(&der);
    let key = format!("spki:{}", shown.read().unwrap().spki_pin).parse().unwrap();
    [key, Pin::Certificate(sha256(&der))]
}

fn identity(chain: &[&str], key: &str) -> Identity {
    Identity::from_pem(chain.concat().as_bytes(), Some(key.as_bytes()), None).unwrap()
}

#[test]
fn without_rules_every_check_that_is_asked_for_has_passed() {
    let authority = Authority::new("root");
    let facts = lets_in(&authority.identity(&[HOST]), &authority.anchors(), &PeerRules::new());
    for (facts, role) in facts.iter().zip(ROLES.iter().cycle()) {
        assert_eq!(facts.verification, Some(Verification::Verified));
        let name = if *role == Role::Client { Outcome::Passed } else { Outcome::NotAsked };
        let wanted = Checks {
            trust: Outcome::Passed,
            validity: Outcome::Passed,
            usage: Outcome::Passed,
            name,
            ..Checks::default()
        };
        assert_eq!(facts.checks.as_deref(), Some(&wanted));
    }
}

#[test]
fn a_pin_lets_in_the_key_or_the_certificate_and_nobody_else() {
    let authority = Authority::new("root");
    let (cert, key) = authority.issue(&[HOST], |_| {});
    let peer = identity(&[&cert], &key);
    let stranger = authority.identity(&[HOST]);
    for pin in pins_of(&cert) {
        for anchors in [authority.anchors(), Anchors::none()] {
            // Another pin beside it does not matter.
            let rules = PeerRules::new().pin(Pin::Spki([0; 32])).pin(pin);
            for facts in lets_in(&peer, &anchors, &rules) {
                assert_eq!(facts.checks.unwrap().pin, Outcome::Passed);
            }
            let checks = refuses_by(Rule::Pin, &stranger, &anchors, &rules);
            let key = stranger.certificate().read().unwrap().spki_pin.clone();
            let presented = format!("spki:{key}");
            assert_eq!(checks.pin, Outcome::Failed(CertificateFault::NotPinned { presented }));
        }
    }
}

#[test]
fn a_pin_may_be_that_of_an_issuer_on_the_path() {
    let authority = Authority::new("root");
    let sub = authority.below("issuing", |_| {});
    let (cert, key) = sub.issue(&[HOST], |_| {});
    let peer = identity(&[&cert, &sub.pem], &key);
    for pin in pins_of(&sub.pem) {
        let rules = PeerRules::new().pin(pin);
        lets_in(&peer, &authority.anchors(), &rules);
        refuses_by(Rule::Pin, &authority.identity(&[HOST]), &authority.anchors(), &rules);
        // Alone, the pin is that of the peer itself.
        refuses_by(Rule::Pin, &peer, &Anchors::none(), &rules);
    }
}

/// What plain `openssl req -x509` makes, and webpki refuses whatever it is told to trust.
#[test]
fn a_self_signed_authority_as_leaf_is_let_in_by_its_pin_alone() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cert = params.self_signed(&key).unwrap().pem();
    let peer = identity(&[&cert], &key.serialize_pem());
    for pin in pins_of(&cert) {
        let rules = PeerRules::new().pin(pin);
        for facts in lets_in(&peer, &Anchors::none(), &rules) {
            assert_eq!(facts.verification, Some(Verification::Pinned));
            assert_eq!(facts.verified_name, None);
            let checks = facts.checks.unwrap();
            assert_eq!((&checks.trust, &checks.name), (&Outcome::NotAsked, &Outcome::NotAsked));
        }
    }
    // As an anchor it is not enough: an authority is no host.
    let anchors = Anchors::from_pem(cert.as_bytes()).unwrap();
    let fault = CertificateFault::CaAsEndEntity;
    let rules = PeerRules::new();
    let checks = refuses_for(&fault, Alert::CERTIFICATE_UNKNOWN, &peer, &anchors, &rules);
    assert_eq!(checks.trust, Outcome::Untold);
}

#[test]
fn a_pinned_certificate_must_be_valid_still() {
    let authority = Authority::new("root");
    let (cert, key) = authority.issue(&[HOST], expired);
    let peer = identity(&[&cert], &key);
    let rules = PeerRules::new().pin(pins_of(&cert)[0]);
    let all = refuses(&peer, &Anchors::none(), &rules, Alert::CERTIFICATE_EXPIRED);
    assert_eq!(failed(&all[0].1), [Check::Validity]);
    lets_in(&peer, &Anchors::none(), &rules.danger_ignore(Lapse::Validity));
}

#[test]
fn name_rules_let_in_whom_one_of_them_allows() {
    let authority = Authority::new("root");
    let peer = authority.identity_with(&[HOST, "192.0.2.7"], |params| {
        let id = "spiffe://prod.example/ns/web".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(id));
    });
    let rules = |list: &[&str]| {
        list.iter().fold(PeerRules::new(), |rules, text| rules.san(text.parse().unwrap()))
    };
    let host = format!("dns:{HOST}");
    for allowed in [
        &[host.as_str()][..],
        &["dns:other.example", "ip:192.0.2.0/24"],
        &["spiffe://prod.example"],
        &["spiffe://prod.example/ns/*"],
        &["uri:https://x", "spiffe://prod.example/ns/web"],
    ] {
        for facts in lets_in(&peer, &authority.anchors(), &rules(allowed)) {
            assert_eq!(facts.checks.unwrap().san, Outcome::Passed);
        }
    }
    for others in [&["dns:other.example"][..], &["spiffe://test.example", "ip:192.0.2.8"]] {
        let checks = refuses_by(Rule::San, &peer, &authority.anchors(), &rules(others));
        let Outcome::Failed(CertificateFault::NotAllowed { presented }) = &checks.san else {
            panic!("{checks:?}")
        };
        let names = [&format!("DNS:{HOST}"), "IP:192.0.2.7", "URI:spiffe://prod.example/ns/web"];
        assert_eq!(*presented, names);
    }
}

/// A certificate with more names than facts tell: all of them count.
#[test]
fn a_rule_sees_the_last_of_two_hundred_names() {
    let authority = Authority::new("root");
    let names: Vec<_> = (0..200).map(|index| format!("h{index}.example")).collect();
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.insert(0, HOST);
    let rules = PeerRules::new().san("dns:h199.example".parse().unwrap());
    lets_in(&authority.identity(&names), &authority.anchors(), &rules);
}

/// T37: the time to verify at is given, or the validity ignored, by name.
#[test]
fn t37_the_time_is_given_or_the_validity_ignored() {
    let authority = Authority::new("root");
    let peer = authority.identity_with(&[HOST], expired);
    let anchors = authority.anchors();
    let at =
        |seconds| PeerRules::new().verify_at(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    // 2000-06-01, while it was valid; then a day before, and a day after.
    let facts = lets_in(&peer, &anchors, &at(959_817_600));
    assert_eq!(facts[0].verification, Some(Verification::Verified));
    for (time, is_expired) in [(946_598_400, false), (978_393_600, true)] {
        for (ending, checks) in refuses(&peer, &anchors, &at(time), Alert::CERTIFICATE_EXPIRED) {
            let fault = ending.certificate_fault().unwrap();
            let now = Some(time);
            if is_expired {
                assert_eq!(*fault, CertificateFault::Expired { not_after: Some(978_307_200), now });
            } else {
                let not_before = Some(946_684_800);
                assert_eq!(*fault, CertificateFault::NotYetValid { not_before, now });
            }
            assert_eq!(failed(&checks), [Check::Validity]);
            assert_eq!(checks.trust, Outcome::Passed, "who issued it is still known");
        }
    }
    for facts in lets_in(&peer, &anchors, &PeerRules::new().danger_ignore(Lapse::Validity)) {
        assert_eq!(facts.verification, Some(Verification::Danger));
        assert!(matches!(facts.checks.unwrap().validity, Outcome::Ignored(_)));
    }
    // Nothing else is ignored with it.
    let stranger = Authority::new("stranger").identity_with(&[HOST], expired);
    let rules = PeerRules::new().danger_ignore(Lapse::Validity);
    let fault = CertificateFault::UnknownIssuer;
    refuses_for(&fault, Alert::UNKNOWN_CA, &stranger, &anchors, &rules);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let peer = stranger.identity_with(&["other.example"], |params| {
        expired(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    });
    let rules = PeerRules::new()
        .pin(Pin::Spki([0; 32]))
        .san("dns:third.example".parse().unwrap())
        .crls(Crls::from_bytes(authority.crl(&[], 2100).pem().unwrap().as_bytes()).unwrap());
    let all = refuses(&peer, &authority.anchors(), &rules, Alert::UNKNOWN_CA);
    for ((ending, checks), role) in all.iter().zip(ROLES.iter().cycle()) {
        assert_eq!(ending.certificate_fault(), Some(&CertificateFault::UnknownIssuer));
        let mut wanted = vec![Check::Trust, Check::Validity, Check::Usage];
        wanted.extend((*role == Role::Client).then_some(Check::Name));
        wanted.extend([Check::Pin, Check::San]);
        assert_eq!(failed(checks), wanted);
        assert_eq!(checks.revocation, Outcome::Untold);
    }
}

#[test]
fn an_expired_issuer_is_told_as_that_and_the_rest_still_judged() {
    let authority = Authority::new("root");
    let sub = authority.below("issuing", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let (cert, key) = sub.issue(&[HOST], |_| {});
    let peer = identity(&[&cert, &sub.pem], &key);
    for (ending, checks) in
        refuses(&peer, &authority.anchors(), &PeerRules::new(), Alert::CERTIFICATE_EXPIRED)
    {
        let fault = ending.certificate_fault().unwrap();
        assert!(matches!(fault, CertificateFault::Expired { not_after: Some(1_577_836_800), .. }));
        assert_eq!(failed(&checks), [Check::Validity]);
        assert_eq!(checks.trust, Outcome::Passed);
    }
    lets_in(&peer, &authority.anchors(), &PeerRules::new().danger_ignore(Lapse::Validity));
}

#[test]
fn each_lapse_is_passed_over_by_its_own_name_alone() {
    let authority = Authority::new("root");
    let stranger = Authority::new("stranger").identity(&[HOST]);
    let for_mail = authority.identity_with(&[HOST], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    });
    let old = authority.identity_with(&[HOST], expired);
    let unlisted = authority.identity(&[HOST]);
    let crls = || Crls::from_bytes(Authority::new("third").crl(&[], 2100).der()).unwrap();
    let none = PeerRules::new;
    for (lapse, peer, rules) in [
        (Lapse::Trust, &stranger, none()),
        (Lapse::Usage, &for_mail, none()),
        (Lapse::Validity, &old, none()),
        (Lapse::UnknownRevocation, &unlisted, none().crls(crls())),
    ] {
        for other in Lapse::ALL {
            let rules = rules.clone().danger_ignore(other);
            if other == lapse {
                for facts in lets_in(peer, &authority.anchors(), &rules) {
                    assert_eq!(facts.verification, Some(Verification::Danger), "{lapse}");
                    assert!(facts.checks.unwrap().has_ignored());
                }
            } else {
                for version in VERSIONS {
                    let mut pair = meet(Role::Client, version, peer, &authority.anchors(), &rules);
                    let (judge, _) = pair.ends(Role::Client);
                    assert!(judge.ending.is_some(), "{lapse} passed by {other}");
                }
            }
        }
    }
    let elsewhere = authority.identity(&["other.example"]);
    let rules = none().danger_ignore(Lapse::Name);
    for facts in lets_in(&elsewhere, &authority.anchors(), &rules) {
        let is_client = facts.checks.unwrap().has_ignored();
        let wanted = if is_client { Verification::Danger } else { Verification::Verified };
        assert_eq!(facts.verification, Some(wanted));
        assert_eq!(facts.verified_name, None);
    }
}

#[test]
fn who_is_revoked_is_refused_and_the_others_are_not() {
    let authority = Authority::new("root");
    let numbered = |number: u64| {
        authority.identity_with(&[HOST], |params| params.serial_number = Some(number.into()))
    };
    let (good, bad) = (numbered(7), numbered(8));
    let list = authority.crl(&[8], 2100);
    for crls in [Crls::from_bytes(list.der()), Crls::from_bytes(list.pem().unwrap().as_bytes())] {
        let rules = PeerRules::new().crls(crls.unwrap());
        for facts in lets_in(&good, &authority.anchors(), &rules) {
            assert_eq!(facts.checks.unwrap().revocation, Outcome::Passed);
        }
        let (fault, alert) = (CertificateFault::Revoked, Alert::CERTIFICATE_REVOKED);
        let checks = refuses_for(&fault, alert, &bad, &authority.anchors(), &rules);
        assert_eq!(failed(&checks), [Check::Revocation]);
        // Not even by name.
        let rules = rules.danger_ignore(Lapse::UnknownRevocation);
        refuses_for(&fault, alert, &bad, &authority.anchors(), &rules);
    }
}

#[test]
fn of_whom_no_current_list_tells_is_refused() {
    let authority = Authority::new("root");
    let peer = authority.identity(&[HOST]);
    let stranger = Authority::new("root");
    for (crls, why) in [
        (Authority::new("other").crl(&[], 2100), "there is no revocation list of its issuer"),
        (authority.crl(&[], 2021), "the revocation list of its issuer has expired"),
        // By the same name, and another key.
        (stranger.crl(&[], 2100), "the signature of its issuer's revocation list does not verify"),
    ] {
        let rules = PeerRules::new().crls(Crls::from_bytes(crls.der()).unwrap());
        let fault = CertificateFault::RevocationUnknown(why.to_owned());
        let alert = Alert::UNKNOWN_CA;
        let checks = refuses_for(&fault, alert, &peer, &authority.anchors(), &rules);
        assert_eq!(failed(&checks), [Check::Revocation]);
        assert_eq!(checks.trust, Outcome::Passed);
    }
}

#[test]
fn several_lists_go_together_and_the_newest_of_an_issuer_counts() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let bundle = |lists: &[rcgen::CertificateRevocationList]| {
        let text: String = lists.iter().map(|list| list.pem().unwrap()).collect();
        Crls::from_bytes(text.as_bytes()).unwrap()
    };
    let rules = PeerRules::new().crls(bundle(&[one.crl(&[], 2100), two.crl(&[9], 2100)]));
    lets_in(&one.identity(&[HOST]), &one.anchors(), &rules);
    lets_in(&two.identity(&[HOST]), &two.anchors(), &rules);
    let revoked = two.identity_with(&[HOST], |params| params.serial_number = Some(9_u64.into()));
    let (fault, alert) = (CertificateFault::Revoked, Alert::CERTIFICATE_REVOKED);
    refuses_for(&fault, alert, &revoked, &two.anchors(), &rules);
    // Added one by one they are the same.
    let each = PeerRules::new().crls(bundle(&[one.crl(&[], 2100)]));
    lets_in(&two.identity(&[HOST]), &two.anchors(), &each.crls(bundle(&[two.crl(&[], 2100)])));
}

#[test]
fn every_issuer_needs_a_list_unless_only_the_peer_does() {
    let authority = Authority::new("root");
    let sub = authority.below("issuing", |params| params.serial_number = Some(5_u64.into()));
    let (cert, key) = sub.issue(&[HOST], |_| {});
    let peer = identity(&[&cert, &sub.pem], &key);
    let list = |crl: rcgen::CertificateRevocationList| Crls::from_bytes(crl.der()).unwrap();
    let leaf_only = PeerRules::new().crls(list(sub.crl(&[], 2100)));
    let why = "there is no revocation list of its issuer".to_owned();
    let fault = CertificateFault::RevocationUnknown(why);
    refuses_for(&fault, Alert::UNKNOWN_CA, &peer, &authority.anchors(), &leaf_only);
    lets_in(&peer, &authority.anchors(), &leaf_only.clone().crl_scope(CrlScope::Leaf));
    let both = leaf_only.clone().crls(list(authority.crl(&[], 2100)));
    lets_in(&peer, &authority.anchors(), &both);
    let revoked = leaf_only.crls(list(authority.crl(&[5], 2100)));
    let (fault, alert) = (CertificateFault::Revoked, Alert::CERTIFICATE_REVOKED);
    refuses_for(&fault, alert, &peer, &authority.anchors(), &revoked);
}

/// Two authorities have certified the same issuer: one for mail alone, the other has revoked it. Each
/// check passes on one of the two paths, and both on neither.
#[test]
fn checks_that_pass_on_different_paths_let_nobody_in() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let sub = one.below("issuing", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    });
    let crossed =
        two.cross_sign(&sub, "issuing", |params| params.serial_number = Some(5_u64.into()));
    let (cert, key) = sub.issue(&[HOST], |_| {});
    let anchors = Anchors::from_pem(format!("{}{}", one.pem, two.pem).as_bytes()).unwrap();
    let list = |crl: rcgen::CertificateRevocationList| Crls::from_bytes(crl.der()).unwrap();
    let rules = |revoked: &[u64]| {
        let own = PeerRules::new().crls(list(sub.crl(&[], 2100)));
        own.crls(list(one.crl(&[], 2100))).crls(list(two.crl(revoked, 2100)))
    };
    // Its issuer is `issuing` and its subject `two`: with it between them, both certificates of the
    // issuer stand in a chain whose order is right.
    let between = sub.cross_sign(&two, "two", |_| {});
    let peer = identity(&[&cert, &crossed, &between, &sub.pem], &key);
    for version in VERSIONS {
        for revoked in [&[][..], &[5]] {
            let mut pair = meet(Role::Client, version, &peer, &anchors, &rules(revoked));
            let (judge, _) = pair.ends(Role::Client);
            assert_eq!(judge.ending.is_none(), revoked.is_empty(), "{version} {:?}", judge.ending);
        }
    }
}

#[test]
fn settings_that_let_nobody_in_are_told_at_once() {
    let client = |rules| TlsClient::builder().anchors(Anchors::none()).rules(rules).build();
    assert_eq!(client(PeerRules::new()).unwrap_err(), TlsConfigError::NobodyTrusted);
    let list = Crls::from_bytes(Authority::new("root").crl(&[], 2100).der()).unwrap();
    let rules = PeerRules::new().pin(Pin::Spki([0; 32])).crls(list);
    assert_eq!(client(rules).unwrap_err(), TlsConfigError::CrlsWithoutAnchors);
    let identity = Authority::new("root").identity(&[HOST]);
    let server = TlsServer::builder(Identities::one(&identity))
        .client_auth(ClientAuth::Requested(Anchors::none()));
    assert_eq!(server.build().unwrap_err(), TlsConfigError::NobodyTrusted);
}

#[test]
fn a_client_that_is_only_asked_may_be_nobody_but_not_a_wrong_one() {
    let authority = Authority::new("root");
    let rules = PeerRules::new().san("dns:client.example".parse().unwrap());
    let server = TlsServer::builder(Identities::one(&authority.identity(&[HOST])))
        .client_auth(ClientAuth::Requested(authority.anchors()))
        .client_rules(rules)
        .build()
        .unwrap();
    for version in VERSIONS {
        let client = TlsClient::builder().anchors(authority.anchors());
        let client = client.min_version(version).max_version(version);
        let name = SessionName::new(HOST).unwrap();
        for (identity, wanted) in [
            (None, Ok(Verification::Anonymous)),
            (Some("client.example"), Ok(Verification::Verified)),
            (Some("other.example"), Err(Ending::Refused(Rule::San))),
        ] {
            let client = match identity {
                Some(name) => client.clone().identity(authority.identity(&[name])),
                None => client.clone(),
            };
            let client = client.build().unwrap().session(&name).unwrap();
            let mut pair = Pair::new(client, server.session());
            pair.talk();
            match wanted {
                Ok(verification) => {
                    assert_eq!(pair.server.ending, None);
                    let facts = pair.server.session.facts();
                    assert_eq!(facts.verification, Some(verification));
                }
                Err(ending) => assert_eq!(pair.server.ending, Some(ending)),
            }
        }
    }
}

/// Resumption: rustls asks no verifier then, and we do.
mod again {
    use super::*;
    use levada_tls::TlsServerBuilder;

    struct House {
        authority: Authority,
        peer: Identity,
        version: TlsVersion,
    }

    impl House {
        fn new(version: TlsVersion) -> Self {
            let authority = Authority::new("root");
            let peer = authority
                .identity_with(&[HOST], |params| params.serial_number = Some(3_u64.into()));
            Self { authority, peer, version }
        }

        fn client(&self, rules: PeerRules) -> TlsClient {
            let client = TlsClient::builder().anchors(self.authority.anchors()).rules(rules);
            let client = client.identity(self.peer.clone());
            client.min_version(self.version).max_version(self.version).build().unwrap()
        }

        fn builder(&self, rules: PeerRules) -> TlsServerBuilder {
            TlsServer::builder(Identities::one(&self.peer))
                .client_auth(ClientAuth::Required(self.authority.anchors()))
                .client_rules(rules)
                .min_version(self.version)
                .max_version(self.version)
        }

        fn server(&self, rules: PeerRules) -> TlsServer {
            self.builder(rules).build().unwrap()
        }

        fn revoking(&self) -> PeerRules {
            PeerRules::new().crls(Crls::from_bytes(self.authority.crl(&[3], 2100).der()).unwrap())
        }
    }

    /// Whether both were established, and if so whether by resumption.
    fn meet(client: &TlsClient, server: &TlsServer) -> Result<bool, Box<[Option<Ending>; 2]>> {
        let name = SessionName::new(HOST).unwrap();
        let mut pair = Pair::new(client.session(&name).unwrap(), server.session());
        pair.talk();
        if pair.client.ending.is_some() || pair.server.ending.is_some() {
            return Err(Box::new([pair.client.ending, pair.server.ending]));
        }
        assert!(!pair.client.session.is_handshaking() && !pair.server.session.is_handshaking());
        Ok(pair.client.session.facts().resumed.unwrap())
    }

    fn revoked() -> Ending {
        let alert = Some(Alert::CERTIFICATE_REVOKED);
        let cause = Fault::Certificate(CertificateFault::Revoked);
        Ending::FatalError { alert, cause }
    }

    #[test]
    fn a_server_that_is_replaced_goes_on_with_its_tickets_while_its_rules_are_the_same() {
        for version in VERSIONS {
            let house = House::new(version);
            let (client, server) = (house.client(PeerRules::new()), house.server(PeerRules::new()));
            assert_eq!(meet(&client, &server), Ok(false));
            assert_eq!(meet(&client, &server), Ok(true));
            server.replace(&house.server(PeerRules::new()));
            assert_eq!(meet(&client, &server), Ok(true), "{version}");
        }
    }

    #[test]
    fn a_client_that_is_revoked_meanwhile_is_not_resumed_but_refused() {
        for version in VERSIONS {
            let house = House::new(version);
            let (client, server) = (house.client(PeerRules::new()), house.server(PeerRules::new()));
            for resumed in [false, true] {
                assert_eq!(meet(&client, &server), Ok(resumed));
            }
            server.replace(&house.server(house.revoking()));
            let [_, told] = *meet(&client, &server).unwrap_err();
            assert_eq!(told, Some(revoked()), "{version}");
        }
    }

    #[test]
    fn a_server_that_is_revoked_or_no_longer_pinned_is_not_resumed_but_refused() {
        for version in VERSIONS {
            let house = House::new(version);
            let server = house.server(PeerRules::new());
            let client = house.client(PeerRules::new());
            let pin = PeerRules::new().pin(Pin::Spki([0; 32]));
            for (rules, wanted) in
                [(house.revoking(), revoked()), (pin, Ending::Refused(Rule::Pin))]
            {
                client.replace(&house.client(PeerRules::new()));
                for resumed in [false, true] {
                    assert_eq!(meet(&client, &server), Ok(resumed));
                }
                client.replace(&house.client(rules));
                let [told, _] = *meet(&client, &server).unwrap_err();
                assert_eq!(told, Some(wanted), "{version}");
            }
        }
    }

    /// Has both ends meet that `make` makes: twice before the moment that it is told, the second time by
    /// resumption, and once behind it. The fault that is found then.
    fn meet_behind(make: impl Fn(time::OffsetDateTime) -> (TlsClient, TlsServer)) -> Ending {
        // Longer and longer, for a machine that is too busy to meet in time.
        for seconds in [2, 10, 30] {
            let soon = time_in(seconds);
            let (client, server) = make(soon);
            let met = (meet(&client, &server), meet(&client, &server));
            if time::OffsetDateTime::now_utc() < soon {
                assert_eq!(met, (Ok(false), Ok(true)));
                wait_until(soon);
                let told = meet(&client, &server).unwrap_err();
                let is_ours = |ending: &Ending| matches!(ending, Ending::FatalError { .. });
                return told.into_iter().flatten().find(is_ours).expect("one finds a fault");
            }
        }
        panic!("no machine is as slow as that");
    }

    /// Does `test` for each version and role, all at once: each waits for the clock.
    fn each_at_once(test: impl Fn(TlsVersion, Role) + Sync) {
        std::thread::scope(|scope| {
            for version in VERSIONS {
                for role in ROLES {
                    let test = &test;
                    scope.spawn(move || test(version, role));
                }
            }
        });
    }

    #[test]
    fn a_session_does_not_outlive_the_certificate_that_it_rests_on() {
        each_at_once(|version, judges| {
            let house = House::new(version);
            let found = meet_behind(|soon| {
                let brief =
                    house.authority.identity_with(&[HOST], |params| params.not_after = soon);
                let mut client = TlsClient::builder().anchors(house.authority.anchors());
                client = client.min_version(version).max_version(version);
                let server = match judges {
                    Role::Client => TlsServer::builder(Identities::one(&brief)),
                    Role::Server => {
                        client = client.identity(brief);
                        house.builder(PeerRules::new())
                    }
                };
                let server = server.min_version(version).max_version(version);
                (client.build().unwrap(), server.build().unwrap())
            });
            let fault = found.certificate_fault();
            let is_expired = matches!(fault, Some(CertificateFault::Expired { .. }));
            assert!(is_expired, "{version} {judges:?}: {found:?}");
        });
    }

    #[test]
    fn a_session_does_not_outlive_the_list_that_it_rests_on() {
        each_at_once(|version, judges| {
            let house = House::new(version);
            let found = meet_behind(|soon| {
                let list = house.authority.crl_with(&[99], |params| params.next_update = soon);
                let listed = PeerRules::new().crls(Crls::from_bytes(list.der()).unwrap());
                let (ours, theirs) = match judges {
                    Role::Client => (listed, PeerRules::new()),
                    Role::Server => (PeerRules::new(), listed),
                };
                (house.client(ours), house.server(theirs))
            });
            let fault = found.certificate_fault();
            let is_unknown = matches!(fault, Some(CertificateFault::RevocationUnknown(_)));
            assert!(is_unknown, "{version} {judges:?}: {found:?}");
        });
    }

    /// A moment in so many whole seconds.
    fn time_in(seconds: u64) -> time::OffsetDateTime {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        time::OffsetDateTime::from_unix_timestamp((now + seconds).cast_signed()).unwrap()
    }

    /// There is no virtual time behind rustls: until the moment is over, whatever that takes.
    #[expect(clippy::disallowed_methods, reason = "a test's own thread, with no stream on it")]
    fn wait_until(moment: time::OffsetDateTime) {
        while time::OffsetDateTime::now_utc() <= moment + time::Duration::SECOND {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What the judge goes by holds no secret, and is shown short.
#[test]
fn debug_of_rules_shows_no_lists_in_full() {
    let crls = Crls::from_bytes(Authority::new("root").crl(&[1, 2, 3], 2100).der()).unwrap();
    let shown = format!("{:?}", PeerRules::new().pin(Pin::Spki([7; 32])).crls(crls));
    assert!(
        shown.contains("spki:BwcH") && shown.contains("lists: 1") && shown.len() < 300,
        "{shown}"
    );
}

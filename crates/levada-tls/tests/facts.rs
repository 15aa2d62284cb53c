//! What the facts of a session tell about who met in it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::io::Write;
use std::net::Ipv6Addr;
use std::process::{Command, Stdio};

use levada_core::{
    CertificateFacts, Ending, Role, ShownCertificate, SubjectName, TlsFacts, Verification,
};
use levada_tls::{
    ClientAuth, Engine, Identities, Identity, SessionName, TlsClient, TlsServer, TlsVersion,
};
use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, SanType, date_time_ymd};
use support::{Authority, End, HOST, Pair, ROLES, Setup, VERSIONS};

fn dns(name: &str) -> SubjectName {
    SubjectName::Dns(name.to_owned())
}

fn facts(pair: &mut Pair, role: Role) -> TlsFacts {
    pair.ends(role).0.session.facts()
}

/// What a client under `danger` tells of a server's certificate, or of whatever it takes for one.
fn shown_by(identity: &Identity) -> ShownCertificate {
    let client = TlsClient::builder().danger_no_verification().build().unwrap();
    let server = TlsServer::builder(Identities::one(identity)).build().unwrap();
    let name = SessionName::new(HOST).unwrap();
    let mut pair = Pair::new(client.session(&name).unwrap(), server.session());
    pair.talk();
    assert!(!pair.client.session.is_handshaking() && !pair.server.session.is_handshaking());
    let (client, server) = (facts(&mut pair, Role::Client), facts(&mut pair, Role::Server));
    assert_eq!(client.verification, Some(Verification::Danger));
    assert_eq!(client.verified_name, None, "nothing was verified");
    assert_eq!(server.identity.as_deref(), client.peer_chain.first());
    client.peer_chain[0].clone()
}

fn read(certificate: &ShownCertificate) -> &CertificateFacts {
    certificate.read().expect("it is a certificate")
}

#[test]
fn each_end_tells_its_own_certificate_and_the_other_ones() {
    for version in VERSIONS {
        let mut pair = Pair::established(Setup::mutual(version));
        let (client, server) = ((Role::Client, "client.example"), (Role::Server, HOST));
        for ((role, name), (other_role, other)) in [(client, server), (server, client)] {
            let (ours, theirs) = (facts(&mut pair, role), facts(&mut pair, other_role));
            let certificate = ours.peer_certificate().unwrap();
            assert_eq!(certificate.subject, "CN=test leaf");
            assert_eq!(certificate.issuer, "CN=test authority");
            assert_eq!(certificate.names, [dns(other)]);
            assert!(!certificate.is_ca);
            assert_eq!(read(ours.identity.as_ref().unwrap()).names, [dns(name)]);
            assert_eq!(ours.identity.as_deref(), theirs.peer_chain.first());
            assert_eq!(ours.verification, Some(Verification::Verified));
            assert_eq!((ours.peer_certificates, ours.peer_chain.len()), (1, 1));
            let verified = (role == Role::Client).then_some(HOST);
            assert_eq!(ours.verified_name.as_deref(), verified);
        }
    }
}

#[test]
fn nobody_is_told_before_the_handshake_and_nothing_changes_behind_it() {
    for version in VERSIONS {
        let mut pair = Setup::mutual(version).join();
        let begun = facts(&mut pair, Role::Client);
        assert_eq!(begun, TlsFacts { sni: Some(HOST.to_owned()), ..TlsFacts::default() });
        assert_eq!(facts(&mut pair, Role::Server), TlsFacts::default());
        pair.talk();
        for role in ROLES {
            let before = facts(&mut pair, role);
            let (me, peer) = pair.ends(role);
            me.session.close();
            peer.hear(me);
            assert_eq!(facts(&mut pair, role), before);
        }
    }
}

#[test]
fn an_identity_that_nobody_asked_for_is_not_told() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        setup.client = setup.client.identity(setup.authority.identity(&["client.example"]));
        let mut pair = Pair::established(setup);
        let client = facts(&mut pair, Role::Client);
        assert_eq!((client.identity, client.identity_asked), (None, false));
        let server = facts(&mut pair, Role::Server);
        assert_eq!(server.verification, Some(Verification::Anonymous));
        assert_eq!((server.peer_certificates, &*server.peer_chain), (0, &[][..]));

        let mut setup = Setup::new(version);
        setup.server = setup.server.client_auth(ClientAuth::Requested(setup.authority.anchors()));
        let mut pair = Pair::established(setup);
        let client = facts(&mut pair, Role::Client);
        assert_eq!((client.identity, client.identity_asked), (None, true));
        assert_eq!(facts(&mut pair, Role::Server).verification, Some(Verification::Anonymous));
    }
}

#[test]
fn the_identity_told_is_that_of_the_name_asked_for() {
    let setup = Setup::new(TlsVersion::V1_3);
    let (one, other) =
        (setup.authority.identity(&[HOST]), setup.authority.identity(&["other.example"]));
    let table = Identities::builder().with(&one).unwrap().with(&other).unwrap().build().unwrap();
    let server = TlsServer::builder(table).build().unwrap();
    let client = setup.client.build().unwrap();
    for host in [HOST, "other.example"] {
        let name = SessionName::new(host).unwrap();
        let mut pair = Pair::new(client.session(&name).unwrap(), server.session());
        pair.talk();
        let identity = facts(&mut pair, Role::Server).identity.unwrap();
        assert_eq!(read(&identity).names, [dns(host)]);
        assert_eq!(facts(&mut pair, Role::Client).verified_name.as_deref(), Some(host));
    }
}

#[test]
fn a_resumed_session_tells_who_met_in_the_first_one() {
    for version in VERSIONS {
        let setup = Setup::mutual(version);
        let (client, server) = (setup.client.build().unwrap(), setup.server.build().unwrap());
        let mut sessions = [false, true].map(|resumed| {
            let mut pair = Pair::new(client.session(&setup.name).unwrap(), server.session());
            pair.talk();
            ROLES.map(|role| {
                let facts = facts(&mut pair, role);
                assert_eq!(facts.resumed, Some(resumed));
                assert_eq!(facts.verification, Some(Verification::Verified));
                facts
            })
        });
        let [first, second] = &mut sessions;
        for (first, second) in first.iter().zip(second) {
            assert_eq!(second.peer_chain, first.peer_chain);
            assert_eq!(second.verified_name, first.verified_name);
        }
        let [client, server] = &sessions[1];
        assert_eq!(client.identity, None, "it is not asked for again");
        assert_eq!(server.identity, sessions[0][1].identity);
    }
}

#[test]
fn addresses_and_uris_are_names() {
    for version in VERSIONS {
        let mut setup = Setup::new(version);
        let spiffe = "spiffe://prod.example/ns/pay/sa/api";
        let uri = SanType::URI(spiffe.try_into().unwrap());
        let workload =
            setup.authority.identity_with(&[], |params| params.subject_alt_names.push(uri));
        setup.client = setup.client.identity(workload);
        let table = Identities::one(&setup.authority.identity(&["192.0.2.7", "2001:db8::7"]));
        setup.server =
            TlsServer::builder(table).client_auth(ClientAuth::Required(setup.authority.anchors()));
        setup.name = SessionName::new("192.0.2.7").unwrap();
        let mut pair = Pair::established(setup);
        let client = facts(&mut pair, Role::Client);
        assert_eq!(
            (client.sni.as_deref(), client.verified_name.as_deref()),
            (None, Some("192.0.2.7"))
        );
        let six: Ipv6Addr = "2001:db8::7".parse().unwrap();
        assert_eq!(
            client.peer_certificate().unwrap().names,
            [SubjectName::Ip([192, 0, 2, 7].into()), SubjectName::Ip(six.into())]
        );
        let server = facts(&mut pair, Role::Server);
        assert_eq!(server.peer_certificate().unwrap().names, [SubjectName::Uri(spiffe.to_owned())]);
    }
}

#[test]
fn the_name_verified_is_told_beside_the_name_asked_for() {
    let setup = Setup::new(TlsVersion::V1_3);
    let (client, server) = (setup.client.build().unwrap(), setup.server.build().unwrap());
    for (name, asked_for) in [
        (setup.name.clone(), Some(HOST)),
        (setup.name.clone().with_sni("front.example").unwrap(), Some("front.example")),
        (setup.name.clone().without_sni(), None),
    ] {
        let mut pair = Pair::new(client.session(&name).unwrap(), server.session());
        pair.talk();
        let facts = facts(&mut pair, Role::Client);
        assert_eq!((facts.sni.as_deref(), facts.verified_name.as_deref()), (asked_for, Some(HOST)));
    }
}

#[test]
fn a_chain_that_is_refused_is_told() {
    for version in VERSIONS {
        for role in ROLES {
            let mut setup = Setup::mutual(version);
            let stranger = Authority::new("stranger").anchors();
            match role {
                Role::Client => setup.client = setup.client.anchors(stranger),
                Role::Server => {
                    setup.server = setup.server.client_auth(ClientAuth::Required(stranger));
                }
            }
            let mut pair = setup.join();
            pair.talk();
            let (me, _): (&mut End, _) = pair.ends(role);
            assert!(matches!(me.ending, Some(Ending::FatalError { .. })), "{:?}", me.ending);
            let facts = facts(&mut pair, role);
            assert_eq!(facts.verification, Some(Verification::Refused), "{version} {role:?}");
            assert_eq!(facts.verified_name, None);
            assert_eq!(facts.peer_certificate().unwrap().issuer, "CN=test authority");
        }
    }
}

#[test]
fn what_danger_lets_in_is_told_too() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2001, 9, 9);
    params.not_after = date_time_ymd(2050, 1, 1);
    params.serial_number = Some(vec![0x0a, 0xbc, 0xff].into());
    let pem = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
    let shown = shown_by(&Identity::from_pem(pem.as_bytes(), None, None).unwrap());
    let certificate = read(&shown);
    assert!(certificate.is_ca);
    assert_eq!(certificate.subject, certificate.issuer);
    assert_eq!(certificate.serial, "0ABCFF");
    assert_eq!((certificate.not_before, certificate.not_after), (999_993_600, 2_524_608_000));
}

#[test]
fn whatever_stands_in_a_certificate_is_told_in_printable_text() {
    let authority = Authority::new("Prüfstelle, \"A+B\"");
    let shown = shown_by(&authority.identity_with(&[HOST], |params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, DnValue::Utf8String("Bücher\r\nERROR \u{202e}".into()));
        name.push(DnType::CustomDnType(vec![1, 2, 3]), "hidden\n");
        params.subject_alt_names.push(SanType::URI("urn:\u{1b}[2J".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("a\n@b.example".try_into().unwrap()));
        params.subject_alt_names.push(SanType::OtherName((vec![1, 2], "x\n".into())));
    }));
    let certificate = read(&shown);
    assert_eq!(
        certificate.subject,
        "1.2.3=#0C0768696464656E0A,O=Bücher\\0D\\0AERROR \\E2\\80\\AE,CN=test leaf"
    );
    assert_eq!(certificate.issuer, "CN=Prüfstelle\\, \\\"A\\+B\\\"");
    assert_eq!(
        certificate.names,
        [
            dns(HOST),
            SubjectName::Uri("urn:\\x1b[2J".to_owned()),
            SubjectName::Email("a\\n@b.example".to_owned()),
            SubjectName::Other { kind: "otherName", value: "#06012AA0040C02780A".to_owned() },
        ]
    );
}

#[test]
fn a_certificate_that_cannot_be_read_is_a_fact_and_no_failure() {
    let authority = Authority::new("root");
    // A SEQUENCE of names whose only one is cut off.
    let odd = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 2, 0x82, 9]);
    let identity = authority.identity_with(&[], |params| params.custom_extensions.push(odd));
    let shown = shown_by(&identity);
    assert!(matches!(shown, ShownCertificate::Unreadable { bytes: 300.. }), "{shown:?}");
}

#[test]
fn what_is_told_has_bounds() {
    let setup = Setup::new(TlsVersion::V1_3);
    let names: Vec<_> = (0..150).map(|number| format!("{number}.example")).collect();
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.push(HOST);
    let (certificate, key) = setup.authority.issue(&names, |_| {});
    let chain = certificate + &setup.authority.pem.repeat(9);
    let identity = Identity::from_pem(chain.as_bytes(), Some(key.as_bytes()), None).unwrap();
    let mut pair = Pair::established(setup.with_identity(&identity, TlsVersion::V1_3));
    let facts = facts(&mut pair, Role::Client);
    assert_eq!(
        (facts.peer_certificates, facts.peer_chain.len()),
        (10, TlsFacts::MOST_CERTIFICATES)
    );
    let certificate = facts.peer_certificate().unwrap();
    assert_eq!(
        (certificate.names.len(), certificate.more_names),
        (CertificateFacts::MOST_NAMES, 51)
    );
    assert!(read(&facts.peer_chain[1]).is_ca);
}

/// What a shell pipeline of OpenSSL's says of the certificate `pem`.
fn openssl(pipeline: &str, pem: &str) -> String {
    let mut shell = Command::new("sh")
        .args(["-c", pipeline])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(pem.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success(), "{pipeline}: is openssl installed?");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn openssl_tells_the_same() {
    let odd = Authority::new("Prüfstelle, \"A+B\"").issue(&[HOST], |params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "DE");
        name.push(DnType::OrganizationName, " #1 Bücher\r\n; <x> ");
        name.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b.example");
        name.push(DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]), "example");
        name.push(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99_999]), "unnamed");
    });
    let file = |pem: &[u8], key: &[u8]| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(pem), text(key))
    };
    for (pem, key) in [
        odd,
        file(include_bytes!("data/ec-cert.pem"), include_bytes!("data/ec-pkcs8.pem")),
        file(include_bytes!("data/rsa-cert.pem"), include_bytes!("data/rsa-pkcs1.pem")),
        file(include_bytes!("data/ed25519-cert.pem"), include_bytes!("data/ed25519-pkcs8.pem")),
    ] {
        let shown =
            shown_by(&Identity::from_pem(pem.as_bytes(), Some(key.as_bytes()), None).unwrap());
        let certificate = read(&shown);
        let pin = "openssl x509 -noout -pubkey | openssl pkey -pubin -outform der \
                   | openssl dgst -sha256 -binary | openssl base64";
        assert_eq!(certificate.spki_pin, openssl(pin, &pem));
        let field = |flags: &str| {
            let text = openssl(&format!("openssl x509 -noout {flags}"), &pem);
            text.split_once('=').unwrap().1.to_owned()
        };
        assert_eq!(certificate.subject, field("-subject -nameopt RFC2253,-esc_msb"));
        assert_eq!(certificate.issuer, field("-issuer -nameopt RFC2253,-esc_msb"));
        assert_eq!(certificate.serial, field("-serial"));
    }
}

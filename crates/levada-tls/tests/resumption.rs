//! Sessions that are resumed, and those that must not be.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::time::{Duration, SystemTime};

use levada_core::{Role, TlsFacts, Verification};
use levada_tls::{
    ClientAuth, Engine, Identities, SessionName, TicketKeys, TicketRing, TlsClient, TlsServer,
};
use support::{Authority, HOST, Pair, Setup, VERSIONS};

const PERIOD: Duration = Duration::from_secs(3600);

/// Lets both shake hands, and answers what each tells of it.
fn meet(client: &TlsClient, server: &TlsServer, name: &SessionName) -> [TlsFacts; 2] {
    let mut pair = Pair::new(client.session(name).unwrap(), server.session());
    pair.talk();
    let told = [Role::Client, Role::Server].map(|role| {
        let (end, _) = pair.ends(role);
        assert_eq!(end.ending, None);
        assert!(!end.session.is_handshaking());
        end.session.facts()
    });
    assert_eq!(told[0].resumed, told[1].resumed);
    told
}

fn resumes(client: &TlsClient, server: &TlsServer, name: &SessionName) -> bool {
    meet(client, server, name)[0].resumed.unwrap()
}

fn host() -> SessionName {
    SessionName::new(HOST).unwrap()
}

fn given() -> TicketKeys {
    TicketKeys::given(TicketRing::generate(SystemTime::now(), PERIOD).unwrap(), SystemTime::now)
}

#[test]
fn a_fleet_that_shares_its_keys_resumes_the_sessions_of_each_member() {
    for version in VERSIONS {
        let setup = Setup::mutual(version);
        let client = setup.client.build().unwrap();
        let ring = given().ring();
        let member = || {
            let keys = TicketKeys::given(ring.clone(), SystemTime::now);
            setup.server.clone().tickets(keys).build().unwrap()
        };
        let (one, other) = (member(), member());
        let stranger = setup.server.clone().build().unwrap();
        assert!(!resumes(&client, &one, &host()));
        let [_, server] = meet(&client, &other, &host());
        assert_eq!(server.resumed, Some(true));
        assert_eq!(server.peer_certificates, 1, "who the client is comes with the ticket");
        assert!(!resumes(&client, &stranger, &host()), "its keys are its own");
    }
}

#[test]
fn a_session_is_resumed_while_its_key_is_in_the_ring_and_not_behind_it() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let keys = given();
        let server = setup.server.tickets(keys.clone()).build().unwrap();
        // One period later, as if that were now.
        let turn = || keys.replace(at(&keys.ring().turned().unwrap(), SystemTime::now()));
        let client = || setup.client.clone().build().unwrap();
        let (soon, late) = (client(), client());
        for client in [&soon, &late] {
            assert!(!resumes(client, &server, &host()));
        }
        // Their key is the previous one now; new tickets are of the current one.
        turn();
        assert!(resumes(&soon, &server, &host()));
        turn();
        assert!(resumes(&soon, &server, &host()));
        assert!(!resumes(&late, &server, &host()), "its key is gone");
    }
}

/// The keys of `ring`, the current one from `since` on.
fn at(ring: &TicketRing, since: SystemTime) -> TicketRing {
    TicketRing::new(ring.keys().clone(), since, ring.period()).unwrap()
}

#[test]
fn with_an_expired_ring_handshakes_go_on_and_nothing_is_resumed() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let long_ago = SystemTime::now() - 5 * PERIOD;
        let keys =
            TicketKeys::given(TicketRing::generate(long_ago, PERIOD).unwrap(), SystemTime::now);
        let server = setup.server.tickets(keys).build().unwrap();
        let client = setup.client.build().unwrap();
        for _ in 0..2 {
            assert!(!resumes(&client, &server, &host()));
        }
    }
}

#[test]
fn neither_end_resumes_where_it_is_told_not_to() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let (client, server) = (setup.client, setup.server);
        for (client, server) in [
            (client.clone().resume_servers(0), server.clone()),
            (client.clone(), server.clone().without_tickets()),
        ] {
            let (client, server) = (client.build().unwrap(), server.build().unwrap());
            for _ in 0..2 {
                assert!(!resumes(&client, &server, &host()));
            }
        }
    }
}

#[test]
fn a_ticket_says_nothing_to_a_server_with_other_rules_about_clients() {
    for version in VERSIONS {
        let setup = Setup::mutual(version);
        let client = setup.client.clone().build().unwrap();
        let keys = given();
        let with = |auth| {
            let builder = setup.server.clone().tickets(keys.clone());
            builder.client_auth(auth).build().unwrap()
        };
        let authority = || setup.authority.anchors();
        let open = with(ClientAuth::None);
        let strict = with(ClientAuth::Required(authority()));
        // A session that began where nobody was asked does not pass where a certificate is needed.
        assert!(!resumes(&client, &open, &host()));
        let [_, server] = meet(&client, &strict, &host());
        assert_eq!(server.resumed, Some(false));
        assert_eq!(server.verification, Some(Verification::Verified));
        assert!(resumes(&client, &with(ClientAuth::Required(authority())), &host()));
        assert!(!resumes(&client, &with(ClientAuth::Requested(authority())), &host()));
        let other = Authority::new("other authority");
        let nobody = setup.client.clone().build().unwrap();
        assert!(!resumes(&nobody, &strict, &host()));
        let mut pair = Pair::new(
            nobody.session(&host()).unwrap(),
            with(ClientAuth::Required(other.anchors())).session(),
        );
        pair.talk();
        assert!(pair.server.ending.is_some(), "{version}: the other authority's rules hold");
    }
}

#[test]
fn a_client_resumes_nothing_that_was_verified_by_other_rules() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let server = setup.server.build().unwrap();
        let lax = setup.client.clone().danger_no_verification().build().unwrap();
        assert!(!resumes(&lax, &server, &host()));
        assert!(resumes(&lax, &server, &host()));
        let strict = setup.client.clone().build().unwrap();
        let [client, _] = meet(&strict, &server, &host());
        assert_eq!(client.resumed, Some(false));
        assert_eq!(client.verification, Some(Verification::Verified));
        assert!(resumes(&strict.clone(), &server, &host()), "clones share the memory");
    }
}

#[test]
fn a_session_is_resumed_for_the_name_that_was_verified_and_no_other() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let identity = setup.authority.identity(&[HOST, "other.example"]);
        let server = TlsServer::builder(Identities::one(&identity));
        let server = server.min_version(version).max_version(version).build().unwrap();
        let client = setup.client.build().unwrap();
        let verified = |name: &str| SessionName::new(name).unwrap().with_sni(HOST).unwrap();
        assert!(!resumes(&client, &server, &verified(HOST)));
        assert!(!resumes(&client, &server, &verified("other.example")));
        let [told, _] = meet(&client, &server, &verified("other.example"));
        assert_eq!(told.resumed, Some(true));
        assert_eq!(told.verified_name.as_deref(), Some("other.example"));
        assert!(resumes(&client, &server, &verified(HOST)));
        // The certificate is for two names, and not for the third.
        let wrong = client.session(&verified("third.example")).unwrap();
        let mut pair = Pair::new(wrong, server.session());
        pair.talk();
        assert!(pair.client.ending.is_some(), "{version}");
    }
}

#[test]
fn the_memory_of_a_client_is_bounded_and_the_oldest_server_is_forgotten() {
    for version in VERSIONS {
        let setup = Setup::new(version);
        let names: Vec<_> = (0..3).map(|number| format!("host-{number}.example")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let identity = setup.authority.identity(&names);
        let server = TlsServer::builder(Identities::one(&identity));
        let server = server.min_version(version).max_version(version).build().unwrap();
        let client = setup.client.resume_servers(2).build().unwrap();
        let plain = |name: &&str| SessionName::new(name).unwrap();
        let other = |name: &&str| plain(name).with_sni(HOST).unwrap();
        for names in
            [names.iter().map(plain).collect::<Vec<_>>(), names.iter().map(other).collect()]
        {
            for name in &names {
                assert!(!resumes(&client, &server, name));
            }
            assert!(resumes(&client, &server, &names[2]));
            assert!(resumes(&client, &server, &names[1]));
            assert!(!resumes(&client, &server, &names[0]));
        }
    }
}

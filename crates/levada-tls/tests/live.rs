//! The live table of identities: changed while streams run, for the next handshake.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use levada_core::{AlertDescription, Ending, Fault, Role};
use levada_tls::{
    Engine, Identities, IdentitiesError, Identity, SessionName, TlsClient, TlsServer,
};
use support::{Authority, HOST, Pair};

/// A server with a table, and clients that ask it for names.
struct World {
    authority: Authority,
    identities: Identities,
    server: TlsServer,
}

impl World {
    fn new(first: &str) -> Self {
        let authority = Authority::new("root");
        let table = Identities::builder().with(&authority.identity(&[first])).unwrap();
        let identities = table.build().unwrap();
        let server = TlsServer::builder(identities.clone()).build().unwrap();
        Self { authority, identities, server }
    }

    fn identity(&self, names: &[&str]) -> Identity {
        self.authority.identity(names)
    }

    /// What becomes of a client that asks for `name`.
    fn ask(&self, name: Option<&str>) -> Pair {
        let client = TlsClient::builder().danger_no_verification().build().unwrap();
        let asked = SessionName::new(name.unwrap_or("192.0.2.1")).unwrap();
        let mut pair = Pair::new(client.session(&asked).unwrap(), self.server.session());
        pair.talk();
        pair
    }

    /// Which certificate a client that asks for `name` is shown.
    fn shown(&self, name: Option<&str>) -> Option<String> {
        let facts = self.ask(name).client.session.facts();
        facts.peer_chain.first().map(|shown| format!("{shown:?}"))
    }
}

fn certificate(identity: &Identity) -> String {
    format!("{:?}", identity.certificate())
}

#[test]
fn a_change_is_for_the_next_handshake_and_touches_no_running_stream() {
    let world = World::new(HOST);
    let mut running = world.ask(Some(HOST));
    let before = running.client.session.facts();
    let renewed = world.identity(&[HOST]);
    world.identities.change(|table| table.replacing(&renewed)).unwrap();
    assert_eq!(world.shown(Some(HOST)), Some(certificate(&renewed)));

    assert_eq!(running.client.session.facts(), before);
    for role in [Role::Client, Role::Server] {
        let (me, peer) = running.ends(role);
        assert!(me.session.seal(b"still here"));
        peer.hear(me);
        assert_eq!(peer.plain, b"still here");
    }
}

#[test]
fn a_session_that_has_begun_but_not_heard_its_client_takes_the_table_as_it_is_then() {
    let world = World::new(HOST);
    let client = TlsClient::builder().danger_no_verification().build().unwrap();
    let session = client.session(&SessionName::new("new.example").unwrap()).unwrap();
    let mut pair = Pair::new(session, world.server.session());
    let new = world.identity(&["new.example"]);
    world.identities.change(|table| table.with(&new)).unwrap();
    pair.talk();
    assert_eq!(pair.client.ending, None);
    assert!(!pair.server.session.is_handshaking());
}

#[test]
fn entries_are_added_and_removed() {
    let world = World::new(HOST);
    let wild = world.identity(&["*.example.org"]);
    world.identities.change(|table| table.with(&wild)).unwrap();
    assert_eq!(world.shown(Some("a.example.org")), Some(certificate(&wild)));
    let exact = world.identity(&["a.example.org"]);
    world.identities.change(|table| table.with(&exact)).unwrap();
    assert_eq!(
        world.shown(Some("a.example.org")),
        Some(certificate(&exact)),
        "exact goes before wild"
    );
    assert_eq!(world.shown(Some("b.example.org")), Some(certificate(&wild)));
    assert_eq!(world.shown(Some("a.b.example.org")), None, "one label, not two");
    world.identities.change(|table| table.without("A.example.org.")).unwrap();
    assert_eq!(world.shown(Some("a.example.org")), Some(certificate(&wild)));
    world.identities.change(|table| table.without("*.example.org")).unwrap();
    assert_eq!(world.shown(Some("a.example.org")), None);
}

#[test]
fn a_replaced_identity_is_replaced_as_the_default_too() {
    let world = World::new(HOST);
    let first = world.identity(&["other.example"]);
    let table = |table: levada_tls::IdentitiesBuilder| Ok(table.with(&first)?.with_default(&first));
    world.identities.change(table).unwrap();
    assert_eq!(world.shown(None), Some(certificate(&first)));
    let renewed = world.identity(&["other.example"]);
    world.identities.change(|table| table.replacing(&renewed)).unwrap();
    assert_eq!(world.shown(None), Some(certificate(&renewed)));
    world.identities.change(|table| Ok(table.without_default())).unwrap();
    assert_eq!(world.shown(None), None);
    assert_eq!(world.shown(Some("other.example")), Some(certificate(&renewed)));
}

#[test]
fn a_faulty_change_changes_nothing() {
    let world = World::new(HOST);
    let shown = world.shown(Some(HOST));
    let again = world.identity(&[HOST]);
    let new = world.identity(&["new.example"]);
    let change = |change: &dyn Fn() -> Result<(), IdentitiesError>| change().unwrap_err();
    assert_eq!(
        change(&|| world.identities.change(|table| table.with(&new)?.with(&again))),
        IdentitiesError::Taken(HOST.to_owned())
    );
    assert_eq!(
        change(&|| world.identities.change(|table| table.without("gone.example"))),
        IdentitiesError::Unknown("gone.example".to_owned())
    );
    assert_eq!(
        change(&|| world.identities.change(|table| table.without(HOST))),
        IdentitiesError::Empty
    );
    assert_eq!(world.shown(Some(HOST)), shown);
    assert_eq!(world.shown(Some("new.example")), None);
}

#[test]
fn by_policy_an_unknown_name_is_refused_though_there_is_a_default() {
    let world = World::new(HOST);
    let default = world.identity(&["default.example"]);
    world.identities.change(|table| Ok(table.with_default(&default))).unwrap();
    assert_eq!(world.shown(Some("unknown.example")), Some(certificate(&default)));
    world.identities.change(|table| Ok(table.refuse_unknown_names())).unwrap();
    let pair = world.ask(Some("unknown.example"));
    let alert = AlertDescription::UNRECOGNIZED_NAME;
    let cause = Fault::UnknownName(Some("unknown.example".to_owned()));
    assert_eq!(pair.server.ending, Some(Ending::FatalError { alert: Some(alert), cause }));
    assert_eq!(pair.client.ending, Some(Ending::FatalAlert(alert)));
    assert_eq!(world.shown(None), Some(certificate(&default)), "who asks for no name is let in");
}

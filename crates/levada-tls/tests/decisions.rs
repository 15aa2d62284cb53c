//! Somebody who is asked about each peer, in both roles and versions.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use levada_core::{AlertDescription, CertificateFault, Ending, Fault, Outcome, Role, Verification};
use levada_tls::{Awaited, Candidate, ClientAuth, Decision, Engine, PeerRules, TlsVersion};
use support::{Authority, Pair, ROLES, Setup, Threads, VERSIONS};

/// Ends that verify each other; that of `role` asks by `ask`.
fn setup<A>(
    role: Role,
    version: TlsVersion,
    ask: impl Fn(Candidate) -> A + Send + Sync + 'static,
) -> Setup
where
    A: Future<Output = Decision> + Send + 'static,
{
    let mut setup = Setup::mutual(version);
    let rules = PeerRules::new().ask(ask);
    match role {
        Role::Client => setup.client = setup.client.rules(rules),
        Role::Server => setup.server = setup.server.client_rules(rules),
    }
    setup
}

#[test]
fn who_is_asked_sees_the_peer_and_the_rules_verdict() {
    for version in VERSIONS {
        for role in ROLES {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let mut pair = Pair::established(setup(role, version, move |candidate| {
                count.fetch_add(1, Ordering::Relaxed);
                assert!(candidate.checks.failed().next().is_none());
                assert_eq!(candidate.chain.len(), 1);
                ready(Decision::Keep)
            }));
            assert_eq!(asked.load(Ordering::Relaxed), 1);
            let (me, peer) = pair.ends(role);
            assert!(peer.session.seal(b"data"));
            me.hear(peer);
            assert_eq!(me.plain, b"data");
        }
    }
}

#[test]
fn a_decision_refuses_whom_the_rules_let_in() {
    for version in VERSIONS {
        for role in ROLES {
            let no = |_| ready(Decision::Refuse("not on a Sunday".to_owned()));
            let mut pair = setup(role, version, no).join();
            pair.talk();
            let (me, peer) = pair.ends(role);
            let Some(Ending::FatalError { alert: Some(alert), cause }) = &me.ending else {
                panic!("{:?}", me.ending)
            };
            let words = "it was decided so: not on a Sunday".to_owned();
            assert_eq!(*cause, Fault::Certificate(CertificateFault::Other(words)));
            assert_eq!(peer.ending, Some(Ending::FatalAlert(*alert)));
            if role == Role::Client {
                assert_eq!(
                    peer.session.facts().peer_certificates,
                    0,
                    "we have not shown ourselves"
                );
            }
        }
    }
}

/// Ends of which that of `role` trusts nobody that the other one can show.
fn distrustful(role: Role, version: TlsVersion, decision: Decision) -> Pair {
    let ask = move |candidate: Candidate| {
        assert!(candidate.checks.failed().next().is_some());
        ready(decision.clone())
    };
    let rules = PeerRules::new().ask(ask);
    let strangers = Authority::new("strangers").anchors();
    let mut setup = Setup::mutual(version);
    match role {
        Role::Client => setup.client = setup.client.anchors(strangers).rules(rules),
        Role::Server => {
            let auth = ClientAuth::Required(strangers);
            setup.server = setup.server.client_auth(auth).client_rules(rules);
        }
    }
    setup.join()
}

#[test]
fn a_decision_lets_in_whom_the_rules_refuse_by_a_name_that_tells_the_danger() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = distrustful(role, version, Decision::Keep);
            pair.talk();
            let (me, _) = pair.ends(role);
            assert!(matches!(&me.ending, Some(Ending::FatalError { .. })), "{:?}", me.ending);

            let mut pair = distrustful(role, version, Decision::DangerLetIn);
            pair.talk();
            let (me, _) = pair.ends(role);
            assert_eq!(me.ending, None);
            assert!(!me.session.is_handshaking());
            let facts = me.session.facts();
            assert_eq!(facts.verification, Some(Verification::Danger));
            assert_eq!(facts.verified_name, None);
            let checks = facts.checks.unwrap();
            assert!(matches!(checks.trust, Outcome::Ignored(CertificateFault::UnknownIssuer)));
        }
    }
}

#[test]
fn a_decision_that_panics_or_is_late_makes_the_peer_see_alert_80() {
    fn explode() -> Decision {
        panic!("on purpose")
    }
    let assert_undecided = |pair: &mut Pair, role| {
        let (me, peer) = pair.ends(role);
        let Some(Ending::FatalError { cause: Fault::Undecided(_), .. }) = &me.ending else {
            panic!("{:?}", me.ending)
        };
        assert_eq!(peer.ending, Some(Ending::FatalAlert(AlertDescription::INTERNAL_ERROR)));
    };
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = setup(role, version, |_| async { explode() }).join();
            pair.talk();
            assert_undecided(&mut pair, role);

            let mut pair = setup(role, version, |_| pending()).join();
            let (me, peer) = pair.ends(role);
            let mut cx = Context::from_waker(Waker::noop());
            while me.session.awaits() != Some(Awaited::Verdict) {
                peer.hear(me);
                me.wire.extend(peer.write());
                while me.session.poll_awaited(&mut cx, &Threads).is_ready() {
                    let opened = me.session.open(&mut me.wire, &mut []).unwrap();
                    me.wire.drain(..opened.taken);
                    if opened.taken == 0 {
                        break;
                    }
                }
                std::thread::yield_now();
            }
            me.session.stop_waiting();
            me.open(1);
            peer.hear(me);
            assert_undecided(&mut pair, role);
        }
    }
}

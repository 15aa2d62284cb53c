//! Keys that live elsewhere: rows T27 and T33 of the Telsa profile, in both roles and versions.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Waker};

use levada_core::{AlertDescription, Blame, Ending, Fault, Role};
use levada_tls::{
    Awaited, Engine, Identity, IdentityError, Session, SignatureScheme, Signer, SignerError,
    TlsVersion,
};
use rcgen::{KeyPair, SigningKey};
use support::{Authority, End, HOST, Pair, ROLES, Setup, Threads, VERSIONS};

/// Signs as the certificate's key does.
fn with(key: KeyPair) -> impl Signer {
    let key = Arc::new(key);
    move |scheme: SignatureScheme, message: Vec<u8>| {
        let key = key.clone();
        async move {
            assert_eq!(scheme, SignatureScheme::ECDSA_SECP256R1_SHA256);
            Ok(key.sign(&message)?)
        }
    }
}

/// Ends that verify each other; the key of `role` is with the signer that is made of it.
fn setup<S: Signer + 'static>(
    role: Role,
    version: TlsVersion,
    signer: impl FnOnce(KeyPair) -> S,
) -> Setup {
    let mut setup = Setup::mutual(version);
    let (chain, key) = setup.authority.issue(&[HOST], |_| {});
    let signer = signer(KeyPair::from_pem(&key).unwrap());
    let identity = Identity::with_signer(chain.as_bytes(), signer).unwrap();
    match role {
        Role::Client => setup.client = setup.client.identity(identity),
        Role::Server => setup = setup.with_identity(&identity, version),
    }
    setup
}

/// `finder` blames its signer in these words, and its peer was sent internal_error.
#[track_caller]
fn assert_blamed(finder: &End, peer: &End, words: &str) {
    let alert = AlertDescription::INTERNAL_ERROR;
    let cause = Fault::Signer(words.to_owned());
    let ending = Ending::FatalError { alert: Some(alert), cause };
    assert_eq!(finder.ending.as_ref(), Some(&ending));
    assert_eq!(ending.blame(), Some(Blame::Local));
    assert_eq!(peer.ending, Some(Ending::FatalAlert(alert)), "the alert came before the end");
}

fn blamed<S: Signer + 'static>(signer: impl Fn(KeyPair) -> S, words: &str) {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = setup(role, version, &signer).join();
            pair.talk();
            let (finder, peer) = pair.ends(role);
            assert_blamed(finder, peer, words);
        }
    }
}

#[test]
fn a_key_may_be_elsewhere() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = Pair::established(setup(role, version, with));
            let (me, peer) = pair.ends(role);
            assert_eq!(peer.session.facts().peer_certificates, 1);
            assert!(me.session.facts().identity.is_some());
            assert!(peer.session.seal(b"data"));
            me.hear(peer);
            assert_eq!(me.plain, b"data");
        }
    }
}

#[test]
fn t27_a_failing_signer_makes_the_peer_see_alert_80() {
    let failing = |_| |_, _| async { Err(SignerError::from("no token in the slot")) };
    blamed(failing, "no token in the slot");
}

fn explode() -> Vec<u8> {
    panic!("on purpose")
}

/// Panics before there is a future.
struct AtOnce;

impl Signer for AtOnce {
    fn sign(&self, _: SignatureScheme, _: Vec<u8>) -> levada_tls::Signing {
        Box::pin(std::future::ready(Ok(explode())))
    }
}

#[test]
fn t27_a_panicking_signer_makes_the_peer_see_alert_80() {
    blamed(|_| |_, _| async { Ok(explode()) }, "the signer panicked");
    blamed(|_| AtOnce, "the signer panicked");
}

#[test]
fn t27_a_signature_of_another_key_is_not_sent() {
    blamed(
        |_| with(KeyPair::generate().unwrap()),
        "the signature by ecdsa_secp256r1_sha256 is not one of the certificate's key: is it the \
         right one?",
    );
    blamed(
        |_| |_, _| async { Ok(b"no signature at all".to_vec()) },
        "the signature by ecdsa_secp256r1_sha256 is not one of the certificate's key: is it the \
         right one?",
    );
}

/// Lets the two talk until the end of `role` waits for its signer.
fn until_it_waits(pair: &mut Pair, role: Role) {
    let (me, peer) = pair.ends(role);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        peer.wire.extend(me.write());
        peer.open(1);
        me.wire.extend(peer.write());
        while me.session.poll_awaited(&mut cx, &Threads).is_ready() {
            let opened = me.session.open(&mut me.wire, &mut []).unwrap();
            me.wire.drain(..opened.taken);
            if opened.taken == 0 {
                break;
            }
        }
        if me.session.awaits() == Some(Awaited::Signature) {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn t27_a_late_signer_makes_the_peer_see_alert_80() {
    for version in VERSIONS {
        for role in ROLES {
            let mut pair = setup(role, version, |_| |_, _| pending()).join();
            until_it_waits(&mut pair, role);
            let (me, peer) = pair.ends(role);
            me.session.stop_waiting();
            me.open(1);
            peer.hear(me);
            assert_blamed(me, peer, "it gave no signature in time");
        }
    }
}

#[test]
fn t33_a_signature_after_the_end_is_ignored() {
    /// Tells when the request for a signature is taken back.
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).ok();
        }
    }
    for version in VERSIONS {
        for role in ROLES {
            let (sender, taken_back) = mpsc::channel();
            let mut pair = setup(role, version, |_| {
                move |_, _| {
                    let dropped = Dropped(sender.clone());
                    async move {
                        let _dropped = dropped;
                        pending().await
                    }
                }
            })
            .join();
            until_it_waits(&mut pair, role);
            let (me, peer) = pair.ends(role);
            me.session.close();
            assert_eq!(me.session.awaits(), None);
            taken_back.recv().unwrap();
            peer.hear(me);
            assert!(peer.session.peer_has_closed(), "a goodbye is said as long as one can be");
            assert!(me.session.is_handshaking() && peer.ending.is_none());
        }
    }
}

#[test]
fn what_waits_is_written_while_a_signature_is_awaited() {
    let mut pair = setup(Role::Client, TlsVersion::V1_3, |_| |_, _| pending()).join();
    let (me, peer) = pair.ends(Role::Client);
    peer.wire.extend(me.write());
    peer.open(1);
    me.wire.extend(peer.write());
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing is written until the end: the change_cipher_spec behind ServerHello waits.
    while me.session.awaits() != Some(Awaited::Signature) {
        if me.session.poll_awaited(&mut cx, &Threads).is_ready() {
            let opened = me.session.open(&mut me.wire, &mut []).unwrap();
            me.wire.drain(..opened.taken);
        }
    }
    let wire = me.write();
    assert_eq!(wire, [20, 3, 3, 0, 1, 1]);
    peer.wire.extend(wire);
    me.session.stop_waiting();
    me.open(1);
    peer.hear(me);
    assert_blamed(me, peer, "it gave no signature in time");
}

/// Threads that have no time.
struct Full;

impl levada_tls::BlockingPool for Full {
    fn run(&self, _: levada_tls::Work) {}
}

#[test]
fn threads_that_have_no_time_end_the_handshake() {
    let mut pair = setup(Role::Server, TlsVersion::V1_3, with).join();
    let mut wire = pair.client.write();
    let _ = pair.server.session.open(&mut wire, &mut []).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pair.server.session.poll_awaited(&mut cx, &Full).is_ready());
    let ending = pair.server.session.open(&mut [], &mut []).unwrap_err();
    assert!(matches!(ending, Ending::FatalError { cause: Fault::Internal(_), .. }), "{ending:?}");
    pair.client.hear(&mut pair.server);
    assert_eq!(pair.client.ending, Some(Ending::FatalAlert(AlertDescription::INTERNAL_ERROR)));
}

/// A client of TLS 1.2 that has said all waits for the server's Finished: its next record would have to
/// be encrypted, by keys that only the library has.
#[test]
fn nothing_goes_out_in_plaintext_behind_the_change_of_keys() {
    let ends: [fn(&mut Session); 3] = [
        |session| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(session.poll_awaited(&mut cx, &Full).is_ready());
        },
        Session::stop_waiting,
        |session| session.close(),
    ];
    for end in ends {
        let Pair { mut client, mut server } = setup(Role::Client, TlsVersion::V1_2, with).join();
        server.hear(&mut client);
        client.hear(&mut server);
        server.hear(&mut client);
        assert!(client.session.is_handshaking() && !server.session.is_handshaking());
        let _ = client.session.open(&mut server.write(), &mut []).unwrap();
        assert!(client.session.awaits().is_some());
        end(&mut client.session);
        assert_eq!(client.write(), []);
        if let Err(ending) = client.session.open(&mut [], &mut []) {
            let Ending::FatalError { alert: None, cause: Fault::Internal(_) } = ending else {
                panic!("{ending:?}")
            };
        }
    }
}

#[test]
fn a_chain_without_a_certificate_is_no_identity() {
    let never = |_: SignatureScheme, _: Vec<u8>| pending();
    assert_eq!(
        Identity::with_signer(b"-----BEGIN X-----\n-----END X-----\n", never).unwrap_err(),
        IdentityError::NoCertificate
    );
    let authority = Authority::new("root");
    let (chain, _) = authority.issue(&[HOST], |_| {});
    let identity = Identity::with_signer(chain.as_bytes(), never).unwrap();
    assert_eq!(identity.names(), [HOST]);
    assert!(!format!("{identity:?}").contains("signer"));
}

#[test]
fn a_signer_is_tried_out_before_anybody_comes() {
    let authority = Authority::new("root");
    let (chain, key) = authority.issue(&[HOST], |_| {});
    let tried = |signer: Box<dyn Fn() -> Result<Vec<u8>, SignerError> + Send + Sync>| {
        let signer = move |_: SignatureScheme, _: Vec<u8>| std::future::ready(signer());
        Identity::with_signer(chain.as_bytes(), signer).unwrap().try_signer()
    };
    let right = with(KeyPair::from_pem(&key).unwrap());
    assert_eq!(Identity::with_signer(chain.as_bytes(), right).unwrap().try_signer(), Ok(()));
    let other = Identity::with_signer(chain.as_bytes(), with(KeyPair::generate().unwrap()));
    assert_eq!(other.unwrap().try_signer(), Err(IdentityError::SignerMismatch));
    let failing = tried(Box::new(|| Err("the card was pulled out".into())));
    assert_eq!(failing, Err(IdentityError::SignerFailed("the card was pulled out".to_owned())));
    let panicking = tried(Box::new(|| panic!("no card")));
    assert_eq!(panicking, Err(IdentityError::SignerFailed("the signer panicked".to_owned())));
    // A key in this process has nothing to prove.
    let at_hand = Identity::from_pem(chain.as_bytes(), Some(key.as_bytes()), None).unwrap();
    assert_eq!(at_hand.try_signer(), Ok(()));
}

//! A ticket lets nobody in who would be refused: who is revoked meanwhile, or is told of by a list that
//! has expired, shakes hands in full and is judged. A ticket is good for as long as its key is in the
//! ring. So it is with OpenSSL and GnuTLS, whether they come back to us or we to them.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, SystemTime};

use levada::{Identities, Options, TicketKeys, TicketRing, TlsServer};
use rustix::process::Signal;
use serde_json::Value;
use time::OffsetDateTime;

use crate::harness::library::{Library, identity};
use crate::harness::{Foreign, Host, Pki, Serve};

fn is_resumed(ended: &Value) -> bool {
    ended["facts"]["tls"]["resumed"].as_bool().expect("it is told")
}

/// A server that goes by this revocation list.
fn listen(pki: &Pki, crl: &str) -> Serve {
    let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
    Serve::start([&listen[..], &["--client-ca", &pki.ca, "--client-crl", crl]].concat())
}

/// A bridge to `url` that goes by this revocation list.
fn bridge(pki: &Pki, url: &str, crl: &str) -> Serve {
    let to = format!("{url}?ca={}&crl={crl}", pki.ca);
    Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to])
}

/// Goes over the bridge and back; what its log says of the far side.
#[track_caller]
fn go(bridge: &mut Serve) -> Value {
    let mut stream = bridge.dial();
    // A stream that is refused hears nothing.
    let _ = stream.write_all(b"hello\n");
    // The answer comes behind the tickets.
    if stream.read_exact(&mut [0; 6]).is_ok() {
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    bridge.next("ended")["target"].clone()
}

fn reload(serve: &mut Serve) {
    serve.process.signal(Signal::HUP);
    serve.next("reloaded");
}

#[test]
fn who_is_revoked_and_comes_back_to_us() {
    for (program, version) in Foreign::EACH {
        for (revoked, wanted) in [(None, None), (Some(Pki::CLIENT), Some(44))] {
            let pki = Pki::new();
            let crl = pki.crl("list.pem", &[99]);
            let mut serve = listen(&pki, &crl);
            let address = serve.address();
            let alert = program.comes_again(&pki, address, version, Some(&pki.client), || {
                assert!(!is_resumed(&serve.next("ended")["client"]));
                if let Some(serial) = revoked {
                    pki.crl("list.pem", &[serial]);
                }
                reload(&mut serve);
            });
            assert_eq!(alert, wanted, "{program:?} {version}");
            let ended = serve.next("ended")["client"].clone();
            if wanted.is_none() {
                assert!(is_resumed(&ended), "with the same list it is: {ended}");
            } else {
                assert!(ended.to_string().contains("revoked"), "{ended}");
            }
        }
    }
}

#[test]
fn who_is_revoked_and_we_come_back_to() {
    for (program, version) in Foreign::EACH {
        let pki = Pki::new();
        let crl = pki.crl("list.pem", &[99]);
        let mut host = program.server(&pki, version, Host::default());
        let mut serve = bridge(&pki, &host.url(), &crl);
        assert!(!is_resumed(&go(&mut serve)), "{program:?} {version}");
        assert!(is_resumed(&go(&mut serve)), "{program:?} {version}");
        pki.crl("list.pem", &[Pki::LOCALHOST]);
        reload(&mut serve);
        let ended = go(&mut serve);
        assert!(ended.to_string().contains("revoked"), "{program:?} {version}: {ended}");
        assert_eq!(host.alert(), 44, "{program:?} {version}");
    }
}

/// A list that is good for so many seconds from now, and its end.
fn brief(pki: &Pki, seconds: i64) -> (String, OffsetDateTime) {
    let end = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    let end = end + time::Duration::seconds(seconds);
    (pki.crl_until("brief.pem", &[99], end), end)
}

/// The time of a handshake is the system's: until then, whatever that takes.
#[expect(clippy::disallowed_methods, reason = "a test's own thread, with no stream on it")]
fn wait_until(moment: OffsetDateTime) {
    while OffsetDateTime::now_utc() <= moment + time::Duration::SECOND {
        thread::sleep(Duration::from_millis(50));
    }
}

/// Longer and longer, until the first of two handshakes is over before the list is.
const SECONDS: [i64; 3] = [3, 10, 30];

#[test]
fn who_comes_back_to_us_when_the_list_has_expired() {
    let come = |(program, version): (Foreign, &str)| {
        let pki = Pki::new();
        for seconds in SECONDS {
            let (crl, end) = brief(&pki, seconds);
            let mut serve = listen(&pki, &crl);
            let (address, mut in_time) = (serve.address(), false);
            let alert = program.comes_again(&pki, address, version, Some(&pki.client), || {
                let ended = serve.next("ended")["client"].clone();
                in_time = OffsetDateTime::now_utc() < end;
                assert!(!in_time || !is_resumed(&ended), "{ended}");
                wait_until(end);
            });
            if in_time {
                assert_eq!(alert, Some(48), "{program:?} {version}");
                let ended = serve.next("ended")["client"].to_string();
                assert!(ended.contains("revocation_unknown"), "{ended}");
                return;
            }
        }
        panic!("no machine is as slow as that");
    };
    thread::scope(|scope| {
        for peer in Foreign::EACH {
            scope.spawn(move || come(peer));
        }
    });
}

#[test]
fn whom_we_come_back_to_when_the_list_has_expired() {
    let go_twice = |(program, version): (Foreign, &str)| {
        let pki = Pki::new();
        let mut host = program.server(&pki, version, Host::default());
        for seconds in SECONDS {
            let (crl, end) = brief(&pki, seconds);
            let mut serve = bridge(&pki, &host.url(), &crl);
            let (first, second) = (go(&mut serve), go(&mut serve));
            if OffsetDateTime::now_utc() < end {
                assert!(!is_resumed(&first) && is_resumed(&second), "{first} {second}");
                wait_until(end);
                let ended = go(&mut serve).to_string();
                assert!(ended.contains("revocation_unknown"), "{program:?} {version}: {ended}");
                assert_eq!(host.alert(), 48, "{program:?} {version}");
                return;
            }
        }
        panic!("no machine is as slow as that");
    };
    thread::scope(|scope| {
        for peer in Foreign::EACH {
            scope.spawn(move || go_twice(peer));
        }
    });
}

#[test]
fn a_ticket_whose_key_has_left_the_ring() {
    const PERIOD: Duration = Duration::from_secs(3600);
    let pki = Pki::new();
    for (program, version) in Foreign::EACH {
        for (turns, wanted) in [(0, true), (1, true), (2, false)] {
            let ring = TicketRing::generate(SystemTime::now(), PERIOD).unwrap();
            let keys = TicketKeys::given(ring, SystemTime::now);
            let tls = TlsServer::builder(Identities::one(&identity(&pki.localhost)));
            let tls = tls.tickets(keys.clone()).build().unwrap();
            let server = Library::start(tls, Options::default(), |_| {});
            let alert = program.comes_again(&pki, server.address, version, None, || {
                server.ended();
                for _ in 0..turns {
                    // As if a period were over.
                    let ring = keys.ring().turned().unwrap();
                    let now = SystemTime::now();
                    keys.replace(TicketRing::new(ring.keys().clone(), now, PERIOD).unwrap());
                }
            });
            assert_eq!(alert, None, "{program:?} {version}");
            let resumed = server.ended().facts.tls.as_ref().unwrap().resumed;
            assert_eq!(resumed, Some(wanted), "{program:?} {version}, turned {turns} times");
        }
    }
}

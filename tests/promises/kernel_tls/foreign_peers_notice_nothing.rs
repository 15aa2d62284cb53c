//! OpenSSL and GnuTLS notice nothing of how the data goes at our end: in both roles and both versions it
//! comes back whole, and new keys are followed.

use crate::harness::{Caller, Foreign, Host, Pki, Pool, Serve, assert_same, digits};
use crate::stream::connect_by_pool;
use crate::way::Way;

const MUCH: usize = 60_000;

#[test]
fn as_clients() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    for way in Way::EACH {
        let mut serve = Serve::start(["--listen", &way.url(&pool, "127.0.0.1:0"), "--to", "echo:"]);
        for (foreign, version) in Foreign::EACH {
            let visitor = foreign.client(&pki, serve.address(), version, Caller::default());
            let mut client = visitor.running;
            drop(client.feed(digits(MUCH)).join().unwrap());
            let client = client.wait();
            assert_eq!(client.code(), 0, "{foreign:?} {version}: {}", client.stderr);
            // OpenSSL leaves with its goodbye, and what it does not wait for is lost.
            if foreign == Foreign::GnuTls {
                assert_same(&client.stdout, &digits(MUCH));
            }
            let ended = serve.next("ended")["client"].take();
            way.assert_told(&ended["facts"]);
            assert_eq!(ended["facts"]["tls"]["version"], version);
            assert_eq!(ended["facts"]["bytes"]["read"], MUCH, "{foreign:?} {version}: {ended}");
        }
    }
}

#[test]
fn as_servers() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    for (foreign, version) in Foreign::EACH {
        let server = foreign.server(&pki, version, Host::default());
        for way in Way::EACH {
            let mut client = connect_by_pool(&way.url(&pool, server.address)).start();
            let lines = b"hello\n".repeat(MUCH / 6);
            drop(client.feed(lines).join().unwrap());
            let client = client.wait();
            let ended = client.ended();
            assert_eq!((client.code(), &ended["code"]), (0, &"finished".into()), "{ended}");
            assert_same(&client.stdout, &server.answer().repeat(MUCH / 6));
            way.assert_told(&ended["facts"]);
            assert_eq!(ended["facts"]["tls"]["version"], version);
        }
    }
}

/// A client renews its keys (KeyUpdate), and wants ours renewed.
#[test]
fn with_new_keys() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let must = std::env::var_os("LEVADA_KERNEL_TLS_REKEY").is_some();
    for way in Way::EACH {
        let mut serve = Serve::start(["--listen", &way.url(&pool, "127.0.0.1:0"), "--to", "echo:"]);
        for (foreign, words, command) in [
            (Foreign::OpenSsl, &[][..], &b"K\n"[..]),
            (Foreign::GnuTls, &["--inline-commands"], b"^rekey^\n"),
        ] {
            let caller = Caller { words, ..Caller::default() };
            let mut client = foreign.client(&pki, serve.address(), "1.3", caller);
            assert!(client.is_echoed(), "{foreign:?}");
            client.running.write(command);
            if foreign == Foreign::OpenSsl {
                // A command stands alone in what it reads at once.
                while client.running.stderr.line().expect("it tells of it") != "KEYUPDATE" {}
            }
            let goes_on = client.is_echoed();
            if goes_on {
                client.leave();
            }
            let ended = serve.next("ended")["client"].take();
            way.assert_told(&ended["facts"]);
            let rekeys = &ended["facts"]["kernel_tls"]["armed"]["rekeys"];
            if way.is_past_the_pool() && rekeys == false {
                assert!(!must && !goes_on, "{foreign:?}: {ended}");
                let message = ended["message"].as_str().unwrap();
                assert!(message.contains("kernel"), "{foreign:?}: {message}");
            } else {
                assert!(goes_on, "{foreign:?}: {ended}");
                assert_eq!(ended["code"], "finished", "{foreign:?}: {ended}");
            }
        }
    }
}

//! A private key may stay on a PKCS#11 token, which made it and lets nobody take it out: OpenSSL and
//! GnuTLS believe in what the token signs, for a server and for a client, by a pool and without one. A
//! token that goes away comes back without anybody's help, and what is wrong is told before the start.

use std::net::SocketAddr;
use std::sync::Barrier;

use levada_testkit::skip::cannot_run;
use levada_testkit::soft_hsm::PIN;
use rustix::process::Signal;

use crate::harness::{
    Caller, Client, Command, EC, EC_384, Foreign, Host, Hosting, Pool, RSA, RemoteHsm, Serve,
    Token, VERSIONS, connect, levada,
};

/// Every foreign client is let in by this server, and every foreign server lets in the client that this
/// makes for it.
#[track_caller]
fn assert_believed(token: &Token, serve: &Serve, client: impl Fn(&Hosting) -> Command) {
    for (program, version) in Foreign::EACH {
        let context = format!("{program:?} {version} {}", token.key);
        let mut visitor = program.client(&token.pki, serve.address(), version, Caller::default());
        assert!(visitor.is_echoed(), "{context}");
        visitor.leave();

        let host = Host { client_ca: Some(&token.pki.ca), ..Host::default() };
        let host = program.server(&token.pki, version, host);
        let client = client(&host).run(b"hello\n");
        let told = (client.code(), &client.stdout[..]);
        assert_eq!(told, (0, host.answer()), "{context}: {}", client.stderr);
    }
}

/// A server whose key is in this pool.
fn serve(pool: &Pool) -> Serve {
    Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"])
}

/// A client whose key is in this pool.
fn client_by(pool: &Pool, host: &Hosting) -> Command {
    let port = host.address.port();
    connect(&pool.url(format_args!("localhost:{port}")), [""; 0])
}

#[test]
fn for_a_server_and_for_a_client() {
    for kind in [EC, EC_384, RSA] {
        let token = Token::new(kind);
        assert_believed(&token, &token.serve(), |host| {
            let client = connect(&host.url(), ["--ca", &token.pki.ca]).args(token.words());
            token.reached_by(client)
        });
    }
}

#[test]
fn and_a_pool_may_have_it_there() {
    for kind in [EC, RSA] {
        let token = Token::new(kind);
        let pool = token.pool();
        assert_believed(&token, &serve(&pool), |host| client_by(&pool, host));
        let told = pool.stop().join("\n");
        assert!(!told.contains(PIN), "{told}");
    }
}

/// Handshakes that are on their way all the time, each with its own fate.
const VISITORS: usize = 4;

#[test]
fn and_a_token_that_was_away_is_found_again_while_handshakes_run() {
    let token = Token::new(EC);
    let pool = token.pool();
    let pooled = serve(&pool);
    for serve in [token.serve(), pooled] {
        let server = serve.address();
        let mut kept = Client::start(&token.pki, server, "-tls1_3", &[]);
        let mut goes_on = || {
            kept.write(b"hello\n");
            assert_eq!(kept.stdout.line().as_deref(), Some("hello"), "what runs goes on");
        };
        goes_on();
        let failed = Barrier::new(VISITORS + 1);
        token.hsm.set_away(true);
        std::thread::scope(|scope| {
            for _ in 0..VISITORS {
                scope.spawn(|| {
                    // What a module has read of a token it may know for a while.
                    while token.is_let_in(server) {}
                    failed.wait();
                    while !token.is_let_in(server) {}
                });
            }
            failed.wait();
            goes_on();
            token.hsm.set_away(false);
        });
        goes_on();
        assert!(token.is_let_in(server), "and it stays");
    }
}

#[test]
fn and_a_wrong_pin_is_tried_once_so_that_no_token_locks_itself() {
    for by_pool in [true, false] {
        let token = Token::spied(EC);
        let pool = by_pool.then(|| token.pool());
        let serve = pool.as_ref().map_or_else(|| token.serve(), serve);
        let server = serve.address();
        assert!(token.is_let_in(server));
        let logins = token.calls("C_Login");
        // Its login goes with it, and the PIN is no longer right.
        token.pki.folder.write("pin", "1234\n");
        token.hsm.set_away(true);
        while token.is_let_in(server) {}
        token.hsm.set_away(false);
        while token.calls("C_Login") == logins {
            assert!(!token.is_let_in(server));
        }
        for _ in 0..10 {
            assert!(!token.is_let_in(server));
        }
        assert_eq!(token.calls("C_Login"), logins + 1);
        // Nothing has to be begun anew once it is mended.
        token.pki.folder.write("pin", &format!("{PIN}\n"));
        assert!(token.is_let_in(server));
        assert_eq!(token.calls("C_Login"), logins + 2);
        let told = match pool {
            Some(pool) => pool.stop().join("\n"),
            None => format!("{:?}", serve.stop()),
        };
        assert!(told.contains("does not take the PIN") && !told.contains(PIN), "{told}");
    }
}

/// A policy with the identity of this token, and `open.test`, whose key is at hand.
fn with_another(token: &Token) -> String {
    let open = token.pki.identity("open.pem", &["open.test"], |_| {});
    let policy = token.policy(&format!("key-pass-file = {:?}", token.pin));
    let text = std::fs::read_to_string(&policy).unwrap();
    let text = format!("{text}[[identity]]\nname = \"open.test\"\ncert = {open:?}\n");
    std::fs::write(&policy, text).unwrap();
    policy
}

#[track_caller]
fn assert_others_are_served(token: &Token, server: SocketAddr) {
    for (program, version) in Foreign::EACH {
        let caller = Caller { name: Some("open.test"), ..Caller::default() };
        let mut visitor = program.client(&token.pki, server, version, caller);
        assert!(visitor.is_echoed(), "{program:?} {version}");
        visitor.leave();
    }
}

#[test]
fn and_one_that_takes_its_time_stalls_nobody_else() {
    /// What a module has of calls at once, and more than wait for their turn.
    const CALLS: usize = 16;
    const WAITING: usize = 40;
    let (remote, token) = RemoteHsm::new(EC);
    let pool = token.pool_within(&with_another(&token), &["--token-net"]);
    let serve = serve(&pool);
    let server = serve.address();
    for version in VERSIONS {
        let mut kept = Client::start(&token.pki, server, version, &[]);
        let mut goes_on = || {
            kept.write(b"hello\n");
            assert_eq!(kept.stdout.line().as_deref(), Some("hello"), "what runs goes on");
        };
        goes_on();
        remote.hold(true);
        let waiting: Vec<_> =
            (0..WAITING).map(|_| Client::start(&token.pki, server, version, &[])).collect();
        let held: Vec<_> = (0..CALLS).map(|_| remote.asked()).collect();
        // Every call that the module may have hangs now.
        assert_others_are_served(&token, server);
        goes_on();
        // They are the same ones still: nothing has been signed meanwhile.
        for stream in &held {
            stream.set_nonblocking(true).unwrap();
            let kind = stream.peek(&mut [0]).unwrap_err().kind();
            assert_eq!(kind, std::io::ErrorKind::WouldBlock, "the module waits");
        }
        remote.hold(false);
        drop(held);
        drop(waiting);
        // Those that have waited may have been held anew, before that.
        while !token.is_let_in(server) {
            remote.forget();
        }
        goes_on();
    }
}

#[test]
fn and_a_reload_that_waits_for_it_delays_no_exit() {
    let (remote, token) = RemoteHsm::new(EC);
    let policy = with_another(&token);
    let pool = token.pool_within(&policy, &["--token-net"]);
    let pooled = serve(&pool);
    let serve = token.serve();
    assert!(token.is_let_in(serve.address()) && token.is_let_in(pooled.address()));
    remote.hold(true);
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, text + "# another\n").unwrap();
    pool.process.signal(Signal::HUP);
    let _for_the_pool = remote.asked();
    assert_others_are_served(&token, pooled.address());
    pool.stop();

    serve.process.signal(Signal::HUP);
    let _for_the_server = remote.asked();
    assert_eq!(serve.stop().0, 0);
}

/// Whether this kernel can keep a process from the network, as a pool tells that has given up what it can.
fn can_be_kept_from_the_net(token: &Token) -> bool {
    let pki = &token.pki;
    let mut pool = Pool::start_as(pki, "other.sock", &[]);
    loop {
        let record = pool.next("hardened");
        if record["right"] == "files" {
            return record["state"] == "restricted";
        }
    }
}

#[test]
fn and_a_pool_reaches_it_elsewhere_only_where_it_may() {
    let (_remote, token) = RemoteHsm::new(EC);
    if !can_be_kept_from_the_net(&token) {
        let why = "this kernel has no Landlock for connections";
        return cannot_run("and_a_pool_reaches_it_elsewhere_only_where_it_may", why);
    }
    // Where all is known before the start, it does not start.
    let policy = token.policy(&format!("key-pass-file = {:?}", token.pin));
    let (command, _) = token.pool_command(&policy, &[]);
    let refused = command.run(b"");
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    for words in ["token.toml:6:7: ", "\"site\"", "C_Sign: CKR_DEVICE_ERROR", "--token-net"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    // Where a person has to be asked first, the log tells.
    let asking = token.policy("key-pass = \"ask\"");
    let mut pool = token.pool_within(&asking, &[]);
    let serve = serve(&pool);
    let server = serve.address();
    let mut person = pool.speaker();
    person.enters_pins();
    std::thread::scope(|scope| {
        let visit = scope.spawn(|| token.is_let_in(server));
        person.enters(PIN);
        assert!(!visit.join().unwrap());
    });
    pool.hear("C_Sign: CKR_DEVICE_ERROR; is it there, and may its module reach it");
    drop(pool);

    let policy = token.policy(&format!("key-pass-file = {:?}", token.pin));
    let pool = token.pool_within(&policy, &["--token-net"]);
    let serve = self::serve(&pool);
    assert_believed(&token, &serve, |host| client_by(&pool, host));
}

#[test]
fn and_a_person_is_asked_for_its_pin() {
    let token = Token::new(EC);
    let pool = token.pool_with("key-pass = \"ask\"");
    let serve = serve(&pool);
    let server = serve.address();
    assert!(!token.is_let_in(server), "nobody can be asked");

    let mut person = pool.speaker();
    person.enters_pins();
    let mut enters = |attempt: u32, pin: &str| {
        let question = person.enters(pin);
        let told = (question.label.as_str(), question.model.as_str(), question.attempt);
        assert_eq!(told, (Some("site"), Some("SoftHSM v2"), attempt));
    };
    let visitors: Vec<_> = (0..3)
        .map(|_| {
            let mut visitor = token.visit(server).start();
            visitor.write(b"hello\n");
            visitor
        })
        .collect();
    enters(0, "wrong");
    enters(1, PIN);
    for mut visitor in visitors {
        assert_eq!(visitor.stdout.line().as_deref(), Some("hello"), "one login is for all");
        assert_eq!(visitor.finish().code(), 0);
    }
    assert!(token.is_let_in(server), "nobody is asked again");

    // Away and back: its login is gone with it.
    token.hsm.set_away(true);
    while token.is_let_in(server) {}
    token.hsm.set_away(false);
    std::thread::scope(|scope| {
        // It may take a moment until the module sees it.
        scope.spawn(|| while !token.is_let_in(server) {});
        enters(0, PIN);
    });
    let told = pool.stop().join("\n");
    assert!(!told.contains(PIN) && !told.contains("wrong\""), "{told}");
}

#[test]
fn and_what_is_wrong_with_it_is_told_before_the_start() {
    let token = Token::new(EC);
    let check = |key: &str, pin: &str| {
        let config = format!(
            "[[route]]\nto = \"echo:\"\n[route.listen]\naddress = \"tls://127.0.0.1:0\"\n\
             cert = {:?}\nkey = {key:?}\npassphrase-file = {pin:?}\n",
            token.cert
        );
        let config = token.pki.folder.write("check.toml", &config);
        let done = levada(["check", &config]).env("SOFTHSM2_CONF", token.hsm.config()).run(b"");
        assert!(!done.stderr.contains(PIN), "{}", done.stderr);
        (done.code(), done.stderr)
    };
    assert_eq!(check(&token.key, &token.pin).0, 0);
    let wrong = token.pki.folder.write("wrong", "1234");
    let other = token.key.replace("token=site", "token=other");
    for (key, pin, words) in [
        (&token.key, &wrong, "does not take the PIN"),
        (&other, &token.pin, "it has \"site\""),
        (&token.key.replace("object=www", "object=mail"), &token.pin, "no private key object=mail"),
        (&"pkcs11:?module-path=/nowhere.so".to_owned(), &token.pin, "cannot load"),
        (&"pkcs11:label=www".to_owned(), &token.pin, "did you mean `object`?"),
    ] {
        let (code, told) = check(key, pin);
        assert!(code == 1 && told.contains(words), "{key}: {code} {told}");
    }
    // A pool tells where it stands.
    let policy = format!(
        "[[identity]]\nname = \"localhost\"\ncert = {:?}\nkey = {other:?}\n\
         key-pass-file = {:?}\n",
        token.cert, token.pin
    );
    let policy = token.pki.folder.write("other.toml", &policy);
    let done = levada(["pool", "--config", &policy, "--socket", "/nowhere/s"]);
    let done = done.env("SOFTHSM2_CONF", token.hsm.config()).run(b"");
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("other.toml:4:7: ") && done.stderr.contains("it has \"site\""));
}

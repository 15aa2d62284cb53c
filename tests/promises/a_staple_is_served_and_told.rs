//! An OCSP response is stapled to the certificate for a client that asks for it, and a staple that a
//! server shows us is in the facts.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use levada_core::StapleStatus;
use levada_pool::{TlsRequest, blocking};
use rustix::process::Signal;

use crate::harness::{
    Backend, Command, Finished, Gnutls, Pki, Pool, Serve, Server, VERSIONS, connect, levada,
};

/// A certificate of an authority of its own, made by OpenSSL, and what that says of it.
pub(crate) struct Stapled {
    pub(crate) ca: String,
    pub(crate) identity: String,
    pub(crate) staple: String,
}

fn openssl(args: &[&str]) -> Finished {
    let done = Command::new("openssl").args(args).run(b"");
    assert!(done.status.success(), "{args:?}: {}", done.stderr);
    done
}

fn file(pki: &Pki, name: &str) -> String {
    pki.folder.path().join(name).to_str().unwrap().to_owned()
}

/// Has the authority say anew what it knows of the certificate.
fn answer(pki: &Pki, revoked: bool) -> String {
    let [ca, ca_key, leaf, ask, staple] =
        ["ocsp-ca.pem", "ocsp-ca.key", "leaf.pem", "ask.der", "staple.der"]
            .map(|name| file(pki, name));
    let status = if revoked { "R\t400101000000Z\t250101000000Z" } else { "V\t400101000000Z\t" };
    let index = pki.folder.write("index", &format!("{status}\t1234\tunknown\t/CN=localhost\n"));
    openssl(&["ocsp", "-issuer", &ca, "-cert", &leaf, "-reqout", &ask]);
    openssl(&[
        "ocsp", "-index", &index, "-rsigner", &ca, "-rkey", &ca_key, "-CA", &ca, "-reqin", &ask,
        "-respout", &staple, "-ndays", "7",
    ]);
    staple
}

pub(crate) fn stapled(pki: &Pki, revoked: bool) -> Stapled {
    let [ca, ca_key, key, request, leaf] =
        ["ocsp-ca.pem", "ocsp-ca.key", "leaf.key", "leaf.csr", "leaf.pem"]
            .map(|name| file(pki, name));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let new = |more: &[&str]| openssl(&[&["req"], &curve[..], more].concat());
    new(&["-x509", "-days", "30", "-subj", "/CN=ocsp authority", "-keyout", &ca_key, "-out", &ca]);
    new(&["-subj", "/CN=localhost", "-keyout", &key, "-out", &request]);
    let names = pki.folder.write("names", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-set_serial",
        "0x1234",
        "-days",
        "30",
        "-extfile",
        &names,
        "-out",
        &leaf,
    ]);
    let staple = answer(pki, revoked);
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let identity = pki.folder.write("stapled.pem", &(read(&leaf) + &read(&key)));
    Stapled { ca, identity, staple }
}

#[test]
fn to_openssl_and_gnutls_which_verify_it() {
    let pki = Pki::new();
    let Stapled { ca, identity, staple } = stapled(&pki, false);
    for version in VERSIONS {
        let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &identity, "--ocsp", &staple];
        let serve = Serve::start([&listen[..], &["--to", "echo:"]].concat());
        let client = Command::new("openssl")
            .args(["s_client", "-connect", &serve.address().to_string(), version, "-status"])
            .args(["-servername", "localhost", "-CAfile", &ca, "-verify_return_error"])
            .run(b"Q\n");
        let said = String::from_utf8_lossy(&client.stdout);
        for words in
            ["OCSP Response Status: successful", "Serial Number: 1234", "Cert Status: good"]
        {
            assert!(said.contains(words), "{version}: {said}");
        }
        // GnuTLS judges it, too, and ends where it is not good.
        let theirs = Pki { ca: ca.clone(), ..Pki::new() };
        let version = gnutls(version);
        let judge = Gnutls::command(&theirs, serve.address(), version, "localhost");
        let judge = judge.args(["--ocsp"]).run(b"");
        assert_eq!(judge.code(), 0, "{version}: {}", String::from_utf8_lossy(&judge.stdout));
    }
}

/// What GnuTLS calls the version.
fn gnutls(version: &str) -> &'static str {
    if version == "-tls1_2" { "VERS-TLS1.2" } else { "VERS-TLS1.3" }
}

#[test]
fn to_gnutls_which_refuses_who_is_revoked_by_it() {
    let pki = Pki::new();
    let Stapled { ca, identity, staple } = stapled(&pki, true);
    let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &identity, "--ocsp", &staple];
    let serve = Serve::start([&listen[..], &["--to", "echo:"]].concat());
    let theirs = Pki { ca, ..Pki::new() };
    for (version, _) in Gnutls::VERSIONS {
        let judge = Gnutls::command(&theirs, serve.address(), version, "localhost").run(b"");
        assert_eq!(judge.code(), 1, "{version}: {}", String::from_utf8_lossy(&judge.stdout));
    }
}

#[test]
fn to_our_client_which_tells_it() {
    let pki = Pki::new();
    for (revoked, status) in [(false, "good"), (true, "revoked")] {
        let Stapled { ca, identity, staple } = stapled(&pki, revoked);
        let bytes = std::fs::metadata(&staple).unwrap().len();
        for version in VERSIONS {
            let pki = Pki { localhost: identity.clone(), ..Pki::new() };
            let words = ["-rev", "-status_file", &staple];
            let server = Server::start(&pki, version, &words);
            let other = Gnutls::server(gnutls(version), &identity);
            // By itself it serves no response that it finds fault with.
            let stapling = ["--ocsp-response", &staple, "--ignore-ocsp-response-errors"];
            let other = other.args(stapling);
            let (_other, other) = Gnutls::listen(other);
            for url in [server.url(), format!("tls://{other}")] {
                let client = connect(&url, ["--ca", &ca]).run(b"");
                assert_eq!(client.code(), 0, "{}", client.stderr);
                let told = client.ended()["facts"]["tls"]["staple"].clone();
                let what = (&told["status"], &told["bytes"]);
                assert_eq!(what, (&status.into(), &bytes.into()), "{told}");
                assert_eq!(told["serial"], "1234");
                let [this, next] =
                    ["this_update", "next_update"].map(|key| told[key].as_i64().unwrap());
                assert_eq!(next - this, 7 * 24 * 3600, "{told}");
            }
        }
    }
}

/// What OpenSSL is told by a server that a pool is, in this version.
fn told_by_pool(socket: &str, ca: &str, version: &str) -> String {
    let backend = Backend::new();
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &backend.address.to_string(), version, "-status"])
        .args(["-servername", "localhost", "-CAfile", ca, "-verify_return_error"])
        .start();
    let control = blocking::Client::connect(socket).unwrap();
    let session = control.start_tls(backend.accept(), &TlsRequest::server()).unwrap();
    UnixStream::from(session.plain).write_all(b"hello").unwrap();
    drop(client.stdin.take());
    String::from_utf8_lossy(&client.stdout.rest()).into_owned()
}

/// What GnuTLS makes of it, which judges the staple: how it exits.
fn judged_by_gnutls(pool: &Pool, pki: &Pki, version: &str) -> i32 {
    let backend = Backend::new();
    let judge = Gnutls::command(pki, backend.address, gnutls(version), "localhost");
    let judge = judge.args(["--sni-hostname", "localhost"]).start();
    let control = blocking::Client::connect(&pool.socket).unwrap();
    // It may be refused behind our part of the handshake or within it.
    drop(control.start_tls(backend.accept(), &TlsRequest::server()));
    judge.finish().code()
}

/// Has it read its policy anew, and waits until it says this.
#[track_caller]
fn reload(pool: &mut Pool, what: &str) {
    pool.process.signal(Signal::HUP);
    pool.hear(what);
}

#[test]
fn d5_by_a_pool_to_openssl_and_gnutls_and_anew_when_it_changes() {
    let folder = Pki::new();
    let Stapled { ca, identity, staple } = stapled(&folder, false);
    let other = folder.localhost.clone();
    let pki = Pki { ca, localhost: identity, ..folder };
    let mut pool = Pool::start(&pki);
    let told = told_by_pool(&pool.socket, &pki.ca, "-tls1_3");
    assert!(told.contains("OCSP response: no response sent"), "{told}");

    let policy = std::fs::read_to_string(Pool::policy(&pki)).unwrap();
    pki.folder.write("pool.toml", &format!("{policy}ocsp = \"{staple}\"\n"));
    reload(&mut pool, "the policy was reloaded");
    for version in VERSIONS {
        let told = told_by_pool(&pool.socket, &pki.ca, version);
        assert!(told.contains("Cert Status: good"), "{version}: {told}");
        assert_eq!(judged_by_gnutls(&pool, &pki, version), 0, "{version}");
    }
    answer(&pki, true);
    reload(&mut pool, "the policy was reloaded");
    for version in VERSIONS {
        let told = told_by_pool(&pool.socket, &pki.ca, version);
        assert!(told.contains("Cert Status: revoked"), "{version}: {told}");
        assert_eq!(judged_by_gnutls(&pool, &pki, version), 1, "{version}");
    }
    // One that does not fit changes nothing.
    std::fs::write(&staple, std::fs::read(other).unwrap()).unwrap();
    reload(&mut pool, "it is no OCSP response in DER");
    let told = told_by_pool(&pool.socket, &pki.ca, "-tls1_2");
    assert!(told.contains("Cert Status: revoked"), "{told}");
}

#[test]
fn d5_by_a_pool_whose_key_a_person_opens() {
    const PIN: &str = "correct-horse";
    let folder = Pki::new();
    let Stapled { ca, identity, staple } = stapled(&folder, false);
    let pki = Pki { ca, localhost: Pki::lock(&identity, PIN), ..folder };
    let policy = std::fs::read_to_string(Pool::policy(&pki)).unwrap();
    let policy = format!("{policy}key-pass = \"ask\"\n");
    let with_staple = format!("{policy}ocsp = \"{staple}\"\n");
    for version in VERSIONS {
        answer(&pki, false);
        let mut pool = Pool::start_with(&pki, &with_staple);
        let mut person = pool.speaker();
        person.enters_pins();
        let told = std::thread::scope(|scope| {
            let visit = scope.spawn(|| told_by_pool(&pool.socket, &pki.ca, version));
            person.enters(PIN);
            visit.join().unwrap()
        });
        assert!(told.contains("Cert Status: good"), "{version}: {told}");
        // The key stays open: nobody answers who would be asked.
        drop(person);
        answer(&pki, true);
        reload(&mut pool, "the policy was reloaded");
        let told = told_by_pool(&pool.socket, &pki.ca, version);
        assert!(told.contains("Cert Status: revoked"), "{version}: {told}");
        // Nor do they where the policy takes the staple away, or has one again.
        for (policy, words) in
            [(&policy, "OCSP response: no response sent"), (&with_staple, "Cert Status: revoked")]
        {
            pki.folder.write("own.toml", policy);
            reload(&mut pool, "the policy was reloaded");
            let told = told_by_pool(&pool.socket, &pki.ca, version);
            assert!(told.contains(words), "{version}: {told}");
        }
    }
}

#[test]
fn d5_to_an_application_of_a_pool() {
    let pki = Pki::new();
    for (revoked, status) in [(false, StapleStatus::Good), (true, StapleStatus::Revoked)] {
        let Stapled { ca, identity, staple } = stapled(&pki, revoked);
        let theirs = Pki { ca, localhost: identity.clone(), ..Pki::new() };
        let pool = Pool::start(&theirs);
        for version in VERSIONS {
            let server = Server::start(&theirs, version, &["-rev", "-status_file", &staple]);
            let other = Gnutls::server(gnutls(version), &identity);
            let stapling = ["--ocsp-response", &staple, "--ignore-ocsp-response-errors"];
            let (_other, other) = Gnutls::listen(other.args(stapling));
            for address in [server.address, other] {
                let control = blocking::Client::connect(&pool.socket).unwrap();
                let network = TcpStream::connect(address).unwrap();
                let request = TlsRequest::client("localhost").unwrap();
                let session = control.start_tls(network, &request).unwrap();
                let report = control.report(session.control_key).unwrap();
                let staple = report.tls.unwrap().staple.unwrap();
                assert_eq!((staple.status, staple.serial.as_deref()), (status, Some("1234")));
            }
        }
    }
}

#[test]
fn one_that_does_not_fit_is_refused_before_anything_is_opened() {
    let pki = Pki::new();
    let Stapled { identity, staple, .. } = stapled(&pki, false);
    let serve = |words: &[&str]| {
        let listen = ["serve", "--listen", "tls://127.0.0.1:0", "--to", "echo:"];
        levada(listen).args(words).run(b"")
    };
    let no_answer = pki.folder.path().join("later.der");
    // tryLater (RFC 6960 section 4.2.1).
    std::fs::write(&no_answer, [0x30, 3, 0x0a, 1, 3]).unwrap();
    let no_answer = no_answer.to_str().unwrap();
    for (words, why) in [
        (&["--cert", &*identity, "--ocsp", &*pki.ca][..], "it is no OCSP response in DER"),
        (&["--cert", &*pki.localhost, "--ocsp", &*staple], "it is about another certificate"),
        (&["--cert", &*identity, "--ocsp", no_answer], "the responder gave no answer in it"),
        (&["--cert", &*identity, "--ocsp", "/nowhere"], "cannot read /nowhere"),
        (
            &["--cert", &*identity, "--cert", &*pki.localhost, "--ocsp", &*staple],
            "1 response for 2 certificates",
        ),
    ] {
        let refused = serve(words);
        assert_eq!(refused.code(), 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
}

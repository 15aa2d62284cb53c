//! A private key may stay with another program, as the book shows one: OpenSSL and GnuTLS believe in
//! what it signs, for a server and for a client. One that fails or is away ends handshakes, in words.

use std::os::unix::net::UnixListener;

use levada_testkit::docs::workspace_root;

use crate::harness::{Caller, Command, Foreign, Host, Pki, Running, Serve, connect, levada};

/// A signer that runs, and where it listens.
struct Signer {
    socket: String,
    _process: Running,
}

impl Signer {
    /// The signer of the book, with the private key in the file `key`.
    #[track_caller]
    fn start(pki: &Pki, name: &str, key: &str) -> Self {
        let page = std::fs::read_to_string(workspace_root().join("docs/verification.md")).unwrap();
        let (_, program) = page.split_once("```python\n").expect("the book shows a signer");
        let (program, _) = program.split_once("```\n").unwrap();
        let program = pki.folder.write("signer.py", program);
        let socket = pki.folder.path().join(name).to_str().unwrap().to_owned();
        let mut process = Command::new("python3").args([&program, &socket, key]).start();
        let line = process.stdout.line().unwrap_or_else(|| {
            panic!("it does not start: {}", String::from_utf8_lossy(&process.stderr.rest()))
        });
        assert_eq!(line, format!("signing at {socket}"));
        Self { socket, _process: process }
    }
}

/// An identity for localhost of this kind of key: its certificate, and its key.
fn identity(pki: &Pki, name: &str, kind: &[&str]) -> [String; 2] {
    let made = Command::new("openssl").args(["genpkey", "-algorithm"]).args(kind).run(b"");
    assert!(made.status.success(), "{}", made.stderr);
    let key = String::from_utf8(made.stdout).unwrap();
    let cert = pki.certify(&format!("{name}.cert"), &["localhost", "127.0.0.1"], &key);
    [cert, pki.folder.write(&format!("{name}.key"), &key)]
}

const KINDS: [&[&str]; 3] = [
    &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
];

#[test]
fn for_a_server_and_for_a_client() {
    let pki = Pki::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let [cert, key] = identity(&pki, &number.to_string(), kind);
        let signer = Signer::start(&pki, &format!("{number}.sock"), &key);
        let ours = ["--cert", &cert, "--signer", &signer.socket];
        let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:"];
        let serve = Serve::start(listen.iter().chain(&ours));
        for (program, version) in Foreign::EACH {
            let mut visitor = program.client(&pki, serve.address(), version, Caller::default());
            assert!(visitor.is_echoed(), "{program:?} {version} {kind:?}");
            visitor.leave();

            let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
            let host = program.server(&pki, version, host);
            let client = connect(&host.url(), ["--ca", &pki.ca]).args(ours).run(b"hello\n");
            let context = format!("{program:?} {version} {kind:?}: {}", client.stderr);
            assert_eq!((client.code(), &client.stdout[..]), (0, host.answer()), "{context}");
        }
    }
}

#[test]
fn and_one_that_does_not_sign_is_told() {
    let pki = Pki::new();
    let [cert, _] = identity(&pki, "ours", KINDS[0]);
    let [_, other] = identity(&pki, "other", KINDS[0]);
    let wrong = Signer::start(&pki, "wrong.sock", &other);
    let broken = Signer::start(&pki, "broken.sock", "/nowhere");
    let away = pki.folder.path().join("away.sock").to_str().unwrap().to_owned();
    for (socket, words) in [
        (&wrong.socket, "is not one of the certificate's key"),
        (&broken.socket, "/nowhere"),
        (&away, "No such file or directory"),
    ] {
        let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &cert];
        let mut serve = Serve::start([&listen[..], &["--signer", socket]].concat());
        for (program, version) in Foreign::EACH {
            let visitor = program.client(&pki, serve.address(), version, Caller::default());
            assert_eq!(visitor.alert(), 80, "{program:?} {version} {words}");
            let told = serve.next("ended")["client"]["message"].to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}

#[test]
fn and_one_that_never_answers_is_not_waited_for_without_end() {
    let pki = Pki::new();
    let socket = pki.folder.path().join("silent.sock").to_str().unwrap().to_owned();
    // Whoever connects waits here for ever.
    let _silent = UnixListener::bind(&socket).unwrap();
    let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
    let words = ["--signer", &socket, "--deadline-handshake", "300ms"];
    let mut serve = Serve::start(listen.iter().chain(&words));
    for (program, version) in Foreign::EACH {
        let visitor = program.client(&pki, serve.address(), version, Caller::default());
        assert_eq!(visitor.alert(), 80, "{program:?} {version}");
        let told = serve.next("ended")["client"]["message"].to_string();
        assert!(told.contains("no signature in time"), "{told}");
    }
}

#[test]
fn and_a_key_beside_it_is_a_contradiction() {
    let pki = Pki::new();
    let listen = ["serve", "--listen", "tls://127.0.0.1:0", "--to", "echo:", "--signer", "/s"];
    let refused = levada(listen).args(["--cert", &pki.localhost, "--key", "k"]).run(b"");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("`signer`") && refused.stderr.contains("`key`"));
    let refused = levada(["connect", "tls://localhost:1", "--signer", "/s"]).run(b"");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("add `cert=FILE`"), "{}", refused.stderr);
}

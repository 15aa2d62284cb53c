//! Every usual form of private key is taken, encrypted or not, in PEM and in DER: OpenSSL and GnuTLS
//! believe who shows it, as a server and as a client.

use crate::harness::{Caller, Command, Foreign, Host, Pki, Serve, connect};

const PASSPHRASE: &str = "correct-horse-battery";

const EC: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const EC_384: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const RSA: &[&str] = &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const ED25519: &[&str] = &["ED25519"];

/// The kind of key, and the words of `openssl` that write it in this form.
const FORMS: [(&[&str], &[&str]); 13] = [
    (EC, &["pkcs8", "-topk8", "-nocrypt"]),
    (EC_384, &["pkcs8", "-topk8", "-nocrypt"]),
    (ED25519, &["pkcs8", "-topk8", "-nocrypt"]),
    (RSA, &["pkcs8", "-topk8", "-nocrypt", "-outform", "der"]),
    (RSA, &["rsa", "-traditional"]),
    (RSA, &["rsa", "-traditional", "-outform", "der"]),
    (EC, &["ec"]),
    (EC, &["ec", "-outform", "der"]),
    (EC, &["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:correct-horse-battery"]),
    (RSA, &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:correct-horse-battery"]),
    (EC, &["pkcs8", "-topk8", "-v2", "des3", "-passout", "pass:correct-horse-battery"]),
    (EC, &["pkcs8", "-topk8", "-scrypt", "-passout", "pass:correct-horse-battery"]),
    (
        ED25519,
        &[
            "pkcs8",
            "-topk8",
            "-v2",
            "aes-256-cbc",
            "-outform",
            "der",
            "-passout",
            "pass:correct-horse-battery",
        ],
    ),
];

fn openssl(words: &[&str]) -> Vec<u8> {
    let done = Command::new("openssl").args(words).run(b"");
    assert!(done.status.success(), "{words:?}: {}", done.stderr);
    done.stdout
}

/// The options that name an identity in each form.
fn forms(pki: &Pki) -> Vec<Vec<String>> {
    let passphrase = pki.folder.write("passphrase", PASSPHRASE);
    let form = |(number, (kind, words)): (usize, (&[&str], &[&str]))| {
        let clear = String::from_utf8(openssl(&[&["genpkey", "-algorithm"], kind].concat()));
        let clear = clear.unwrap();
        let source = pki.folder.write("clear.pem", &clear);
        let key = pki.folder.path().join(format!("{number}.key")).to_str().unwrap().to_owned();
        openssl(&[words, &["-in", &source, "-out", &key]].concat());
        let names = ["localhost", "127.0.0.1"];
        let cert = pki.certify(&format!("{number}.cert"), &names, &clear);
        let mut options = vec!["--cert".to_owned(), cert, "--key".to_owned(), key];
        if words.contains(&"-passout") {
            options.extend(["--passphrase-file".to_owned(), passphrase.clone()]);
        }
        options
    };
    FORMS.into_iter().enumerate().map(form).collect()
}

#[test]
fn for_a_server() {
    let pki = Pki::new();
    for (options, (kind, words)) in forms(&pki).iter().zip(FORMS) {
        let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:"].map(str::to_owned);
        let serve = Serve::start(listen.iter().chain(options));
        for (program, version) in Foreign::EACH {
            let mut visitor = program.client(&pki, serve.address(), version, Caller::default());
            assert!(visitor.is_echoed(), "{program:?} {version} {kind:?} {words:?}");
            visitor.leave();
        }
    }
}

#[test]
fn for_a_client() {
    let pki = Pki::new();
    let forms = forms(&pki);
    for (program, version) in Foreign::EACH {
        let host = Host { client_ca: Some(&pki.ca), ..Host::default() };
        let host = program.server(&pki, version, host);
        for (options, (kind, words)) in forms.iter().zip(FORMS) {
            let client = connect(&host.url(), ["--ca", &pki.ca]).args(options).run(b"hello\n");
            assert_eq!(
                (client.code(), &client.stdout[..]),
                (0, host.answer()),
                "{program:?} {version} {kind:?} {words:?}: {}",
                client.stderr
            );
        }
    }
}

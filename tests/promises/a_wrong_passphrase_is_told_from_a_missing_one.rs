//! A passphrase that is wrong, one that is missing and one that nothing needs are three different
//! things to mend, and each is told as that, wherever it comes from; the right one is taken.

use crate::harness::{Command, Finished, Pki, Serve, connect, levada};

const PASSPHRASE: &str = "correct-horse-battery";

/// The private key of localhost, encrypted by `openssl` in the form that these words ask for.
fn encrypted(pki: &Pki, name: &str, words: &[&str]) -> String {
    let key = pki.folder.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args(words)
        .args(["-in", &pki.localhost, "-out", &key, "-passout"])
        .args([&format!("pass:{PASSPHRASE}")])
        .run(b"");
    assert!(made.status.success(), "{}", made.stderr);
    key
}

/// What `levada serve` says when it does not start with this key.
#[track_caller]
fn refused(pki: &Pki, key: &str, words: &[&str], variable: Option<&str>) -> String {
    let listen = ["serve", "--listen", "tls://127.0.0.1:0", "--to", "echo:"];
    let mut command = levada(listen).args(["--cert", &pki.localhost, "--key", key]).args(words);
    if let Some(value) = variable {
        command = command.env("KEY_PASS", value);
    }
    let Finished { status, stderr, .. } = command.run(b"");
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn from_a_file_and_from_the_environment() {
    let pki = Pki::new();
    let right = pki.folder.write("right", &format!("{PASSPHRASE}\r\nsecond line\n"));
    let wrong = pki.folder.write("wrong", "correct-mule\n");
    for (name, words) in [
        ("aes.key", &["pkcs8", "-topk8", "-v2", "aes-256-cbc"][..]),
        ("aes.der", &["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-outform", "der"]),
        ("des3.key", &["pkcs8", "-topk8", "-v2", "des3"]),
        ("scrypt.key", &["pkcs8", "-topk8", "-scrypt", "-scrypt_N", "1024"]),
    ] {
        let key = encrypted(&pki, name, words);
        let by_file = |file: &str| refused(&pki, &key, &["--passphrase-file", file], None);
        let by_name = ["--passphrase-env", "KEY_PASS"];

        let missing = "the private key is encrypted: give its passphrase";
        assert!(refused(&pki, &key, &[], None).contains(missing), "{name}");
        let unset = "the environment has no KEY_PASS with its passphrase";
        assert!(refused(&pki, &key, &by_name, None).contains(unset), "{name}");
        let is_wrong = "the passphrase does not decrypt the private key";
        assert!(by_file(&wrong).contains(is_wrong), "{name}");
        assert!(refused(&pki, &key, &by_name, Some("correct-mule")).contains(is_wrong), "{name}");

        let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pki.localhost];
        let more = ["--key", &key, "--passphrase-file", &right];
        let serve = Serve::start(listen.iter().chain(&more));
        let client = connect(&serve.tls_url(), ["--ca", &pki.ca]).run(b"hello");
        assert_eq!((client.code(), &client.stdout[..]), (0, &b"hello"[..]), "{name}");
    }
}

#[test]
fn and_one_that_nothing_needs_from_both() {
    let pki = Pki::new();
    let file = pki.folder.write("right", PASSPHRASE);
    let said = refused(&pki, &pki.localhost, &["--passphrase-file", &file], None);
    assert!(said.contains("the private key is not encrypted: leave the passphrase out"), "{said}");
}

#[test]
fn and_old_encryption_comes_with_the_command_that_mends_it() {
    let pki = Pki::new();
    let legacy = encrypted(&pki, "legacy.key", &["ec", "-aes256"]);
    let said = refused(&pki, &legacy, &[], None);
    let command = format!("openssl pkcs8 -topk8 -in {legacy} -out key.pem");
    assert!(said.contains(&command), "{said}");

    let pkcs12 = encrypted(&pki, "identity.p12", &["pkcs12", "-export"]);
    let listen = ["serve", "--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &pkcs12];
    let said = levada(listen).run(b"").stderr;
    assert!(said.contains(&format!("openssl pkcs12 -in {pkcs12} -out identity.pem")), "{said}");
}

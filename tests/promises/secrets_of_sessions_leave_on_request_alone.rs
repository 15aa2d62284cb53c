//! The secrets of sessions are written where `danger-key-log` asks for it, and nowhere else: what is
//! written is what OpenSSL and GnuTLS write of the same session, for its owner's eyes, and is told each
//! time.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::harness::{Client, Gnutls, Pki, Serve, Server, VERSIONS, connect, levada};

/// The lines of a key log, in an order that does not depend on who wrote it.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn file(pki: &Pki, name: &str) -> (PathBuf, String) {
    let path = pki.folder.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

/// Which secrets a session of this version has.
fn labels(version: &str) -> &'static [&'static str] {
    match version {
        "-tls1_2" | "VERS-TLS1.2" => &["CLIENT_RANDOM"],
        _ => &[
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0",
            "EXPORTER_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_TRAFFIC_SECRET_0",
        ],
    }
}

#[track_caller]
fn assert_same(ours: &Path, theirs: &Path, version: &str) {
    assert_eq!(lines(ours), lines(theirs));
    let written = lines(ours);
    let written: Vec<_> = written.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(written, labels(version));
    assert_eq!(std::fs::metadata(ours).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn as_a_server_we_write_what_openssl_does() {
    let pki = Pki::new();
    for version in VERSIONS {
        let (ours, our_name) = file(&pki, &format!("ours{version}"));
        let (theirs, their_name) = file(&pki, &format!("theirs{version}"));
        let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
        let mut serve = Serve::start([&listen[..], &["--danger-key-log", &our_name]].concat());
        let danger = serve.next("danger");
        assert_eq!(danger["level"], "warn", "{danger}");
        assert_eq!(danger["option"], format!("danger-key-log={our_name}"));
        assert!(danger["message"].as_str().unwrap().contains("reads all traffic"), "{danger}");
        let words = ["-keylogfile", &their_name];
        let client = Client::start(&pki, serve.address(), version, &words).finish();
        assert_eq!(client.code(), 0, "{}", client.stderr);
        serve.next("ended");
        assert_same(&ours, &theirs, version);
    }
}

#[test]
fn as_a_client_we_write_what_openssl_does() {
    let pki = Pki::new();
    for version in VERSIONS {
        let (ours, our_name) = file(&pki, &format!("ours{version}"));
        let (theirs, their_name) = file(&pki, &format!("theirs{version}"));
        let server = Server::start(&pki, version, &["-rev", "-keylogfile", &their_name]);
        let client = levada(["connect", &server.url(), "--ca", &pki.ca]);
        let client = client.args(["--danger-key-log", &our_name]).run(b"hello\n");
        assert_eq!((client.code(), &client.stdout[..]), (0, &b"olleh\n"[..]), "{}", client.stderr);
        let told = format!("levada: DANGER: danger-key-log={our_name}: ");
        assert!(client.stderr.starts_with(&told), "{}", client.stderr);
        assert_same(&ours, &theirs, version);
    }
}

/// GnuTLS goes by the variable, which does nothing with us.
#[test]
fn in_both_roles_we_write_what_gnutls_does() {
    let pki = Pki::new();
    for (version, _) in Gnutls::VERSIONS {
        let (ours, our_name) = file(&pki, &format!("ours-as-server-{version}"));
        let (theirs, their_name) = file(&pki, &format!("theirs-as-client-{version}"));
        let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
        let mut serve = Serve::start([&listen[..], &["--danger-key-log", &our_name]].concat());
        let client = Gnutls::command(&pki, serve.address(), version, "localhost");
        let client = client.args(["--sni-hostname", "localhost"]).env("SSLKEYLOGFILE", &their_name);
        assert_eq!(client.run(b"").code(), 0);
        serve.next("ended");
        assert_same(&ours, &theirs, version);

        let (ours, our_name) = file(&pki, &format!("ours-as-client-{version}"));
        let (theirs, their_name) = file(&pki, &format!("theirs-as-server-{version}"));
        let server = Gnutls::server(version, &pki.localhost).env("SSLKEYLOGFILE", &their_name);
        let (_server, address) = Gnutls::listen(server);
        let client = levada(["connect", &format!("tls://{address}"), "--ca", &pki.ca]);
        let client = client.args(["--danger-key-log", &our_name]).run(b"hello\n");
        assert_eq!((client.code(), &client.stdout[..]), (0, &b"hello\n"[..]), "{}", client.stderr);
        assert_same(&ours, &theirs, version);
    }
}

#[test]
fn the_variable_of_the_environment_does_nothing() {
    let pki = Pki::new();
    let (path, name) = file(&pki, "from-the-environment");
    let serve = Serve::tls(&pki, "echo:");
    let client = connect(&serve.tls_url(), ["--ca", &pki.ca]).env("SSLKEYLOGFILE", &name).run(b"x");
    assert_eq!(client.code(), 0, "{}", client.stderr);
    assert!(!path.exists());
}

#[test]
fn a_file_that_others_may_read_is_refused_and_nothing_is_opened() {
    let pki = Pki::new();
    let (path, name) = file(&pki, "open-to-all");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let words = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
    let serve = levada(["serve"]).args(words).args(["--danger-key-log", &name]).run(b"");
    let client = levada(["connect", "tls://127.0.0.1:1", "--danger-key-log", &name]).run(b"");
    for refused in [serve, client] {
        assert_eq!(refused.code(), 1, "{}", refused.stderr);
        assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[test]
fn a_file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        let why = "only root can give a file away";
        return levada_testkit::skip::cannot_run("a_file_of_another_user_is_refused", why);
    }
    let pki = Pki::new();
    let (path, name) = file(&pki, "of-another");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let client = levada(["connect", "tls://127.0.0.1:1", "--danger-key-log", &name]).run(b"");
    assert_eq!(client.code(), 1, "{}", client.stderr);
    assert!(client.stderr.contains("it belongs to another user"), "{}", client.stderr);
}

#[test]
fn checking_a_file_that_asks_for_it_writes_nothing_and_says_so() {
    let pki = Pki::new();
    let (path, name) = file(&pki, "checked");
    let config = pki.folder.write(
        "levada.toml",
        &format!(
            "[[route]]\nto = \"echo:\"\nlisten = {{ address = \"tls://127.0.0.1:0\", cert = \"{}\", \
             danger-key-log = \"{name}\" }}\n",
            pki.localhost
        ),
    );
    let checked = levada(["check", &config]).run(b"");
    assert_eq!(checked.code(), 0, "{}", checked.stderr);
    let plan = String::from_utf8(checked.stdout).unwrap();
    assert!(plan.contains(&format!("DANGER: danger-key-log={name}")), "{plan}");
    assert!(!path.exists());
}

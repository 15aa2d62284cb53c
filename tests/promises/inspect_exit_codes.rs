//! Scripts can tell by the exit code of `levada inspect` whether a server is fit, and programs by its JSON
//! what is wrong.

use serde_json::Value;

use crate::harness::{Backend, Finished, Folder, Pki, Serve, Server, VERSIONS, free, levada};

fn inspect(address: &str, args: &[&str]) -> (i32, Value) {
    let finished: Finished = levada(["inspect", address, "--json"]).args(args).run(b"");
    let report: Value = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.stderr));
    assert_eq!(report["exit_code"], finished.code(), "{report}");
    (finished.code(), report)
}

/// The code of the gravest finding.
fn first(report: &Value) -> &str {
    report["findings"][0]["code"].as_str().unwrap_or("none")
}

#[test]
fn zero_for_a_server_that_is_fit() {
    let pki = Pki::new();
    let serve = Serve::tls(&pki, "echo:");
    let (code, report) = inspect(&serve.tls_url(), &["--ca", &pki.ca]);
    assert_eq!((code, &report["verdict"]), (0, &"good".into()), "{report}");
    assert_eq!(report["findings"], Value::Array(vec![]));

    let plain = Backend::new();
    assert_eq!(inspect(&plain.url(), &[]).0, 0);
}

#[test]
fn one_for_words_that_are_wrong() {
    for (args, words) in [
        (&["inspect"][..], "required"),
        (&["inspect", "echo:"], "leads to no server"),
        (&["inspect", "pool+tls://a:1"], "inspect the server itself, tls://"),
        (&["inspect", "wss://a:1/path", "--header-file", "/missing"], "/missing"),
        (&["inspect", "tls://a:1", "--ca", "/missing.pem"], "missing.pem"),
        (&["inspect", "tls://a:1", "--warn-days", "soon"], "--warn-days"),
    ] {
        let finished = levada(args).run(b"");
        assert_eq!(finished.code(), 1, "{args:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{args:?}: {}", finished.stderr);
    }
}

#[test]
fn two_for_nobody_there() {
    let nobody = free();
    let (code, report) = inspect(&format!("tls://{nobody}"), &[]);
    assert_eq!((code, first(&report)), (2, "ECONNREFUSED"), "{report}");
    // A name that no resolver has (RFC 6761 section 6.4), or a resolver that does not answer.
    let (code, report) = inspect("tls://nobody.invalid:1", &["--deadline-lookup", "2s"]);
    assert_eq!(code, 2, "{report}");
    assert!(["lookup_failed", "timeout_lookup"].contains(&first(&report)), "{report}");
}

#[test]
fn four_where_tls_fails() {
    let pki = Pki::new();
    let plain = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", "echo:"]);
    let (code, report) = inspect(&format!("tls://{}", plain.address()), &["--ca", &pki.ca]);
    assert_eq!((code, &report["verdict"]), (4, &"tls_failed".into()), "{report}");

    // A server that wants a certificate: in TLS 1.3 it says so when we are long established.
    for version in VERSIONS {
        let server = Server::start(&pki, version, &["-Verify", "1", "-CAfile", &pki.ca]);
        let (code, report) = inspect(&server.url(), &["--ca", &pki.ca, "--brief"]);
        assert_eq!((code, first(&report)), (4, "ERR_TLS_FATAL_ALERT"), "{version}: {report}");
        assert_eq!(report["tls"]["client_certificate_asked"], true, "{version}: {report}");
        let with = ["--ca", &pki.ca, "--brief", "--cert", &pki.client];
        let (code, report) = inspect(&server.url(), &with);
        assert_eq!(code, 0, "{version}: {report}");
        assert_eq!(report["tls"]["client_certificate_shown"], true, "{version}: {report}");
    }
}

#[test]
fn five_where_the_certificate_is_not_to_be_trusted() {
    let pki = Pki::new();
    let serve = Serve::tls(&pki, "echo:");
    for args in [&[][..], &["--ca", &pki.ca, "--name", "example.org"], &["--ca", &Pki::new().ca]] {
        let (code, report) = inspect(&serve.tls_url(), args);
        assert_eq!((code, &report["verdict"]), (5, &"not_verified".into()), "{args:?}: {report}");
        assert_eq!(report["tls"]["verification"], "refused");
        // Who it is and what it accepts is told all the same.
        assert_eq!(report["tls"]["certificates"][0]["facts"]["names"][0]["dns"], "localhost");
        assert_eq!(report["accepts"]["versions"][0]["accepted"], true, "{report}");
    }
}

#[test]
fn six_for_what_needs_to_be_mended() {
    let folder = Folder::new();
    let dir = folder.path().to_str().unwrap();
    let made = levada(["dev-ca", "--dir", dir, "--days", "10", "localhost", "127.0.0.1"]).run(b"");
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let (ca, cert) = (format!("{dir}/ca.pem"), format!("{dir}/localhost.pem"));
    let serve = ["--listen", "tls://127.0.0.1:0", "--cert", &cert, "--to", "echo:"];
    let serve = Serve::start(serve);
    let (code, report) = inspect(&serve.tls_url(), &["--ca", &ca, "--brief"]);
    assert_eq!((code, first(&report)), (6, "expires_soon"), "{report}");
    let (code, report) = inspect(&serve.tls_url(), &["--ca", &ca, "--brief", "--warn-days", "5"]);
    assert_eq!(code, 0, "{report}");

    let pki = Pki::new();
    let old = ["-cipher", "ALL:@SECLEVEL=0"];
    let server = Server::start(&pki, "-no_ssl3", &old);
    let (code, report) = inspect(&server.url(), &["--ca", &pki.ca]);
    assert_eq!((code, first(&report)), (6, "old_version"), "{report}");
}

#[test]
fn seven_where_all_but_the_websocket_is_fine() {
    let pki = Pki::new();
    let listen = ["--listen", "wss://127.0.0.1:0/here", "--cert", &pki.localhost, "--to", "echo:"];
    let serve = Serve::start(listen);
    let at = |path: &str| format!("wss://{}{path}", serve.address());
    let trust = ["--ca", &pki.ca, "--brief"];
    let (code, report) = inspect(&at("/here"), &trust);
    assert_eq!((code, &report["verdict"]), (0, &"good".into()), "{report}");
    let (code, report) = inspect(&at("/there"), &trust);
    assert_eq!((code, first(&report)), (7, "ws_refused"), "{report}");
    // What is graver counts.
    assert_eq!(inspect(&at("/here"), &["--brief"]).0, 5);
    let plain = Serve::start(["--listen", "ws://127.0.0.1:0/here", "--to", "echo:"]);
    assert_eq!(inspect(&format!("wss://{}/here", plain.address()), &trust).0, 4);
    assert_eq!(inspect(&format!("ws://{}/here", plain.address()), &[]).0, 0);
}

//! `levada inspect` tells of any server which versions, suites, groups and protocols it accepts, and on
//! paper of any width.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::{Gnutls, Nginx, Pki, Serve, Server, levada};

fn accepted(address: SocketAddr, pki: &Pki) -> Value {
    let url = format!("tls://{address}");
    let finished = levada(["inspect", &url, "--json", "--ca", &pki.ca]).run(b"");
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(report["tls"]["verification"], "verified", "{report}");
    assert_eq!(report["accepts"]["complete"], true, "{report}");
    report["accepts"].clone()
}

fn versions(accepts: &Value) -> Vec<&str> {
    let all = accepts["versions"].as_array().unwrap();
    assert_eq!(all.len(), 5);
    let yes = all.iter().filter(|one| one["accepted"] == true);
    yes.map(|one| one["version"].as_str().unwrap()).collect()
}

fn listed<'a>(accepts: &'a Value, list: &str, key: &str) -> Vec<&'a str> {
    let all = accepts[list].as_array().unwrap();
    all.iter().map(|one| one[key].as_str().unwrap()).collect()
}

const SAFE: [&str; 2] = ["TLS 1.3", "TLS 1.2"];

#[test]
fn of_openssl() {
    let pki = Pki::new();
    let choice = ["-ciphersuites", "TLS_AES_256_GCM_SHA384", "-groups", "P-256:X25519"];
    let choice = [&choice[..], &["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-alpn", "h2,imap"]];
    let server = Server::start(&pki, "-no_ssl3", &choice.concat());
    let accepts = accepted(server.address, &pki);
    assert_eq!(versions(&accepts), SAFE);
    assert_eq!(
        listed(&accepts, "suites", "suite"),
        ["TLS_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    );
    let mut groups = listed(&accepts, "groups", "group");
    groups.sort_unstable();
    assert_eq!(groups, ["secp256r1", "x25519"]);
    let mut alpn: Vec<_> =
        accepts["alpn"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    alpn.sort_unstable();
    assert_eq!(alpn, ["h2", "imap"]);
}

#[test]
fn of_openssl_that_lowers_its_guard() {
    let pki = Pki::new();
    let server = Server::start(&pki, "-no_tls1_3", &["-cipher", "ALL:eNULL:@SECLEVEL=0"]);
    let accepts = accepted(server.address, &pki);
    assert_eq!(versions(&accepts), ["TLS 1.2", "TLS 1.1", "TLS 1.0"]);
    let suites = accepts["suites"].as_array().unwrap();
    let broken: Vec<_> = suites.iter().filter(|one| one["weakness"] == "broken").collect();
    assert!(broken.iter().any(|one| one["suite"] == "TLS_ECDHE_ECDSA_WITH_NULL_SHA"), "{broken:?}");
}

#[test]
fn of_gnutls() {
    let pki = Pki::new();
    let (_process, address) = Gnutls::echo(&pki, "VERS-TLS1.3:+VERS-TLS1.2:+VERS-TLS1.1");
    let accepts = accepted(address, &pki);
    assert_eq!(versions(&accepts), ["TLS 1.3", "TLS 1.2", "TLS 1.1"]);
    let groups = listed(&accepts, "groups", "group");
    assert!(groups.contains(&"x25519") && groups.contains(&"secp384r1"), "{groups:?}");
}

#[test]
fn of_nginx() {
    let pki = Pki::new();
    let server = Nginx::start(Some(&pki));
    let accepts = accepted(server.address, &pki);
    assert!(versions(&accepts).contains(&"TLS 1.2"), "{accepts}");
    assert!(!listed(&accepts, "suites", "suite").is_empty());
}

#[test]
fn of_our_own() {
    let pki = Pki::new();
    let serve = Serve::start(
        ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"]
            .into_iter()
            .chain(["--alpn", "h2,mqtt"]),
    );
    let accepts = accepted(serve.address(), &pki);
    assert_eq!(versions(&accepts), SAFE);
    let groups = listed(&accepts, "groups", "group");
    assert_eq!(groups, ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"]);
    assert!(accepts["suites"].as_array().unwrap().iter().all(|one| one["weakness"].is_null()));
    assert_eq!(accepts["alpn"], serde_json::json!(["h2", "mqtt"]));
}

#[test]
fn on_a_page_without_colours_where_nobody_looks() {
    let pki = Pki::new();
    let serve = Serve::tls(&pki, "echo:");
    let finished = levada(["inspect", &serve.tls_url(), "--ca", &pki.ca]).run(b"");
    let page = String::from_utf8_lossy(&finished.stdout);
    assert_eq!(finished.code(), 0, "{page}");
    assert!(!page.contains('\u{1b}'), "{page}");
    for words in [
        "good",
        "verified to be 127.0.0.1",
        "X25519MLKEM768 (post-quantum)",
        "DNS:localhost, IP:127.0.0.1",
        "days left, until ",
        "not TLS 1.1, TLS 1.0, SSL 3",
        "asks for no client certificate",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
}

//! TLS 1.0 and 1.1 are refused on both sides, and both sides can read why.

use crate::harness::{Client, Pki, Serve, Server, connect};

/// OpenSSL forbids itself what is so old, unless it is told to lower its guard: without this no
/// ClientHello would leave, and the test would prove nothing.
const UNGUARDED: [&str; 2] = ["-cipher", "DEFAULT@SECLEVEL=0"];

const OLD: [&str; 2] = ["-tls1_1", "-tls1"];

#[test]
fn to_a_client() {
    let pki = Pki::new();
    for version in OLD {
        let mut serve = Serve::tls(&pki, "echo:");
        let client = Client::start(&pki, serve.address(), version, &UNGUARDED).finish();
        assert_ne!(client.code(), 0);
        assert!(client.stderr.contains("alert protocol version"), "{version}: {}", client.stderr);

        let record = serve.next("ended");
        let ended = &record["client"];
        // We can only say so because a ClientHello came, and that it is old is what was found.
        let hello = ended["facts"]["bytes"]["wire_read"].as_u64().unwrap();
        assert!(hello > 40, "no ClientHello has {hello} bytes: {record}");
        let fault = &ended["ending"]["connect_failed"]["ended"]["fatal_error"];
        assert_eq!(fault["cause"], "old_version", "{record}");
        assert_eq!(fault["alert"], "protocol_version (70)");
        assert_eq!((&ended["blame"], &ended["phase"]), (&"config".into(), &"handshaking".into()));
        let message = ended["message"].as_str().unwrap();
        assert!(message.contains("the peer speaks only SSL 3, TLS 1.0 or TLS 1.1"), "{message}");
        let hint = ended["hint"].as_str().unwrap();
        assert!(hint.contains("let the peer speak TLS 1.2 or 1.3"), "{hint}");
        assert!(record["target"].is_null(), "no target is dialled for it");
    }
}

#[test]
fn to_a_server() {
    let pki = Pki::new();
    for version in OLD {
        let server = Server::start(&pki, version, &UNGUARDED);
        let client = connect(&server.url(), ["--ca", &pki.ca]).start().wait();
        assert_eq!(client.code(), 2, "{}", client.stderr);
        let ended = client.ended();
        let hello = ended["facts"]["bytes"]["wire_written"].as_u64().unwrap();
        assert!(hello > 200, "no ClientHello of ours has {hello} bytes: {ended}");
        let alert = &ended["ending"]["connect_failed"]["ended"]["fatal_alert"];
        assert_eq!(alert, "protocol_version (70)", "{ended}");
        assert_eq!((&ended["blame"], &ended["phase"]), (&"config".into(), &"handshaking".into()));
        let hint = ended["hint"].as_str().unwrap();
        assert!(hint.contains("no TLS version: we speak 1.2 and 1.3"), "{hint}");
    }
}

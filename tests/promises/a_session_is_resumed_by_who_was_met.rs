//! A peer that was met before is known again, by its ticket alone: OpenSSL and GnuTLS come back to us,
//! we come back to both, and nobody does where it is turned off.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::harness::{Client, Command, Gnutls, Pki, Serve, Server, VERSIONS, levada};

/// Lets OpenSSL come twice, the second time with the session of the first; what the log says of both.
fn openssl_comes_back(pki: &Pki, version: &str, args: &[&str]) -> [bool; 2] {
    let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
    let mut serve = Serve::start([&listen, args].concat());
    let session = pki.folder.path().join("session.pem").to_str().unwrap().to_owned();
    ["-sess_out", "-sess_in"].map(|word| {
        let mut client = Client::start(pki, serve.address(), version, &[word, &session]);
        // The echo comes behind the tickets.
        client.write(b"hello");
        assert_eq!(client.stdout.take(5), b"hello", "{version} {word}");
        assert_eq!(client.finish().code(), 0);
        let record = serve.next("ended");
        assert_eq!(record["client"]["code"], "finished", "{record}");
        record["client"]["facts"]["tls"]["resumed"].as_bool().unwrap()
    })
}

#[test]
fn openssl_comes_back_to_us() {
    let pki = Pki::new();
    for version in VERSIONS {
        assert_eq!(openssl_comes_back(&pki, version, &[]), [false, true], "{version}");
        let off = ["--resume", "off"];
        assert_eq!(openssl_comes_back(&pki, version, &off), [false, false], "{version}");
    }
}

#[test]
fn who_the_client_is_comes_with_its_ticket() {
    let pki = Pki::new();
    for version in VERSIONS {
        let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", "echo:"];
        let mut serve = Serve::start([&listen[..], &["--client-ca", &pki.ca]].concat());
        let session = pki.folder.path().join("session.pem").to_str().unwrap().to_owned();
        for (word, resumed) in [("-sess_out", false), ("-sess_in", true)] {
            let words = [word, &session, "-cert", &pki.client, "-key", &pki.client];
            let mut client = Client::start(&pki, serve.address(), version, &words);
            client.write(b"hello");
            assert_eq!(client.stdout.take(5), b"hello");
            assert_eq!(client.finish().code(), 0);
            let record = serve.next("ended");
            let tls = &record["client"]["facts"]["tls"];
            assert_eq!(tls["resumed"], resumed, "{version}: {record}");
            assert_eq!(tls["peer_chain"][0]["names"][0]["dns"], "client", "{record}");
        }
    }
}

#[test]
fn gnutls_comes_back_to_us() {
    let pki = Pki::new();
    for (version, _) in Gnutls::VERSIONS {
        let mut serve = Serve::tls(&pki, "echo:");
        let address = serve.address();
        let client = Command::new("gnutls-cli")
            .args([&address.ip().to_string(), "--port", &address.port().to_string()])
            .args(["--verify-hostname", "localhost", "--sni-hostname", "localhost"])
            .args(["--x509cafile", &pki.ca, "--resume", "--waitresumption"])
            .args(["--priority", &format!("NORMAL:-VERS-ALL:+{version}")])
            .run(b"");
        let said = String::from_utf8_lossy(&client.stdout);
        assert!(said.contains("*** This is a resumed session"), "{version}: {said}");
        let resumed = [(); 2]
            .map(|()| serve.next("ended")["client"]["facts"]["tls"]["resumed"].as_bool().unwrap());
        assert_eq!(resumed, [false, true], "{version}");
    }
}

/// Comes to `server` twice over a bridge; what its log says of both.
fn we_come_back(pki: &Pki, server: &str, resume: &str, answer: &[u8]) -> [bool; 2] {
    let to = format!("{server}?ca={}&resume={resume}", pki.ca);
    let mut serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
    [(); 2].map(|()| {
        let mut stream = serve.dial();
        stream.write_all(b"olleh\n").unwrap();
        // It comes behind the tickets.
        let mut answered = [0; 6];
        stream.read_exact(&mut answered).unwrap();
        assert_eq!(answered, answer);
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let record = serve.next("ended");
        record["target"]["facts"]["tls"]["resumed"].as_bool().unwrap()
    })
}

#[test]
fn we_come_back_to_openssl() {
    let pki = Pki::new();
    for version in VERSIONS {
        for (resume, expected) in [("on", [false, true]), ("off", [false, false])] {
            let server = Server::reversing(&pki, version);
            let resumed = we_come_back(&pki, &server.url(), resume, b"hello\n");
            assert_eq!(resumed, expected, "{version}");
        }
    }
}

#[test]
fn we_come_back_to_gnutls() {
    let pki = Pki::new();
    for (version, _) in Gnutls::VERSIONS {
        for (resume, expected) in [("on", [false, true]), ("off", [false, false])] {
            let (_server, address) = Gnutls::echo(&pki, version);
            let resumed = we_come_back(&pki, &format!("tls://{address}"), resume, b"olleh\n");
            assert_eq!(resumed, expected, "{version}");
        }
    }
}

#[test]
fn what_is_no_switch_is_refused_in_words() {
    let wrong = levada(["connect", "tls://localhost:1?resume=yes"]).run(b"");
    assert_eq!(wrong.code(), 1);
    assert!(wrong.stderr.contains("choose from `on`, `off`"), "{}", wrong.stderr);
}

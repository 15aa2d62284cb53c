//! A staple that is out of date, about another certificate or no answer at all: an application of a pool is told
//! so, and has its session; a pool is not given one of its own that tells nothing about its certificate.

use std::net::TcpStream;

use levada_core::{Staple, StapleStatus};
use levada_pool::{TlsRequest, blocking};

use crate::a_staple_is_served_and_told::{Stapled, stapled};
use crate::harness::{Pki, Pool, Server, levada};

/// A responder that says: try later (RFC 6960 section 4.2.1).
const TRY_LATER: [u8; 5] = [0x30, 3, 0x0a, 1, 3];

/// The same response with the year in which it was to be renewed, the last of its times, put back.
fn outdated(response: &[u8]) -> Vec<u8> {
    let mut response = response.to_vec();
    // A GeneralizedTime of 15 bytes, in this century. The authority's own certificate has times of another form.
    let is_time = |at: &usize| response[*at..].starts_with(b"\x18\x0f20");
    let last = (0..response.len() - 4).rfind(is_time).unwrap();
    response[last + 2..last + 6].copy_from_slice(b"2021");
    response
}

fn year(seconds: i64) -> i64 {
    1970 + seconds / (365 * 24 * 3600 + 6 * 3600)
}

/// What an application of the pool is told of the staple of such a server.
#[track_caller]
fn told(pool: &Pool, server: &Pki, staple: &str, version: &str) -> Staple {
    let server = Server::start(server, version, &["-rev", "-status_file", staple]);
    let control = blocking::Client::connect(&pool.socket).unwrap();
    let network = TcpStream::connect(server.address).unwrap();
    let request = TlsRequest::client("localhost").unwrap();
    let session = control.start_tls(network, &request).unwrap();
    control.report(session.control_key).unwrap().tls.unwrap().staple.unwrap()
}

#[test]
fn d5_of_a_server() {
    let pki = Pki::new();
    let Stapled { ca, identity, staple } = stapled(&pki, false);
    let response = std::fs::read(&staple).unwrap();
    let theirs = Pki { ca, localhost: identity, ..Pki::new() };
    let pool = Pool::start(&theirs);
    let write = |bytes: &[u8]| std::fs::write(&staple, bytes).unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        write(&outdated(&response));
        let outdated = told(&pool, &theirs, &staple, version);
        assert_eq!(
            (outdated.status, outdated.serial.as_deref()),
            (StapleStatus::Good, Some("1234"))
        );
        assert_eq!(year(outdated.next_update.unwrap()), 2021, "{version}");

        write(&TRY_LATER);
        let silent = told(&pool, &theirs, &staple, version);
        assert_eq!((silent.status, silent.serial, silent.bytes), (StapleStatus::NoAnswer, None, 5));

        // About somebody else: the serial number is not that of the certificate.
        write(&response);
        let plain = Pki { ca: pki.ca.clone(), localhost: pki.localhost.clone(), ..Pki::new() };
        let other = Pool::start_as(&plain, "other.sock", &[]);
        let about = told(&other, &plain, &staple, version);
        assert_eq!(about.serial.as_deref(), Some("1234"), "{version}");
    }
}

#[test]
fn d5_of_its_own() {
    let pki = Pki::new();
    let Stapled { identity, staple, .. } = stapled(&pki, false);
    let response = std::fs::read(&staple).unwrap();
    let policy = |cert: &str, bytes: &[u8]| {
        std::fs::write(&staple, bytes).unwrap();
        format!("[[identity]]\nname = \"localhost\"\ncert = \"{cert}\"\nocsp = \"{staple}\"\n")
    };
    for (cert, bytes, why) in [
        (&pki.localhost, &response[..], "it is about another certificate"),
        (&identity, &TRY_LATER, "the responder gave no answer in it"),
        (&identity, b"", "it is no OCSP response in DER"),
        (&identity, &response[..response.len() / 2], "it is no OCSP response in DER"),
    ] {
        let file = pki.folder.write("wrong.toml", &policy(cert, bytes));
        let told = levada(["pool", "--config", &file]).run(b"").stderr;
        assert!(told.contains("wrong.toml:4:8: ") && told.contains(why), "{told}");
    }
    // Whoever made one renews it: it is not looked at how old it is.
    Pool::start_with(&pki, &policy(&identity, &outdated(&response)));
}

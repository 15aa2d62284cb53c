//! Who has met one application of a pool is known again by the others: tickets belong to an identity and to the
//! rules about its clients, and count nowhere else.

use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use levada_pool::wire::{ErrorCode, StartTlsFlags};
use levada_pool::{TlsRequest, blocking};
use rustix::process::Signal;

use crate::harness::{
    Backend, Client, Command, Gnutls, PATIENCE, Pki, Pool, Running, Server, VERSIONS,
};

/// A pool that has a second identity, `other.example`.
struct Sharing {
    pki: Pki,
    pool: Pool,
    /// Its policy, without that one.
    policy: String,
}

impl Sharing {
    fn start() -> Self {
        let pki = Pki::new();
        let pool = Pool::start(&pki);
        let policy = std::fs::read_to_string(pki.folder.path().join("pool.toml")).unwrap();
        let mut sharing = Self { pki, pool, policy };
        sharing.renew("other.pem");
        sharing
    }

    /// Writes the policy anew, with a new certificate in the file of the other identity.
    fn renew(&mut self, file: &str) {
        let other = self.pki.identity(file, &["other.example"], |_| {});
        let more = format!("\n[[identity]]\nname = \"other.example\"\ncert = \"{other}\"\n");
        let policy = self.pki.folder.write("new.toml", &(self.policy.clone() + &more));
        // At once: the pool looks at it of its own accord, too.
        std::fs::rename(policy, self.pki.folder.path().join("pool.toml")).unwrap();
        self.reload();
    }

    fn reload(&mut self) {
        self.pool.process.signal(Signal::HUP);
        self.pool.hear("the policy was reloaded");
    }

    /// Another application, whose session with this client says hello: whether it was resumed.
    #[track_caller]
    fn serves(
        &self,
        client: impl FnOnce(&Pki, std::net::SocketAddr) -> Running,
        request: &TlsRequest,
    ) -> bool {
        let backend = Backend::new();
        let mut peer = client(&self.pki, backend.address);
        let application = blocking::Client::connect(&self.pool.socket).unwrap();
        let session = application.start_tls(backend.accept(), request).unwrap();
        let mut plain = UnixStream::from(session.plain);
        // What comes behind the handshake comes behind the tickets.
        let said = b"hello\n";
        std::io::Write::write_all(&mut plain, said).unwrap();
        assert_eq!(peer.stdout.take(said.len()), said);
        let report = application.report(session.control_key).unwrap();
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        drop(peer.stdin.take());
        plain.read_to_end(&mut Vec::new()).unwrap();
        peer.wait();
        report.tls.unwrap().resumed.unwrap()
    }

    /// OpenSSL's client, with the session of this file, or to leave it there.
    #[track_caller]
    fn openssl(&self, version: &str, words: &[&str], request: &TlsRequest) -> bool {
        let session = self.pki.folder.path().join("session.pem").to_str().unwrap().to_owned();
        let words: Vec<_> =
            words.iter().map(|&word| if word == "SESSION" { &*session } else { word }).collect();
        self.serves(|pki, to| Client::start(pki, to, version, &words), request)
    }
}

const FIRST: &[&str] = &["-sess_out", "SESSION"];
const AGAIN: &[&str] = &["-sess_in", "SESSION"];

#[test]
fn d5_a_client_of_one_is_known_to_another() {
    let sharing = Sharing::start();
    let plain = TlsRequest::server();
    for version in VERSIONS {
        assert!(!sharing.openssl(version, FIRST, &plain), "{version}");
        assert!(sharing.openssl(version, AGAIN, &plain), "{version}");
        // Whatever it offers, and whichever service it is.
        let alpn = TlsRequest::server().alpn(["h2", "imap"]).service("imap").unwrap();
        let words = [AGAIN, &["-alpn", "imap"]].concat();
        assert!(!sharing.openssl(version, FIRST, &plain), "{version}");
        assert!(sharing.openssl(version, &words, &alpn), "{version}");
        // Who is to forget sessions neither takes nor gives any.
        let forgets = TlsRequest::server().with(StartTlsFlags::IGNORE_CACHES);
        assert!(!sharing.openssl(version, FIRST, &plain), "{version}");
        assert!(!sharing.openssl(version, AGAIN, &forgets), "{version}");
    }
}

#[test]
fn d5_no_other_identity_takes_a_ticket() {
    let sharing = Sharing::start();
    let request = |identity: &str| TlsRequest::server().local(identity).unwrap();
    for version in VERSIONS {
        // The client names nobody, so that nothing but the ticket tells the two apart. What is given last
        // counts, so the name is taken back.
        let nameless = |words: &[&'static str]| [words, &["-noservername"]].concat();
        let (first, again) = (nameless(FIRST), nameless(AGAIN));
        let come = |words: &[&str], identity: &str| {
            let session =
                sharing.pki.folder.path().join("session.pem").to_str().unwrap().to_owned();
            let words: Vec<_> = words
                .iter()
                .map(|&word| if word == "SESSION" { &*session } else { word })
                .collect();
            let client = |pki: &Pki, to: std::net::SocketAddr| {
                Command::new("openssl")
                    .args(["s_client", "-connect", &to.to_string(), version, "-quiet"])
                    .args(["-no_ign_eof", "-verify_return_error", "-CAfile", &pki.ca])
                    .args(&words)
                    .start()
            };
            sharing.serves(client, &request(identity))
        };
        assert!(!come(&first, "localhost"), "{version}");
        assert!(!come(&again, "other.example"), "{version}: it is somebody else");
        assert!(!come(&first, "localhost"), "{version}");
        assert!(come(&again, "localhost"), "{version}");
    }
}

#[test]
fn d5_no_other_rules_take_a_ticket() {
    let sharing = Sharing::start();
    let own = &sharing.pki.client;
    let shown = ["-cert", own, "-key", own];
    let ignored = TlsRequest::server();
    let required = TlsRequest::server().without(StartTlsFlags::IGNORE_REMOTEID);
    let requested = required.clone().with(StartTlsFlags::REQUEST_REMOTEID);
    for version in VERSIONS {
        for (before, after, resumed) in [
            (&ignored, &required, false),
            (&ignored, &requested, false),
            (&requested, &required, false),
            (&required, &required, true),
            (&requested, &requested, true),
        ] {
            assert!(!sharing.openssl(version, &[FIRST, &shown].concat(), before), "{version}");
            let again = sharing.openssl(version, &[AGAIN, &shown].concat(), after);
            assert_eq!(again, resumed, "{version}: {before:?} {after:?}");
        }
    }
}

#[test]
fn d5_who_is_revoked_is_not_let_in_by_a_ticket() {
    let mut sharing = Sharing::start();
    let list = sharing.pki.crl("list.pem", &[]);
    sharing.policy = format!("client-crl = [\"{list}\"]\n{}", sharing.policy);
    let own = sharing.pki.client.clone();
    let shown = ["-cert", &own, "-key", &own];
    let required = TlsRequest::server().without(StartTlsFlags::IGNORE_REMOTEID);
    for version in VERSIONS {
        sharing.pki.crl("list.pem", &[]);
        sharing.renew(&format!("other{version}.pem"));
        assert!(!sharing.openssl(version, &[FIRST, &shown].concat(), &required), "{version}");
        assert!(sharing.openssl(version, &[AGAIN, &shown].concat(), &required), "{version}");
        assert!(!sharing.openssl(version, &[FIRST, &shown].concat(), &required), "{version}");
        sharing.pki.crl("list.pem", &[Pki::CLIENT]);
        sharing.reload();
        let backend = Backend::new();
        let session = sharing.pki.folder.path().join("session.pem").to_str().unwrap().to_owned();
        let words = [&["-sess_in", &session][..], &shown].concat();
        let _peer = Client::start(&sharing.pki, backend.address, version, &words);
        let application = blocking::Client::connect(&sharing.pool.socket).unwrap();
        let refused = application.start_tls(backend.accept(), &required).unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::HandshakeFailed), "{version}");
        sharing.pool.hear("revoked");
    }
}

#[test]
fn d5_tickets_outlive_a_reload_that_leaves_their_certificate() {
    let mut sharing = Sharing::start();
    let plain = TlsRequest::server();
    assert!(!sharing.openssl("-tls1_3", FIRST, &plain));
    sharing.renew("other-new.pem");
    assert!(sharing.openssl("-tls1_3", AGAIN, &plain), "another identity has changed");
    assert!(!sharing.openssl("-tls1_3", FIRST, &plain));
    sharing.pki.identity("localhost.pem", &["localhost"], |_| {});
    sharing.reload();
    assert!(!sharing.openssl("-tls1_3", AGAIN, &plain), "its own has");
    assert!(!sharing.openssl("-tls1_3", FIRST, &plain));
    assert!(sharing.openssl("-tls1_3", AGAIN, &plain));
}

#[test]
fn d5_gnutls_is_known_to_another_application() {
    let sharing = Sharing::start();
    for (version, _) in Gnutls::VERSIONS {
        let backend = Backend::new();
        let client = Gnutls::command(&sharing.pki, backend.address, version, "localhost")
            .args(["--sni-hostname", "localhost", "--resume", "--waitresumption"])
            .start();
        let resumed = [(); 2].map(|()| {
            let application = blocking::Client::connect(&sharing.pool.socket).unwrap();
            let request = TlsRequest::server();
            let session = application.start_tls(backend.accept(), &request).unwrap();
            let report = application.report(session.control_key).unwrap();
            let mut plain = UnixStream::from(session.plain);
            plain.set_read_timeout(Some(PATIENCE)).unwrap();
            plain.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = plain.read_to_end(&mut Vec::new());
            report.tls.unwrap().resumed.unwrap()
        });
        assert_eq!(resumed, [false, true], "{version}");
        drop(client);
    }
}

#[test]
fn d5_a_server_that_one_has_met_is_known_to_another_of_the_same_policy() {
    let mut sharing = Sharing::start();
    let openssl = VERSIONS.map(|version| Server::reversing(&sharing.pki, version));
    let gnutls = Gnutls::VERSIONS.map(|(version, _)| Gnutls::echo(&sharing.pki, version));
    let addresses = openssl.iter().map(|server| server.address);
    let addresses: Vec<_> = addresses.chain(gnutls.iter().map(|&(_, address)| address)).collect();
    for (number, address) in addresses.into_iter().enumerate() {
        // To the pool they are one server, by its name: it is to have met none of them.
        sharing.renew(&format!("before-{number}.pem"));
        let meets = |sharing: &Sharing, request: TlsRequest| {
            let application = blocking::Client::connect(&sharing.pool.socket).unwrap();
            let network = TcpStream::connect(address).unwrap();
            let session = application.start_tls(network, &request).unwrap();
            let mut plain = UnixStream::from(session.plain);
            std::io::Write::write_all(&mut plain, b"olleh\n").unwrap();
            let mut answer = [0; 6];
            plain.read_exact(&mut answer).unwrap();
            // GnuTLS forgets who leaves without a goodbye.
            plain.shutdown(std::net::Shutdown::Write).unwrap();
            plain.read_to_end(&mut Vec::new()).unwrap();
            application.report(session.control_key).unwrap().tls.unwrap().resumed.unwrap()
        };
        let request = || TlsRequest::client("localhost").unwrap();
        assert!(!meets(&sharing, request()), "{number}");
        assert!(meets(&sharing, request()), "{number}");
        // As somebody else it has not been met.
        let other = || request().local("localhost").unwrap();
        assert!(!meets(&sharing, other()), "{number}");
        assert!(meets(&sharing, other()), "{number}");
        // Nor under another policy.
        sharing.renew(&format!("other-{number}.pem"));
        assert!(!meets(&sharing, request()), "{number}");
    }
}

//! OpenSSL and GnuTLS alike: what holds with the one is to hold with the other, in both roles and in
//! both versions of TLS.
//!
//! Which file shows what of TLS with both of them, where `→` is that they are clients of ours, and `←`
//! that they are servers of ours:
//!
//! | what | roles | where |
//! |---|---|---|
//! | every form of private key, encrypted or not | → ← | `identities_of_every_form_are_taken` |
//! | exact name, wildcard, default, unknown name, hook | → | `the_name_asked_for_chooses_the_identity` |
//! | a name that chooses their identity | ← | `the_name_asked_for_chooses_the_identity` |
//! | routes by name and protocol, passing through | → | `a_client_goes_where_its_hello_leads` |
//! | an identity that is swapped | → | `an_identity_swap_touches_no_running_stream` |
//! | anchors, pins, names, revocation lists, time, lapses | → ← | `certificate_rules_hold_against_foreign_peers` |
//! | the system's anchors, a name other than the dialled one | ← | `certificate_rules_hold_against_foreign_peers` |
//! | a certificate that signed itself, by its pin | → ← | `a_pin_alone_lets_in_its_peer` |
//! | client certificates: none, requested, required | → ← | `a_client_shows_itself_where_it_must` |
//! | somebody who is asked about the peer | → ← | `who_is_asked_decides_on_every_peer` |
//! | sessions that are resumed, tickets, the client's memory | → ← | `a_session_is_resumed_by_who_was_met` |
//! | no data before the handshake is over | → ← | `no_data_goes_before_a_handshake` |
//! | lists that are renewed or expire before a session is resumed | → ← | `a_resumed_session_is_judged_again` |
//! | the ring of ticket keys | → | `a_resumed_session_is_judged_again` |
//! | signers that sign, fail, panic, are late, sign wrongly | → ← | `a_failing_signer_sends_its_alert` |
//! | a signer behind a Unix socket | → ← | `a_key_may_stay_with_a_signer` |
//! | a key on a PKCS#11 token, with a pool and without | → ← | `a_key_stays_on_its_token` |
//! | signers that are slow | → | `a_slow_signer_stalls_nobody` |
//! | the key log | → ← | `secrets_of_sessions_leave_on_request_alone` |
//! | the limit of records | → ← | `no_record_is_longer_than_asked_for` |
//! | a staple | → ← | `a_staple_is_served_and_told` |
//! | what `levada dev-ca` makes | → ← | `the_dev_ca_is_trusted_by_curl` |
//! | what `levada inspect` tells | ← | `inspect_tells_what_a_server_accepts` |
//! | messages with borders, by a pool | → ← | `a_message_stays_whole_with_any_peer` |
//! | programs in C, by a pool | → ← | `c_programs_speak_with_any_peer` |
//! | keying material and channel bindings | → ← | `crates/levada/tests/exporter.rs` |
//!
//! What no foreign program can play: a client has no table of identities and no ring of keys, and a
//! client's name is not verified. OpenSSL's command tells no channel binding, but `tls-exporter` is
//! keying material, which it does tell.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::command::Running;
use super::{Client, Gnutls, Pki, Server, Wire};

/// A program that speaks TLS and shares no code with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    OpenSsl,
    GnuTls,
}

/// What a foreign client does, beside trusting the test's authority.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Caller<'a> {
    /// The name that it asks for; `localhost`, if none is said.
    pub(crate) name: Option<&'a str>,
    /// The name or address that it verifies, if not that one.
    pub(crate) verified: Option<&'a str>,
    /// The file with its own certificate and key.
    pub(crate) own: Option<&'a str>,
    /// More words of its own.
    pub(crate) words: &'a [&'a str],
}

/// What a foreign server does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Host<'a> {
    /// The file with its certificate and key; that of localhost, if none is said.
    pub(crate) own: Option<&'a str>,
    /// The file with the authorities that its clients need a certificate of.
    pub(crate) client_ca: Option<&'a str>,
}

impl Foreign {
    /// Each program with each version.
    pub(crate) const EACH: [(Self, &'static str); 4] = [
        (Self::OpenSsl, "1.2"),
        (Self::OpenSsl, "1.3"),
        (Self::GnuTls, "1.2"),
        (Self::GnuTls, "1.3"),
    ];

    /// Connects.
    pub(crate) fn client(
        self,
        pki: &Pki,
        to: SocketAddr,
        version: &str,
        caller: Caller<'_>,
    ) -> Visitor {
        let name = caller.name.unwrap_or("localhost");
        let verified = caller.verified.unwrap_or(name);
        match self {
            Self::OpenSsl => {
                let is_ip = verified.parse::<IpAddr>().is_ok();
                let verifying = if is_ip { "-verify_ip" } else { "-verify_hostname" };
                let mut words = vec!["-servername", name, verifying, verified];
                if let Some(own) = caller.own {
                    words.extend(["-cert", own, "-key", own]);
                }
                words.extend(caller.words);
                let running = Client::start(pki, to, &openssl_flag(version), &words);
                Visitor { running, log: None }
            }
            Self::GnuTls => {
                static NUMBER: AtomicU32 = AtomicU32::new(0);
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let log = pki.folder.path().join(format!("visitor-{number}.log"));
                let mut command = Gnutls::command(pki, to, &gnutls_version(version), verified)
                    .args(["--sni-hostname", name, "--logfile", log.to_str().unwrap()])
                    .args(caller.words);
                if let Some(own) = caller.own {
                    command = command.args(["--x509certfile", own, "--x509keyfile", own]);
                }
                Visitor { running: command.start(), log: Some(log) }
            }
        }
    }

    /// Comes twice, the second time with the session of the first, and says hello to an echo: the alert
    /// that ends the second stream, if one does. Between the two `between` is called; how the first one
    /// went is for it to find out.
    #[track_caller]
    pub(crate) fn comes_again(
        self,
        pki: &Pki,
        to: SocketAddr,
        version: &str,
        own: Option<&str>,
        between: impl FnOnce(),
    ) -> Option<u8> {
        let mut second = match self {
            Self::OpenSsl => {
                let file = pki.folder.path().join(format!("session-{}", to.port()));
                let words = |word| [word, file.to_str().unwrap()];
                let come = |word| {
                    let caller = Caller { own, words: &words(word), ..Caller::default() };
                    self.client(pki, to, version, caller)
                };
                let mut first = come("-sess_out");
                // The echo comes behind the tickets.
                if first.is_echoed() {
                    first.leave();
                }
                between();
                come("-sess_in")
            }
            Self::GnuTls => {
                // It comes again of its own accord, and at once.
                let (wire, gate) = Wire::gated(to);
                let words = &["--resume", "--waitresumption"];
                let caller = Caller { own, words, ..Caller::default() };
                let visitor = self.client(pki, wire.address, version, caller);
                gate.send(()).unwrap();
                between();
                gate.send(()).unwrap();
                visitor
            }
        };
        if second.is_echoed() {
            second.leave();
            None
        } else {
            Some(second.alert())
        }
    }

    /// Listens. It answers each line: [`Hosting::answer`].
    #[track_caller]
    pub(crate) fn server(self, pki: &Pki, version: &str, host: Host<'_>) -> Hosting {
        let own = host.own.unwrap_or(&pki.localhost);
        let (process, address) = match self {
            Self::OpenSsl => {
                let mut words = vec!["-rev", "-cert", own, "-key", own];
                if let Some(ca) = host.client_ca {
                    words.extend(["-Verify", "2", "-verify_return_error", "-CAfile", ca]);
                }
                let Server { process, address } =
                    Server::start(pki, &openssl_flag(version), &words);
                (process, address)
            }
            Self::GnuTls => {
                // It tells of alerts there alone.
                let mut words = vec!["--debug", "5"];
                if let Some(ca) = host.client_ca {
                    words.extend(["--require-client-cert", "--verify-client-cert"]);
                    words.extend(["--x509cafile", ca]);
                }
                Gnutls::listen(Gnutls::server(&gnutls_version(version), own).args(words))
            }
        };
        Hosting { program: self, process, address }
    }
}

fn openssl_flag(version: &str) -> String {
    format!("-tls{}", version.replace('.', "_"))
}

fn gnutls_version(version: &str) -> String {
    format!("VERS-TLS{version}")
}

/// A foreign client that runs.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) running: Running,
    /// Where GnuTLS tells what becomes of it.
    log: Option<PathBuf>,
}

impl Visitor {
    /// Whether it is let in by an echo.
    pub(crate) fn is_echoed(&mut self) -> bool {
        self.running.write(b"hello\n");
        self.running.stdout.line().as_deref() == Some("hello")
    }

    /// Says goodbye, and ends.
    #[track_caller]
    pub(crate) fn leave(self) {
        let finished = self.running.finish();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }

    /// Waits for the fatal alert that ends it.
    #[track_caller]
    pub(crate) fn alert(self) -> u8 {
        // Its input stays open: it is the alert that ends it.
        let finished = self.running.wait();
        let told = match self.log {
            None => finished.stderr,
            Some(log) => std::fs::read_to_string(log).unwrap(),
        };
        alert_in(&told).unwrap_or_else(|| panic!("no alert ended it: {told}"))
    }
}

/// A foreign server that runs.
#[derive(Debug)]
pub(crate) struct Hosting {
    program: Foreign,
    process: Running,
    pub(crate) address: SocketAddr,
}

impl Hosting {
    /// Its address, to connect to.
    pub(crate) fn url(&self) -> String {
        format!("tls://{}", self.address)
    }

    /// What comes back to `hello` and the end of the line.
    pub(crate) const fn answer(&self) -> &'static [u8] {
        match self.program {
            Foreign::OpenSsl => b"olleh\n",
            Foreign::GnuTls => b"hello\n",
        }
    }

    /// The next fatal alert that it receives.
    #[track_caller]
    pub(crate) fn alert(&mut self) -> u8 {
        loop {
            let line = self.process.stderr.line().expect("it tells of an alert");
            // GnuTLS also tells of those that it sends.
            if let Some(alert) = alert_in(&line).filter(|_| !line.contains("Sending")) {
                return alert;
            }
        }
    }
}

/// The number of the alert that a program tells of.
fn alert_in(told: &str) -> Option<u8> {
    let marks = [("SSL alert number ", '\n'), ("Received alert [", ']'), ("Alert[2|", ']')];
    marks.iter().find_map(|&(mark, end)| {
        let (_, behind) = told.split_once(mark)?;
        behind.split(end).next()?.trim().parse().ok()
    })
}

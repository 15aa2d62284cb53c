//! The other TLS: programs that share no code with ours.

use std::net::SocketAddr;

use super::Pki;
use super::command::{Command, Running};

/// The versions of TLS that both sides are held to, as flags of `openssl`.
pub(crate) const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// `openssl s_client`.
pub(crate) struct Client;

impl Client {
    /// Connects, verifies the server, and passes bytes; the end of its input is a close_notify.
    pub(crate) fn start(pki: &Pki, to: SocketAddr, version: &str, args: &[&str]) -> Running {
        Command::new("openssl")
            .args(["s_client", "-connect", &to.to_string(), version, "-quiet", "-no_ign_eof"])
            .args(["-servername", "localhost", "-verify_return_error", "-CAfile", &pki.ca])
            .args(args)
            .start()
    }
}

/// `openssl s_server`.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until it listens. Its standard input goes to the client, and what comes
    /// from there to its standard output, between words of its own.
    #[track_caller]
    pub(crate) fn start(pki: &Pki, version: &str, args: &[&str]) -> Self {
        let own = ["-cert", &pki.localhost, "-key", &pki.localhost];
        let command = Command::new("openssl").args(["s_server", "-accept", "127.0.0.1:0", version]);
        Self::listening(command.args(own).args(args))
    }

    /// Starts this command, and waits until it listens.
    #[track_caller]
    pub(crate) fn listening(command: Command) -> Self {
        let mut process = command.start();
        let address = loop {
            let line = process.stdout.line().expect("openssl says where it listens");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.parse().unwrap();
            }
        };
        Self { process, address }
    }

    /// One that sends back each line reversed.
    #[track_caller]
    pub(crate) fn reversing(pki: &Pki, version: &str) -> Self {
        Self::start(pki, version, &["-rev"])
    }

    /// Its address, to connect to.
    pub(crate) fn url(&self) -> String {
        format!("tls://{}", self.address)
    }
}

//! A second TLS that shares no code with ours, nor with OpenSSL's.

use std::net::{Ipv4Addr, SocketAddr};

use levada_testkit::peers::listening_port;

use super::Pki;
use super::command::{Command, Running};

/// `gnutls-cli`.
pub(crate) struct Gnutls;

impl Gnutls {
    /// The versions of TLS that it is held to: what it calls each, and what our facts do.
    pub(crate) const VERSIONS: [(&str, &str); 2] = [("VERS-TLS1.2", "1.2"), ("VERS-TLS1.3", "1.3")];

    /// Connects, verifies the server, and passes bytes; the end of its input is a close_notify.
    pub(crate) fn client(pki: &Pki, to: SocketAddr, version: &str) -> Running {
        // What it says of itself: its standard output is the stream's alone.
        let log = pki.folder.path().join(format!("gnutls-{}.log", to.port()));
        Self::command(pki, to, version, "localhost")
            .args(["--sni-hostname", "localhost", "--logfile", log.to_str().unwrap()])
            .start()
    }

    /// A client that verifies the server for this name.
    pub(crate) fn command(pki: &Pki, to: SocketAddr, version: &str, name: &str) -> Command {
        Command::new("gnutls-cli")
            .args([&to.ip().to_string(), "--port", &to.port().to_string()])
            .args(["--x509cafile", &pki.ca, "--priority", &only(version)])
            .args(["--verify-hostname", name])
    }

    /// `gnutls-serv` that sends back what comes, and where it listens.
    #[track_caller]
    pub(crate) fn echo(pki: &Pki, version: &str) -> (Running, SocketAddr) {
        Self::listen(Self::server(version, &pki.localhost))
    }

    /// The same with the identity in the file `own`, for [`listen`](Self::listen).
    pub(crate) fn server(version: &str, own: &str) -> Command {
        Command::new("gnutls-serv")
            .args(["--echo", "--quiet", "--port", "0", "--priority", &only(version)])
            .args(["--x509certfile", own, "--x509keyfile", own])
    }

    #[track_caller]
    pub(crate) fn listen(server: Command) -> (Running, SocketAddr) {
        let mut process = server.start();
        // It says the port that it asked for, not the one that it got.
        loop {
            let line = process.stderr.line().expect("it says that it listens");
            if line.contains("listening on IPv4") && line.ends_with("done") {
                break;
            }
        }
        let port = listening_port(process.id()).expect("it listens");
        (process, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }
}

fn only(version: &str) -> String {
    format!("NORMAL:-VERS-ALL:+{version}")
}

//! OpenSSL and GnuTLS as peers, in both roles: each test is a row of what the pool promises about peers,
//! and has a cell for either.

mod bindings;
mod clients;
mod servers;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use levada_pool_daemon::{PolicySource, PoolLimits};
use levada_testkit::peers::listening_port;

use crate::endings::wait_until;
use crate::support::{Daemon, Folder, Pki};

/// Whose TLS the peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    OpenSsl,
    GnuTls,
}

const MAKERS: [Maker; 2] = [Maker::OpenSsl, Maker::GnuTls];

/// A program under a watch: it ends with its test.
struct Program(Child);

impl Program {
    fn start(mut command: Command, stdout: Stdio) -> Self {
        command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether a server wants certificates of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Required,
    Requested,
    Nothing,
}

/// A server that gives back what it is told, as it is or reversed.
struct Serving<'a> {
    identity: &'a Path,
    wants: Wants,
    /// Who vouches for its clients.
    ca: &'a Path,
    /// Whom alone clients may ask for.
    named: Option<&'a str>,
    only_tls_1_2: bool,
}

impl<'a> Serving<'a> {
    fn new(identity: &'a str, ca: &'a Path) -> Self {
        Self {
            identity: identity.as_ref(),
            wants: Wants::Nothing,
            ca,
            named: None,
            only_tls_1_2: false,
        }
    }

    /// Runs it, and tells its port once it listens.
    fn run(&self, maker: Maker) -> (Program, u16) {
        let identity = text(self.identity);
        let command = match maker {
            Maker::OpenSsl => {
                let mut command = Command::new("openssl");
                command.args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-quiet"]);
                command.args(["-cert", identity, "-key", identity, "-CAfile", text(self.ca)]);
                match self.wants {
                    Wants::Required => command.args(["-Verify", "2", "-verify_return_error"]),
                    Wants::Requested => command.args(["-verify", "2", "-verify_return_error"]),
                    Wants::Nothing => &mut command,
                };
                if let Some(name) = self.named {
                    command.args(["-servername", name, "-servername_fatal"]);
                    command.args(["-cert2", identity, "-key2", identity]);
                }
                if self.only_tls_1_2 {
                    command.arg("-tls1_2");
                }
                command
            }
            Maker::GnuTls => {
                let mut command = Command::new("gnutls-serv");
                command.args(["--echo", "--quiet", "-p", "0", "--x509cafile", text(self.ca)]);
                command.args(["--x509certfile", identity, "--x509keyfile", identity]);
                match self.wants {
                    Wants::Required => command.arg("--require-client-cert"),
                    Wants::Requested => command.arg("--verify-client-cert"),
                    Wants::Nothing => command.arg("--disable-client-cert"),
                };
                if let Some(name) = self.named {
                    command.args(["--sni-hostname", name, "--sni-hostname-fatal"]);
                }
                if self.only_tls_1_2 {
                    command.arg("--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2");
                }
                command
            }
        };
        let program = Program::start(command, Stdio::null());
        let mut port = None;
        wait_until(|| {
            port = listening_port(program.0.id());
            port.is_some()
        });
        (program, port.unwrap())
    }
}

/// A client: whom it asks for by SNI, and what it shows.
#[derive(Clone, Copy, Debug, Default)]
struct Calling<'a> {
    name: Option<&'a str>,
    identity: Option<&'a Path>,
    /// What else it is told.
    more: &'a [&'a str],
}

impl Calling<'_> {
    /// Has it connect to `port`. Whoever is there has to be `pool.example`, as `ca` vouches for, unless
    /// it asks for somebody else.
    fn run(&self, maker: Maker, port: u16, ca: &Path) -> Program {
        let mut command;
        match maker {
            Maker::OpenSsl => {
                let address = format!("127.0.0.1:{port}");
                command = Command::new("openssl");
                command.args(["s_client", "-connect", &address, "-quiet", "-verify_return_error"]);
                command.args(["-no_ign_eof", "-CAfile", text(ca)]);
                match self.name {
                    Some(name) => command.args(["-servername", name]),
                    None => command.arg("-noservername"),
                };
                if let Some(path) = self.identity {
                    command.args(["-cert", text(path), "-key", text(path)]);
                }
                command.args(self.more);
            }
            Maker::GnuTls => {
                command = Command::new("gnutls-cli");
                command.args(["-p", &port.to_string()]);
                if !self.more.contains(&"--verbose") {
                    // What it tells of the session is not to stand before the data.
                    command.args(["--logfile", "/dev/null"]);
                }
                command.args(["--x509cafile", text(ca)]);
                let verified = format!("--verify-hostname={}", self.name.unwrap_or("pool.example"));
                command.arg(verified);
                match self.name {
                    Some(name) => command.arg(format!("--sni-hostname={name}")),
                    None => command.arg("--disable-sni"),
                };
                if let Some(path) = self.identity {
                    command.args(["--x509certfile", text(path), "--x509keyfile", text(path)]);
                }
                command.args(self.more).arg("127.0.0.1");
            }
        }
        Program::start(command, Stdio::piped())
    }
}

/// A pool that goes by revocation lists, on which nobody stands.
fn with_lists() -> (Daemon, PolicySource) {
    let (folder, pki) = (Folder::new(), Pki::new());
    folder.write("ca.pem", &pki.ca);
    folder.write("pool.pem", &pki.host("pool.example"));
    folder.write("list.pem", &pki.crl(&[]));
    let policy = folder.write(
        "pool.toml",
        "anchors = \"ca.pem\"\ncrl = [\"list.pem\"]\n\
         client-anchors = \"ca.pem\"\nclient-crl = [\"list.pem\"]\n\
         [[identity]]\nname = \"pool.example\"\ncert = \"pool.pem\"\n",
    );
    let source = PolicySource::new(policy);
    (Daemon::run(folder, pki, &source, PoolLimits::default()), source)
}

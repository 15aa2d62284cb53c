//! OpenSSL and GnuTLS as peers, in both roles.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use levada_pool_daemon::{PolicySource, PoolLimits};
use levada_pool_wire::body::StartTls;
use levada_pool_wire::{Message, StartTlsFlags};
use levada_testkit::peers::listening_port;

use crate::endings::wait_until;
use crate::support::{
    Daemon, Folder, Pki, Spec, as_client, as_server, code_of, starttls_of, tcp_pair,
};

/// A program under a watch: it ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server that greets whoever comes, and where it listens.
enum Server {
    OpenSsl,
    GnuTls,
}

impl Server {
    /// Runs it with this identity and what more it is told, and tells its port once it listens.
    fn run(&self, identity: &Path, more: &[&str]) -> (Program, u16) {
        let mut command = match self {
            Self::OpenSsl => {
                let mut command = Command::new("openssl");
                command.args(["s_server", "-accept", "127.0.0.1:0", "-cert", text(identity)]);
                command.args(["-key", text(identity), "-rev", "-quiet"]);
                command
            }
            Self::GnuTls => {
                let mut command = Command::new("gnutls-serv");
                command.args(["--echo", "--quiet", "-p", "0"]);
                command.args(["--x509certfile", text(identity), "--x509keyfile", text(identity)]);
                command
            }
        };
        command.args(more).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Program(command.spawn().unwrap());
        let mut port = None;
        wait_until(|| {
            port = listening_port(program.0.id());
            port.is_some()
        });
        (program, port.unwrap())
    }
}

#[test]
fn b1_openssl_and_gnutls_servers_are_verified() {
    let daemon = Daemon::with(
        "[[identity]]\nname = \"shown@pool.example\"\ncert = \"user.pem\"\nshow-to = [\"asks.example\"]\n",
        PoolLimits::default(),
    );
    let write = |name: &str, pem: &str| daemon.folder.write(name, pem);
    let right = write("right.pem", &daemon.pki.host("right.example"));
    let asks = write("asks.pem", &daemon.pki.host("asks.example"));
    let spec = Spec { hosts: &["right.example"], expired: true, ..Spec::default() };
    let expired = write("expired.pem", &daemon.pki.identity(spec));
    let stranger = write("stranger.pem", &Pki::new().host("right.example"));
    let ca = daemon.folder.path().join("ca.pem");
    for server in [Server::OpenSsl, Server::GnuTls] {
        let ask: &[&str] = match server {
            Server::OpenSsl => &["-Verify", "2", "-verify_return_error", "-CAfile", text(&ca)],
            Server::GnuTls => &["--require-client-cert", "--x509cafile", text(&ca)],
        };
        for (identity, more, remote, verified) in [
            (&right, &[][..], "right.example", true),
            (&right, &[], "wrong.example", false),
            (&expired, &[], "right.example", false),
            (&stranger, &[], "right.example", false),
            (&asks, ask, "asks.example", true),
        ] {
            let (_running, port) = server.run(identity, more);
            let network = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut client = daemon.client();
            client.request(Message::StartTls(as_client(remote)), Some(network.as_fd()));
            let reply = client.receive();
            if !verified {
                assert_eq!(code_of(&reply.message), 24, "{identity:?} as {remote}");
                continue;
            }
            let mut plain = client.give_plain(&reply);
            let reply = starttls_of(client.receive().message);
            assert_eq!(reply.remote_id.as_str(), Some(remote));
            let shown = if more.is_empty() { "" } else { "shown@pool.example" };
            assert_eq!(reply.local_id.as_str(), Some(shown));
            plain.write_all(b"abcdef\n").unwrap();
            let mut line = String::new();
            BufReader::new(&plain).read_line(&mut line).unwrap();
            assert!(["fedcba\n", "abcdef\n"].contains(&line.as_str()), "{line}");
        }
    }
    let why = daemon.notices.lines().join("\n");
    for word in ["wrong.example", "has expired", "no trusted authority"] {
        assert!(why.contains(word), "{word}: {why}");
    }
}

/// A client that speaks TLS over a connection to `port`, with what it is told.
fn openssl_client(port: u16, ca: &Path, more: &[&str]) -> Program {
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address, "-quiet", "-verify_return_error"]);
    command.args(["-no_ign_eof", "-CAfile", text(ca)]).args(more);
    spawn(command)
}

fn gnutls_client(port: u16, ca: &Path, more: &[&str]) -> Program {
    let mut command = Command::new("gnutls-cli");
    command.args(["--logfile", "/dev/null", "-p", &port.to_string(), "--x509cafile", text(ca)]);
    command.args(more).arg("127.0.0.1");
    spawn(command)
}

fn spawn(mut command: Command) -> Program {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    Program(command.spawn().unwrap())
}

type Run = fn(u16, &Path, &[&str]) -> Program;
type Asking<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// Protects the connection of `run` as `request` says. The reply, or the code of its ERROR.
fn serve(
    daemon: &Daemon,
    run: Run,
    more: &[&str],
    request: StartTls,
) -> Result<(StartTls, Program), u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ca = daemon.folder.path().join("ca.pem");
    let mut program = run(listener.local_addr().unwrap().port(), &ca, more);
    let network = listener.accept().unwrap().0;
    let mut client = daemon.client();
    client.request(Message::StartTls(request), Some(network.as_fd()));
    drop(network);
    let mut asked = client.receive();
    if let Message::StartTlsLocalId(body) = &asked.message {
        // An application that stands for one name.
        let answer = match body.local_id.as_str() {
            Some("pool.example") => Message::StartTlsLocalId(body.clone()),
            _ => Message::Error(levada_pool_wire::body::Failure::from_errno(13)),
        };
        client.answer(&asked, answer, None);
        asked = client.receive();
    }
    if let Message::Error(_) = asked.message {
        // Shown where the test fails.
        println!("{:?}", daemon.notices.lines().last());
        return Err(code_of(&asked.message));
    }
    let mut plain = client.give_plain(&asked);
    let reply = starttls_of(client.receive().message);
    let mut stdin = program.0.stdin.take().unwrap();
    stdin.write_all(b"from the peer\n").unwrap();
    stdin.flush().unwrap();
    let mut line = [0; 14];
    plain.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"from the peer\n");
    plain.write_all(b"from us\n").unwrap();
    let mut heard = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut heard).unwrap();
    assert_eq!(heard, "from us\n");
    program.0.stdin = Some(stdin);
    Ok((reply, program))
}

#[test]
fn b1_openssl_and_gnutls_clients_are_verified() {
    let daemon = Daemon::start();
    let spec = Spec { mailboxes: &["peer@far.example"], ..Spec::default() };
    let own = daemon.folder.write("peer.pem", &daemon.pki.identity(spec));
    let spec = Spec { expired: true, ..spec };
    let expired = daemon.folder.write("old.pem", &daemon.pki.identity(spec));
    let pki = Pki::new();
    let stranger = daemon.folder.write("who.pem", &pki.identity(Spec { expired: false, ..spec }));
    let request = |flags: StartTlsFlags| StartTls {
        flags: StartTlsFlags::SERVER.with(flags),
        ..as_server("pool.example")
    };
    let none = StartTlsFlags::NONE;
    let (ask, ignore) = (StartTlsFlags::REQUEST_REMOTEID, StartTlsFlags::IGNORE_REMOTEID);
    let openssl_as = |path: &Path| {
        let path = text(path).to_owned();
        ["-servername", "pool.example", "-cert", &path, "-key", &path].map(str::to_owned).to_vec()
    };
    let gnutls_as = |path: &Path| {
        let path = text(path).to_owned();
        let name = "--sni-hostname=pool.example";
        let verify = "--verify-hostname=pool.example";
        [name, verify, "--x509certfile", &path, "--x509keyfile", &path].map(str::to_owned).to_vec()
    };
    let programs: [(Run, Vec<String>, [Vec<String>; 3]); 2] = [
        (
            openssl_client,
            ["-servername", "pool.example"].map(str::to_owned).to_vec(),
            [&own, &expired, &stranger].map(|path| openssl_as(path)),
        ),
        (
            gnutls_client,
            ["--sni-hostname=pool.example", "--verify-hostname=pool.example"]
                .map(str::to_owned)
                .to_vec(),
            [&own, &expired, &stranger].map(|path| gnutls_as(path)),
        ),
    ];
    for (run, nobody, [own, expired, stranger]) in programs {
        let result = |more: &[String], flags: StartTlsFlags| {
            let more: Vec<_> = more.iter().map(String::as_str).collect();
            let served = serve(&daemon, run, &more, request(flags));
            served.map(|(reply, _)| reply.remote_id.as_str().unwrap().to_owned())
        };
        assert_eq!(result(&own, none).as_deref(), Ok("peer@far.example"), "required, and shown");
        assert_eq!(result(&own, ask).as_deref(), Ok("peer@far.example"), "requested, and shown");
        assert_eq!(result(&own, ignore).as_deref(), Ok(""), "not asked for");
        assert_eq!(result(&nobody, none), Err(24), "required, and not shown");
        assert_eq!(result(&nobody, ask).as_deref(), Ok(""), "requested, and not shown");
        for bad in [&expired, &stranger] {
            assert_eq!(result(bad, none), Err(24));
            assert_eq!(result(bad, ask), Err(24), "what is shown has to be good");
            assert_eq!(result(bad, ignore).as_deref(), Ok(""));
        }
    }
}

#[test]
fn a7_openssl_and_gnutls_ask_for_a_name_and_the_application_decides() {
    let daemon = Daemon::start();
    let flags = StartTlsFlags::SERVER
        .with(StartTlsFlags::LOCALID_CHECK)
        .with(StartTlsFlags::IGNORE_REMOTEID);
    let request = StartTls { flags, ..StartTls::default() };
    let gnutls = |name: &str| {
        [format!("--sni-hostname={name}"), format!("--verify-hostname={name}")].to_vec()
    };
    let openssl = |name: &str| ["-servername".to_owned(), name.to_owned()].to_vec();
    let runs: [(Run, Asking<'_>); 2] = [(openssl_client, &openssl), (gnutls_client, &gnutls)];
    for (run, asking) in runs {
        for (name, wanted) in [("pool.example", Ok("pool.example")), ("other.example", Err(3))] {
            let more = asking(name);
            let more: Vec<_> = more.iter().map(String::as_str).collect();
            let served = serve(&daemon, run, &more, request.clone());
            let told = served.map(|(reply, _)| reply.local_id.as_str().unwrap().to_owned());
            assert_eq!(told.as_deref().map_err(|&code| code), wanted, "{name}");
        }
    }
    let nobody = serve(&daemon, openssl_client, &["-noservername"], request);
    assert_eq!(nobody.err(), Some(3), "the application has nobody for no name");
}

#[test]
fn a7_who_the_client_has_to_be() {
    let daemon = Daemon::start();
    let spec = Spec { mailboxes: &["peer@far.example"], ..Spec::default() };
    let own = daemon.folder.write("peer.pem", &daemon.pki.identity(spec));
    let more = ["-servername", "pool.example", "-cert", text(&own), "-key", text(&own)];
    let request = |remote: &str| StartTls {
        flags: StartTlsFlags::SERVER,
        remote_id: levada_pool_wire::Identity::new(remote).unwrap(),
        ..as_server("pool.example")
    };
    let run = |remote: &str| serve(&daemon, openssl_client, &more, request(remote));
    assert!(run("peer@far.example").is_ok());
    assert_eq!(run("other@far.example").err(), Some(24));
}

#[test]
fn without_sni_the_preset_identity_is_shown() {
    let daemon = Daemon::start();
    let mut request = as_server("pool.example");
    assert!(serve(&daemon, openssl_client, &["-noservername"], request.clone()).is_ok());
    // Nobody is preset, and the policy has no default.
    request.local_id = levada_pool_wire::Identity::EMPTY;
    let refused = serve(&daemon, openssl_client, &["-noservername"], request);
    assert_eq!(refused.err(), Some(24));
}

#[test]
fn a7_a_client_can_leave_out_sni() {
    let daemon = Daemon::start();
    let (near, mut far) = tcp_pair();
    let mut client = daemon.client();
    let request = as_client("hidden-name.example");
    let flags = request.flags.with(StartTlsFlags::WITHOUT_SNI);
    client.request(Message::StartTls(StartTls { flags, ..request }), Some(near.as_fd()));
    let mut hello = vec![0; 100];
    far.read_exact(&mut hello).unwrap();
    far.set_nonblocking(true).unwrap();
    let mut rest = vec![0; 4096];
    let count = far.read(&mut rest).unwrap_or_default();
    hello.extend_from_slice(&rest[..count]);
    let is_there = hello.windows(11).any(|window| window == b"hidden-name");
    assert!(!is_there);
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

#[test]
fn b1_revoked_servers_are_refused_once_the_list_says_so() {
    let (daemon, source) = with_lists();
    let spec = Spec { hosts: &["right.example"], serial: Some(7), ..Spec::default() };
    let identity = daemon.folder.write("right.pem", &daemon.pki.identity(spec));
    let servers = [Server::OpenSsl, Server::GnuTls].map(|server| server.run(&identity, &[]));
    let reply = |port: u16| {
        let network = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut client = daemon.client();
        client.request(Message::StartTls(as_client("right.example")), Some(network.as_fd()));
        client.receive().message
    };
    for (_, port) in &servers {
        assert!(matches!(reply(*port), Message::PlaintextConnect(_)));
    }
    daemon.folder.write("list.pem", &daemon.pki.crl(&[7]));
    daemon.pool.reload_from(&source);
    for (_, port) in &servers {
        assert_eq!(code_of(&reply(*port)), 24);
        assert!(daemon.notices.lines().last().unwrap().contains("revoked"));
    }
}

#[test]
fn b1_revoked_clients_are_refused_once_the_list_says_so() {
    let (daemon, source) = with_lists();
    let spec = Spec { mailboxes: &["peer@far.example"], serial: Some(7), ..Spec::default() };
    let own = daemon.folder.write("peer.pem", &daemon.pki.identity(spec));
    let openssl = ["-servername", "pool.example", "-cert", text(&own), "-key", text(&own)];
    let gnutls = [
        "--sni-hostname=pool.example",
        "--verify-hostname=pool.example",
        "--x509certfile",
        text(&own),
        "--x509keyfile",
        text(&own),
    ];
    let programs: [(Run, &[&str]); 2] = [(openssl_client, &openssl), (gnutls_client, &gnutls)];
    let required = StartTls { flags: StartTlsFlags::SERVER, ..as_server("pool.example") };
    let requested = required.flags.with(StartTlsFlags::REQUEST_REMOTEID);
    let requested = StartTls { flags: requested, ..required.clone() };
    for (run, more) in programs {
        let (reply, _running) = serve(&daemon, run, more, required.clone()).unwrap();
        assert_eq!(reply.remote_id.as_str(), Some("peer@far.example"));
    }
    daemon.folder.write("list.pem", &daemon.pki.crl(&[7]));
    daemon.pool.reload_from(&source);
    for (run, more) in programs {
        for request in [&required, &requested] {
            assert_eq!(serve(&daemon, run, more, request.clone()).err(), Some(24));
            assert!(daemon.notices.lines().last().unwrap().contains("revoked"));
        }
    }
}

//! Keying material and channel bindings, held against OpenSSL and GnuTLS in both roles.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use levada::{
    Anchors, ChannelBinding, ExporterError, Identities, Identity, Options, Pipe, SessionName,
    Socket, TlsClient, TlsServer, TlsVersion,
};
use levada_testkit::Folder;
use levada_testkit::peers::listening_port;
use tokio::net::{TcpListener, TcpStream};

const LABEL: &str = "EXPORTER-levada-test";
const VERSIONS: [(TlsVersion, &str, &str); 2] = [
    (TlsVersion::V1_2, "-tls1_2", "NORMAL:-VERS-ALL:+VERS-TLS1.2"),
    (TlsVersion::V1_3, "-tls1_3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"),
];

/// A certificate of our own for localhost, and the file that peers read it from.
struct Pki {
    folder: Folder,
    file: String,
    client: TlsClient,
    server: TlsServer,
}

impl Pki {
    fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
        let folder = Folder::new();
        let identity =
            Identity::from_pem(certificate.as_bytes(), Some(key.as_bytes()), None).unwrap();
        let anchors = Anchors::from_pem(certificate.as_bytes()).unwrap();
        Self {
            file: folder.write("localhost.pem", &format!("{certificate}{key}")),
            folder,
            client: TlsClient::builder().anchors(anchors).build().unwrap(),
            server: TlsServer::builder(Identities::one(&identity)).build().unwrap(),
        }
    }

    /// Shows a certificate as a server that OpenSSL makes and signs in this way.
    fn signed_by_openssl(mut self, words: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost"]);
        command.args(["-addext", "subjectAltName=DNS:localhost"]).args(words);
        let key = self.folder.path().join("key.pem");
        let made = command.arg("-keyout").arg(&key).arg("-out").arg(&self.file).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |file: &std::path::Path| std::fs::read(file).unwrap();
        let identity = Identity::from_pem(&read(self.file.as_ref()), Some(&read(&key)), None);
        let identity = Identities::one(&identity.unwrap());
        self.server = TlsServer::builder(identity).build().unwrap();
        self
    }

    /// Our server's end of a connection from `peer`, which is told where to connect to.
    async fn serve(&self, peer: impl FnOnce(SocketAddr) -> Command) -> (Socket, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer::start(peer(listener.local_addr().unwrap()));
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = Socket::adopt(stream, Some(self.server.session()), Options::default());
        socket.established().await.unwrap();
        (socket, peer)
    }

    /// Our client's end of a connection to OpenSSL's server.
    async fn connect(&self, arguments: &[&str], config: &str) -> (Socket, Peer) {
        let file = self.folder.write("openssl.cnf", config);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cert", &self.file]);
        command.args(["-key", &self.file]).args(arguments).env("OPENSSL_CONF", file);
        let mut peer = Peer::start(command);
        let address = peer.line("ACCEPT ");
        (self.dial(&address).await, peer)
    }

    /// Our client's end of a connection to `gnutls-serv`, which tells what it derives.
    async fn connect_to_gnutls(&self, priority: &str) -> (Socket, Peer) {
        let mut command = Command::new("gnutls-serv");
        command.args(["--echo", "--port", "0", "--priority", priority]);
        command.args(["--x509certfile", &self.file, "--x509keyfile", &self.file]);
        command.args(["--keymatexport", LABEL, "--keymatexportsize", "48"]);
        let peer = Peer::start(command);
        let port = loop {
            match listening_port(peer.child.id()) {
                Some(port) => break port,
                None => tokio::task::yield_now().await,
            }
        };
        (self.dial(&format!("127.0.0.1:{port}")).await, peer)
    }

    async fn dial(&self, address: &str) -> Socket {
        let stream = TcpStream::connect(address).await.unwrap();
        let session = self.client.session(&SessionName::new("localhost").unwrap()).unwrap();
        let mut socket = Socket::adopt(stream, Some(session), Options::default());
        socket.established().await.unwrap();
        socket
    }

    /// `gnutls-cli` that tells its channel bindings.
    fn gnutls(&self, address: SocketAddr, priority: &str) -> Command {
        let mut command = Command::new("gnutls-cli");
        command.args(["--verbose", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--verify-hostname", "localhost", "--sni-hostname", "localhost"]);
        command.args(["--x509cafile", &self.file, "--priority", priority]);
        command
    }
}

/// What a peer says; it is killed in the end.
struct Peer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What follows behind `begin` in the next line that begins so.
    fn line(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "no line `{begin}`");
            if let Some(rest) = line.trim().strip_prefix(begin) {
                return rest.trim().to_lowercase();
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[tokio::test]
async fn openssl_derives_the_same_as_a_client() {
    let pki = Pki::new();
    for (version, flag, _) in VERSIONS {
        let peer = |address: SocketAddr| {
            let mut command = Command::new("openssl");
            command.args(["s_client", "-connect", &address.to_string(), flag]);
            command.args(["-keymatexport", LABEL, "-keymatexportlen", "48"]);
            command.args(["-servername", "localhost"]);
            command
        };
        let (socket, mut peer) = pki.serve(peer).await;
        assert_eq!(socket.facts().tls.unwrap().version, Some(version.number()));
        let ours = socket.export_keying_material(LABEL, None, 48).await.unwrap();
        assert_eq!(peer.line("Keying material: "), hexadecimal(ours.bytes()));
    }
}

#[tokio::test]
async fn openssl_derives_the_same_as_a_server() {
    let pki = Pki::new();
    for (version, flag, _) in VERSIONS {
        let words = [flag, "-keymatexport", LABEL, "-keymatexportlen", "48"];
        let (socket, mut peer) = pki.connect(&words, "").await;
        assert_eq!(socket.facts().tls.unwrap().version, Some(version.number()));
        let ours = socket.export_keying_material(LABEL, None, 48).await.unwrap();
        assert_eq!(peer.line("Keying material: "), hexadecimal(ours.bytes()));
    }
}

/// OpenSSL's command tells no bindings, but `tls-exporter` is keying material (RFC 9266 section 2), and
/// in TLS 1.3 no context is the same as an empty one.
#[tokio::test]
async fn openssl_derives_the_same_tls_exporter() {
    let pki = Pki::new();
    let words = ["-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"];
    let (socket, mut peer) = pki.connect(&[&["-tls1_3"], &words[..]].concat(), "").await;
    let ours = socket.channel_binding(ChannelBinding::TlsExporter).await.unwrap();
    assert_eq!(peer.line("Keying material: "), hexadecimal(ours.bytes()));
}

/// What GnuTLS derives is what we do.
async fn assert_same(socket: &Socket, peer: &mut Peer, version: TlsVersion) {
    for (words, binding) in [
        ("- 'tls-server-end-point': ", ChannelBinding::TlsServerEndPoint),
        ("- 'tls-exporter': ", ChannelBinding::TlsExporter),
    ] {
        let theirs = peer.line(words);
        let ours = hexadecimal(socket.channel_binding(binding).await.unwrap().bytes());
        if (version, binding) == (TlsVersion::V1_2, ChannelBinding::TlsExporter) {
            // GnuTLS gives no context to TLS 1.2, where RFC 9266 section 2 wants an empty one.
            let label = "EXPORTER-Channel-Binding";
            let without = socket.export_keying_material(label, None, 32).await.unwrap();
            assert!([ours, hexadecimal(without.bytes())].contains(&theirs));
        } else {
            assert_eq!(ours, theirs, "{version} {binding:?}");
        }
    }
    let ours = socket.export_keying_material(LABEL, None, 48).await.unwrap();
    assert_eq!(peer.line("- Key material: "), hexadecimal(ours.bytes()), "{version}");
}

#[tokio::test]
async fn gnutls_derives_the_same_as_a_client() {
    let pki = Pki::new();
    for (version, _, priority) in VERSIONS {
        let peer = |address| {
            let mut command = pki.gnutls(address, priority);
            command.args(["--keymatexport", LABEL, "--keymatexportsize", "48"]);
            command
        };
        let (socket, mut peer) = pki.serve(peer).await;
        assert_same(&socket, &mut peer, version).await;
    }
}

#[tokio::test]
async fn gnutls_derives_the_same_as_a_server() {
    let pki = Pki::new();
    for (version, _, priority) in VERSIONS {
        let (socket, mut peer) = pki.connect_to_gnutls(priority).await;
        assert_same(&socket, &mut peer, version).await;
    }
}

#[tokio::test]
async fn gnutls_hashes_the_certificate_as_we_do_however_it_is_signed() {
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let rsa = ["-newkey", "rsa:2048"];
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    for words in [
        [&ec[..], &["-sha512"]],
        // For SHA-1 stands SHA-256.
        [&ec, &["-sha1"]],
        [&rsa, &["-sha384"]],
        [&[&rsa[..], &pss].concat(), &["-sha256"]],
        [&[&rsa[..], &pss].concat(), &["-sha384"]],
    ] {
        let words = words.concat();
        let pki = Pki::new().signed_by_openssl(&words);
        let (_, _, priority) = VERSIONS[1];
        let peer = |address| {
            let mut command = pki.gnutls(address, priority);
            // Whom it trusts does not matter here, and it does not trust SHA-1.
            command.arg("--insecure");
            command
        };
        let (socket, mut peer) = pki.serve(peer).await;
        let ours = socket.channel_binding(ChannelBinding::TlsServerEndPoint).await.unwrap();
        let theirs = peer.line("- 'tls-server-end-point': ");
        assert_eq!(theirs, hexadecimal(ours.bytes()), "{words:?}");
    }
}

#[tokio::test]
async fn tls_exporter_is_refused_on_tls_1_2_without_extended_master_secret() {
    let pki = Pki::new();
    let refused = async |socket: &Socket| {
        let error = socket.channel_binding(ChannelBinding::TlsExporter).await.unwrap_err();
        assert_eq!(error, ExporterError::NotUnique);
        // What is not said to be unique can still be had.
        socket.export_keying_material(LABEL, None, 32).await.unwrap();
        socket.channel_binding(ChannelBinding::TlsServerEndPoint).await.unwrap();
    };
    let priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH";
    let (socket, _peer) = pki.serve(|address| pki.gnutls(address, priority)).await;
    refused(&socket).await;
    let without = "openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n\
                   Options = -ExtendedMasterSecret\n";
    let (socket, _peer) = pki.connect(&["-tls1_2"], without).await;
    refused(&socket).await;
    let (socket, _peer) = pki.connect(&["-tls1_2"], "").await;
    socket.channel_binding(ChannelBinding::TlsExporter).await.unwrap();
}

#[tokio::test]
async fn a_plain_stream_has_nothing_to_derive_from() {
    let (near, _far) = Pipe::pair(100);
    let socket = Socket::adopt(near, None, Options::default());
    let error = socket.export_keying_material(LABEL, None, 32).await.unwrap_err();
    assert_eq!(error, ExporterError::NoSession);
    let error = socket.channel_binding(ChannelBinding::TlsExporter).await.unwrap_err();
    assert_eq!(error, ExporterError::NoSession);
}

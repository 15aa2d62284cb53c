//! Keys on tokens: SoftHSM's, here or as if they were elsewhere.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use levada_testkit::docs::workspace_root;
use levada_testkit::soft_hsm::{PIN, SoftHsm};
use rcgen::{PublicKeyData, SignatureAlgorithm};

use super::{Command, PATIENCE, Pki, Pool, Serve, connect, levada};

/// A token with one key, and a certificate for localhost that goes with it.
pub(crate) struct Token {
    pub(crate) pki: Pki,
    pub(crate) hsm: SoftHsm,
    pub(crate) cert: String,
    pub(crate) key: String,
    /// The file with its PIN.
    pub(crate) pin: String,
    /// What its module reads from the environment, beside where its tokens are.
    variables: Vec<(&'static str, OsString)>,
}

/// The public key, as it stands in a certificate.
struct Public(Vec<u8>, &'static SignatureAlgorithm);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.1
    }
}

/// A kind of key, and how its certificate calls it.
pub(crate) type Kind = (&'static str, &'static SignatureAlgorithm);

pub(crate) const EC: Kind = ("EC:prime256v1", &rcgen::PKCS_ECDSA_P256_SHA256);
pub(crate) const EC_384: Kind = ("EC:secp384r1", &rcgen::PKCS_ECDSA_P384_SHA384);
pub(crate) const RSA: Kind = ("RSA:2048", &rcgen::PKCS_RSA_SHA256);

impl Token {
    pub(crate) fn new((kind, algorithm): Kind) -> Self {
        let pki = Pki::new();
        let folder = pki.folder.path().join("hsm");
        std::fs::create_dir(&folder).unwrap();
        let hsm = SoftHsm::new(&folder);
        hsm.token("site");
        hsm.generate("site", kind, "www", "01");
        let public = Public(hsm.public_key(), algorithm);
        let cert = pki.certify_public("token.cert", &["localhost", "127.0.0.1"], &public);
        let key = key_in(SoftHsm::module());
        let pin = pki.folder.write("pin", &format!("{PIN}\n"));
        Self { pki, hsm, cert, key, pin, variables: Vec::new() }
    }

    /// The same by a module that writes down what is called of it.
    pub(crate) fn spied(kind: Kind) -> Self {
        let mut token = Self::new(kind);
        token.key = key_in(SoftHsm::spy().to_str().unwrap());
        token.variables = vec![
            ("PKCS11SPY", SoftHsm::module().into()),
            ("PKCS11SPY_OUTPUT", token.spy_log().into()),
        ];
        token
    }

    /// How often this function was called.
    pub(crate) fn calls(&self, function: &str) -> usize {
        let log = std::fs::read_to_string(self.spy_log()).unwrap();
        log.lines().filter(|line| line.ends_with(&format!(": {function}"))).count()
    }

    fn spy_log(&self) -> PathBuf {
        self.folder().join("spy.log")
    }

    /// The folder that its module reads and writes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.hsm.tokens().parent().unwrap().to_owned()
    }

    /// The flags that name it and its certificate.
    pub(crate) fn words(&self) -> [&str; 6] {
        ["--cert", &self.cert, "--key", &self.key, "--passphrase-file", &self.pin]
    }

    /// With what its module reads from the environment.
    pub(crate) fn reached_by(&self, command: Command) -> Command {
        let command = command.env("SOFTHSM2_CONF", self.hsm.config());
        self.variables.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// A server whose key is on the token.
    #[track_caller]
    pub(crate) fn serve(&self) -> Serve {
        let words = ["serve", "--log", "json", "--listen", "tls://127.0.0.1:0", "--to", "echo:"];
        Serve::listening(self.reached_by(levada(words).args(self.words())), 1)
    }

    /// A hardened pool with the key on the token, and the PIN in a file.
    #[track_caller]
    pub(crate) fn pool(&self) -> Pool {
        self.pool_with(&format!("key-pass-file = {:?}", self.pin))
    }

    /// The same with this line about the PIN.
    #[track_caller]
    pub(crate) fn pool_with(&self, pin: &str) -> Pool {
        self.pool_within(&self.policy(pin), &[])
    }

    /// A policy with the identity of this token.
    pub(crate) fn policy(&self, pin: &str) -> String {
        let Self { pki, key, cert, .. } = self;
        let policy = format!(
            "anchors = {ca:?}\nclient-anchors = {ca:?}\n[[identity]]\nname = \"localhost\"\n\
             cert = {cert:?}\nkey = {key:?}\n{pin}\ndefault = true\nshow-to = [\".\"]\n",
            ca = pki.ca
        );
        pki.folder.write("token.toml", &policy)
    }

    /// A hardened pool with the policy in this file, and these words beside.
    #[track_caller]
    pub(crate) fn pool_within(&self, policy: &str, words: &[&str]) -> Pool {
        let (command, socket) = self.pool_command(policy, words);
        Pool::listening(command, socket)
    }

    /// What starts it, and its socket.
    pub(crate) fn pool_command(&self, policy: &str, words: &[&str]) -> (Command, String) {
        let socket = self.pki.folder.path().join("pool.sock").to_str().unwrap().to_owned();
        let command = levada(["pool", "--config", policy, "--socket", &socket, "--log", "json"]);
        let command = command.args([OsStr::new("--token-dir"), self.folder().as_os_str()]);
        (self.reached_by(command.args(words)), socket)
    }

    /// A client of ours that trusts the server there.
    pub(crate) fn visit(&self, server: SocketAddr) -> Command {
        connect(&format!("tls://{server}"), ["--ca", &self.pki.ca])
    }

    /// Whether such a client gets an echo.
    pub(crate) fn is_let_in(&self, server: SocketAddr) -> bool {
        self.visit(server).run(b"hello\n").stdout == b"hello\n"
    }
}

/// The key's URI, by this module.
fn key_in(module: &str) -> String {
    format!("pkcs11:token=site;object=www?module-path={module}")
}

/// The place that a module asks by TCP before each signature, as if its tokens were there.
pub(crate) struct RemoteHsm {
    holds: Arc<AtomicBool>,
    asked: Receiver<TcpStream>,
}

impl RemoteHsm {
    /// The place, which agrees to all, and the token by a module that asks there.
    pub(crate) fn new(kind: Kind) -> (Self, Token) {
        let mut token = Token::new(kind);
        let module = token.folder().join("remote.so").to_str().unwrap().to_owned();
        let source = workspace_root().join("tests/promises/pkcs11/remote.c");
        let words =
            ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
        let compiled = Command::new("gcc")
            .args(words)
            .args([&format!("-DSOFT_HSM=\"{}\"", SoftHsm::module()), "-o", &module])
            .args([source])
            .args(["-ldl"])
            .run(b"");
        assert_eq!(compiled.code(), 0, "{}", compiled.stderr);
        token.key = key_in(&module);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        token.variables = vec![("REMOTE_HSM", port.to_string().into())];
        let holds = Arc::new(AtomicBool::new(false));
        let (sender, asked) = channel();
        std::thread::spawn({
            let holds = holds.clone();
            move || agree(&listener, &holds, &sender)
        });
        (Self { holds, asked }, token)
    }

    /// From now on signatures wait for [`asked`](Self::asked), or no more.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::SeqCst);
    }

    /// Fails those that wait and that nobody has taken.
    pub(crate) fn forget(&self) {
        while self.asked.try_recv().is_ok() {}
    }

    /// The next signature that waits. Dropped, it fails.
    #[track_caller]
    pub(crate) fn asked(&self) -> TcpStream {
        self.asked.recv_timeout(PATIENCE).expect("a signature is asked for")
    }
}

/// Agrees to each signature at once, or hands it on, until nobody takes them.
fn agree(listener: &TcpListener, holds: &AtomicBool, held: &Sender<TcpStream>) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        if holds.load(Ordering::SeqCst) {
            if held.send(stream).is_err() {
                break;
            }
        } else {
            // Whoever asked may have been killed.
            let _ = stream.write_all(b"y");
        }
    }
}

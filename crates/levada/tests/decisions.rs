//! Streams that wait for somebody: external signers and hooks for ClientHellos. Rows T27, T33 and T34
//! of the Telsa profile.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use levada::{
    AlertDescription, Anchors, Blame, ClientAuth, Ended, Ending, Fault, HelloAnswer, Identities,
    Identity, Options, Pipe, SessionName, SignatureScheme, Signer, SignerError, Socket, TlsClient,
    TlsServer, WhyPlain,
};
use rcgen::{KeyPair, SigningKey};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, mpsc};

const HOST: &str = "localhost";

/// A self-signed certificate and its key.
struct Certified {
    cert: String,
    key: KeyPair,
}

impl Certified {
    fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        Self { cert: signed.cert.pem(), key: signed.signing_key }
    }

    fn identity(&self) -> Identity {
        let key = self.key.serialize_pem();
        Identity::from_pem(self.cert.as_bytes(), Some(key.as_bytes()), None).unwrap()
    }

    fn with(&self, signer: impl Signer + 'static) -> Identity {
        Identity::with_signer(self.cert.as_bytes(), signer).unwrap()
    }

    fn anchors(&self) -> Anchors {
        Anchors::from_pem(self.cert.as_bytes()).unwrap()
    }

    /// A file with the certificate and the key, for OpenSSL.
    fn file(&self) -> TemporaryFile {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("decisions-{}-{count}.pem", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all((self.cert.clone() + &self.key.serialize_pem()).as_bytes()).unwrap();
        TemporaryFile(path)
    }
}

struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

const LATE: &str = "no signature in time";

type Fails = fn() -> Identity;

/// Every way in which a signer fails, and what its stream says of it.
fn failing() -> [(&'static str, Fails); 4] {
    fn explode() -> Vec<u8> {
        panic!("on purpose")
    }
    [
        ("the card was pulled out", || {
            Certified::new()
                .with(|_, _| async { Err(SignerError::from("the card was pulled out")) })
        }),
        ("the signer panicked", || Certified::new().with(|_, _| async { Ok(explode()) })),
        (LATE, || Certified::new().with(|_, _| pending())),
        ("not one of the certificate's key", || {
            Certified::new().with(|_, _| async { Ok(vec![1; 70]) })
        }),
    ]
}

/// Short of patience where it is a signer that never answers, and else not.
fn options(words: &str) -> Options {
    let mut options = Options::default();
    let short = words == LATE;
    options.signer_deadline = Duration::from_millis(if short { 50 } else { 10_000 });
    options
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true);
    command
}

/// Whether OpenSSL reports that it received internal_error.
async fn assert_alert_80(mut peer: Child, context: &str) {
    drop(peer.stdin.take());
    let mut report = String::new();
    peer.stdout.take().unwrap().read_to_string(&mut report).await.unwrap();
    let lines: Vec<_> = report.lines().collect();
    let is_reported = lines.windows(2).any(|pair| {
        pair[0].starts_with("<<<") && pair[0].contains("Alert") && pair[1].trim() == "02 50"
    });
    assert!(is_reported, "{context}: OpenSSL saw no alert 80:\n{report}");
}

fn assert_blamed(ended: &Ended, words: &str) {
    let ending = match &ended.ending {
        Ending::ConnectFailed(failure) => match &**failure {
            levada::ConnectFailure::Ended(ending) => ending,
            lookup @ levada::ConnectFailure::Lookup { .. } => panic!("{lookup:?}"),
        },
        ending => ending,
    };
    let Ending::FatalError { alert: Some(AlertDescription::INTERNAL_ERROR), cause } = ending else {
        panic!("{ended:?}")
    };
    let Fault::Signer(why) = cause else { panic!("{cause:?}") };
    assert!(why.contains(words), "{why}");
    assert_eq!(ended.blame(), Some(Blame::Local));
    assert!(!ended.hint().is_empty());
}

/// An `openssl s_server` that wants a client certificate, and where it listens.
async fn s_server(file: &TemporaryFile, more: &[&str]) -> (Child, String) {
    let path = file.0.to_str().unwrap();
    let arguments = [
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-msg",
        "-naccept",
        "1",
        "-Verify",
        "2",
        "-cert",
        path,
    ];
    let mut peer = openssl(&arguments).args(more).spawn().unwrap();
    let mut output = BufReader::with_capacity(1, peer.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ACCEPT") {
        line.clear();
        assert_ne!(output.read_line(&mut line).await.unwrap(), 0, "s_server did not start");
    }
    peer.stdout = Some(output.into_inner());
    let address = line.trim().trim_start_matches("ACCEPT ").to_owned();
    (peer, address)
}

async fn dial(address: &str, tls: &TlsClient, options: Options) -> Socket {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let session = tls.session(&SessionName::new(HOST).unwrap()).unwrap();
    Socket::adopt(stream, Some(session), options)
}

#[tokio::test]
async fn t27_openssl_server_sees_alert_80_when_the_clients_signer_fails() {
    let server = Certified::new();
    let file = server.file();
    // In TLS 1.3 we seal the alert ourselves: under every suite.
    let suites = [
        &["-tls1_2"][..],
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
    ];
    for suite in suites {
        for (words, identity) in failing() {
            let (peer, address) = s_server(&file, suite).await;
            let client = TlsClient::builder().anchors(server.anchors()).identity(identity());
            let mut socket = dial(&address, &client.build().unwrap(), options(words)).await;
            let error = socket.established().await.unwrap_err();
            assert_blamed(Ended::of(&error).unwrap(), words);
            drop(socket);
            assert_alert_80(peer, &format!("{suite:?}, {words}")).await;
        }
    }
}

/// A signer that signs each time it is allowed to, and tells that it was asked.
fn gated(certified: &Certified) -> (Identity, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let (asked, is_asked) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::new(KeyPair::from_pem(&certified.key.serialize_pem()).unwrap());
    let allowed = gate.clone();
    let identity = certified.with(move |_: SignatureScheme, message: Vec<u8>| {
        let (key, gate, asked) = (key.clone(), allowed.clone(), asked.clone());
        async move {
            asked.send(())?;
            gate.acquire().await?.forget();
            Ok(key.sign(&message)?)
        }
    });
    (identity, gate, is_asked)
}

fn memory(server: &TlsServer, client: &TlsClient) -> (Socket, Socket) {
    let (near, far) = Pipe::pair(64 * 1024);
    let session = client.session(&SessionName::new(HOST).unwrap()).unwrap();
    let mut patient = Options::default();
    patient.deadlines.handshake = None;
    (
        Socket::adopt(near, Some(server.session()), Options::default()),
        Socket::adopt(far, Some(session), patient),
    )
}

/// Everything runs on one thread here, so that whatever blocked it would stop all.
#[tokio::test]
async fn t34_a_slow_signer_stalls_nobody() {
    let certified = Certified::new();
    let (slow, gate, mut asked) = gated(&certified);
    let client = TlsClient::builder().anchors(certified.anchors()).build().unwrap();
    let slow = TlsServer::builder(Identities::one(&slow)).build().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let (mut near, mut far) = memory(&slow, &client);
        waiting.push(tokio::spawn(async move { near.established().await.map(|()| near) }));
        waiting.push(tokio::spawn(async move { far.established().await.map(|()| far) }));
        asked.recv().await.unwrap();
    }
    // All of them wait for a signature: others shake hands and talk, also with the key in memory.
    let quick = TlsServer::builder(Identities::one(&certified.identity())).build().unwrap();
    for _ in 0..5 {
        let (mut near, mut far) = memory(&quick, &client);
        let (up, also_up) = tokio::join!(near.established(), far.established());
        up.and(also_up).unwrap();
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
    }
    assert!(waiting.iter().all(|task| !task.is_finished()));
    gate.add_permits(20);
    for task in waiting {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn t33_a_signature_after_the_end_is_ignored() {
    let certified = Certified::new();
    let (slow, gate, mut asked) = gated(&certified);
    let client = TlsClient::builder().anchors(certified.anchors()).build().unwrap();
    let slow = TlsServer::builder(Identities::one(&slow)).build().unwrap();
    let (mut near, mut far) = memory(&slow, &client);
    let calling = tokio::spawn(async move { far.established().await });
    tokio::select! {
        _ = near.established() => panic!("nobody has signed"),
        _ = asked.recv() => {}
    }
    near.abort();
    gate.add_permits(1);
    assert_eq!(near.closed().await.ending, Ending::Aborted);
    let error = calling.await.unwrap().unwrap_err();
    assert_eq!(Ended::of(&error).unwrap().code(), "connectFailed");
    assert_eq!(near.ended().unwrap().ending, Ending::Aborted, "it stays what it is");
}

#[tokio::test]
async fn the_handshakes_deadline_runs_while_a_hook_decides() {
    let certified = Certified::new();
    let client = TlsClient::builder().anchors(certified.anchors()).build().unwrap();
    let server = TlsServer::builder(Identities::one(&certified.identity())).build().unwrap();
    let (mut near, mut far) = memory(&server, &client);
    tokio::time::pause();
    assert!(near.on_hello(|_| pending()));
    let (near_up, far_up) = tokio::join!(near.established(), far.established());
    let ended = Ended::of(&near_up.unwrap_err()).unwrap().to_string();
    assert!(ended.contains("no decision about the peer"), "{ended}");
    let ended = Ended::of(&far_up.unwrap_err()).unwrap().to_string();
    assert!(ended.contains("internal_error (80)"), "{ended}");
}

#[tokio::test]
async fn a_hook_may_take_its_time_and_choose_whom_to_let_in() {
    let certified = Certified::new();
    let (table, strict) = (Certified::new(), Certified::new());
    let client = TlsClient::builder().anchors(certified.anchors()).alpn(["mqtt"]).build().unwrap();
    let server = TlsServer::builder(Identities::one(&table.identity())).build().unwrap();
    let strict = TlsServer::builder(Identities::one(&certified.identity()))
        .client_auth(ClientAuth::Requested(strict.anchors()))
        .alpn(["mqtt"])
        .build()
        .unwrap();
    let (mut near, mut far) = memory(&server, &client);
    tokio::time::pause();
    near.on_hello(|hello| async move {
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(hello.alpn, [b"mqtt".to_vec()]);
        HelloAnswer::Server(strict)
    });
    let (up, also_up) = tokio::join!(near.established(), far.established());
    up.and(also_up).unwrap();
    assert_eq!(near.facts().tls.unwrap().alpn.as_deref(), Some("mqtt"));
}

#[tokio::test]
async fn a_client_is_passed_through_and_served_behind() {
    let certified = Certified::new();
    let client = TlsClient::builder().anchors(certified.anchors()).build().unwrap();
    let front = TlsServer::builder(Identities::one(&Certified::new().identity())).build().unwrap();
    let behind = TlsServer::builder(Identities::one(&certified.identity())).build().unwrap();
    let (mut near, mut far) = memory(&front, &client);
    near.on_hello(|_| async { HelloAnswer::PassThrough });
    far.write_all(b"early").await.unwrap();
    let serving = async {
        near.established().await.unwrap();
        let facts = near.facts();
        assert_eq!(facts.plain, Some(WhyPlain::PassThrough));
        assert_eq!(facts.tls.unwrap().sni.as_deref(), Some(HOST), "what was asked for is known");
        let (carrier, bytes) = near.into_carrier().unwrap();
        let mut server =
            Socket::adopt_with_prefix(carrier, bytes, Some(behind.session()), Options::default());
        let mut said = [0; 5];
        server.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"early");
    };
    let (flushed, ()) = tokio::join!(far.flush(), serving);
    flushed.unwrap();
}

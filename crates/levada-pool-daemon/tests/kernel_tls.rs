//! Connections that a pool hands back under kernel TLS, with OpenSSL at the other end: the same events and
//! endings as through the relay, whatever the kernel. `cargo xtask guest` runs them in kernels that have it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// Every promise of a stream on the pool holds on this way, too.
#[path = "kernel_tls/blocking_streams.rs"]
mod blocking_streams;
#[path = "kernel_tls/openssl.rs"]
mod openssl;
#[path = "daemon/streams.rs"]
mod streams;
#[expect(dead_code, unused_imports, reason = "the other tests of the daemon use the rest")]
#[path = "daemon/support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};

use levada::{
    Ended, Ending, ExporterError, Fault, KernelTls, NoKernelTls, Options, PoolTls, Role, Socket,
};
use levada_pool_daemon::{Notice, PoolLimits};
use levada_testkit::skip::kernel_tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::openssl::OpenSsl;
use crate::support::Daemon;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// As OpenSSL's command line has them, and as the facts do.
const SUITES: [([&str; 3], &str, &str); 6] = [
    (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], "1.3", "TLS_AES_128_GCM_SHA256"),
    (["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], "1.3", "TLS_AES_256_GCM_SHA384"),
    (
        ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        "1.3",
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        "1.2",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        "1.2",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        "1.2",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

/// A stream of `role` on the pool that is up, and OpenSSL at its other end.
async fn connected(daemon: &Daemon, role: Role, words: &[&str]) -> (Socket, OpenSsl) {
    let pool = PoolTls::at(daemon.socket());
    let (tcp, session, peer) = match role {
        Role::Client => {
            let pem = daemon.folder.write("server.pem", &daemon.pki.host("server.example"));
            let begin = ["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"];
            let identity = ["-cert", &*pem, "-key", &*pem];
            let peer = OpenSsl::start(&[&begin[..], &identity, words].concat());
            let port = peer.port();
            let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            (tcp, pool.client("server.example").unwrap(), peer)
        }
        Role::Server => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let begin = ["s_client", "-connect", &address, "-servername", "pool.example"];
            let peer = OpenSsl::start(&[&begin[..], words].concat());
            (listener.accept().await.unwrap().0, pool.server(), peer)
        }
    };
    let mut options = Options::default();
    // An emulated processor takes its time.
    options.deadlines.handshake = None;
    let mut stream = Socket::adopt(tcp, session, options);
    stream.established().await.unwrap();
    let kernel_tls = stream.facts().kernel_tls;
    assert!(matches!(kernel_tls, Some(KernelTls::Armed { .. })), "{role:?}: {kernel_tls:?}");
    (stream, peer)
}

fn rekeys(stream: &Socket) -> bool {
    matches!(stream.facts().kernel_tls, Some(KernelTls::Armed { rekeys: true }))
}

/// How the pool hears that the session ended.
#[track_caller]
fn farewell(daemon: &Daemon) -> Option<Ending> {
    daemon.notices.wait(|notice| match notice {
        Notice::LetGo { ending, .. } => Some(ending.clone()),
        _ => None,
    })
}

fn mebibyte(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..1 << 20).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mebibyte_goes_both_ways_in_both_roles_and_every_suite() {
    if !kernel_tls("a_mebibyte_goes_both_ways_in_both_roles_and_every_suite") {
        return;
    }
    for role in ROLES {
        for (words, version, suite) in SUITES {
            let daemon = Daemon::start();
            let (stream, mut peer) =
                connected(&daemon, role, &[&words[..], &["-quiet"]].concat()).await;
            let tls = stream.facts().tls.unwrap();
            assert_eq!((tls.version, tls.suite.as_deref()), (Some(version), Some(suite)));

            let (there, back) = (mebibyte(1), mebibyte(2));
            let mut stdin = peer.stdin.take().unwrap();
            let sent = back.clone();
            // Kept open: its end of file would be a goodbye.
            let feeding =
                std::thread::spawn(move || stdin.write_all(&sent).map(|()| stdin).unwrap());
            let mut stdout = peer.stdout.take().unwrap();
            let reading = std::thread::spawn(move || {
                let mut got = vec![0; 1 << 20];
                stdout.read_exact(&mut got).map(|()| got).unwrap()
            });
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut got = vec![0; 1 << 20];
            let (wrote, read) = tokio::join!(
                async {
                    writer.write_all(&there).await?;
                    writer.flush().await
                },
                reader.read_exact(&mut got)
            );
            wrote.unwrap();
            read.unwrap();
            assert!(got == back, "{role:?} {suite}: what OpenSSL sent");
            assert!(reading.join().unwrap() == there, "{role:?} {suite}: what we sent");

            let mut stream = reader.unsplit(writer);
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(stream.closed().await.ending, Ending::Finished, "{role:?} {suite}");
            drop(stream);
            assert_eq!(farewell(&daemon), Some(Ending::Finished));
            drop(feeding.join());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_says_that_it_is_out_of_the_way_and_still_answers() {
    if !kernel_tls("the_pool_says_that_it_is_out_of_the_way_and_still_answers") {
        return;
    }
    let daemon = Daemon::start();
    let export = ["-keymatexport", "EXPORTER-levada", "-keymatexportlen", "32"];
    let (mut stream, mut peer) = connected(&daemon, Role::Server, &export).await;
    let theirs = peer.line("    Keying material: ");
    let ours = stream.export_keying_material("EXPORTER-levada", None, 32).await.unwrap();
    let ours: Vec<String> = ours.bytes().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(ours.concat(), theirs);

    let list = levada_pool_list(&daemon).await;
    assert!(list.contains(r#""stage":"handed-back""#), "{list}");
    assert!(list.contains(r#""read":null,"written":null"#), "{list}");
    let told = daemon.notices.lines();
    assert!(told[0].ends_with("handed back under kernel TLS"), "{told:?}");

    stream.write_all(b"0123\n").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(peer.line("0123"), "");
    stream.abort();
    assert_eq!(farewell(&daemon), Some(Ending::Aborted));
    let list = levada_pool_list(&daemon).await;
    assert_eq!(list, "", "it is kept no longer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_outlives_the_pool() {
    if !kernel_tls("a_stream_outlives_the_pool") {
        return;
    }
    let mut daemon = Daemon::start();
    let (mut stream, mut peer) = connected(&daemon, Role::Server, &["-tls1_3"]).await;
    tokio::task::block_in_place(|| daemon.stop());
    assert_eq!(farewell(&daemon), None, "nobody told");
    peer.say("0123\n");
    let mut room = [0; 5];
    stream.read_exact(&mut room).await.unwrap();
    assert_eq!(&room, b"0123\n");
    stream.write_all(b"4567\n").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(peer.line("4567"), "");
    let keys = stream.export_keying_material("EXPORTER-levada", None, 32).await;
    assert_eq!(keys.unwrap_err(), ExporterError::NoSession, "there is nobody to ask");
    peer.say("Q\n");
    assert_eq!(stream.read(&mut room).await.unwrap(), 0);
    let _ = stream.shutdown().await;
    assert!(stream.closed().await.is_clean());
}

async fn levada_pool_list(daemon: &Daemon) -> String {
    let path = daemon.socket();
    let list = move || levada_pool::blocking::Client::connect(path)?.sessions();
    tokio::task::spawn_blocking(list).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peers_goodbye_is_end_of_file_and_its_silence_is_truncation() {
    if !kernel_tls("the_peers_goodbye_is_end_of_file_and_its_silence_is_truncation") {
        return;
    }
    for role in ROLES {
        for version in ["-tls1_2", "-tls1_3"] {
            let daemon = Daemon::start();
            // By command its server closes the connection, and says goodbye only so.
            let words = if role == Role::Client { &[version, "-rev"][..] } else { &[version] };
            let (mut stream, mut peer) = connected(&daemon, role, words).await;
            if role == Role::Client {
                stream.write_all(b"3210\nCLOSE\n").await.unwrap();
                stream.flush().await.unwrap();
            } else {
                peer.say("0123\n");
            }
            let mut text = [0; 5];
            stream.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"0123\n", "{role:?} {version}");
            if role == Role::Server {
                peer.say("Q\n");
            }
            assert_eq!(stream.read(&mut text).await.unwrap(), 0, "{role:?} {version}");
            // OpenSSL has gone with its goodbye; ours may find nobody.
            let _ = stream.shutdown().await;
            let ended = stream.closed().await;
            assert!(ended.is_clean(), "{role:?} {version}: {ended}");
            drop(stream);
            assert!(farewell(&daemon).unwrap().is_clean());

            let daemon = Daemon::start();
            let (mut stream, mut peer) = connected(&daemon, role, &[version]).await;
            peer.say("0123\n");
            let mut text = [0; 5];
            stream.read_exact(&mut text).await.unwrap();
            peer.kill();
            let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
            let ending = Ended::of(&error).unwrap().ending.clone();
            // It may have left something unread: a reset then.
            let bad = matches!(ending, Ending::SocketClose | Ending::SocketError(_));
            assert!(bad, "{role:?} {version}: {ending}");
            drop(stream);
            assert_eq!(farewell(&daemon), Some(ending));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_renews_its_keys_is_followed_or_ended_in_words() {
    if !kernel_tls("a_peer_that_renews_its_keys_is_followed_or_ended_in_words") {
        return;
    }
    for role in ROLES {
        let daemon = Daemon::start();
        let (mut stream, mut peer) = connected(&daemon, role, &["-tls1_3"]).await;
        let mut room = [0; 5];
        peer.say("0123\n");
        stream.read_exact(&mut room).await.unwrap();
        // Its own keys, and a wish that we renew ours.
        peer.say("K\n");
        // A command stands alone in what is read at once.
        match role {
            Role::Client => {
                // Its server reads what is typed before what comes from the peer later.
                stream.write_all(b"89\n").await.unwrap();
                stream.flush().await.unwrap();
                assert_eq!(peer.line("89"), "");
            }
            Role::Server => assert_eq!(peer.warning("KEYUPDATE"), ""),
        }
        peer.say("4567\n");
        if rekeys(&stream) {
            stream.read_exact(&mut room).await.unwrap();
            assert_eq!(&room, b"4567\n", "{role:?}");
            stream.write_all(b"8901\n").await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(peer.line("8901"), "", "{role:?}: under our new keys");
        } else {
            let error = stream.read_exact(&mut room).await.unwrap_err();
            let ended = Ended::of(&error).unwrap();
            let Ending::FatalError { cause: Fault::Internal(why), .. } = &ended.ending else {
                panic!("{role:?}: {ended}")
            };
            assert!(why.contains("kernel"), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_resumes_gets_its_ticket_by_the_pool() {
    if !kernel_tls("a_server_that_resumes_gets_its_ticket_by_the_pool") {
        return;
    }
    let daemon = Daemon::start();
    let pem = daemon.folder.write("server.pem", &daemon.pki.host("server.example"));
    let words = ["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-cert", &*pem, "-key", &*pem];
    let peer = OpenSsl::start(&words);
    let port = peer.port();
    let pool = PoolTls::at(daemon.socket());
    let dial = async || {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let session = pool.client("server.example").unwrap();
        let mut stream = Socket::adopt(tcp, session, Options::default());
        stream.established().await.unwrap();
        let facts = stream.facts();
        assert!(matches!(facts.kernel_tls, Some(KernelTls::Armed { .. })), "{facts:?}");
        // Its tickets come before its goodbye.
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        facts.tls.unwrap().resumed
    };
    assert_eq!(dial().await, Some(false));
    // The ticket is on its way to the pool.
    while dial().await != Some(true) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_and_the_application_can_forbid_it() {
    for (more, forbids) in [("kernel-tls = false\n", true), ("", false)] {
        let daemon = Daemon::with_keys(more, "", PoolLimits::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = ["s_client", "-connect", &address, "-servername", "pool.example"];
        let mut peer = OpenSsl::start(&peer);
        let tcp = listener.accept().await.unwrap().0;
        let pool = PoolTls::at(daemon.socket());
        let pool = if forbids { pool } else { pool.relay_only() };
        let mut stream = Socket::adopt(tcp, pool.server(), Options::default());
        stream.established().await.unwrap();
        match stream.facts().kernel_tls {
            None => assert!(!forbids),
            Some(KernelTls::Declined(NoKernelTls::Forbidden | NoKernelTls::Unsupported)) => {
                assert!(forbids);
            }
            other => panic!("{other:?}"),
        }
        stream.write_all(b"0123\n").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(peer.line("0123"), "", "through the relay");
    }
}

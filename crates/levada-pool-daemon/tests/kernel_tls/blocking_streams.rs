//! Streams that block: the same through the relay and under kernel TLS, which guests have.

use std::env;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use levada::{AlertDescription, Ended, Ending, KernelTls, NoKernelTls, Role};
use levada_pool::wire::Facilities;
use levada_pool::{PoolError, TlsRequest, blocking};
use levada_pool_daemon::{Notice, PoolLimits};
use levada_testkit::skip::kernel_tls;
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::openssl::OpenSsl;
use crate::support::{Daemon, PATIENCE, Peer, tcp_pair, wait};

const ROLES: [Role; 2] = [Role::Client, Role::Server];
const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// How plaintext comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Relay,
    Kernel,
}

/// The ways that there are here. A guest has time for its own alone.
fn ways(test: &str) -> &'static [Way] {
    match (kernel_tls(test), env::var_os("LEVADA_KERNEL_TLS")) {
        (true, None) => &[Way::Kernel, Way::Relay],
        (true, Some(_)) => &[Way::Kernel],
        (false, _) => &[Way::Relay],
    }
}

/// A pool with a client.
struct World {
    daemon: Daemon,
    pool: blocking::Client,
    way: Way,
}

impl World {
    fn new(way: Way) -> Self {
        let daemon = Daemon::start();
        let pool = blocking::Client::connect(daemon.socket()).unwrap();
        Self { daemon, pool, way }
    }

    /// The stream over this connection, which goes its way if it can.
    fn open(&self, tcp: TcpStream, request: TlsRequest) -> blocking::Stream {
        // An emulated processor takes its time.
        let request = request.timeout(None);
        let request = if self.way == Way::Relay { request.hand_back(false) } else { request };
        self.pool.stream(tcp, &request).unwrap()
    }

    /// The same, which does go its way.
    fn stream(&self, tcp: TcpStream, request: TlsRequest) -> blocking::Stream {
        let stream = self.open(tcp, request);
        let told = &stream.facts().kernel_tls;
        match self.way {
            Way::Relay => assert_eq!(*told, None),
            Way::Kernel => assert!(matches!(told, Some(KernelTls::Armed { .. })), "{told:?}"),
        }
        stream
    }

    /// OpenSSL as a server.
    fn s_server(&self, words: &[&str]) -> OpenSsl {
        let pem = self.daemon.folder.write("server.pem", &self.daemon.pki.host("server.example"));
        let pem = pem.as_str();
        let begin = ["s_server", "-accept", "127.0.0.1:0", "-cert", pem, "-key", pem];
        OpenSsl::start(&[&begin[..], words].concat())
    }

    /// A stream of this role, and OpenSSL at its other end.
    fn with_openssl(&self, role: Role, words: &[&str]) -> (blocking::Stream, OpenSsl) {
        match role {
            Role::Client => {
                let peer = self.s_server(words);
                let tcp = TcpStream::connect(("127.0.0.1", peer.port())).unwrap();
                (self.stream(tcp, TlsRequest::client("server.example").unwrap()), peer)
            }
            Role::Server => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap().to_string();
                let begin = ["s_client", "-connect", &address, "-servername", "pool.example"];
                let peer = OpenSsl::start(&[&begin[..], words].concat());
                let tcp = listener.accept().unwrap().0;
                (self.stream(tcp, TlsRequest::server()), peer)
            }
        }
    }

    /// A stream of this role, and Levada's own with TLS in process at its other end.
    fn with_peer<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        role: Role,
        work: impl FnOnce(levada::Socket) -> F + Send + 'static,
    ) -> (blocking::Stream, tokio::task::JoinHandle<T>) {
        let (near, far) = tcp_pair();
        for end in [&near, &far] {
            // So that a little is much.
            sockopt::set_socket_send_buffer_size(end, SMALL).unwrap();
            sockopt::set_socket_recv_buffer_size(end, SMALL).unwrap();
        }
        let pki = &self.daemon.pki;
        match role {
            Role::Client => {
                let peer = Peer::server(far, &pki.host("server.example"), None).spawn(work);
                (self.stream(near, TlsRequest::client("server.example").unwrap()), peer)
            }
            Role::Server => {
                let peer = Peer::client(far, pki, "pool.example", None).spawn(work);
                (self.stream(near, TlsRequest::server()), peer)
            }
        }
    }

    /// How the pool hears that a session ended.
    #[track_caller]
    fn heard(&self) -> Ending {
        self.daemon.notices.wait(|notice| match notice {
            Notice::LetGo { ending: Some(ending), .. } => Some(ending.clone()),
            Notice::Ended { tls, .. } => Some(tls.ending.clone()),
            _ => None,
        })
    }
}

/// The ending inside an error.
#[track_caller]
fn ending<T: std::fmt::Debug>(result: io::Result<T>) -> Ending {
    let error = result.unwrap_err();
    Ended::of(&error).unwrap_or_else(|| panic!("{error:?}")).ending.clone()
}

#[track_caller]
fn read(stream: &blocking::Stream, text: &str) {
    let mut room = vec![0; text.len()];
    let mut stream = stream;
    stream.read_exact(&mut room).unwrap();
    assert_eq!(String::from_utf8_lossy(&room), text);
}

#[track_caller]
fn write(stream: &blocking::Stream, text: &str) {
    let mut stream = stream;
    stream.write_all(text.as_bytes()).unwrap();
}

/// Bytes that no two offsets near each other have alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Bytes in a buffer of TCP.
const SMALL: usize = 16 * 1024;
/// More than all buffers on the way hold.
const MUCH: usize = 2 << 20;

#[test]
fn l07_much_goes_each_way_at_once_through_readers_that_pause() {
    for &way in ways("l07_much_goes_each_way_at_once_through_readers_that_pause") {
        for role in ROLES {
            let world = World::new(way);
            let (stream, peer) = world.with_peer(role, async |peer| {
                let (mut reader, mut writer) = tokio::io::split(peer);
                // It does not read before all of its own is read.
                writer.write_all(&pattern(MUCH)).await.unwrap();
                writer.shutdown().await.unwrap();
                let mut got = Vec::new();
                reader.read_to_end(&mut got).await.unwrap();
                got == pattern(MUCH)
            });
            thread::scope(|scope| {
                let writing = scope.spawn(|| {
                    (&stream).write_all(&pattern(MUCH)).unwrap();
                    stream.finish().unwrap();
                });
                let mut got = Vec::new();
                (&stream).read_to_end(&mut got).unwrap();
                assert!(got == pattern(MUCH), "{way:?} {role:?}");
                writing.join().unwrap();
            });
            assert!(wait(peer), "{way:?} {role:?}");
            assert_eq!(stream.ended().unwrap().ending, Ending::Finished);
            drop(stream);
            assert_eq!(world.heard(), Ending::Finished, "{way:?} {role:?}");
        }
    }
}

#[test]
fn s18_each_direction_ends_on_its_own_whoever_begins() {
    for &way in ways("s18_each_direction_ends_on_its_own_whoever_begins") {
        for role in ROLES {
            let world = World::new(way);
            let (stream, peer) = world.with_peer(role, async |mut peer| {
                let mut text = String::new();
                peer.read_to_string(&mut text).await.unwrap();
                peer.write_all(b"heard to the end").await.unwrap();
                peer.shutdown().await.unwrap();
                (text, peer.closed().await.ending)
            });
            write(&stream, "all of it");
            stream.finish().unwrap();
            assert!(stream.ended().is_none(), "{way:?} {role:?}");
            let error = (&stream).write(b"more").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            let mut text = String::new();
            (&stream).read_to_string(&mut text).unwrap();
            assert_eq!(text, "heard to the end");
            assert_eq!(wait(peer), ("all of it".to_owned(), Ending::Finished));
            assert_eq!(stream.ended().unwrap().ending, Ending::Finished);

            let (stream, peer) = world.with_peer(role, async |mut peer| {
                peer.write_all(b"no more").await.unwrap();
                peer.shutdown().await.unwrap();
                let mut text = String::new();
                peer.read_to_string(&mut text).await.unwrap();
                (text, peer.closed().await.ending)
            });
            let mut text = String::new();
            (&stream).read_to_string(&mut text).unwrap();
            assert_eq!(text, "no more");
            assert_eq!((&stream).read(&mut [0]).unwrap(), 0, "again");
            write(&stream, "but listens");
            stream.finish().unwrap();
            assert_eq!(stream.ended().unwrap().ending, Ending::Finished, "{way:?} {role:?}");
            assert_eq!(wait(peer), ("but listens".to_owned(), Ending::Finished));
        }
    }
}

#[test]
fn openssl_ends_cleanly_by_its_goodbye_and_badly_without() {
    for &way in ways("openssl_ends_cleanly_by_its_goodbye_and_badly_without") {
        for role in ROLES {
            for version in VERSIONS {
                let world = World::new(way);
                // By command its server closes the connection, and says goodbye only so.
                let words = if role == Role::Client { &[version, "-rev"][..] } else { &[version] };
                let (stream, mut peer) = world.with_openssl(role, words);
                let told = stream.facts().tls.as_ref().unwrap().version;
                assert_eq!(told, Some(if version == "-tls1_2" { "1.2" } else { "1.3" }));
                match role {
                    Role::Client => write(&stream, "3210\nCLOSE\n"),
                    Role::Server => peer.say("0123\n"),
                }
                read(&stream, "0123\n");
                if role == Role::Server {
                    peer.say("Q\n");
                }
                assert_eq!((&stream).read(&mut [0]).unwrap(), 0, "{way:?} {role:?} {version}");
                // OpenSSL has gone with its goodbye; ours may find nobody.
                let _ = stream.finish();

                let world = World::new(way);
                let (stream, mut peer) = world.with_openssl(role, &[version]);
                peer.say("0123\n");
                read(&stream, "0123\n");
                peer.kill();
                let ended = ending((&stream).read_to_end(&mut Vec::new()));
                // It may have left something unread: a reset then.
                let bad = matches!(ended, Ending::SocketClose | Ending::SocketError(_));
                assert!(bad, "{way:?} {role:?} {version}: {ended}");
                assert_eq!(ending((&stream).read(&mut [0])), ended, "again");
                let written = (&stream).write(b"x").unwrap_err();
                assert_eq!(written.kind(), ErrorKind::BrokenPipe);
                drop(stream);
                if way == Way::Kernel {
                    assert_eq!(world.heard(), ended);
                }
            }
        }
    }
}

#[test]
fn truncation_is_never_the_end_and_what_came_before_is_read() {
    for &way in ways("truncation_is_never_the_end_and_what_came_before_is_read") {
        for role in ROLES {
            let world = World::new(way);
            let (stream, peer) = world.with_peer(role, async |mut peer| {
                // What it leaves unread makes a reset of its end.
                peer.read_exact(&mut [0]).await.unwrap();
                peer.write_all(b"half of it").await.unwrap();
                peer.flush().await.unwrap();
                peer.abort();
            });
            write(&stream, "?");
            let mut text = Vec::new();
            let error = (&stream).read_to_end(&mut text).unwrap_err();
            assert_eq!((error.kind(), &text[..]), (ErrorKind::UnexpectedEof, &b"half of it"[..]));
            assert_eq!(ending::<()>(Err(error)), Ending::SocketClose, "{way:?} {role:?}");
            wait(peer);
        }
    }
}

#[test]
fn the_alert_of_a_peer_is_the_ending_for_reader_and_writer() {
    /// certificate_required (RFC 8446 section 6.2).
    const REQUIRED: Ending = Ending::FatalAlert(AlertDescription(116));
    for &way in ways("the_alert_of_a_peer_is_the_ending_for_reader_and_writer") {
        // Its server asks for a certificate that the pool has not. It says so behind our handshake, and where
        // it does so at once and leaves, the kernel does not take over any more.
        let world = World::new(way);
        let peer = world.s_server(&["-tls1_3", "-Verify", "1"]);
        let dial = || {
            let tcp = TcpStream::connect(("127.0.0.1", peer.port())).unwrap();
            world.open(tcp, TlsRequest::client("server.example").unwrap())
        };
        let mut stream = dial();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(ending::<()>(Err(error)), REQUIRED, "{way:?}");
        assert_eq!(stream.ended().unwrap().ending, REQUIRED);

        let mut stream = dial();
        let error = loop {
            if let Err(error) = stream.write(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(ending::<()>(Err(error)), REQUIRED, "{way:?}");
    }
}

#[test]
fn a_peer_that_renews_its_keys_and_wants_ours_is_followed() {
    for &way in ways("a_peer_that_renews_its_keys_and_wants_ours_is_followed") {
        for role in ROLES {
            let world = World::new(way);
            let (stream, mut peer) = world.with_openssl(role, &["-tls1_3"]);
            peer.say("0123\n");
            read(&stream, "0123\n");
            // Its own keys, and a wish that we renew ours.
            peer.say("K\n");
            // A command stands alone in what is read at once.
            match role {
                Role::Client => {
                    // Its server reads what is typed before what comes from the peer later.
                    write(&stream, "89\n");
                    peer.line("89");
                }
                Role::Server => drop(peer.warning("KEYUPDATE")),
            }
            peer.say("4567\n");
            if stream.facts().kernel_tls == Some(KernelTls::Armed { rekeys: false }) {
                let why = ending((&stream).read(&mut [0])).to_string();
                assert!(why.contains("kernel"), "{why}");
            } else {
                read(&stream, "4567\n");
                write(&stream, "8901\n");
                peer.line("8901");
            }
        }
    }
}

#[test]
fn tickets_that_come_are_the_pools() {
    for &way in ways("tickets_that_come_are_the_pools") {
        let world = World::new(way);
        let peer = world.s_server(&["-tls1_3"]);
        let port = peer.port();
        let resumed = || {
            let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut stream = world.stream(tcp, TlsRequest::client("server.example").unwrap());
            // Its tickets come before its goodbye.
            stream.finish().unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            stream.facts().tls.as_ref().unwrap().resumed.unwrap()
        };
        assert!(!resumed(), "{way:?}");
        // The ticket is on its way to the pool.
        while !resumed() {}
    }
}

#[test]
fn b3_a_stream_that_is_dropped_says_no_goodbye() {
    for &way in ways("b3_a_stream_that_is_dropped_says_no_goodbye") {
        for role in ROLES {
            let world = World::new(way);
            let (stream, peer) = world.with_peer(role, async |mut peer| {
                let mut text = [0; 4];
                peer.read_exact(&mut text).await.unwrap();
                peer.write_all(&text).await.unwrap();
                peer.flush().await.unwrap();
                let error = peer.read_to_end(&mut Vec::new()).await.unwrap_err();
                Ended::of(&error).unwrap().is_clean()
            });
            write(&stream, "half");
            read(&stream, "half");
            drop(stream);
            assert!(!wait(peer), "{way:?} {role:?}");
            if way == Way::Kernel {
                assert_eq!(world.heard(), Ending::Aborted);
            }
        }
    }
}

#[test]
fn who_does_not_want_to_wait_does_not() {
    for &way in ways("who_does_not_want_to_wait_does_not") {
        let world = World::new(way);
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (stream, peer) = world.with_peer(Role::Client, async |mut peer| {
            let mut text = [0; 5];
            peer.read_exact(&mut text).await.unwrap();
            gone.await.unwrap();
            peer.write_all(&text).await.unwrap();
            peer.read_to_end(&mut Vec::new()).await.unwrap();
            peer.shutdown().await.unwrap();
        });
        write(&stream, "hello");
        stream.set_read_timeout(Some(Duration::from_millis(1)));
        let late = (&stream).read(&mut [0]).unwrap_err();
        assert_eq!((late.kind(), Ended::of(&late)), (ErrorKind::TimedOut, None), "{way:?}");
        stream.set_nonblocking(true);
        let empty = (&stream).read(&mut [0]).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::WouldBlock, "{way:?}");
        go.send(()).unwrap();
        stream.set_nonblocking(false);
        stream.set_read_timeout(Some(PATIENCE));
        read(&stream, "hello");
        stream.finish().unwrap();
        assert_eq!((&stream).read(&mut [0]).unwrap(), 0);
        wait(peer);
    }
}

#[test]
fn why_it_is_relayed_stands_in_the_facts() {
    let declined = |daemon: &Daemon, unix: bool| {
        let pool = blocking::Client::connect(daemon.socket()).unwrap();
        let request = TlsRequest::client("server.example").unwrap();
        let identity = daemon.pki.host("server.example");
        let (stream, peer) = if unix {
            let (near, far) = UnixStream::pair().unwrap();
            let peer = Peer::server(far, &identity, None).echo();
            (pool.stream(near, &request).unwrap(), peer)
        } else {
            let (near, far) = tcp_pair();
            let peer = Peer::server(far, &identity, None).echo();
            (pool.stream(near, &request).unwrap(), peer)
        };
        write(&stream, "hello");
        read(&stream, "hello");
        stream.finish().unwrap();
        assert_eq!((&stream).read(&mut [0]).unwrap(), 0);
        assert_eq!(wait(peer).ending, Ending::Finished);
        let facts = stream.facts();
        assert_eq!(facts.peer.is_some(), !unix);
        assert_eq!(facts.tls.as_ref().unwrap().verified_name.as_deref(), Some("server.example"));
        match &facts.kernel_tls {
            Some(KernelTls::Declined(why)) => why.clone(),
            other => panic!("{other:?}"),
        }
    };
    let has_kernel_tls = kernel_tls("why_it_is_relayed_stands_in_the_facts");
    let forbids = Daemon::with_keys("kernel-tls = false\n", "", PoolLimits::default());
    let wanted = [NoKernelTls::Forbidden, NoKernelTls::NotTcp]
        .map(|why| if has_kernel_tls { why } else { NoKernelTls::Unsupported });
    assert_eq!([declined(&forbids, false), declined(&Daemon::start(), true)], wanted);
}

#[test]
fn a_handshake_that_fails_tells_its_ending() {
    let world = World::new(Way::Relay);
    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &world.daemon.pki.host("other.example"), None).echo();
    let request = TlsRequest::client("server.example").unwrap();
    let error = world.pool.stream(near, &request).unwrap_err();
    let PoolError::Handshake { ending, tls } = error else { panic!("{error:?}") };
    assert!(ending.to_string().contains("other.example"), "{ending}");
    assert!(tls.is_some());
}

#[test]
fn a_pool_that_goes_away_is_an_ending_of_what_it_relays() {
    let mut world = World::new(Way::Relay);
    let (stream, _peer) = world.with_peer(Role::Client, async |mut peer| {
        drop(peer.read_to_end(&mut Vec::new()).await);
    });
    world.daemon.stop();
    let ended = ending((&stream).read(&mut [0]));
    assert!(!ended.is_clean(), "{ended}");
}

#[test]
fn threads_share_a_client_and_no_call_waits_for_another() {
    let world = World::new(Way::Relay);
    let (held, silence) = tcp_pair();
    thread::scope(|scope| {
        // Nobody answers this one, for as long as the others take.
        let silent = scope.spawn(|| {
            let request = TlsRequest::client("server.example").unwrap();
            world.pool.stream(held, &request.timeout(Some(PATIENCE)))
        });
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let (stream, peer) = world.with_peer(Role::Client, async |mut peer| {
                        let mut text = String::new();
                        peer.read_to_string(&mut text).await.unwrap();
                        peer.shutdown().await.unwrap();
                        text
                    });
                    write(&stream, "hello");
                    stream.finish().unwrap();
                    assert_eq!((&stream).read(&mut [0]).unwrap(), 0);
                    assert_eq!(wait(peer), "hello");
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        world.pool.ping(Facilities::STARTTLS).unwrap();
        assert!(!silent.is_finished());
        drop(silence);
        assert!(silent.join().unwrap().is_err());
    });
}

//! A client of a pool that is killed (SIGKILL), in whatever state of the message flow, costs only itself:
//! its peer is let go, no session of it is left, and everybody else is served on.

use std::io::Read as _;
use std::net::TcpStream;

use levada_pool::wire::diagram::{MESSAGE_FLOW, State};
use rustix::process::Signal;

use crate::harness::{
    Backend, Command, PATIENCE, Pki, Pool, Running, Serve, compile_client, connect, digits, until,
};

/// A client of the pool that goes as far as the state that it is told, says so, and waits there. The
/// connection that it has protected comes to the port that it names first.
const CLIENT: &str = r#"
import signal, socket, struct, sys
path, last = sys.argv[1:]
HEADER, TLS = struct.Struct("<HHI"), struct.Struct("<IIBxH128s128s16s16sI76x")
PING, STARTTLS, LOCALID, PLAINTEXT_CONNECT = 0x10, 0x24, 0x28, 0x2a
SERVER, IGNORE_REMOTEID, LOCALID_CHECK = 0x6, 0x1000, 0x10000

def reached(state):
    if state == last:
        print(state, flush=True)
        signal.pause()

def hear(*commands):
    packet = pool.recv(388, socket.MSG_WAITALL)
    assert HEADER.unpack_from(packet)[2] in commands, packet
    return packet

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
pool = socket.socket(socket.AF_UNIX)
pool.connect(path)
reached("Unprotected")
ping = HEADER.pack(0, 0, PING) + struct.pack("<136sI240x", b"20151111api@tlspool.arpa2.net", 1)
pool.sendall(ping[:100])
reached("Half a packet")
pool.sendall(ping[100:])
reached("IdentityAndFeatures")
hear(PING)
reached("Introduced")
network, _ = listener.accept()
flags = SERVER | IGNORE_REMOTEID | LOCALID_CHECK
body = TLS.pack(flags, 0, 6, 0, b"", b"", bytes(16), b"", 0)
socket.send_fds(pool, [HEADER.pack(1, 0, STARTTLS) + body], [network.fileno()])
reached("Handshake")
question = hear(LOCALID)
reached("LocalIdentityCheck")
pool.sendall(question)
question = hear(PLAINTEXT_CONNECT)
reached("Reconnect")
plain, theirs = socket.socketpair()
socket.send_fds(pool, [question], [theirs.fileno()])
theirs.close()
hear(STARTTLS)
reached("Protected")
"#;

/// The other end of the connection that such a client has.
enum Peer {
    /// Not connected yet.
    Nobody,
    /// It says nothing, so that the handshake goes on.
    Silent(TcpStream),
    Tls(Running),
}

#[test]
fn at_every_state_of_the_message_flow() {
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    let server = Serve::tls(&pki, "echo:");
    let mut bystander =
        pool.client(&compile_client(&pki), server.address().port(), "localhost").start();
    assert_eq!(bystander.stderr.line().as_deref(), Some("protected, with localhost"));
    let states = MESSAGE_FLOW.states.iter().filter(|state| **state != State::Ended);
    let states = states.map(|state| format!("{state:?}")).chain(["Half a packet".to_owned()]);
    for state in states {
        let mut killed = Command::new("python3").args(["-c", CLIENT, &pool.socket, &state]).start();
        let port: u16 = killed.stdout.line().unwrap().parse().unwrap();
        let peer = match state.as_str() {
            "Unprotected" | "Half a packet" | "IdentityAndFeatures" | "Introduced" => Peer::Nobody,
            "Handshake" => Peer::Silent(TcpStream::connect(("127.0.0.1", port)).unwrap()),
            _ => Peer::Tls(connect(&format!("tls://localhost:{port}"), ["--ca", &pki.ca]).start()),
        };
        assert_eq!(killed.stdout.line().as_deref(), Some(state.as_str()));
        killed.signal(Signal::KILL);
        killed.join();
        match peer {
            Peer::Nobody => {}
            Peer::Silent(mut peer) => {
                peer.set_read_timeout(Some(PATIENCE)).unwrap();
                let error = peer.read_to_end(&mut Vec::new()).err();
                let is_gone = |error| error == std::io::ErrorKind::ConnectionReset;
                assert!(error.is_none_or(|error| is_gone(error.kind())), "{state}");
            }
            Peer::Tls(peer) => {
                let ended = peer.finish().ended();
                // Both sockets of a process that is killed are closed: one that has read all that came
                // cannot be told from one that ends in order.
                let may_be_clean = state == "Protected";
                assert!(may_be_clean || ended["clean"] == false, "{state}: {ended}");
            }
        }
        until("its session is gone", || pool.sessions().len() == 1);
        bystander.write(b"alive");
        assert_eq!(bystander.stdout.take(5), b"alive");
    }
    assert_eq!(bystander.finish().code(), 0);
    // None is left: the stop waits for nobody.
    pool.process.signal(Signal::TERM);
    pool.hear("stopped, with all sessions ended");
    assert_eq!(pool.process.wait().code(), 0);
}

#[test]
fn while_its_bytes_are_on_their_way() {
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    let program = compile_client(&pki);
    let mut server = Serve::tls(&pki, "echo:");
    let silent = Backend::new();
    let start = |port: u16| pool.client(&program, port, "localhost").start();
    let mut bystander = start(server.address().port());
    assert_eq!(bystander.stderr.line().as_deref(), Some("protected, with localhost"));

    let shaking = start(silent.address.port());
    let mut far = silent.accept();
    // The hello has come: the pool has the connection, and waits.
    far.read_exact(&mut [0; 5]).unwrap();
    shaking.signal(Signal::KILL);
    let _ = far.read_to_end(&mut Vec::new());
    let mut talking = start(server.address().port());
    let feeding = talking.feed(digits(64 << 20));
    talking.stdout.take(1 << 20);
    talking.signal(Signal::KILL);
    drop(feeding.join().unwrap());
    // Only what it leaves unread tells the pool that it was no end: so it is clean, or not.
    server.next("ended");

    bystander.write(b"alive");
    assert_eq!(bystander.stdout.take(5), b"alive");
    assert_eq!(bystander.finish().code(), 0);
    pool.process.signal(Signal::TERM);
    pool.hear("stopped, with all sessions ended");
    assert_eq!(pool.process.wait().code(), 0);
}

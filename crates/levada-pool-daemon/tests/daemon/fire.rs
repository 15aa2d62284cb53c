//! The pool under fire: malformed packets, random descriptors, many clients at once.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use levada_pool_daemon::PoolLimits;
use levada_pool_wire::body::{Ping, StartTls};
use levada_pool_wire::{Facilities, Message};
use levada_sys::descriptors;
use levada_testkit::numbers::Numbers;
use levada_testkit::skip::slow_runs;

use crate::endings::wait_until;
use crate::support::{
    Client, Daemon, Peer, as_client, as_server, code_of, foreign_callback, starttls_of, tcp_pair,
    wait,
};

/// How many descriptors this process has open. Other tests of it open and close some meanwhile.
fn descriptors_here() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// 388 bytes that are nearly a packet: random ones, under a command that exists most of the time.
fn nearly_a_packet(numbers: &mut Numbers) -> [u8; 388] {
    const COMMANDS: [u32; 17] = [
        0,
        1,
        0x10,
        0x24,
        0x24,
        0x24,
        0x28,
        0x29,
        0x2a,
        0x2b,
        0x2c,
        0x100,
        0x101,
        0x200,
        0x201,
        0xcc56_0001,
        0xcc56_0002,
    ];
    let mut bytes = [0; 388];
    for byte in &mut bytes {
        *byte = numbers.next() as u8;
    }
    if numbers.below(8) > 0 {
        let command = COMMANDS[numbers.below(COMMANDS.len())];
        bytes[4..8].copy_from_slice(&command.to_le_bytes());
    }
    match numbers.below(4) {
        0 => bytes[8..].fill(0),
        1 => {
            // Texts that end, and flags that have a meaning.
            bytes[8..12].copy_from_slice(&(numbers.next() as u32 & 0x7ff0f).to_le_bytes());
            for at in [31, 147, 275, 307, 387] {
                bytes[at] = 0;
            }
        }
        2 => bytes[2..4].copy_from_slice(&(1000 + numbers.below(25) as u16).to_le_bytes()),
        _ => {}
    }
    bytes
}

/// Sends `count` of them over connections that come and go, and reads whatever is said about them.
fn malformed(count: usize, seed: u64) {
    let daemon = Daemon::start();
    let mut numbers = Numbers::from(seed);
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut client = daemon.client();
    client.stream.set_nonblocking(true).unwrap();
    let mut room = vec![0; 1 << 16];
    for _ in 0..count {
        let packet = nearly_a_packet(&mut numbers);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let udp;
        let mut passed: Vec<BorrowedFd<'_>> = Vec::new();
        match numbers.below(6) {
            0 => passed.push(theirs.as_fd()),
            1 => passed.push(file.as_fd()),
            2 => passed.extend([theirs.as_fd(), ours.as_fd(), file.as_fd()]),
            3 => {
                udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                passed.push(udp.as_fd());
            }
            _ => {}
        }
        // Some come in two pieces, the descriptor with either.
        let cut = if numbers.below(5) == 0 { 1 + numbers.below(387) } else { 388 };
        let mut alive = put(&client, &packet[..cut], &passed, &mut room);
        if cut < 388 && alive {
            alive =
                put(&client, &packet[cut..], &passed[..numbers.below(passed.len() + 1)], &mut room);
        }
        if !alive || numbers.below(500) == 0 {
            leave(client);
            client = daemon.client();
            client.stream.set_nonblocking(true).unwrap();
        }
        let _ = client.stream.read(&mut room);
    }
    leave(client);
    wait_until(|| daemon.pool.sessions() == 0);
    // It lives, and serves as before.
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let mut client = daemon.client();
    let (mut plain, _) = client.protect(as_client("peer.example"), &near);
    plain.write_all(b"alive").unwrap();
    plain.read_exact(&mut [0; 5]).unwrap();
    drop((plain, client));
    wait(peer);
}

/// Ends a connection and waits until the pool has forgotten it: it may have become a service.
fn leave(mut client: Client) {
    client.stream.set_nonblocking(false).unwrap();
    // One that the pool has ended is no more to be shut down, and has its end to be read.
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    let _ = client.stream.read_to_end(&mut Vec::new());
}

/// Sends all of `bytes`, reading replies where the pool waits for that; whether it is connected.
fn put(client: &Client, bytes: &[u8], passed: &[BorrowedFd<'_>], room: &mut [u8]) -> bool {
    loop {
        match descriptors::send(client.stream.as_fd(), bytes, passed) {
            Ok(count) => {
                assert_eq!(count, bytes.len(), "less than a page goes whole");
                return true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let _ = (&client.stream).read(room);
                std::thread::yield_now();
            }
            Err(_) => return false,
        }
    }
}

#[test]
fn malformed_packets_and_random_descriptors_change_nothing() {
    malformed(20_000, 0x5eed);
}

#[test]
fn two_hundred_thousand_malformed_packets_change_nothing() {
    if slow_runs("two_hundred_thousand_malformed_packets_change_nothing") {
        malformed(200_000, 0xf1a7);
    }
}

#[test]
fn a6_no_descriptor_is_leaked() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let (mut kept, passed): (Vec<UnixStream>, Vec<OwnedFd>) = (0..4)
        .map(|_| UnixStream::pair().unwrap())
        .map(|(ours, theirs)| (ours, OwnedFd::from(theirs)))
        .unzip();
    let mut client = daemon.client();
    // Four with one packet that takes none, and one with the second half of another.
    let ping = levada_pool_wire::Packet {
        request: levada_pool_wire::RequestId(1),
        callback: Some(foreign_callback()),
        message: Message::Ping(Ping::default()),
    };
    let bytes = ping.encode();
    let four: Vec<_> = passed.iter().map(|fd| fd.as_fd()).collect();
    descriptors::send(client.stream.as_fd(), bytes.expose(), &four).unwrap();
    assert!(matches!(client.receive().message, Message::Error(_)));
    drop(four);
    drop(passed);
    for end in &mut kept {
        assert_eq!(end.read(&mut [0]).unwrap(), 0, "the pool has closed its copy");
    }
    descriptors::send(client.stream.as_fd(), &bytes.expose()[..100], &[]).unwrap();
    descriptors::send(client.stream.as_fd(), &bytes.expose()[100..], &[near.as_fd()]).unwrap();
    // Where one read takes both halves, the kernel does not tell with which byte it came.
    match client.receive().message {
        Message::Ping(_) => {}
        refused => assert_eq!(code_of(&refused), 5),
    }
    drop(near);
    let mut far = far;
    assert_eq!(far.read(&mut [0]).unwrap(), 0, "the pool has closed its copy");
}

/// `clients` connections at once, each with its share of `handshakes`, in both roles; nothing is
/// wrong, lost or delivered to another.
fn crowd(clients: usize, handshakes: usize) {
    let mut limits = PoolLimits::default();
    limits.clients = clients + 1;
    let daemon = Daemon::with("", limits);
    let identity = daemon.pki.host("peer.example");
    let done = AtomicUsize::new(0);
    // As many threads as make sense: each has many clients in turn, all with a question out.
    let threads = clients.min(16);
    let keys = std::sync::Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (daemon, identity, done, keys) = (&daemon, &identity, &done, &keys);
            scope.spawn(move || {
                let own = clients / threads;
                let mut crowd: Vec<_> = (0..own).map(|_| daemon.client()).collect();
                let rounds = handshakes.div_ceil(clients);
                for round in 0..rounds {
                    let begun: Vec<_> = crowd
                        .iter_mut()
                        .enumerate()
                        .map(|(index, client)| {
                            let mark = (thread * own + index) * rounds + round;
                            begin(daemon, client, identity, mark as u32)
                        })
                        .collect();
                    for (client, (peer, mark)) in crowd.iter_mut().zip(begun) {
                        // Another request on the same connection, with its own reply.
                        let key = finish(daemon, client, mark);
                        assert!(keys.lock().unwrap().insert(*key.expose()), "a key of its own");
                        assert!(wait(peer).is_clean());
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(done.load(Ordering::Relaxed) >= handshakes);
    wait_until(|| daemon.pool.sessions() == 0);
    let bad: Vec<_> =
        daemon.notices.lines().into_iter().filter(|line| line.contains("failed")).collect();
    assert_eq!(bad, Vec::<String>::new());
}

type Echo = tokio::task::JoinHandle<levada::Ended>;

/// Asks for protection; `mark` is in every field that the reply echoes.
fn begin(daemon: &Daemon, client: &mut Client, identity: &str, mark: u32) -> (Echo, u32) {
    let (near, far) = tcp_pair();
    let (peer, request) = if mark.is_multiple_of(2) {
        (Peer::server(far, identity, None).echo(), as_client("peer.example"))
    } else {
        let peer = Peer::client(far, &daemon.pki, "pool.example", None).echo();
        (peer, as_server("pool.example"))
    };
    let mut spare = [0; 76];
    spare[..4].copy_from_slice(&mark.to_le_bytes());
    let request = StartTls { local: mark, spare, ..request };
    client.request(Message::StartTls(request), Some(near.as_fd()));
    (peer, mark)
}

/// Takes the session that was asked for, and sends `mark` through it.
fn finish(daemon: &Daemon, client: &mut Client, mark: u32) -> levada_pool_wire::ControlKey {
    let asked = client.receive();
    let Message::PlaintextConnect(body) = &asked.message else { panic!("{asked:?}") };
    assert_eq!(body.local, mark, "the question of another");
    let mut plain = client.give_plain(&asked);
    let ping = Message::Ping(Ping { facilities: Facilities::from_bits(mark), ..Ping::default() });
    client.request(ping, None);
    let (mut reply, mut answered) = (None, false);
    while reply.is_none() || !answered {
        match client.receive().message {
            Message::Ping(ping) => {
                assert_eq!(ping.facilities.bits(), mark & 1);
                answered = true;
            }
            other => reply = Some(starttls_of(other)),
        }
    }
    let reply = reply.unwrap();
    assert_eq!((reply.local, &reply.spare[..4]), (mark, &mark.to_le_bytes()[..]));
    plain.write_all(&mark.to_le_bytes()).unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    plain.read_to_end(&mut back).unwrap();
    if back != mark.to_le_bytes() {
        let lines = daemon.notices.lines();
        let bad: Vec<_> = lines.iter().filter(|line| line.contains("peer")).collect();
        panic!("{mark} came back as {back:?}: {bad:#?}");
    }
    reply.control_key
}

/// `count` sessions at once, each of which still carries what it is given.
fn hold(count: usize) {
    let daemon = Daemon::start();
    let identity = daemon.pki.host("peer.example");
    let mut client = daemon.client();
    let mut held = Vec::new();
    for number in 0..count as u32 {
        let (near, far) = tcp_pair();
        let peer = Peer::server(far, &identity, None).echo();
        let (plain, _) = client.protect(as_client("peer.example"), &near);
        held.push((number.to_le_bytes(), plain, peer));
    }
    assert_eq!(daemon.pool.sessions(), count);
    for (mark, plain, _) in &mut held {
        plain.write_all(mark).unwrap();
    }
    for (mark, mut plain, peer) in held {
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        let mut back = Vec::new();
        plain.read_to_end(&mut back).unwrap();
        assert_eq!(back, mark);
        assert!(wait(peer).is_clean());
    }
    wait_until(|| daemon.pool.sessions() == 0);
}

#[test]
fn b8_many_sessions_are_held_at_once() {
    // Four descriptors each in this one process, and a shell allows 1024.
    hold(120);
}

/// Handshakes of each crowd: ten thousand in all, and ten times as many in the slow suite.
const CROWD: usize = 10_000 / 3 + 1;

#[test]
fn b4_no_reply_goes_astray_among_16_clients() {
    crowd(16, CROWD);
}

#[test]
fn b4_no_reply_goes_astray_among_64_clients() {
    crowd(64, CROWD);
}

#[test]
fn b4_no_reply_goes_astray_among_256_clients() {
    crowd(256, CROWD);
}

#[test]
fn b4_a_hundred_thousand_handshakes_are_all_right() {
    if slow_runs("b4_a_hundred_thousand_handshakes_are_all_right") {
        let before = descriptors_here();
        for clients in [16, 64, 256] {
            crowd(clients, 10 * CROWD);
        }
        // Run alone, or among the others: none of a hundred thousand stays open.
        assert!(descriptors_here() < before + 1000);
    }
}

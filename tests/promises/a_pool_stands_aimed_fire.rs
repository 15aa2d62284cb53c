//! A pool under fire from clients who know its protocol, private commands and services among it, and break
//! whatever rule there is: nobody hears what is another's, and afterwards it has no session, no descriptor and
//! no service that it did not have before.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::{
    Control, Fact, Failure, Info, InfoKind, Lidentry, Pin, PinEntry, Ping, Prng, PrngRequest,
    StartTls,
};
use levada_pool::wire::{
    ControlKey, Cut, HandBack, HandshakeTimeout, Identity, LidentryFlags, Message, Offer, Packet,
    Page, RequestId, Secret, StartTlsFlags,
};
use levada_sys::descriptors;
use levada_testkit::numbers::Numbers;
use levada_testkit::skip::slow_runs;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use crate::harness::{PATIENCE, Pki, Pool};

/// What opens the locked key.
const PIN: &str = "4711-hush";

/// Clients at a time.
const SHOOTERS: usize = 6;

/// Control keys that clients choose, so few that they meet.
const KEYS: usize = 32;

/// Who is asked for, to be or to meet. The pool can be some of them.
const NAMES: [&str; 9] = [
    "localhost",
    "locked.test",
    "a.made.test",
    "u@made.test",
    "u@b.made.test",
    "made.test",
    "*.made.test",
    "nobody.example",
    "",
];

/// A pool with an open key, a locked one, a local CA, and entries for who chooses identities.
fn pool(pki: &Pki) -> Pool {
    let authority = std::fs::read_to_string(&pki.ca).unwrap() + &pki.issuer.key().serialize_pem();
    let authority = pki.folder.write("local-ca.pem", &authority);
    let open = pki.identity("locked-open.pem", &["locked.test"], |_| {});
    let locked = Pki::lock(&open, PIN);
    Pool::start_with(
        pki,
        &format!(
            "anchors = \"{ca}\"\nclient-anchors = \"{ca}\"\n\
             [local-ca]\ncert = \"{authority}\"\nnames = [\".made.test\", \"@made.test\"]\n\
             [[identity]]\nname = \"localhost\"\ncert = \"{own}\"\ndefault = true\nshow-to = [\".\"]\n\
             [[identity]]\nname = \"locked.test\"\ncert = \"{locked}\"\nkey-pass = \"ask\"\n\
             show-to = [\".made.test\", \"localhost\"]\n",
            ca = pki.ca,
            own = pki.localhost,
        ),
    )
}

/// A client, and what it has heard.
struct Shooter {
    number: u16,
    stream: UnixStream,
    sent: u16,
    heard: Vec<u8>,
    /// A request that is waited for.
    awaited: Option<RequestId>,
    /// Questions of the pool; none has to be answered.
    questions: Vec<Packet>,
    plain: Vec<UnixStream>,
    /// The keys of sessions that it has had.
    keys: Vec<ControlKey>,
}

impl Shooter {
    fn new(pool: &Pool, number: u16) -> Self {
        let stream = UnixStream::connect(&pool.socket).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (questions, plain, keys) = (Vec::new(), Vec::new(), Vec::new());
        let (heard, awaited) = (Vec::new(), None);
        Self { number, stream, sent: 0, heard, awaited, questions, plain, keys }
    }

    /// A request id that no other client uses.
    fn next(&mut self) -> RequestId {
        self.sent = (self.sent + 1) & 0xfff;
        RequestId(self.number << 12 | self.sent)
    }

    /// Waits until the pool has dealt with all that was sent; whether the connection still is.
    fn catch_up(&mut self) -> bool {
        let ping = Message::Ping(Ping::default());
        let asked = Packet { request: self.next(), callback: None, message: ping };
        self.awaited = Some(asked.request);
        let mut alive = self.send(asked.encode().expose(), &[]);
        let watched = self.stream.try_clone().unwrap();
        while alive && self.awaited.is_some() {
            let mut fds = [PollFd::new(&watched, PollFlags::IN)];
            let patience = PATIENCE.try_into().unwrap();
            assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "the pool answers");
            alive = self.hear();
        }
        alive
    }

    /// Hears what has come; whether the connection still is. What is not a packet, or bears the id of
    /// another, fails the test.
    fn hear(&mut self) -> bool {
        let mut room = [0; 388 * 16];
        let mut alive = true;
        loop {
            match self.stream.read(&mut room) {
                Ok(count @ 1..) => self.heard.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    alive = false;
                    break;
                }
            }
        }
        let whole = self.heard.len() / 388 * 388;
        for bytes in self.heard.drain(..whole).collect::<Vec<_>>().chunks(388) {
            let packet = Packet::decode(bytes.try_into().unwrap()).expect("it is a packet");
            assert_eq!(packet.request.0 >> 12, self.number, "another's: {packet:?}");
            if packet.callback.is_some() {
                self.questions.push(packet);
                self.questions.drain(..self.questions.len().saturating_sub(8));
                continue;
            }
            self.awaited = self.awaited.filter(|awaited| *awaited != packet.request);
            if let Message::StartTls(body) = packet.message {
                self.keys.push(body.control_key);
            }
        }
        alive
    }

    /// Sends all of it; whether the pool has not ended the connection.
    fn send(&mut self, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> bool {
        loop {
            match descriptors::send(self.stream.as_fd(), bytes, passed) {
                Ok(_) => return true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.hear();
                    std::thread::yield_now();
                }
                Err(_) => return false,
            }
        }
    }
}

/// What is shot with.
struct Fire {
    numbers: Numbers,
    listener: TcpListener,
    file: File,
    commands: HashSet<u32>,
    /// Keys of sessions, of all clients.
    keys: Vec<ControlKey>,
}

impl Fire {
    fn new(seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let file = File::open("/dev/null").unwrap();
        Self {
            numbers: Numbers::from(seed),
            listener,
            file,
            commands: HashSet::new(),
            keys: Vec::new(),
        }
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.numbers.below(bound) == 0
    }

    fn bits(&mut self, mask: u32) -> u32 {
        self.numbers.next() as u32 & mask
    }

    /// A key for a session to come; zeros have the pool draw one.
    fn new_key(&mut self) -> ControlKey {
        ControlKey::new([self.numbers.below(KEYS).saturating_sub(KEYS / 2) as u8; 16])
    }

    /// A key of anybody's session, or of none.
    fn key(&mut self) -> ControlKey {
        if self.keys.is_empty() || self.one_in(4) {
            return self.new_key();
        }
        self.numbers.one_of(&self.keys).clone()
    }

    fn name(&mut self) -> Identity {
        Identity::new(self.numbers.one_of(&NAMES)).unwrap()
    }

    fn tcp_pair(&self) -> (OwnedFd, OwnedFd) {
        let near = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        (near.into(), self.listener.accept().unwrap().0.into())
    }

    /// A descriptor of any sort; its other end may stay with the client.
    fn descriptor(&mut self, plain: &mut Vec<UnixStream>) -> OwnedFd {
        match self.numbers.below(24) {
            0 => self.file.try_clone().unwrap().into(),
            1 => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().into(),
            2 => self.tcp_pair().0,
            _ => {
                let (ours, theirs) = UnixStream::pair().unwrap();
                let _ = (&ours).write_all(b"what is written at once");
                plain.push(ours);
                plain.drain(..plain.len().saturating_sub(16));
                theirs.into()
            }
        }
    }

    fn starttls(&mut self) -> StartTls {
        let role = *self.numbers.one_of(&[0x9, 0x9, 0x6, 0x6, 0xf, 0x0]);
        let more = match self.numbers.below(4) {
            0 => self.bits(0x0005_fe00),
            1 => StartTlsFlags::LOCALID_ONTHEFLY.bits() | self.bits(0x0001_1000),
            2 => StartTlsFlags::IGNORE_REMOTEID.bits(),
            _ => self.bits(0x0007_ffff),
        };
        StartTls {
            flags: StartTlsFlags::from_bits(role | more),
            local_id: self.name(),
            remote_id: self.name(),
            control_key: self.new_key(),
            timeout: HandshakeTimeout::from_wire(1 + self.bits(0x7f)),
            ..StartTls::default()
        }
    }

    fn lidentry(&mut self) -> Lidentry {
        Lidentry {
            flags: LidentryFlags::from_bits(self.bits(0x0030_f18e)),
            max_levels: self.bits(0x3) as u16,
            timeout_s: self.bits(0x1),
            local_id: self.name(),
            remote_id: self.name(),
        }
    }

    fn page(&mut self) -> Message {
        let fields = [
            self.bits(0x7),
            *self.numbers.one_of(&[0, 0, 0, 350, 700, 1, 351, 0x7fff_ffff, u32::MAX]),
            *self.numbers.one_of(&[0, 0, 10, 350, 700, 20_000, u32::MAX]),
            *self.numbers.one_of(&[0, 0, 10, 350, 351]),
        ];
        let mut body = [0x5a; 380];
        body[..16].copy_from_slice(self.key().expose());
        for (room, field) in body[16..].chunks_exact_mut(4).zip(fields) {
            room.copy_from_slice(&field.to_le_bytes());
        }
        Message::Local(Page::COMMAND, Secret::new(body))
    }

    fn request(&mut self) -> Message {
        let key = self.key();
        let control = || Control { flags: 0, control_key: key.clone() };
        match self.numbers.below(16) {
            0 => Message::Ping(Ping::default()),
            1 => {
                let timeout_us = *self.numbers.one_of(&[1, 1000, 200_000, 2_000_000]);
                Message::PinEntry(PinEntry { timeout_us, ..PinEntry::default() })
            }
            2 => Message::LidentryRegister(self.lidentry()),
            3 | 4 => {
                let most = *self.numbers.one_of(&[0, 1, 3, 170]);
                let alpn = (0..most).map(|_| vec![b'a' + self.bits(3) as u8]).collect();
                Offer { control_key: key, alpn }.to_message().unwrap()
            }
            5 => {
                let mut body = [0; 380];
                for byte in &mut body {
                    *byte = self.numbers.next() as u8;
                }
                let all = [Offer::COMMAND, Page::COMMAND, Cut::COMMAND, HandBack::COMMAND];
                Message::Local(*self.numbers.one_of(&all), Secret::new(body))
            }
            6 => HandBack::question(key).into(),
            7 | 8 => self.page(),
            9 => Message::ControlDetach(control()),
            10 => Message::ControlReattach(control()),
            11 => Cut { control_key: key }.into(),
            12 => {
                let label = *self.numbers.one_of(&[&b"EXPORTER-x"[..], b"", b"key expansion"]);
                let prng = PrngRequest { control_key: key, label, context: None, output_len: 32 };
                Prng::from_request(&prng).map_or(Message::Success, Message::Prng)
            }
            13 => {
                let all = [
                    InfoKind::PeerSubject,
                    InfoKind::OwnSubjectAltName,
                    InfoKind::TlsServerEndPoint,
                ];
                let fact = self.one_in(2).then(|| Fact::new(b"other").unwrap());
                Message::Info(Info { control_key: key, kind: *self.numbers.one_of(&all), fact })
            }
            14 => Message::LidentryCallback(self.lidentry()),
            _ => Message::StartTls(self.starttls()),
        }
    }

    /// An answer to this question: the right one, or another.
    fn answer(&mut self, question: &Message) -> Message {
        match (self.numbers.below(16), question) {
            (0, _) => self.request(),
            (1, _) => Message::Error(Failure::from_errno(self.bits(0xff) as u8)),
            (2, Message::StartTlsLocalId(body)) => {
                let local_id = self.name();
                Message::StartTlsLocalId(StartTls { local_id, ..body.clone() })
            }
            (_, Message::PinEntry(_)) => {
                let pin = *self.numbers.one_of(&[PIN, PIN, "wrong", ""]);
                let pin = Pin::new(pin.as_bytes()).unwrap();
                let timeout_us = 1_000_000;
                Message::PinEntry(PinEntry { pin, timeout_us, ..PinEntry::default() })
            }
            (2, Message::LidentryCallback(_)) => Message::LidentryCallback(self.lidentry()),
            (_, Message::LidentryCallback(body)) => {
                // Whom it proposes, or one that the local CA can make, for once or for longer.
                let more = LidentryFlags::from_bits(self.bits(0x0020_e000));
                let made = Identity::new(format!("u{}@made.test", self.bits(0xff))).unwrap();
                let local_id = if self.one_in(2) { made } else { body.local_id };
                let flags = body.flags.and(LidentryFlags::REGFLAGS).with(more);
                Message::LidentryCallback(Lidentry { flags, local_id, ..*body })
            }
            (_, other) => other.clone(),
        }
    }

    /// Sends a packet, often with a fault in it; whether the connection still is.
    fn shoot(&mut self, from: &mut Shooter, packet: &Packet, descriptor: Option<&OwnedFd>) -> bool {
        let encoded = packet.encode();
        let mut bytes = *encoded.expose();
        self.commands.insert(u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]));
        let mut passed: Vec<_> = descriptor.iter().map(|fd| fd.as_fd()).collect();
        let file = self.file.try_clone().unwrap();
        if self.one_in(32) {
            passed.extend([file.as_fd(), file.as_fd()]);
        }
        if self.one_in(24) {
            // The request id stays what it is.
            bytes[2 + self.numbers.below(386)] = self.numbers.next() as u8;
        }
        let cut = if self.one_in(16) { 1 + self.numbers.below(387) } else { bytes.len() };
        from.send(&bytes[..cut], &passed) && (cut == bytes.len() || from.send(&bytes[cut..], &[]))
    }

    /// One thing that a client does; whether its connection still is.
    fn act(&mut self, from: &mut Shooter) -> bool {
        from.hear();
        self.keys.append(&mut from.keys);
        self.keys.drain(..self.keys.len().saturating_sub(KEYS));
        let packet = if from.questions.is_empty() || self.one_in(3) {
            Packet { request: from.next(), callback: None, message: self.request() }
        } else {
            let at = self.numbers.below(from.questions.len());
            let asked = from.questions.swap_remove(at);
            let message = self.answer(&asked.message);
            let request = if self.one_in(2) { from.next() } else { asked.request };
            Packet { request, callback: asked.callback, message }
        };
        let wants = matches!(packet.message, Message::StartTls(_) | Message::PlaintextConnect(_));
        let passes = self.one_in(16) != wants;
        let descriptor = passes.then(|| self.descriptor(&mut from.plain));
        self.shoot(from, &packet, descriptor.as_ref())
    }

    /// Two clients of the pool that have each other as peers, through it: the whole of a handshake.
    fn meet(&mut self, [one, other]: [&mut Shooter; 2]) -> bool {
        let (near, far) = self.tcp_pair();
        let extra = self.bits(0x0005_e000);
        let makes = extra & StartTlsFlags::LOCALID_ONTHEFLY.bits() != 0;
        let name = if makes { "a.made.test" } else { NAMES[self.numbers.below(2)] };
        let name = Identity::new(name).unwrap();
        let [mut client, mut server] = [0x9, 0x1006].map(|role| StartTls {
            flags: StartTlsFlags::from_bits(role | extra),
            timeout: HandshakeTimeout::from_wire(1_000),
            ..StartTls::default()
        });
        (client.remote_id, client.control_key) = (name, self.new_key());
        (server.local_id, server.control_key) = (name, self.new_key());
        if makes {
            client.local_id = Identity::new("u@made.test").unwrap();
        }
        [(one, client, near), (other, server, far)].into_iter().all(|(from, body, network)| {
            let packet =
                Packet { request: from.next(), callback: None, message: Message::StartTls(body) };
            self.shoot(from, &packet, Some(&network))
        })
    }
}

fn fire(shots: usize, seed: u64) {
    let pki = Pki::new();
    let pool = pool(&pki);
    let (mut fire, all) = (Fire::new(seed), SHOOTERS as u16);
    let policy = std::fs::read_to_string(pki.folder.path().join("own.toml")).unwrap();
    // What it takes once, it has then.
    assert!(pool.sessions().is_empty());
    let before = pool.descriptors();
    let mut shooters: Vec<_> = (1..=all).map(|number| Shooter::new(&pool, number)).collect();
    for shot in 0..shots {
        let at = fire.numbers.below(SHOOTERS);
        let alive = if fire.one_in(16) {
            let (one, rest) = shooters.split_at_mut(1);
            fire.meet([&mut one[0], &mut rest[at % (SHOOTERS - 1)]])
        } else {
            let shooter = &mut shooters[at];
            fire.act(shooter) && (!fire.one_in(8) || shooter.catch_up()) && !fire.one_in(400)
        };
        if !alive {
            shooters = shooters
                .into_iter()
                .enumerate()
                .map(|(index, shooter)| {
                    let gone = [0, at, at % (SHOOTERS - 1) + 1].contains(&index);
                    if gone { Shooter::new(&pool, shooter.number) } else { shooter }
                })
                .collect();
        }
        if shot % 2000 == 1000 {
            pki.folder.write("own.toml", &format!("# {shot}\n{policy}"));
            pool.process.signal(Signal::HUP);
        }
    }
    assert!(fire.commands.len() >= 17, "all of them were used: {:x?}", fire.commands);
    drop(shooters);
    while !pool.sessions().is_empty() {}
    while pool.descriptors() > before {
        std::thread::yield_now();
    }

    // It serves as before, services and all.
    let [mut pins, mut choices, mut client] = [(); 3].map(|()| pool.speaker());
    pins.ask(Message::PinEntry(PinEntry { timeout_us: 60_000_000, ..PinEntry::default() }), None);
    let chooser = Lidentry { timeout_s: 60, ..Lidentry::default() };
    choices.ask(Message::LidentryRegister(chooser), None);
    for service in [&mut pins, &mut choices] {
        let heard = service.call(Message::Ping(Ping::default()));
        assert!(matches!(heard, Message::Ping(_)), "{heard:?}");
    }
    let (near, far) = fire.tcp_pair();
    let mut server = pool.speaker();
    server.ask_for_tls(&far, true, 200);
    client.ask_for_tls(&near, false, 201);
    drop((near, far));
    let asked = choices.hear();
    let Message::LidentryCallback(body) = asked.message else { panic!("{asked:?}") };
    // Who has been chosen before may have a locked key.
    let said = Lidentry { local_id: Identity::new("localhost").unwrap(), ..body };
    choices.send(&Packet { message: Message::LidentryCallback(said), ..asked }, None);
    let [mut one, mut other] = [client.finish_tls(), server.finish_tls()];
    one.write_all(b"hello").unwrap();
    let mut room = [0; 5];
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    other.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"hello");
    drop((one, other));
    let told = pool.stop();
    // It was hit where it could be.
    for what in [
        " protected: ",
        " ended: ",
        " failed for ",
        "enters PINs from now on",
        "chooses identities from now on",
        "until the pool stops",
        "reloaded",
        "the service went away",
        "the service declined",
    ] {
        let count = told.iter().filter(|line| line.contains(what)).count();
        assert!(count * 10_000 >= shots, "{what}: {count}");
    }
    let told = told.join("\n");
    for word in ["panicked", "\"wrong\"", PIN] {
        assert!(!told.contains(word), "{word}");
    }
}

#[test]
fn of_twenty_thousand_shots() {
    fire(20_000, 0xa13d);
}

#[test]
fn of_two_hundred_thousand_shots() {
    if slow_runs("of_two_hundred_thousand_shots") {
        fire(200_000, 0xf12e);
    }
}

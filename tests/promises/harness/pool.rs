//! `levada pool`, and a client that speaks its packets and keeps all that it hears.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::{Pin, PinEntry, StartTls};
use levada_pool::wire::{ControlKey, Identity, Message, Packet, RequestId, StartTlsFlags};
use levada_sys::descriptors;
use levada_testkit::docs::workspace_root;
use serde_json::Value;

use super::command::{Command, Running, levada};
use super::{PATIENCE, Pki};

/// A pool that runs, with the identity `localhost` of `pki`, whose authority it trusts.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) process: Running,
    pub(crate) socket: String,
}

impl Pool {
    #[track_caller]
    pub(crate) fn start(pki: &Pki) -> Self {
        Self::start_as(pki, "pool.sock", &[])
    }

    /// The file with the policy that it has.
    pub(crate) fn policy(pki: &Pki) -> String {
        let policy = format!(
            "anchors = \"{ca}\"\nclient-anchors = \"{ca}\"\n\n[[identity]]\nname = \"localhost\"\n\
             cert = \"{cert}\"\ndefault = true\n",
            ca = pki.ca,
            cert = pki.localhost
        );
        pki.folder.write("pool.toml", &policy)
    }

    /// The same at a socket of this name, with these words.
    #[track_caller]
    pub(crate) fn start_as(pki: &Pki, name: &str, words: &[&str]) -> Self {
        let socket = pki.folder.path().join(name).to_str().unwrap().to_owned();
        Self::listening(Self::command(pki, &socket).args(words), socket)
    }

    /// With this policy alone.
    #[track_caller]
    pub(crate) fn start_with(pki: &Pki, policy: &str) -> Self {
        let policy = pki.folder.write("own.toml", policy);
        let socket = pki.folder.path().join("pool.sock").to_str().unwrap().to_owned();
        let words = ["pool", "--config", &policy, "--socket", &socket, "--log", "json"];
        Self::listening(levada(words), socket)
    }

    /// The same, within this limit, as ulimit of a shell takes it, which nobody may raise.
    #[track_caller]
    pub(crate) fn start_within(pki: &Pki, limit: &str) -> Self {
        let socket = pki.folder.path().join("pool.sock").to_str().unwrap().to_owned();
        let words = Self::command(pki, &socket).words();
        let limited = format!("ulimit {limit} && exec \"$0\" \"$@\"");
        // Root has rights that go beyond limits.
        let shell = if rustix::process::geteuid().is_root() {
            Command::new("setpriv").args(["--bounding-set=-ipc_lock,-sys_resource", "sh"])
        } else {
            Command::new("sh")
        };
        Self::listening(shell.args(["-c", &limited]).args(words), socket)
    }

    fn command(pki: &Pki, socket: &str) -> Command {
        let policy = Self::policy(pki);
        levada(["pool", "--config", &policy, "--socket", socket, "--log", "json"])
    }

    /// Starts this command, and waits until it listens at the socket.
    #[track_caller]
    pub(crate) fn listening(command: Command, socket: String) -> Self {
        let mut pool = Self { process: command.start(), socket };
        pool.next("pool_listening");
        pool
    }

    /// The next line of the log about this, past all others.
    #[track_caller]
    pub(crate) fn next(&mut self, event: &str) -> Value {
        loop {
            let line = self.process.stderr.line().unwrap_or_else(|| panic!("no record of {event}"));
            let record: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if record["event"] == event {
                return record;
            }
        }
    }

    /// Waits until it tells of this.
    #[track_caller]
    pub(crate) fn hear(&mut self, what: &str) {
        while !self.next("pool")["message"].as_str().is_some_and(|told| told.contains(what)) {}
    }

    pub(crate) fn speaker(&self) -> Speaker {
        Speaker::over(UnixStream::connect(&self.socket).unwrap())
    }

    /// How many descriptors it holds.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Stops it, and gives what it has told of sessions since somebody last read its log.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.process.signal(rustix::process::Signal::TERM);
        let mut told = Vec::new();
        while let Some(line) = self.process.stderr.line() {
            let record: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            told.extend(record["message"].as_str().map(str::to_owned));
        }
        assert_eq!(self.process.wait().code(), 0);
        told
    }

    /// Runs a client of the pool: the example in C, against a server at a port of this machine.
    pub(crate) fn client(&self, program: &str, port: u16, name: &str) -> Command {
        Command::new(program).args([&self.socket, "127.0.0.1", &port.to_string(), name])
    }

    /// An address that the pool protects, of what listens here for plaintext.
    pub(crate) fn url(&self, to: impl std::fmt::Display) -> String {
        format!("pool+tls://{to}?pool={}", self.socket)
    }

    /// The same, whose data goes through the pool whatever the kernel can.
    pub(crate) fn relay_url(&self, to: impl std::fmt::Display) -> String {
        self.url(to) + "&kernel-tls=off"
    }

    /// Its sessions, as it lists them.
    #[track_caller]
    pub(crate) fn sessions(&self) -> Vec<Value> {
        let listed = levada(["pool", "sessions", "--socket", &self.socket]).run(b"");
        assert_eq!(listed.code(), 0, "{}", listed.stderr);
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Makes a program of the client in C, in the folder of `pki`.
pub(crate) fn compile_client(pki: &Pki) -> String {
    let source = workspace_root().join("crates/levada-pool/examples/starttls.c");
    let program = pki.folder.path().join("starttls").to_str().unwrap().to_owned();
    let words = ["-Wall", "-Wextra", "-Werror", "-o", &program];
    let compiled = Command::new("cc").args(words).args([source]).run(b"");
    assert_eq!(compiled.code(), 0, "{}", compiled.stderr);
    program
}

/// A client that speaks packets.
pub(crate) struct Speaker {
    pub(crate) stream: UnixStream,
    /// All bytes that the pool has sent.
    pub(crate) heard: Vec<u8>,
    next: u16,
}

impl Speaker {
    /// Over this control connection, whoever has connected it.
    pub(crate) fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, heard: Vec::new(), next: 0 }
    }

    /// Asks, and hears the reply.
    #[track_caller]
    pub(crate) fn call(&mut self, message: Message) -> Message {
        let request = self.ask(message, None);
        let reply = self.hear();
        assert_eq!((reply.request, reply.callback), (request, None));
        reply.message
    }

    /// Sends a request of the next number.
    pub(crate) fn ask(
        &mut self,
        message: Message,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> RequestId {
        let request = RequestId(self.next);
        self.next += 1;
        self.send(&Packet { request, callback: None, message }, descriptor);
        request
    }

    pub(crate) fn send(&mut self, packet: &Packet, descriptor: Option<BorrowedFd<'_>>) {
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        let bytes = packet.encode();
        assert_eq!(descriptors::send(&self.stream, bytes.expose(), &descriptors).unwrap(), 388);
    }

    #[track_caller]
    pub(crate) fn hear(&mut self) -> Packet {
        self.try_hear().expect("the pool says something")
    }

    /// The next packet, if another one comes.
    #[track_caller]
    pub(crate) fn try_hear(&mut self) -> Option<Packet> {
        let mut bytes = [0; 388];
        std::io::Read::read_exact(&mut self.stream, &mut bytes).ok()?;
        self.heard.extend_from_slice(&bytes);
        Some(Packet::decode(&bytes).unwrap())
    }

    /// Registers for PIN entry.
    pub(crate) fn enters_pins(&mut self) {
        self.ask(Message::PinEntry(Self::entry(Pin::default())), None);
    }

    /// Gives this PIN where the pool asks for one; what it asked.
    #[track_caller]
    pub(crate) fn enters(&mut self, pin: &str) -> PinEntry {
        let asked = self.hear();
        let Message::PinEntry(question) = &asked.message else { panic!("{asked:?}") };
        let question = question.clone();
        let message = Message::PinEntry(Self::entry(Pin::new(pin.as_bytes()).unwrap()));
        self.send(&Packet { message, ..asked }, None);
        question
    }

    fn entry(pin: Pin) -> PinEntry {
        PinEntry { timeout_us: 600_000_000, pin, ..PinEntry::default() }
    }

    /// Asks to protect `network`, as a client of `localhost` or as a server.
    pub(crate) fn ask_for_tls(&mut self, network: impl AsFd, server: bool, key: u8) -> RequestId {
        let flags = if server {
            StartTlsFlags::SERVER.with(StartTlsFlags::IGNORE_REMOTEID)
        } else {
            StartTlsFlags::CLIENT
        };
        let remote_id = Identity::new(if server { "" } else { "localhost" }).unwrap();
        let control_key = ControlKey::new([key; 16]);
        let body = StartTls { flags, remote_id, control_key, ..StartTls::default() };
        self.ask(Message::StartTls(body), Some(network.as_fd()))
    }

    /// Gives a plaintext socket where the pool asks for it, and waits for the reply.
    #[track_caller]
    pub(crate) fn finish_tls(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let question = self.hear();
        assert!(matches!(question.message, Message::PlaintextConnect(_)), "{question:?}");
        self.send(&question, Some(theirs.as_fd()));
        drop(theirs);
        let reply = self.hear();
        assert!(matches!(reply.message, Message::StartTls(_)), "{reply:?}");
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        ours
    }
}

//! `levada serve`, and its log.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;
use serde_json::Value;

use super::command::{Command, Running, levada};
use super::{Backend, Client, PATIENCE, descriptors, status};

/// One line of the log.
pub(crate) type Record = Value;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) process: Running,
    addresses: Vec<SocketAddr>,
}

impl Serve {
    /// Starts it, and waits until it listens everywhere.
    #[track_caller]
    pub(crate) fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let listeners = args.iter().filter(|arg| *arg == "--listen").count();
        Self::listening(levada(["serve", "--log", "json"]).args(&args), listeners)
    }

    /// Starts it with this file, which asks for a log in JSON, and waits until it listens everywhere.
    #[track_caller]
    pub(crate) fn config(file: &str, listeners: usize) -> Self {
        Self::listening(levada(["serve", "--config", file]), listeners)
    }

    /// Starts it with this environment variable, and waits until it listens at one address.
    #[track_caller]
    pub(crate) fn with_variable<S: AsRef<OsStr>>(
        (name, value): (&str, &OsStr),
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::listening(levada(["serve", "--log", "json"]).args(args).env(name, value), 1)
    }

    #[track_caller]
    fn listening(command: Command, listeners: usize) -> Self {
        let process = command.start();
        let mut serve = Self { process, addresses: Vec::new() };
        while serve.addresses.len() < listeners {
            let record = serve.record().expect("it starts");
            assert_eq!(record["event"], "listening", "{record}");
            let on = record["on"].as_str().unwrap();
            let (_, address) = on.split_once("://").unwrap();
            // A WebSocket has a path behind it.
            let address = address.split('/').next().unwrap();
            serve.addresses.push(address.parse().unwrap());
        }
        serve
    }

    /// A TLS listener for localhost, and where it leads.
    #[track_caller]
    pub(crate) fn tls(pki: &super::Pki, to: &str) -> Self {
        Self::start(["--listen", "tls://127.0.0.1:0", "--cert", &pki.localhost, "--to", to])
    }

    /// A TLS listener between OpenSSL's client and a plain target: with both of their ends.
    #[track_caller]
    pub(crate) fn between(pki: &super::Pki, version: &str) -> (Self, Running, TcpStream) {
        let backend = Backend::new();
        let serve = Self::tls(pki, &backend.url());
        let client = Client::start(pki, serve.address(), version, &[]);
        (serve, client, backend.accept())
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The address of the n-th listener.
    pub(crate) fn nth(&self, n: usize) -> SocketAddr {
        self.addresses[n]
    }

    /// Its first listener as a TLS address to connect to.
    pub(crate) fn tls_url(&self) -> String {
        format!("tls://{}", self.address())
    }

    /// Connects to its first listener.
    pub(crate) fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The next line of the log; `None` behind the last.
    #[track_caller]
    pub(crate) fn record(&mut self) -> Option<Record> {
        let line = self.process.stderr.line()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The next line of the log about this, past all others.
    #[track_caller]
    pub(crate) fn next(&mut self, event: &str) -> Record {
        loop {
            let record = self.record().unwrap_or_else(|| panic!("no record of {event}"));
            if record["event"] == event {
                return record;
            }
        }
    }

    /// The codes of the client's and the target's ending of the next pair that ended.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> (String, String) {
        let record = self.next("ended");
        let code = |side: &str| record[side]["code"].as_str().unwrap_or("none").to_owned();
        (code("client"), code("target"))
    }

    /// Asks it to stop, and waits for that: its exit code and the rest of the log.
    #[track_caller]
    pub(crate) fn stop(self) -> (i32, Vec<Record>) {
        self.process.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end: its exit code and the rest of the log.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (i32, Vec<Record>) {
        let records = std::iter::from_fn(|| self.record()).collect();
        (self.process.wait().code(), records)
    }

    /// The memory that it has in use, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        status(self.process.id(), "VmRSS:") * 1024
    }

    /// How many descriptors it holds.
    pub(crate) fn descriptors(&self) -> usize {
        descriptors(self.process.id())
    }
}

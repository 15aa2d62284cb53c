//! The command under test, its peers, and the wires between them.
//!
//! Nothing here sleeps: whoever waits, waits for an event, and gives up after [`PATIENCE`].

mod application;
mod c;
mod command;
mod foreign;
mod gnutls;
pub(crate) mod library;
mod memory;
mod nginx;
mod openssl;
mod pki;
mod plain;
mod pool;
mod serve;
mod tinyproxy;
mod upgrader;
mod websocket;
mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use c::{C, CPP, CProgram};
pub(crate) use command::{Command, Finished, Running, connect, levada};
pub(crate) use foreign::{Caller, Foreign, Host, Visitor};
pub(crate) use gnutls::Gnutls;
pub(crate) use library::Library;
pub(crate) use memory::Memory;
pub(crate) use nginx::Nginx;
pub(crate) use openssl::{Client, Server, VERSIONS};
pub(crate) use pki::Pki;
pub(crate) use plain::{Backend, reset};
pub(crate) use pool::{Pool, Speaker, compile_client};
pub(crate) use serve::{Record, Serve};
pub(crate) use tinyproxy::Tinyproxy;
pub(crate) use upgrader::{Served, Upgrader};
pub(crate) use websocket::{BINARY, COMPRESSED, PING, PONG, TEXT, WebSocket, request};
pub(crate) use wire::Wire;

/// How long anything may take before its test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("levada-promise-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().expect("the folder's name is ASCII").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A number that the system tells of a process: proc_pid_status(5).
pub(crate) fn status(process: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is told");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("it is a number")
}

/// An address that was free a moment ago, for routes that have to say the same one.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Lets this process, which holds the other ends, open as many files as it may; how many these are.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it does not work, the old limit still holds, and is what counts.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Bytes that are nowhere twice the same for long: digits only, which no peer takes for a command.
pub(crate) fn digits(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 8);
    let mut number = 0_u32;
    while bytes.len() < count {
        bytes.extend_from_slice(format!("{number:07}").as_bytes());
        number += 1;
    }
    bytes.truncate(count);
    bytes
}

/// Panics unless both are the same, without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], wanted: &[u8]) {
    if got != wanted {
        let same = got.iter().zip(wanted).take_while(|(one, other)| one == other).count();
        let (got, wanted) = (got.len(), wanted.len());
        panic!("got {got} bytes, wanted {wanted}; the first {same} are the same");
    }
}

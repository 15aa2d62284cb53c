//! The command under test, its peers, and the wires between them.
//!
//! Nothing here sleeps: whoever waits, waits for an event, and gives up after [`PATIENCE`].

mod application;
mod c;
mod command;
mod foreign;
mod gnutls;
mod http2;
pub(crate) mod library;
mod memory;
mod nginx;
mod openssl;
mod pki;
mod plain;
mod pool;
mod serve;
mod terminal;
mod tinyproxy;
#[cfg(feature = "pkcs11")]
mod token;
mod transfer;
mod upgrader;
mod websocket;
mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

pub(crate) use levada_testkit::Folder;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use c::{C, CPP, CProgram};
pub(crate) use command::{Command, Finished, Running, connect, levada};
#[cfg(feature = "pkcs11")]
pub(crate) use foreign::Hosting;
pub(crate) use foreign::{Caller, Foreign, Host, Visitor};
pub(crate) use gnutls::Gnutls;
pub(crate) use http2::{http2_peer, said};
pub(crate) use library::Library;
pub(crate) use memory::Memory;
pub(crate) use nginx::Nginx;
pub(crate) use openssl::{Client, Server, VERSIONS};
pub(crate) use pki::{Pki, scalar};
pub(crate) use plain::{Backend, reset};
pub(crate) use pool::{Pool, Speaker, compile_client};
pub(crate) use serve::{Record, Serve};
pub(crate) use terminal::Terminal;
pub(crate) use tinyproxy::Tinyproxy;
#[cfg(feature = "pkcs11")]
pub(crate) use token::{EC, EC_384, RSA, RemoteHsm, Token};
pub(crate) use transfer::transfer;
pub(crate) use upgrader::{Served, Upgrader};
pub(crate) use websocket::{
    BINARY, COMPRESSED, PING, PONG, TEXT, WebSocket, assert_compressed, request,
};
pub(crate) use wire::Wire;

/// How long anything may take before its test has failed. An emulated processor that is shared takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A number that the system tells of a process: proc_pid_status(5).
pub(crate) fn status(process: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is told");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("it is a number")
}

/// How many descriptors a process holds.
pub(crate) fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// Waits until something is so that nothing tells of.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "it never was so: {what}");
    }
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

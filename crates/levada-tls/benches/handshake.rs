//! What a handshake costs the server, in microseconds: `cargo bench -p levada-tls --bench handshake`.
//!
//! Only the calls of the server's session are timed, with a client beside it in memory, so that no
//! transport and no peer is in the figures.
#![allow(clippy::unwrap_used, reason = "what fails here fails the measurement")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use levada_tls::{Engine, TlsClient, TlsServer};
use support::{End, Setup, VERSIONS};

const ROUNDS: usize = 15;
const HANDSHAKES: u32 = 200;

fn main() {
    println!("microseconds of the server, median of {ROUNDS} (fastest, slowest)");
    for version in VERSIONS {
        let setup = Setup::new(version);
        let server = setup.server.clone().build().unwrap();
        let client = setup.client.clone().resume_servers(0).build().unwrap();
        row(&format!("a full handshake, {version}"), &setup, &client, &server, false);
        let client = setup.client.clone().build().unwrap();
        row(&format!("a resumed handshake, {version}"), &setup, &client, &server, true);
    }
}

fn row(name: &str, setup: &Setup, client: &TlsClient, server: &TlsServer, resumed: bool) {
    // The first handshake is full in any case.
    handshake(setup, client, server);
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let time = (0..HANDSHAKES).map(|_| {
                let (time, was_resumed) = handshake(setup, client, server);
                assert_eq!(was_resumed, resumed);
                time
            });
            time.sum::<Duration>() / HANDSHAKES
        })
        .collect();
    rounds.sort();
    let [median, fastest, slowest] =
        [ROUNDS / 2, 0, ROUNDS - 1].map(|index| rounds[index].as_secs_f64() * 1e6);
    println!("{name:<36}{median:>8.2}  ({fastest:.2}, {slowest:.2})");
}

/// The server's part of one handshake, tickets included, and whether it was resumed.
fn handshake(setup: &Setup, client: &TlsClient, server: &TlsServer) -> (Duration, bool) {
    let mut client = End::new(client.session(&setup.name).unwrap());
    let mut time = Duration::ZERO;
    let mut server = timed(&mut time, || End::new(server.session()));
    loop {
        let to_server = client.write();
        server.wire.extend(&to_server);
        let to_client = timed(&mut time, || {
            server.open(1024);
            server.write()
        });
        if to_server.is_empty() && to_client.is_empty() {
            return (time, server.session.facts().resumed.unwrap());
        }
        client.wire.extend(to_client);
        client.open(1024);
    }
}

/// Adds the time of `work` to `sum`.
#[expect(clippy::disallowed_types, reason = "a benchmark measures the real clock, outside tokio")]
fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = std::time::Instant::now();
    let done = work();
    *sum += start.elapsed();
    done
}

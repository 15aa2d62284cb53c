//! What the facts of a session cost, in microseconds a call: `cargo bench -p levada-tls`.
//!
//! Every stream that ends pays one call. A whole handshake, both ends of it, is measured beside it
//! for the scale. A plain program, as a benchmark library would bring many crates.
#![allow(clippy::unwrap_used, reason = "what fails here fails the measurement")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Duration;

use levada_core::Role;
use levada_tls::{Engine, Identity, TlsVersion};
use support::{Pair, Setup};

const ROUNDS: usize = 15;
const VERSION: TlsVersion = TlsVersion::V1_3;

fn main() {
    println!("microseconds, median of {ROUNDS} (fastest, slowest)");
    facts("the peer has shown nothing", Setup::new(VERSION), Role::Server);
    facts("the peer has shown one certificate", Setup::new(VERSION), Role::Client);
    facts("a client has shown one certificate", Setup::mutual(VERSION), Role::Server);
    facts("40 names, and its issuer behind it", long(), Role::Client);
    let setup = long();
    let server = setup.server.build().unwrap();
    // A client of its own each time: nothing is resumed.
    row("a full handshake of these, both ends", 50, || {
        let client = setup.client.clone().build().unwrap();
        Pair::new(client.session(&setup.name).unwrap(), server.session()).talk();
    });
}

/// A server with a certificate such as public ones are.
fn long() -> Setup {
    let setup = Setup::new(VERSION);
    let names: Vec<_> = (0..40).map(|number| format!("host-{number}.example")).collect();
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.push(support::HOST);
    let (certificate, key) = setup.authority.issue(&names, |_| {});
    let chain = certificate + &setup.authority.pem;
    let identity = Identity::from_pem(chain.as_bytes(), Some(key.as_bytes()), None).unwrap();
    setup.with_identity(&identity, VERSION)
}

fn facts(name: &str, setup: Setup, role: Role) {
    let mut pair = Pair::established(setup);
    let (me, _) = pair.ends(role);
    row(name, 10_000, || drop(black_box(me.session.facts())));
}

fn row(name: &str, calls: u32, mut call: impl FnMut()) {
    time(calls, &mut call);
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| time(calls, &mut call) / calls).collect();
    rounds.sort();
    let [median, fastest, slowest] =
        [ROUNDS / 2, 0, ROUNDS - 1].map(|index| rounds[index].as_secs_f64() * 1e6);
    println!("{name:<36}{median:>8.2}  ({fastest:.2}, {slowest:.2})");
}

#[expect(clippy::disallowed_types, reason = "a benchmark measures the real clock, outside tokio")]
fn time(calls: u32, call: &mut impl FnMut()) -> Duration {
    let start = std::time::Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed()
}

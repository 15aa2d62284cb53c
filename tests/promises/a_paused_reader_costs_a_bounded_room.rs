//! A reader that pauses stops its writer, and what waits in between takes a bounded room.

use crate::harness::{Backend, Memory, Pki, Serve, transfer};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What each writer has to say: far more than the bound and the system's buffers.
const TOTAL: u64 = 64 * MIB;

/// Buffers of a thread: on either side of a layer, and for what is sealed.
const SCRATCH: u64 = 3 * 256 * KIB;
/// Read from one side, and not yet taken by the other, sealed or not; one direction.
const LEFT_OVER: u64 = 256 * KIB;
/// What the records of that add; one direction.
const RECORDS: u64 = 2 * KIB;
/// The beginning of a record whose rest has not come; one direction.
const RECORD: u64 = 18 * KIB;
/// What the allocator keeps beside what is in use, and what else a process does meanwhile.
const SLACK: u64 = 2 * MIB;

/// The most that a process grows by.
const fn bound(threads: u64, streams: u64) -> u64 {
    SLACK + threads * SCRATCH + streams * 2 * (LEFT_OVER + RECORDS + RECORD)
}

#[test]
fn as_the_page_says() {
    let text = format!(
        "growth ≤ {} MiB + threads × {} KiB + streams × 2 × ({} + {} + {}) KiB",
        SLACK / MIB,
        SCRATCH / KIB,
        LEFT_OVER / KIB,
        RECORDS / KIB,
        RECORD / KIB
    );
    levada_testkit::docs::assert_rendered(
        "docs/limits.md",
        "memory",
        &format!("```text\n{text}\n```"),
    );
}

#[test]
fn of_the_client() {
    paused(2, Way::Down, "tls");
}

#[test]
fn of_the_target() {
    paused(2, Way::Up, "tls");
}

/// In frames, no more waits for the transport than in records.
#[test]
fn of_a_websocket() {
    for way in [Way::Down, Way::Up] {
        paused(2, way, "ws");
        paused(2, way, "wss");
    }
}

#[test]
fn of_many() {
    if levada_testkit::skip::slow_runs("of_many") {
        for way in [Way::Down, Way::Up] {
            paused(16, way, "tls");
        }
    }
}

/// Where the bytes go.
#[derive(Clone, Copy)]
enum Way {
    /// From the target to the client.
    Down,
    Up,
}

/// Sends through two bridges, of which one puts this layer on and the other takes it off: either is
/// measured.
fn paused(streams: u64, way: Way, layer: &str) {
    let (pki, backend) = (Pki::new(), Backend::new());
    let (listen, to) = (format!("{layer}://127.0.0.1:0"), backend.url());
    let (mut inner, mut outer) = (vec!["--listen", &listen, "--to", &to], Vec::new());
    if layer != "ws" {
        inner.extend(["--cert", &pki.localhost]);
        outer.extend(["--ca", &pki.ca]);
    }
    let inner = Serve::start(inner);
    let to = format!("{layer}://{}", inner.address());
    outer.extend(["--listen", "tcp://127.0.0.1:0", "--to", &to]);
    let outer = Serve::start(outer);
    let pair = || {
        let client = outer.dial();
        let target = backend.accept();
        match way {
            Way::Down => (target, client),
            Way::Up => (client, target),
        }
    };

    // What is made once is made by now.
    transfer(vec![pair()], MIB);
    let bridges = [&outer, &inner].map(|bridge| Memory::of(bridge.process.id()));
    let sent = transfer((0..streams).map(|_| pair()).collect(), TOTAL);
    assert!(sent < TOTAL, "the reader's pause has not stopped the writer");
    for memory in bridges {
        let (growth, bound) = (memory.growth(), bound(memory.threads(), streams));
        assert!(growth <= bound, "it grew by {growth} bytes, which is more than {bound}");
    }
}

//! What is measured: the loads, and the figures that are read from their results.

use serde_json::Value;

use crate::bench::place::Key;
use crate::bench::terminators::{OURS, Terminator};

/// How much of each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) bytes: u64,
    pub(crate) handshakes: u64,
    pub(crate) trips: u64,
    pub(crate) latency: u64,
    pub(crate) idle: u64,
    pub(crate) stalled: u64,
}

impl Scale {
    /// What is published.
    pub(crate) const FULL: Self = Self {
        bytes: 2 << 30,
        handshakes: 5000,
        trips: 200_000,
        latency: 10_000,
        idle: 5000,
        stalled: 1000,
    };
    /// Enough to see that everything works.
    pub(crate) const QUICK: Self = Self {
        bytes: 256 << 20,
        handshakes: 500,
        trips: 20_000,
        latency: 1000,
        idle: 500,
        stalled: 100,
    };
    /// Before the first round of each load.
    pub(crate) const WARM_UP: Self =
        Self { bytes: 64 << 20, handshakes: 100, trips: 2000, latency: 200, idle: 0, stalled: 0 };
}

/// One way of loading a terminator.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) key: Key,
    pub(crate) against: Against,
    /// Who has it.
    pub(crate) has: fn(&Terminator) -> bool,
    /// Whether it sleeps a little before it waits, at both ends. On loopback, waking the receiver is
    /// done by the sender's system call: so it is not the terminator that pays for it.
    pub(crate) is_patient: bool,
    /// Whether the kernel holds little for a connection, so that the terminator has to.
    pub(crate) has_small_sockets: bool,
    /// The words for `levada-load`, without address and process.
    pub(crate) words: fn(Scale) -> String,
}

/// What a load is given to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// The process that serves all loads.
    Running,
    /// A process of its own, which has not served anything yet.
    Fresh,
    /// Only a command: the load starts it.
    Command,
    /// Nothing: the load is a limit of the machine.
    Nothing,
}

const fn bulk(name: &'static str, words: fn(Scale) -> String) -> Load {
    Load { is_patient: true, ..messages(name, words) }
}

/// What can do without TLS: there the plain relay shows what sockets alone cost.
const fn messages(name: &'static str, words: fn(Scale) -> String) -> Load {
    Load { has: |_| true, ..connections(name, Key::EcdsaP256, words) }
}

const fn connections(name: &'static str, key: Key, words: fn(Scale) -> String) -> Load {
    Load {
        name,
        key,
        against: Against::Running,
        has: Terminator::is_tls,
        is_patient: false,
        has_small_sockets: false,
        words,
    }
}

pub(crate) const LOADS: &[Load] = &[
    Load {
        against: Against::Nothing,
        ..connections("aead", Key::EcdsaP256, |scale| format!("aead --bytes {}", 2 * scale.bytes))
    },
    bulk("down-4", |scale| transfer("down", 4, scale)),
    bulk("up-4", |scale| transfer("up", 4, scale)),
    bulk("down-64", |scale| transfer("down", 64, scale)),
    bulk("up-64", |scale| transfer("up", 64, scale)),
    Load { has: no_peer, ..bulk("down-10", |scale| transfer("down", 10, scale)) },
    Load { has: no_peer, ..bulk("down-100", |scale| transfer("down", 100, scale)) },
    bulk("down-1000", |scale| transfer("down", 1000, scale)),
    bulk("down-5000", |scale| transfer("down", 5000, scale)),
    connections("full", Key::EcdsaP256, |scale| handshakes(32, scale)),
    connections("resumed", Key::EcdsaP256, |scale| format!("{} --resume", handshakes(32, scale))),
    connections("rsa", Key::Rsa2048, |scale| handshakes(32, scale)),
    Load {
        has: ours_alone,
        ..connections("full-10", Key::EcdsaP256, |scale| handshakes(10, scale))
    },
    Load {
        has: ours_alone,
        ..connections("full-100", Key::EcdsaP256, |scale| handshakes(100, scale))
    },
    Load {
        has: ours_alone,
        ..connections("full-1000", Key::EcdsaP256, |scale| handshakes(1000, scale))
    },
    Load {
        has: ours_alone,
        ..connections("full-5000", Key::EcdsaP256, |scale| handshakes(5000, scale))
    },
    messages("trips", |scale| format!("trips --connections 64 --count {}", scale.trips)),
    messages("latency", |scale| format!("trips --count {}", scale.latency)),
    Load {
        against: Against::Fresh,
        ..connections("idle", Key::EcdsaP256, |scale| format!("hold --connections {}", scale.idle))
    },
    Load {
        against: Against::Fresh,
        has_small_sockets: true,
        ..connections("stalled", Key::EcdsaP256, |scale| {
            let bytes = scale.stalled * STALLED_BYTES;
            format!("stall --connections {} --bytes {bytes}", scale.stalled)
        })
    },
    Load {
        against: Against::Command,
        ..connections("start-up", Key::EcdsaP256, |_| "start-up".to_owned())
    },
];

/// How Levada's cost grows is no comparison.
fn no_peer(terminator: &Terminator) -> bool {
    !terminator.is_peer()
}

fn ours_alone(terminator: &Terminator) -> bool {
    terminator.name == OURS
}

/// What each stalled client has asked for: more than small sockets take.
const STALLED_BYTES: u64 = 2 << 20;

fn transfer(mode: &str, connections: u32, scale: Scale) -> String {
    format!("{mode} --connections {connections} --bytes {}", scale.bytes)
}

fn handshakes(at_a_time: u32, scale: Scale) -> String {
    format!("handshakes --connections {at_a_time} --count {}", scale.handshakes)
}

/// One number from the result of a load.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) load: &'static str,
    /// The head of its column.
    pub(crate) title: &'static str,
    pub(crate) more_is_better: bool,
    /// Whether the relay without TLS and one pass of encryption make a limit of it.
    pub(crate) has_limit: bool,
    pub(crate) of: fn(&Value) -> Option<f64>,
}

/// A table of the page.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) figures: &'static [Figure],
}

pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Bytes in bulk",
        unit: "CPU seconds per GiB; less is better",
        figures: &[
            in_bulk("down-4", "down, 4 connections"),
            in_bulk("up-4", "up, 4 connections"),
            in_bulk("down-64", "down, 64 connections"),
            in_bulk("up-64", "up, 64 connections"),
        ],
    },
    Group {
        title: "Handshakes",
        unit: "connections per CPU second; more is better",
        figures: &[
            more("full", "full", "full, ECDSA P-256", per_cpu_second),
            more("resumed", "resumed", "resumed", per_cpu_second),
            more("rsa", "rsa", "full, RSA-2048", per_cpu_second),
        ],
    },
    Group {
        title: "Small messages",
        unit: "64 bytes there and back, in microseconds; less is better",
        figures: &[
            less("trips", "trips", "CPU per round trip, 64 clients", cpu_micros_per_one),
            less("p50", "latency", "time, one client, median", |result| number(result, "p50_us")),
            less("p99", "latency", "time, 99th percentile", |result| number(result, "p99_us")),
        ],
    },
    Group {
        title: "At rest",
        unit: "less is better",
        figures: &[
            less("idle", "idle", "KiB per idle connection", kib_per_connection),
            less("start-up", "start-up", "ms from start to first byte", |result| {
                Some(number(result, "seconds")? * 1000.0)
            }),
            less("stalled", "stalled", "KiB per client that does not read", kib_per_connection),
        ],
    },
    Group {
        title: "Many connections: bytes in bulk",
        unit: "CPU seconds per GiB down over so many connections; less is better",
        figures: &[
            in_bulk("down-10", "10"),
            in_bulk("down-100", "100"),
            in_bulk("down-1000", "1,000"),
            in_bulk("down-5000", "5,000"),
        ],
    },
    Group {
        title: "Many connections: handshakes",
        unit: "CPU microseconds per connection, full, ECDSA P-256, so many at a time; less is better",
        figures: &[
            less("full-10", "full-10", "10", cpu_micros_per_one),
            less("full-100", "full-100", "100", cpu_micros_per_one),
            less("full-1000", "full-1000", "1,000", cpu_micros_per_one),
            less("full-5000", "full-5000", "5,000", cpu_micros_per_one),
        ],
    },
];

pub(crate) fn figures() -> impl Iterator<Item = &'static Figure> {
    GROUPS.iter().flat_map(|group| group.figures)
}

const fn in_bulk(name: &'static str, title: &'static str) -> Figure {
    Figure { has_limit: true, ..less(name, name, title, cpu_per_gib) }
}

const fn less(
    name: &'static str,
    load: &'static str,
    title: &'static str,
    of: fn(&Value) -> Option<f64>,
) -> Figure {
    Figure { name, load, title, more_is_better: false, has_limit: false, of }
}

const fn more(
    name: &'static str,
    load: &'static str,
    title: &'static str,
    of: fn(&Value) -> Option<f64>,
) -> Figure {
    Figure { more_is_better: true, ..less(name, load, title, of) }
}

pub(crate) fn cpu_per_gib(result: &Value) -> Option<f64> {
    Some(number(result, "cpu_seconds")? / number(result, "bytes")? * f64::from(1 << 30))
}

fn per_cpu_second(result: &Value) -> Option<f64> {
    let cpu = number(result, "cpu_seconds")?;
    (cpu > 0.0).then_some(number(result, "count")? / cpu)
}

fn cpu_micros_per_one(result: &Value) -> Option<f64> {
    Some(number(result, "cpu_seconds")? * 1e6 / number(result, "count")?)
}

fn kib_per_connection(result: &Value) -> Option<f64> {
    let grown = number(result, "kib_held")? - number(result, "kib_before")?;
    Some(grown / number(result, "connections")?)
}

fn number(result: &Value, name: &str) -> Option<f64> {
    result.get(name)?.as_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_figure_belongs_to_a_load() {
        for figure in figures() {
            assert!(LOADS.iter().any(|load| load.name == figure.load), "{}", figure.name);
        }
    }

    #[test]
    fn figures_are_read_from_results() {
        let bulk = json!({ "cpu_seconds": 1.2, "bytes": 2_u64 << 30 });
        assert_eq!(cpu_per_gib(&bulk), Some(0.6));
        assert_eq!(cpu_per_gib(&json!({ "bytes": 5 })), None);
        let idle = json!({ "kib_before": 100, "kib_held": 900, "connections": 100 });
        assert_eq!(kib_per_connection(&idle), Some(8.0));
        let trips = json!({ "cpu_seconds": 1.5, "count": 100_000 });
        assert_eq!(cpu_micros_per_one(&trips), Some(15.0));
        let handshakes = json!({ "cpu_seconds": 0.5, "count": 1000 });
        assert_eq!(per_cpu_second(&handshakes), Some(2000.0));
        assert_eq!(per_cpu_second(&json!({ "cpu_seconds": 0.0, "count": 1 })), None);
    }
}

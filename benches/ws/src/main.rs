//! What a byte stream over WebSocket costs, relative to the carrier that it runs over: ours, and
//! the crates of the field, each [used as a byte stream](subjects). Prints tables for the page of
//! benchmarks; `cargo xtask bench ws` puts them there.
//!
//! Throughput is measured over a pipe in memory and in CPU time of one thread that holds both ends,
//! so that what is seen is the codec and the stream, not the kernel nor what else the machine does.
//! All take turns in each round; a cell is the median of the rounds' ratios to the raw pipe.

mod subjects;

use std::env;
use std::time::{Duration, Instant};

use levada::Role;
use rustix::time::{ClockId, clock_gettime};
use subjects::{
    Fastwebsockets, Levada, Raw, Stream, Subject, TokioTungstenite, TokioWebsockets,
    WsStreamTungstenite, Yawc,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const SIZES: [(usize, &str); 4] =
    [(1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

/// What the pipe holds, and what a reader offers at once.
const PIPE: usize = 256 << 10;

/// Bytes of one measurement, and round trips of one.
const BYTES: usize = 128 << 20;
const TRIPS: usize = 10_000;

/// One crate's measurements.
struct Row {
    name: &'static str,
    /// CPU time that [`BYTES`] take from this end in writes of this size.
    bytes: fn(&Runtime, Role, usize) -> f64,
    /// The median time of a round trip over TCP, in microseconds.
    trips: fn(&Runtime) -> f64,
}

const ROWS: [Row; 7] = [
    row::<Raw>(),
    row::<Levada>(),
    row::<WsStreamTungstenite>(),
    row::<TokioTungstenite>(),
    row::<TokioWebsockets>(),
    row::<Fastwebsockets>(),
    row::<Yawc>(),
];

const fn row<S: Subject>() -> Row {
    Row {
        name: S::NAME,
        bytes: |runtime, sender, size| runtime.block_on(bytes::<S>(sender, size)),
        trips: |runtime| runtime.block_on(trips::<S>()),
    }
}

fn main() {
    let rounds = match env::args().nth(1) {
        Some(rounds) => rounds.parse().expect("the number of rounds"),
        None => 9,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (title, sender) in
        [("Client to server, masked", Role::Client), ("Server to client", Role::Server)]
    {
        println!("### {title}\n");
        let heads = SIZES.map(|(_, head)| format!(" {head} |")).concat();
        println!("| writes of |{heads}\n|---|---|---|---|---|");
        let columns = SIZES.map(|(size, _)| {
            let times = in_turns(rounds, |row| (row.bytes)(&runtime, sender, size));
            times.each_ref().map(|time| ratios(&times[0], time))
        });
        for (index, row) in ROWS.iter().enumerate().skip(1) {
            let cells = columns.each_ref().map(|column| format!(" {} |", cell(&column[index])));
            println!("| {} |{}", titled(row.name), cells.concat());
        }
        println!();
    }
    println!("### 64 bytes there and back over TCP\n");
    println!("| | median, in µs | to raw TCP |\n|---|---|---|");
    let times = in_turns(rounds, |row| (row.trips)(&runtime));
    for (row, time) in ROWS.iter().zip(&times) {
        let to_raw = cell(&ratios(time, &times[0]));
        println!("| {} | {} | {to_raw} |", titled(row.name), cell(time));
    }
}

/// Measures every row once a round, after a round that does not count.
fn in_turns(rounds: usize, measure: impl Fn(&Row) -> f64) -> [Vec<f64>; ROWS.len()] {
    let mut times = [const { Vec::new() }; ROWS.len()];
    for round in 0..=rounds {
        for (row, times) in ROWS.iter().zip(&mut times) {
            let time = measure(row);
            if round > 0 {
                times.push(time);
            }
        }
    }
    times
}

/// Round by round.
fn ratios(times: &[f64], others: &[f64]) -> Vec<f64> {
    times.iter().zip(others).map(|(time, other)| time / other).collect()
}

/// Median, least and greatest.
fn cell(values: &[f64]) -> String {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (values[0], values[values.len() - 1]);
    format!("**{:.2}** ({least:.2}–{greatest:.2})", values[values.len() / 2])
}

/// The name with the version that `Cargo.lock` says.
fn titled(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let version = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split_once('"'));
    match version {
        Some((version, _)) if name != Levada::NAME => format!("{name} {version}"),
        _ => name.to_owned(),
    }
}

/// The CPU time of this thread so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// The CPU seconds that [`BYTES`] take from one end to the other.
async fn bytes<S: Subject>(sender: Role, size: usize) -> f64 {
    let (from, to) = tokio::io::duplex(PIPE);
    let mut from = S::open(from, sender).await;
    let mut to = S::open(to, subjects::by_role(sender, Role::Server, Role::Client)).await;
    let data = vec![7; size];
    let mut room = vec![0; PIPE];
    let start = cpu();
    let write = async {
        for _ in 0..BYTES / size {
            from.write(&data).await;
        }
        from.flush().await;
    };
    let read = async {
        let mut left = BYTES;
        while left > 0 {
            left -= to.read(&mut room).await;
        }
    };
    tokio::join!(write, read);
    cpu().saturating_sub(start).as_secs_f64()
}

async fn trips<S: Subject>() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (one, other) = tokio::try_join!(TcpStream::connect(address), listener.accept()).unwrap();
    one.set_nodelay(true).unwrap();
    other.0.set_nodelay(true).unwrap();
    let mut one = S::open(one, Role::Client).await;
    let mut other = S::open(other.0, Role::Server).await;
    let answer = async {
        let mut room = [0; 64];
        for _ in 0..TRIPS {
            exactly(&mut other, &mut room).await;
            other.write(&room).await;
            other.flush().await;
        }
    };
    let mut times = Vec::with_capacity(TRIPS);
    let ask = async {
        let mut room = [0; 64];
        for _ in 0..TRIPS {
            let start = Instant::now();
            one.write(&[7; 64]).await;
            one.flush().await;
            exactly(&mut one, &mut room).await;
            times.push(start.elapsed());
        }
    };
    tokio::join!(answer, ask);
    times.sort();
    times[TRIPS / 2].as_secs_f64() * 1e6
}

async fn exactly(stream: &mut impl Stream, room: &mut [u8]) {
    let mut read = 0;
    while read < room.len() {
        read += stream.read(&mut room[read..]).await;
    }
}

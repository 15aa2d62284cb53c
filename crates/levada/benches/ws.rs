//! A byte stream over WebSocket, relative to the raw carrier: `cargo bench -p levada --bench ws`.
//!
//! A plain program. Each cell is the median ratio of the CPU time of rounds that measure both sides in
//! turn (A B A B), in one thread, over a pipe in memory: what is seen is the codec and the stream, not
//! the kernel, nor what else the machine does.
//! tokio-tungstenite is measured beside it, used as a stream of messages, because it stands in this
//! crate's tests anyway. The last table is the round trip of 64 bytes over TCP.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, reason = "what fails here ends the benchmark")]

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use levada::ws::WsOptions;
use levada::{Role, WsStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol;

const ROUNDS: usize = 9;
/// Bytes of one measurement.
const ROUND: usize = 128 << 20;
const SIZES: [usize; 4] = [1 << 10, 16 << 10, 64 << 10, 1 << 20];
/// What the pipe holds.
const PIPE: usize = 256 << 10;
/// What a reader offers at once.
const ROOM: usize = 256 << 10;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "bytes per CPU second over a pipe in memory, raw pipe = 1, median of {ROUNDS} pairs (spread)"
    );
    println!("{:36}{:>18}{:>18}{:>18}{:>18}", "", "1 KiB", "16 KiB", "64 KiB", "1 MiB");
    for (name, sender) in [("client to server", Role::Client), ("server to client", Role::Server)] {
        row(
            &format!("WsStream, {name}"),
            |size| {
                runtime.block_on(async {
                    let (from, to) = ends(sender);
                    bytes(from, to, size).await
                })
            },
            |size| raw(&runtime, size),
        );
        row(
            &format!("tokio-tungstenite, {name}"),
            |size| runtime.block_on(messages(sender, size)),
            |size| raw(&runtime, size),
        );
    }
    println!("\n64-byte round trip over TCP, p50 in µs, {ROUNDS} pairs");
    let (mut raws, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let [one, other] = runtime.block_on(tcp())?;
        raws.push(runtime.block_on(ping_pong(one, other)));
        let [one, other] = runtime.block_on(tcp())?;
        let one = WsStream::after_upgrade(one, [], Role::Client, WsOptions::default());
        let other = WsStream::after_upgrade(other, [], Role::Server, WsOptions::default());
        ours.push(runtime.block_on(ping_pong(one, other)));
    }
    println!("raw TCP {:.2}   WsStream {:.2}", median(&mut raws), median(&mut ours));
    Ok(())
}

fn row(name: &str, mut one: impl FnMut(usize) -> Duration, mut raw: impl FnMut(usize) -> Duration) {
    print!("{name:36}");
    for size in SIZES {
        one(size);
        raw(size);
        let mut ratios: Vec<f64> =
            (0..ROUNDS).map(|_| raw(size).as_secs_f64() / one(size).as_secs_f64()).collect();
        let middle = median(&mut ratios);
        let cell = format!("{middle:.2} ({:.2}-{:.2})", ratios[0], ratios[ROUNDS - 1]);
        print!("{cell:>18}");
    }
    println!();
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn raw(runtime: &tokio::runtime::Runtime, size: usize) -> Duration {
    runtime.block_on(async {
        let (from, to) = duplex(PIPE);
        bytes(from, to, size).await
    })
}

/// The CPU time of this thread so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let spent = text.split(' ').next().expect("it is the first number");
    Duration::from_nanos(spent.parse().expect("it is a number"))
}

fn ends(sender: Role) -> (WsStream<DuplexStream>, WsStream<DuplexStream>) {
    let receiver = if sender == Role::Client { Role::Server } else { Role::Client };
    let (from, to) = duplex(PIPE);
    (
        WsStream::after_upgrade(from, [], sender, WsOptions::default()),
        WsStream::after_upgrade(to, [], receiver, WsOptions::default()),
    )
}

/// The time that [`ROUND`] bytes take from one end to the other.
async fn bytes(
    mut from: impl AsyncWrite + Unpin,
    mut to: impl AsyncRead + Unpin,
    size: usize,
) -> Duration {
    let data = vec![7; size];
    let mut room = vec![0; ROOM];
    let start = cpu();
    let write = async {
        for _ in 0..ROUND / size {
            from.write_all(&data).await.expect("it is open");
        }
        from.flush().await.expect("it is open");
    };
    let read = async {
        let mut left = ROUND;
        while left > 0 {
            left -= to.read(&mut room).await.expect("it is open");
        }
    };
    tokio::join!(write, read);
    cpu().saturating_sub(start)
}

async fn messages(sender: Role, size: usize) -> Duration {
    let (from, to) = duplex(PIPE);
    let (ours, theirs) = match sender {
        Role::Client => (protocol::Role::Client, protocol::Role::Server),
        Role::Server => (protocol::Role::Server, protocol::Role::Client),
    };
    let mut from = WebSocketStream::from_raw_socket(from, ours, None).await;
    let mut to = WebSocketStream::from_raw_socket(to, theirs, None).await;
    let data = vec![7; size];
    let start = cpu();
    let write = async {
        for _ in 0..ROUND / size {
            from.feed(Message::Binary(data.clone().into())).await.expect("it is open");
        }
        from.flush().await.expect("it is open");
    };
    let read = async {
        let mut left = ROUND;
        while left > 0 {
            left -= to.next().await.expect("it is open").expect("it is open").len();
        }
    };
    tokio::join!(write, read);
    cpu().saturating_sub(start)
}

async fn tcp() -> io::Result<[TcpStream; 2]> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (one, other) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
    one.set_nodelay(true)?;
    other.0.set_nodelay(true)?;
    Ok([one, other.0])
}

/// The median time of a round trip, in microseconds.
async fn ping_pong(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) -> f64 {
    const TURNS: usize = 20_000;
    let mut room = [0; 64];
    let mut times = Vec::with_capacity(TURNS);
    let answer = async {
        let mut room = [0; 64];
        for _ in 0..TURNS {
            other.read_exact(&mut room).await.expect("it is open");
            other.write_all(&room).await.expect("it is open");
            other.flush().await.expect("it is open");
        }
    };
    let ask = async {
        for _ in 0..TURNS {
            let start = Instant::now();
            one.write_all(&[7; 64]).await.expect("it is open");
            one.flush().await.expect("it is open");
            one.read_exact(&mut room).await.expect("it is open");
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    };
    tokio::join!(answer, ask);
    median(&mut times)
}

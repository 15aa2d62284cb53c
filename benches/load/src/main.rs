//! Loads TLS terminators and says what they took for it. A tool of its own, so that every terminator
//! meets the same load; it is no part of the product, and therefore names rustls itself.
//!
//! The load goes from here through the terminator to our own backend, which runs as another process.
//! Both ends check every byte: a terminator that loses data is not fast, it fails.

mod aead;
mod backend;
mod bulk;
mod handshakes;
mod hold;
mod link;
mod options;
mod pattern;
mod process;
mod relay;
mod request;
mod run;
mod session;
mod socket;
mod start_up;
mod target;
mod trips;

use std::io;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, error};

use options::{Mode, Options};
use serde_json::Value;

const USAGE: &str = "\
usage: levada-load MODE [OPTION]...

The other end, behind the terminator (they run until they are killed):
  backend     answer what the modes below ask for           --listen
  relay       relay plain TCP, the limit of any terminator  --listen --to

The load; each prints one line of JSON:
  down        bytes from the backend to us    --to --ca --connections --bytes --pid
  up          bytes from us to the backend    --to --ca --connections --bytes --pid
  handshakes  whole connections, one byte each
                                    --to --ca --connections --count --resume --pid
  trips       64-byte round trips   --to --ca --connections --count --depth --pid
  hold        idle connections      --to --ca --connections --pid
  stall       connections that do not read    --to --ca --connections --bytes --pid
  start-up    from a command's start to its first byte      --to --ca -- COMMAND...
  aead        AES-128-GCM over 16 KiB records in memory     --bytes

  --listen ADDRESS  --to ADDRESS   an IP address and port
  --ca FILE         the terminator's own certificate, in PEM; without it the load is plain TCP
  --connections N   at the same time (1)
  --bytes N         over all connections (1073741824)
  --count N         handshakes, or round trips, over all connections (1000)
  --depth N         round trips under way on each connection (1)
  --pause MICROS    sleep before each wait, so that many events wake us once (0)
  --resume          resume a session instead of the full handshake
  --pid PID         the process whose CPU time or memory is told, with its children
";

/// No run is meant to take longer: one that does hangs.
const LIMIT: Duration = Duration::from_secs(300);

type Outcome = Result<Value, Box<dyn error::Error>>;

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprint!("levada-load: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("levada-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome {
    if options.mode == Mode::Aead {
        return aead::run(options);
    }
    let runtime = runtime(options.pause)?;
    let local = tokio::task::LocalSet::new();
    let mode = options.mode;
    local.block_on(&runtime, async {
        if matches!(mode, Mode::Backend | Mode::Relay) {
            return serve(options).await;
        }
        match tokio::time::timeout(LIMIT, load(options)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("not done after {} seconds", LIMIT.as_secs()).into()),
        }
    })
}

/// A runtime of one thread, which sleeps for `pause` whenever it would wait.
///
/// On loopback, waking the receiver is the work of the sender's system call, and dear where the other
/// core sleeps. With a real network between them the terminator has no such work; so in bulk the load
/// is not waiting when bytes come, but looks for them after a while.
#[expect(clippy::disallowed_methods, reason = "nothing here shall go on meanwhile")]
fn runtime(pause: Duration) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if !pause.is_zero() {
        builder.on_thread_park(move || std::thread::sleep(pause));
    }
    builder.enable_all().build()
}

async fn serve(options: &Options) -> Outcome {
    match options.mode {
        Mode::Backend => backend::run(options).await?,
        _ => relay::run(options).await?,
    }
    Ok(Value::Null)
}

async fn load(options: &Options) -> Outcome {
    match options.mode {
        Mode::Down => bulk::down(options).await,
        Mode::Up => bulk::up(options).await,
        Mode::Handshakes => handshakes::run(options).await,
        Mode::Trips => trips::run(options).await,
        Mode::Hold => hold::run(options).await,
        Mode::Stall => hold::stall(options).await,
        Mode::StartUp => start_up::run(options).await,
        Mode::Backend | Mode::Relay | Mode::Aead => unreachable!("these are no load on a peer"),
    }
}

/// A task's outcome, a panic in it being one more error.
async fn joined<T>(task: tokio::task::JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.map_err(io::Error::other)?
}

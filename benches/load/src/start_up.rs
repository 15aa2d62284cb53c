//! How long a command takes from its start to the first byte through it.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Outcome;
use crate::link::Link;
use crate::options::Options;
use crate::run::Run;
use crate::target::Target;

const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: &Options) -> Outcome {
    let target = Target::new(options)?;
    // Cryptography that seeds itself at the first use does so now, and not within the measurement.
    drop(target.session()?);
    if TcpStream::connect(target.address).await.is_ok() {
        return Err(format!("{} is taken by another process", target.address).into());
    }
    let [program, words @ ..] = options.command.as_slice() else {
        return Err("start-up needs a command behind `--`".into());
    };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());

    let mut run = Run::begin(options)?;
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let first = timeout(LIMIT, first_byte(&target, &mut child)).await;
    run.end()?;
    let stopped = timeout(LIMIT, stop(&target, &mut child)).await;
    if stopped.is_err() {
        child.kill()?;
        child.wait()?;
    }
    run.add(first.map_err(|_| format!("{program} does not answer"))??.negotiated());
    run.add(json!({ "command": options.command.join(" ") }));
    Ok(run.result())
}

/// Asks again and again: any pause would be part of the result. Some listen before they can answer, and
/// hang up on who comes too early.
async fn first_byte(target: &Target, child: &mut Child) -> io::Result<Link> {
    loop {
        match probed(target).await {
            Ok(link) => return Ok(link),
            Err(error) => {
                if let Some(status) = child.try_wait()? {
                    return Err(io::Error::other(format!("the command ended: {status}, {error}")));
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn probed(target: &Target) -> io::Result<Link> {
    let mut link = Link::open(target).await?;
    link.probe().await?;
    Ok(link)
}

/// Asks the command to end, and waits until its workers do not answer any more either.
async fn stop(target: &Target, child: &mut Child) -> io::Result<()> {
    kill_process(Pid::from_child(child), Signal::TERM)?;
    while child.try_wait()?.is_none() || TcpStream::connect(target.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

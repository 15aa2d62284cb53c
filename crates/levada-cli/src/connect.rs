//! `levada connect`: standard input and output joined to one stream.

use levada::{Address, Dialer, Ended, Ending, Socket};

use crate::exit::{Exit, Stop, fail, say};
use crate::log::Format;
use crate::narrate::narrate;
use crate::plan::ConnectPlan;
use crate::signals::Signals;

/// Connects, relays until both ends have ended, and tells how it went.
///
/// # Errors
///
/// When it cannot even begin.
pub(crate) async fn run(plan: ConnectPlan) -> Result<Exit, Stop> {
    let mut signals = Signals::listen().map_err(|error| fail(format!("signals: {error}")))?;
    let mut peer = dial(&plan.address)?;
    let narrator = plan.verbose.then(|| tokio::spawn(narrate(peer.events(), plan.format)));
    let ours = tokio::select! {
        ours = join(&mut peer) => ours?,
        _ = signals.next() => None,
    };
    // Both have ended, but for a signal, or where standard output is gone.
    peer.abort();
    let ended = peer.closed().await;
    if let Some(narrator) = narrator {
        // It ends with the last event, which has come by now.
        let _ = narrator.await;
    }
    tell(&plan, &ended, ours.as_ref());
    Ok(Exit::of(&ended))
}

fn dial(address: &Address) -> Result<Socket, Stop> {
    let begun = Dialer::new(address).and_then(|dialer| dialer.dial());
    begun.map_err(|error| fail(error.to_string()))
}

/// Relays between standard input and output and `peer`, once that is established: what is typed or
/// piped before waits outside, and so does its end. Gives the ending of our own side.
async fn join(peer: &mut Socket) -> Result<Option<Ended>, Stop> {
    if peer.established().await.is_err() {
        return Ok(None);
    }
    // Nothing in this address can be wrong.
    let Ok(address) = "stdio:".parse() else { return Ok(None) };
    let mut stdio = dial(&address)?;
    if let Err(error) = stdio.established().await {
        return Err(fail(format!("standard input or output cannot be used: {error}")));
    }
    let (ours, _) = levada::relay(&mut stdio, peer).await;
    Ok(Some(ours))
}

/// Tells the ending on standard error. A clean one needs no words, but programs want it in any case.
fn tell(plan: &ConnectPlan, ended: &Ended, ours: Option<&Ended>) {
    if plan.format == Format::Json {
        // Every part of an ending is a struct, a string or a number.
        say(&serde_json::to_string(ended).unwrap_or_default());
        return;
    }
    // Where our own side failed, the peer was only dropped because of it.
    let cause = match ours.map(|ours| &ours.ending) {
        Some(Ending::SocketError(error)) => Some(format!("standard input or output: {error}")),
        _ => None,
    };
    match cause {
        Some(cause) => say(&format!("levada: {cause}")),
        None if ended.is_clean() => {}
        None => say(&format!("levada: {ended}\n    {}", ended.hint())),
    }
}

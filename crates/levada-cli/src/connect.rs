//! `levada connect`: standard input and output joined to one stream.

use levada::{Address, AddressError, Dialer, Ended, Stream};
use serde::Serialize;

use crate::danger::Danger;
use crate::exit::{Exit, Stop, fail, say};
use crate::log::Format;
use crate::narrate::narrate;
use crate::plan::ConnectPlan;
use crate::signals::Signals;

/// Our own side. A pipe may be silent for as long as it likes: only the peer's deadlines count.
const STDIO: &str = "stdio:?deadline-close=off";

/// Connects, relays until both ends have ended, and tells how it went.
///
/// # Errors
///
/// When it cannot even begin.
pub(crate) async fn run(plan: ConnectPlan) -> Result<Exit, Stop> {
    let mut signals = Signals::listen().map_err(|error| fail(format!("signals: {error}")))?;
    let mut peer = dial(&plan.address)?;
    for danger in Danger::all_of(&plan.address) {
        say(&match plan.format {
            Format::Json => serde_json::json!({ "danger": danger }).to_string(),
            Format::Text => format!("levada: {danger}"),
        });
    }
    let narrator = plan.verbose.then(|| tokio::spawn(narrate(peer.events(), plan.format)));
    let ours = tokio::select! {
        ours = join(&mut peer, &plan) => ours?,
        _ = signals.next() => None,
    };
    // Both have ended, but for a signal, or where standard output is gone: that is no clean end.
    peer.fail();
    let ended = peer.closed().await;
    if let Some(narrator) = narrator {
        // It ends with the last event, which has come by now.
        let _ = narrator.await;
    }
    tell(&plan, &ended, ours.as_ref());
    Ok(Exit::of(&ended))
}

fn dial(address: &Address) -> Result<Stream, Stop> {
    let begun = Dialer::new(address).and_then(|dialer| dialer.dial());
    begun.map_err(|error| fail(error.to_string()))
}

/// Relays between standard input and output and `peer`, once that is established: what is typed or
/// piped before waits outside, and so does its end. Gives the ending of our own side.
async fn join(peer: &mut Stream, plan: &ConnectPlan) -> Result<Option<Ended>, Stop> {
    if peer.established().await.is_err() {
        return Ok(None);
    }
    if let Some(kernel_tls) = peer.facts().kernel_tls.filter(|_| plan.verbose) {
        // No event tells of it: streams have the same ones on either way.
        say(&match plan.format {
            Format::Json => serde_json::json!({ "kernel_tls": kernel_tls }).to_string(),
            Format::Text => format!("levada: records of TLS {kernel_tls}"),
        });
    }
    let mut stdio = dial(&STDIO.parse().map_err(|error: AddressError| fail(error.to_string()))?)?;
    if let Err(error) = stdio.established().await {
        return Err(fail(format!("standard input or output cannot be used: {error}")));
    }
    let (ours, _) = levada::relay(&mut stdio, peer).await;
    Ok(Some(ours))
}

/// Tells the ending on standard error. A clean one needs no words, but programs want it in any case.
fn tell(plan: &ConnectPlan, ended: &Ended, ours: Option<&Ended>) {
    // Where our own side failed, the peer was only dropped because of it.
    let stdio = ours.filter(|ours| ours.ending.transport_error().is_some());
    let line = match (plan.format, stdio) {
        (Format::Json, stdio) => {
            // Every part of an ending is a struct, a string or a number.
            serde_json::to_string(&JsonEnded { ended, stdio }).unwrap_or_default()
        }
        (Format::Text, Some(stdio)) => {
            format!("levada: standard input or output: {}", stdio.ending)
        }
        (Format::Text, None) if ended.is_clean() && plan.verbose => format!("levada: {ended}"),
        (Format::Text, None) if ended.is_clean() => return,
        (Format::Text, None) => format!("levada: {ended}\n    {}", ended.hint()),
    };
    say(&line);
}

#[derive(Serialize)]
struct JsonEnded<'a> {
    #[serde(flatten)]
    ended: &'a Ended,
    /// How our own side failed, if that was the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    stdio: Option<&'a Ended>,
}

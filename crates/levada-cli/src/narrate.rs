//! A stream's life in words, as it happens.

use levada::{Event, Events, Mode, Party, State};

use crate::exit::say;
use crate::log::Format;

/// Tells every event on standard error, but for the end, which has a line of its own in any case.
pub(crate) async fn narrate(mut events: Events, format: Format) {
    while let Some(event) = events.next().await {
        match format {
            _ if matches!(event, Event::Ended(_)) => {}
            Format::Text => {
                if let Some(words) = words(&event) {
                    say(&format!("levada: {words}"));
                }
            }
            Format::Json => {
                let line = serde_json::json!({ "event": event });
                say(&line.to_string());
            }
        }
    }
}

/// One event in words; `None` for one that another line tells.
fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::State(State::HostLookup) => "looking up the name".to_owned(),
        Event::State(State::Connecting) => "connecting".to_owned(),
        Event::State(State::Connected) => "connected".to_owned(),
        Event::State(State::Handshaking) => "handshaking".to_owned(),
        Event::State(State::Established) => "established".to_owned(),
        Event::State(State::Closing) => "closing: our goodbye is on its way".to_owned(),
        Event::State(State::Unconnected | State::Disconnected) | Event::Ended(_) => return None,
        Event::Mode(Mode::Plain) => "plain from here on".to_owned(),
        Event::Mode(Mode::TlsClient | Mode::TlsServer) => "speaking TLS".to_owned(),
        Event::HostFound { name, addresses: 1 } => format!("{name} has one address"),
        Event::HostFound { name, addresses } => format!("{name} has {addresses} addresses"),
        Event::Attempt(address) => format!("trying {address}"),
        Event::AttemptFailed(address, error) => format!("{address} failed: {error}"),
        Event::Alert(Party::Local, alert) => format!("we sent the fatal alert {alert}"),
        Event::Alert(Party::Peer, alert) => format!("the peer sent the fatal alert {alert}"),
        Event::Goodbye(Party::Local) => "we said goodbye".to_owned(),
        Event::Goodbye(Party::Peer) => "the peer said goodbye".to_owned(),
        Event::TransportFailed(error) => {
            format!("the transport failed after both goodbyes, nothing is lost: {error}")
        }
        Event::Ping(_) => "the peer pinged".to_owned(),
        Event::Pong(_) => "the peer answered a ping".to_owned(),
        Event::TextRefused => "the peer sent text, which is refused".to_owned(),
        Event::CloseFrame { code: Some(code), reason } => {
            format!("the peer closed with code {code}: {}", reason.escape_debug())
        }
        Event::CloseFrame { code: None, .. } => "the peer closed without a code".to_owned(),
        Event::WsViolation { code, cause } => format!("the peer broke the rules ({code}): {cause}"),
        Event::Lost(count) => format!("({count} events are not shown)"),
    })
}

//! What the plan says of a WebSocket.

use levada_address::{ConnectWebSocket, Deflate, Http, ListenWebSocket, Side, Value};
use serde::Serialize;

use super::millis;

/// How a WebSocket is opened.
#[derive(Debug, Serialize)]
pub(super) struct WebSocket {
    #[serde(skip)]
    side: Side,
    /// `None` for every one that no route before it has.
    path: Option<String>,
    /// Those that may come, or the one that is named; `None` for every one.
    origins: Option<Vec<String>>,
    /// The preferred one first.
    subprotocols: Vec<String>,
    http: &'static str,
    text_as_bytes: bool,
    #[serde(serialize_with = "word")]
    deflate: Deflate,
    #[serde(rename = "ping_ms")]
    ping: Option<u64>,
}

impl WebSocket {
    pub(super) fn accepted(listen: ListenWebSocket) -> Self {
        let ListenWebSocket { path, origins, subprotocols, http, text_as_bytes, deflate, ping } =
            listen;
        let ping = ping.map(|time| time.as_millis() as u64);
        let (side, http) = (Side::Listen, versions(http));
        Self { side, path, origins, subprotocols, http, text_as_bytes, deflate, ping }
    }

    pub(super) fn asked_for(to: ConnectWebSocket) -> Self {
        let ConnectWebSocket {
            path, origin, subprotocols, http, text_as_bytes, deflate, ping, ..
        } = to;
        let (path, origins) = (Some(path), Some(origin.into_iter().collect()));
        let ping = ping.map(|time| time.as_millis() as u64);
        let (side, http) = (Side::Connect, versions(http));
        Self { side, path, origins, subprotocols, http, text_as_bytes, deflate, ping }
    }

    pub(super) fn text(&self, lines: &mut Vec<String>) {
        let of_listening = self.side == Side::Listen;
        lines.push(match &self.path {
            Some(path) => format!("    path {path}"),
            None => "    every path that no route before it has".to_owned(),
        });
        lines.extend(match (self.origins.as_deref(), of_listening) {
            (None, _) => Some("    web pages of every site may connect".to_owned()),
            (Some([]), true) => Some("    no web page may connect".to_owned()),
            (Some([]), false) => None,
            (Some(origins), true) => {
                Some(format!("    web pages of {} may connect", origins.join(" or ")))
            }
            (Some(origins), false) => Some(format!("    as a web page of {}", origins.concat())),
        });
        if !self.subprotocols.is_empty() {
            lines.push(format!("    subprotocol {}", self.subprotocols.join(",")));
        }
        match self.http {
            "1.1" => {}
            "2" => lines.push("    over HTTP/2".to_owned()),
            _ => lines.push("    over HTTP/2 where both ends speak it, else HTTP/1.1".to_owned()),
        }
        if self.text_as_bytes {
            lines.push("    text is taken as bytes".to_owned());
        }
        let compressed = "    messages are compressed where the peer does it too";
        match self.deflate {
            Deflate::Off => {}
            Deflate::On => lines.push(compressed.to_owned()),
            Deflate::NoContextTakeover => lines.push(format!("{compressed}, each by itself")),
        }
        lines.extend(self.ping.map(|time| format!("    ping after {}", millis(time))));
    }
}

/// As an address has it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn word<S: serde::Serializer>(deflate: &Deflate, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Value::Deflate(*deflate))
}

const fn versions(http: Http) -> &'static str {
    match http {
        Http::V1 => "1.1",
        Http::V2 => "2",
        Http::Auto => "auto",
    }
}

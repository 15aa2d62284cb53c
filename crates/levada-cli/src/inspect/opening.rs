//! The opening handshake of a WebSocket: what a server answers, and what it means when it refuses.

use std::net::IpAddr;
use std::time::Duration;

use levada::ws::{Field, HandshakeError, Rejection};
use levada::{Dialer, Stream, WsStream};
use levada_address::ConnectWebSocket;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::target::Target;
use super::visit::{self, GOODBYE};

/// The Origin of a site that nothing has to do with: its name never belongs to anybody (RFC 6761
/// section 6.4).
const STRANGER: &str = "https://stranger.invalid";

/// What is amiss most often.
const PROXY: &str = "a proxy in between has to pass on the fields `Upgrade` and `Connection`";

/// As much is shown of a field that the server has sent.
const SHOWN: usize = 200;

/// An opening handshake, whatever came of it.
#[derive(Debug)]
pub(crate) struct Opening {
    /// How long it took.
    pub(crate) time: Duration,
    /// The version of HTTP that carries it.
    pub(crate) http: &'static str,
    /// The HTTP status of the answer; `None` where no answer came, or none of that version.
    pub(crate) status: Option<u16>,
    /// The subprotocol that the server chose.
    pub(crate) subprotocol: Option<String>,
    /// The extension that it chose, offered or not.
    pub(crate) extension: Option<String>,
    /// Why its answer opens no WebSocket.
    pub(crate) refusal: Option<Refusal>,
}

/// Why an answer opens no WebSocket, in words, and what mends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Opening {
    /// What came of it on `stream`, which began so long ago; `None` where its carrier was never up, so
    /// that nothing was asked.
    pub(crate) fn of(
        stream: &WsStream,
        outcome: Result<(), &HandshakeError>,
        asked: &ConnectWebSocket,
        ago: Duration,
    ) -> Option<Self> {
        let carrier = stream.get_ref();
        let last = carrier.ended().map_or(carrier.state(), |ended| ended.phase);
        if last.is_before_established() {
            return None;
        }
        let rejection = match outcome {
            Err(HandshakeError::Rejected(rejection, _)) => Some(rejection),
            _ => None,
        };
        let http = stream.facts().http.unwrap_or("1.1");
        // What HTTP/1.1 switches, HTTP/2 connects (RFC 8441 section 5).
        let opened = if http == "2" { 200 } else { 101 };
        let below = carrier.facts().times;
        let below = [below.lookup, below.connect, below.handshake].into_iter().flatten().sum();
        Some(Self {
            time: ago.saturating_sub(below),
            http,
            status: match (outcome, rejection) {
                (Ok(()), _) => Some(opened),
                (Err(_), Some(rejection)) => status(rejection, opened),
                (Err(_), None) => None,
            },
            subprotocol: stream.subprotocol().map(ToOwned::to_owned),
            extension: match rejection {
                Some(Rejection::Extension(name)) => Some(shown(name)),
                _ => stream.facts().web_socket.and_then(|agreed| agreed.extension),
            },
            refusal: rejection.map(|rejection| Refusal::of(rejection, asked)),
        })
    }

    /// Whether a WebSocket is open.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status, Some(101 | 200)) && self.refusal.is_none()
    }
}

/// Whether the server lets web pages in that have nothing to do with it; `None` where it gave no answer.
pub(crate) async fn lets_strangers_in(target: &Target, ip: Option<IpAddr>) -> Option<bool> {
    let mut address = target.whole.clone().without("origin");
    address.set("origin", STRANGER).ok()?;
    let dialer = Dialer::new(&address).ok()?;
    let Stream::WebSocket(mut stream) = visit::dial(&dialer, ip).ok()? else { return None };
    match stream.established().await {
        Ok(()) => {
            let _ = timeout(GOODBYE, stream.shutdown()).await;
            Some(true)
        }
        // What it says of itself says nothing of strangers.
        Err(HandshakeError::Rejected(Rejection::Status { status: 429 | 500.., .. }, _)) => None,
        Err(HandshakeError::Rejected(..)) => Some(false),
        Err(_) => None,
    }
}

/// The status of an answer that was read, where this one opens.
const fn status(rejection: &Rejection, opened: u16) -> Option<u16> {
    match rejection {
        Rejection::Status { status, .. } => Some(*status),
        Rejection::BadHead
        | Rejection::HeadTooLong
        | Rejection::TooManyFields
        | Rejection::HttpVersion
        | Rejection::NotHttp2
        | Rejection::NoExtendedConnect
        | Rejection::Truncated => None,
        _ => Some(opened),
    }
}

impl Refusal {
    fn of(rejection: &Rejection, asked: &ConnectWebSocket) -> Self {
        let faulty = "the server is at fault, or something in between that answers for it";
        let hint = match rejection {
            Rejection::Status { status, fields } => return Self::with(*status, fields, asked),
            Rejection::BadHead => "is this the port of a web server?",
            Rejection::HttpVersion => {
                "a proxy in between has to speak HTTP/1.1 to the server: of nginx, \
                 `proxy_http_version 1.1`"
            }
            Rejection::Upgrade | Rejection::Connection => PROXY,
            Rejection::AcceptWrong => "something in between answers out of its store",
            Rejection::Extension(_) => "the server may choose none that was not offered",
            Rejection::NotHttp2 | Rejection::NoExtendedConnect => {
                "leave `http` away, or let both ends choose: `http=auto`"
            }
            Rejection::Subprotocol(_) => "offer it by `subprotocol`, or let the server choose none",
            _ => faulty,
        };
        Self { message: rejection.to_string(), hint: hint.to_owned() }
    }

    /// An answer with another status than 101.
    fn with(status: u16, fields: &[Field], asked: &ConnectWebSocket) -> Self {
        let field = |name: &str| {
            let mut fields = fields.iter().filter(|field| field.name().eq_ignore_ascii_case(name));
            fields.next().and_then(Field::text).map(shown)
        };
        let path = &asked.path;
        let (message, hint) = match status {
            200..=299 => (
                "the server takes this for a request of some page".to_owned(),
                format!("it opens no WebSocket at {path}, or {PROXY}"),
            ),
            300..=399 => (
                "the server sends us elsewhere".to_owned(),
                field("location").map_or_else(
                    || "it does not say where".to_owned(),
                    |place| format!("give its new place: {place}"),
                ),
            ),
            401 | 407 => (
                "the server wants to know who we are".to_owned(),
                match field("www-authenticate").or_else(|| field("proxy-authenticate")) {
                    Some(how) => format!("say it in a line of `header-file`; it asks for: {how}"),
                    None => {
                        "say it in a line of `header-file`: Authorization, or Cookie".to_owned()
                    }
                },
            ),
            403 => match &asked.origin {
                Some(origin) => (
                    format!("the server does not let web pages of {origin} in"),
                    "name an `origin` that it knows, or let it know this one".to_owned(),
                ),
                None => (
                    "the server does not let us in".to_owned(),
                    "it may want an `origin`, or a credential in `header-file`".to_owned(),
                ),
            },
            404 | 410 => (
                format!("the server has nothing at {path}"),
                "the path stands behind the port: `ws://host:port/path`".to_owned(),
            ),
            400 | 405 | 426 => (
                "the server does not want this request".to_owned(),
                match (field("sec-websocket-version"), field("upgrade")) {
                    (Some(version), _) if !version.contains("13") => {
                        format!("it speaks version {version}, and we speak 13")
                    }
                    (None, Some(other)) if !other.eq_ignore_ascii_case("websocket") => {
                        format!("it wants another protocol: {other}")
                    }
                    (None, None) => {
                        "it may need a `subprotocol`, or another host; its log tells more"
                            .to_owned()
                    }
                    _ => format!("it would open a WebSocket, but was asked for none: {PROXY}"),
                },
            ),
            429 | 503 => (
                "the server has no room for us now".to_owned(),
                field("retry-after").map_or_else(
                    || "try again later".to_owned(),
                    |time| format!("try again; it says when: {time}"),
                ),
            ),
            502 | 504 => (
                "the server that we reached gets no answer from the one behind it".to_owned(),
                "look into its log: is the other one running?".to_owned(),
            ),
            500..=599 => {
                ("the server has failed".to_owned(), "look into the server's log".to_owned())
            }
            _ => (
                "the server opens no WebSocket".to_owned(),
                "look into the server's log for the reason".to_owned(),
            ),
        };
        Self { message: format!("{message}: status {status}"), hint }
    }
}

/// What the server has sent, fit to be shown.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(origin: Option<&str>) -> ConnectWebSocket {
        let mut address: levada::Address = "ws://host.example:80/vnc".parse().unwrap();
        if let Some(origin) = origin {
            address.set("origin", origin).unwrap();
        }
        address.for_connecting().unwrap().web_socket.unwrap()
    }

    fn refused(status: u16, fields: &[(&str, &str)], origin: Option<&str>) -> String {
        let fields = fields.iter().map(|(name, value)| Field::new(name, value).unwrap()).collect();
        let rejection = Rejection::Status { status, fields };
        let refusal = Refusal::of(&rejection, &asked(origin));
        format!("{} -> {}", refusal.message, refusal.hint)
    }

    #[test]
    fn each_status_says_what_it_means_here() {
        for (status, fields, origin, words) in [
            (200, &[][..], None, "opens no WebSocket at /vnc"),
            (307, &[("Location", "wss://b.example/")], None, "its new place: wss://b.example/"),
            (308, &[], None, "does not say where"),
            (401, &[("WWW-Authenticate", "Basic realm=\"x\"")], None, "asks for: Basic realm="),
            (401, &[], None, "Authorization, or Cookie"),
            (403, &[], None, "may want an `origin`"),
            (403, &[], Some("https://a.example"), "web pages of https://a.example"),
            (404, &[], None, "nothing at /vnc: status 404"),
            (426, &[], None, "may need a `subprotocol`"),
            (429, &[("Retry-After", "120")], None, "says when: 120"),
            (502, &[], None, "the one behind it"),
            (500, &[], None, "has failed: status 500"),
            (600, &[], None, "status 600"),
        ] {
            let told = refused(status, fields, origin);
            assert!(told.contains(words), "{status}: {told}");
        }
    }

    #[test]
    fn what_the_server_sends_is_shown_on_one_line_and_not_without_end() {
        let told = refused(302, &[("Location", &"\u{a0}x\u{85}".repeat(1000))], None);
        assert!(told.len() < 3000 && !told.contains(char::is_control), "{told}");
    }
}

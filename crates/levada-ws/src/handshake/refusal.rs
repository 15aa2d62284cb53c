//! Why a server refuses a request, and how it says so.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::{Field, Page};

/// A server's reason to refuse. Each has one HTTP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the bytes are no HTTP/1.1 request.
    BadHead,
    /// 431: the head is longer than our limit.
    HeadTooLong,
    /// 431: the head has more fields than our limit.
    TooManyFields,
    /// 405: the method is not GET.
    Method,
    /// 400: HTTP/1.0.
    HttpVersion,
    /// 400: the target is neither a path nor an http URI.
    Target,
    /// 400: no Host, or several.
    Host,
    /// 400: the request announces a body.
    Body,
    /// 426: no Upgrade to websocket, or no Connection that says upgrade.
    NotAnUpgrade,
    /// 426: no Sec-WebSocket-Version, or not 13. The response names the one we speak.
    Version,
    /// 400: no Sec-WebSocket-Key, several, or not 16 bytes in base64.
    Key,
    /// 400: several Origins, or one that is no text.
    Origin,
    /// 400: a subprotocol that is no token, or offered twice.
    Subprotocol,
    /// 404: no such path.
    Path,
    /// 403: the Origin is not on our list.
    OriginForbidden,
    /// 400: none of the subprotocols that we ask for is offered.
    NoCommonSubprotocol,
    /// 200: no WebSocket was asked for, and this page is shown instead.
    Page(Page),
    /// The application's own refusal.
    Application {
        /// The HTTP status: 300 to 599, or 500 is sent.
        status: u16,
        /// More header fields, such as WWW-Authenticate or Retry-After.
        fields: Vec<Field>,
    },
    /// The carrier ended before the head did; nobody is there to be answered.
    Truncated,
}

impl Refusal {
    /// The HTTP status that says it.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadHead
            | Self::HttpVersion
            | Self::Target
            | Self::Host
            | Self::Body
            | Self::Key
            | Self::Origin
            | Self::Subprotocol
            | Self::NoCommonSubprotocol
            | Self::Truncated => 400,
            Self::Page(_) => 200,
            Self::OriginForbidden => 403,
            Self::Path => 404,
            Self::Method => 405,
            Self::NotAnUpgrade | Self::Version => 426,
            Self::HeadTooLong | Self::TooManyFields => 431,
            Self::Application { status, .. } => {
                if (300..600).contains(status) {
                    *status
                } else {
                    500
                }
            }
        }
    }

    /// The header fields of the response, but for those of one connection of HTTP/1.1 and for the length
    /// of the body.
    pub fn fields(&self) -> Vec<Field> {
        if let Self::Page(page) = self {
            return page.fields().to_vec();
        }
        let mut fields = Vec::from([Field::raw("Content-Type", "text/plain")]);
        match self {
            Self::Method => fields.push(Field::raw("Allow", "GET")),
            Self::NotAnUpgrade | Self::Version => {
                fields.push(Field::raw("Sec-WebSocket-Version", "13"));
            }
            Self::Application { fields: more, .. } => fields.extend_from_slice(more),
            _ => {}
        }
        fields
    }

    /// The body of the response.
    pub fn body(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Page(page) => page.body().into(),
            Self::Application { .. } => format!("{}\n", phrase(self.status())).into_bytes().into(),
            _ => format!("{self}\n").into_bytes().into(),
        }
    }

    /// The whole response by HTTP/1.1, after which the connection is to be ended.
    pub fn to_response(&self) -> Vec<u8> {
        let (status, body) = (self.status(), self.body());
        let mut head = format!("HTTP/1.1 {status} {}\r\n", phrase(status)).into_bytes();
        for field in self.fields() {
            field.render(&mut head);
        }
        let connection = match self {
            Self::NotAnUpgrade | Self::Version => {
                "Upgrade: websocket\r\nConnection: upgrade, close"
            }
            _ => "Connection: close",
        };
        let end = format!("Content-Length: {}\r\n{connection}\r\n\r\n", body.len());
        head.extend_from_slice(end.as_bytes());
        head.extend_from_slice(&body);
        head
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ if status < 400 => "Redirect",
        _ if status < 500 => "Refused",
        _ => "Internal Server Error",
    }
}

impl fmt::Display for Refusal {
    /// Never shows what the peer sent: the text goes into the response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadHead => "not an HTTP/1.1 request",
            Self::HeadTooLong => "the request's head is too long",
            Self::TooManyFields => "the request has too many header fields",
            Self::Method => "a WebSocket opens with GET",
            Self::HttpVersion => "a WebSocket needs HTTP/1.1",
            Self::Target => "the request's target is no path",
            Self::Host => "the request needs one Host",
            Self::Body => "the request announces a body",
            Self::NotAnUpgrade => "this is a WebSocket server",
            Self::Version => "this server speaks WebSocket version 13",
            Self::Key => "the request needs one Sec-WebSocket-Key of 16 bytes",
            Self::Origin => "the request's Origin is unclear",
            Self::Subprotocol => "the offered subprotocols are malformed",
            Self::Path => "nothing is served at this path",
            Self::OriginForbidden => "this Origin may not connect",
            Self::NoCommonSubprotocol => "no offered subprotocol is spoken here",
            Self::Page(page) => return write!(f, "the page {} was shown", page.path()),
            Self::Application { status, .. } => return write!(f, "refused with status {status}"),
            Self::Truncated => "the carrier ended inside the request",
        })
    }
}

impl core::error::Error for Refusal {}

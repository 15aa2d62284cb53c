//! The table of schemes: what an address can begin with.

use std::fmt;

use crate::Sides;

/// The scheme of an address. Adding one is a variant here and a row in [`SCHEMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `tcp://host:port`
    Tcp,
    /// `tls://host:port`
    Tls,
    /// `pool+tls://host:port`
    PoolTls,
    /// `ws://host:port/path`
    Ws,
    /// `wss://host:port/path`
    Wss,
    /// `ws+unix:/path`
    WsUnix,
    /// `unix:/path`
    Unix,
    /// `stdio:`
    Stdio,
    /// `echo:`
    Echo,
}

/// What follows the scheme, and with it the kind of endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// `//host:port`
    HostPort,
    /// The name of a Unix socket.
    Path,
    /// Nothing: standard input and output.
    Stdio,
    /// Nothing: a peer that sends back what it gets.
    Echo,
}

/// One row of [`SCHEMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemeSpec {
    /// The scheme that the row declares.
    pub scheme: Scheme,
    /// How it is written, without the colon.
    pub name: &'static str,
    /// What follows it.
    pub form: Form,
    /// Whether TLS begins with the first byte.
    pub tls: bool,
    /// The sides on which it has a meaning.
    pub side: Sides,
    /// A port that is common for it, offered where the port is missing. Never a default.
    pub common_port: Option<u16>,
    /// Words that people write when they mean this scheme, offered in errors, never accepted.
    pub mistaken: &'static [&'static str],
    /// The shape of such an address.
    pub shape: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
}

/// Every scheme, in the order in which help and docs show them.
pub const SCHEMES: &[SchemeSpec] = &[
    SchemeSpec {
        scheme: Scheme::Tcp,
        name: "tcp",
        form: Form::HostPort,
        tls: false,
        side: Sides::Both,
        common_port: Some(80),
        mistaken: &["http", "tcp4", "tcp6", "plain"],
        shape: "tcp://host:port",
        help: "a TCP connection in plain",
    },
    SchemeSpec {
        scheme: Scheme::Tls,
        name: "tls",
        form: Form::HostPort,
        tls: true,
        side: Sides::Both,
        common_port: Some(443),
        mistaken: &["https", "ssl", "tcps", "tcp+tls"],
        shape: "tls://host:port",
        help: "TLS over a TCP connection, from the first byte",
    },
    SchemeSpec {
        scheme: Scheme::PoolTls,
        name: "pool+tls",
        form: Form::HostPort,
        tls: true,
        side: Sides::Both,
        common_port: Some(443),
        mistaken: &["pool", "tlspool", "tls+pool"],
        shape: "pool+tls://host:port",
        help: "as `tls`, by a TLS pool: keys and trust stay in its process",
    },
    SchemeSpec {
        scheme: Scheme::Ws,
        name: "ws",
        form: Form::HostPort,
        tls: false,
        side: Sides::Both,
        common_port: Some(80),
        mistaken: &["websocket", "ws4", "ws6"],
        shape: "ws://host:port/path",
        help: "a WebSocket over a TCP connection in plain; the path may be left away",
    },
    SchemeSpec {
        scheme: Scheme::Wss,
        name: "wss",
        form: Form::HostPort,
        tls: true,
        side: Sides::Both,
        common_port: Some(443),
        mistaken: &["websockets", "ws+tls", "tls+ws"],
        shape: "wss://host:port/path",
        help: "a WebSocket over TLS; the path may be left away",
    },
    SchemeSpec {
        scheme: Scheme::WsUnix,
        name: "ws+unix",
        form: Form::Path,
        tls: false,
        side: Sides::Both,
        common_port: None,
        mistaken: &["unix+ws", "wsunix"],
        shape: "ws+unix:/path",
        help: "a WebSocket over a Unix stream socket; the request's path is the option `path`",
    },
    SchemeSpec {
        scheme: Scheme::Unix,
        name: "unix",
        form: Form::Path,
        tls: false,
        side: Sides::Both,
        common_port: None,
        mistaken: &["file", "local", "socket", "unix-connect", "unix-listen"],
        shape: "unix:/path",
        help: "a Unix stream socket; a relative path is allowed, `@name` is an abstract socket",
    },
    SchemeSpec {
        scheme: Scheme::Stdio,
        name: "stdio",
        form: Form::Stdio,
        tls: false,
        side: Sides::Both,
        common_port: None,
        mistaken: &["stdin", "stdout", "fd"],
        shape: "stdio:",
        help: "standard input and output; listening there takes exactly one peer",
    },
    SchemeSpec {
        scheme: Scheme::Echo,
        name: "echo",
        form: Form::Echo,
        tls: false,
        side: Sides::Connect,
        common_port: None,
        mistaken: &["mirror", "loopback"],
        shape: "echo:",
        help: "a peer in this process that sends back what it gets, for tests",
    },
];

impl Scheme {
    /// The scheme's row in [`SCHEMES`].
    pub const fn spec(self) -> &'static SchemeSpec {
        // The rows stand in the order of the variants; a test holds them to it.
        &SCHEMES[self as usize]
    }

    /// How the scheme is written, without the colon.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether a WebSocket is opened on the stream.
    pub const fn is_web_socket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss | Self::WsUnix)
    }

    /// The scheme that is written as `name`, which is in lower case.
    pub fn find(name: &str) -> Option<Self> {
        SCHEMES.iter().find(|row| row.name == name).map(|row| row.scheme)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_finds_its_own_row() {
        for (index, row) in SCHEMES.iter().enumerate() {
            assert_eq!(row.scheme as usize, index);
            assert_eq!(Scheme::find(row.name), Some(row.scheme));
            assert!(row.shape.starts_with(&format!("{}:", row.name)));
            assert!(row.mistaken.iter().all(|word| Scheme::find(word).is_none()));
            assert_eq!(row.common_port.is_some(), row.form == Form::HostPort);
        }
        // The last variant: with the loop above, no variant is without a row.
        assert_eq!(Scheme::Echo as usize + 1, SCHEMES.len());
    }
}

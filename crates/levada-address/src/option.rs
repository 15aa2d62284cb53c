//! The table of options: every word that an address, a flag and a configuration key can be.

use levada_core::Deadline;

use crate::{CrlCheck, Deflate, Family, Http, Scheme, Side, Sides, TimeLimit, Value, ValueKind};

/// One row of [`OPTIONS`]: all there is to know about a word before it has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// The word: lower case, with hyphens. `--word` for a flag, `word =` for a configuration key.
    pub word: &'static str,
    /// The sides on which it has a meaning.
    pub side: Sides,
    /// The schemes with which it has a meaning.
    pub schemes: Schemes,
    /// What its value is.
    pub kind: ValueKind,
    /// Where it may stand more than once.
    pub repeat: Repeat,
    /// The word whose value is only right beside this one's, so that both come from one place.
    pub partner: Option<&'static str>,
    /// What holds where the word is absent.
    pub default: DefaultValue,
    /// What it does, as one line without a full stop.
    pub help: &'static str,
    /// What more there is to know, as full sentences; may be empty.
    pub more: &'static str,
}

/// The schemes with which a word has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// All of them.
    Any,
    /// These.
    Only(&'static [Scheme]),
}

/// Where a word may stand more than once in one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nowhere.
    Never,
    /// On this side.
    On(Side),
}

/// What holds where a word is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing: what the word asks for is not done.
    Absent,
    /// A value, the same as if it were written.
    Value(Value),
    /// Something that depends on the rest of the address, in words.
    Derived(&'static str),
}

/// The schemes that speak TLS.
const TLS: Schemes = Schemes::Only(&[Scheme::Tls, Scheme::Wss]);
/// The schemes that speak TLS, in this process or in a pool's.
const ANY_TLS: Schemes = Schemes::Only(&[Scheme::Tls, Scheme::PoolTls, Scheme::Wss]);
/// The schemes that have a host and a port.
const HOST: Schemes =
    Schemes::Only(&[Scheme::Tcp, Scheme::Tls, Scheme::PoolTls, Scheme::Ws, Scheme::Wss]);
/// The schemes that open a WebSocket.
const WEB_SOCKET: Schemes = Schemes::Only(&[Scheme::Ws, Scheme::Wss, Scheme::WsUnix]);

/// A word of a proxy's.
const fn proxy(
    word: &'static str,
    kind: ValueKind,
    default: DefaultValue,
    help: &'static str,
    more: &'static str,
) -> OptionSpec {
    let (side, repeat) = (Sides::Connect, Repeat::Never);
    OptionSpec { word, side, schemes: HOST, kind, repeat, partner: None, default, help, more }
}

/// A word of a WebSocket's.
const fn web_socket(
    word: &'static str,
    side: Sides,
    kind: ValueKind,
    repeat: Repeat,
    default: DefaultValue,
    help: &'static str,
    more: &'static str,
) -> OptionSpec {
    OptionSpec { word, side, schemes: WEB_SOCKET, kind, repeat, partner: None, default, help, more }
}

/// A deadline of the common life that every stream has, whatever carries it.
const fn deadline(deadline: Deadline, help: &'static str, more: &'static str) -> OptionSpec {
    OptionSpec {
        word: deadline.word(),
        side: Sides::Both,
        schemes: Schemes::Any,
        kind: ValueKind::Deadline,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::Deadline(TimeLimit::default_of(deadline))),
        help,
        more,
    }
}

/// Every option, in the order in which help and docs show them.
pub static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        word: "cert",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::On(Side::Listen),
        partner: Some("key"),
        default: DefaultValue::Absent,
        help: "file with our certificate and its chain (PEM; or DER, the certificate alone)",
        more: "Needed for listening, where it may be repeated: SNI chooses between the \
               certificates, and the first one serves whoever asks for none of them.",
    },
    OptionSpec {
        word: "key",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Key,
        repeat: Repeat::On(Side::Listen),
        partner: Some("cert"),
        default: DefaultValue::Derived("the file of `cert`"),
        help: "file with the private key of `cert` (PEM or DER), or its place on a token (RFC 7512)",
        more: "The n-th key belongs to the n-th certificate; give a key for each of them or for \
               none. A file that holds both is named by both words, or by `cert` alone. Tokens need a \
               `levada` that is built with PKCS#11.",
    },
    OptionSpec {
        word: "passphrase-file",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Absent,
        help: "file whose first line opens an encrypted private key, or is the PIN of its token",
        more: "It serves every key of the address that wants one.",
    },
    OptionSpec {
        word: "passphrase-env",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Variable,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Absent,
        help: "environment variable whose value opens an encrypted private key, or is a token's PIN",
        more: "In place of `passphrase-file`.",
    },
    OptionSpec {
        word: "signer",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Absent,
        help: "Unix socket of a program that signs with the private key of `cert`",
        more: "In place of `key`: the key need not be on this machine. It signs for every certificate \
               of the address.",
    },
    OptionSpec {
        word: "ocsp",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::On(Side::Listen),
        partner: Some("cert"),
        default: DefaultValue::Absent,
        help: "DER file with the OCSP response to staple to the certificate",
        more: "The n-th response belongs to the n-th certificate; give one for each of them or for \
               none. It is sent as it is: whoever asked the authority for it keeps it fresh.",
    },
    OptionSpec {
        word: "client-ca",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Absent,
        help: "PEM file with the authorities that may vouch for clients",
        more: "",
    },
    OptionSpec {
        word: "client-auth",
        side: Sides::Listen,
        schemes: ANY_TLS,
        kind: ValueKind::ClientAuth,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("`required` with `client-ca` or `client-pin`, else `none`"),
        help: "whether a client is asked for a certificate",
        more: "`requested` also lets in clients without one, never one that fails the check. \
               With `tls` both `requested` and `required` need `client-ca` or `client-pin`; a pool \
               has its own.",
    },
    OptionSpec {
        word: "client-pin",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::Pin,
        repeat: Repeat::On(Side::Listen),
        partner: None,
        default: DefaultValue::Absent,
        help: "key or certificate that a client must show, by its SHA-256",
        more: "Without `client-ca` the pin is that of the client's own certificate, and all that \
               is asked for. One of several is enough.",
    },
    OptionSpec {
        word: "client-san",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::SanRule,
        repeat: Repeat::On(Side::Listen),
        partner: None,
        default: DefaultValue::Absent,
        help: "name that a client's certificate must have: `dns:NAME`, `ip:NET`, `uri:URI`, \
               `spiffe://ID`",
        more: "One of several is enough. `dns:*.example.org`, `ip:10.0.0.0/8`, \
               `spiffe://example.org` and `spiffe://example.org/a/*` allow many.",
    },
    OptionSpec {
        word: "client-crl",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::On(Side::Listen),
        partner: None,
        default: DefaultValue::Absent,
        help: "PEM or DER file with revocation lists: who stands on one is refused",
        more: "Who is told of by no current list is refused, too. It needs the authorities of \
               `client-ca`.",
    },
    OptionSpec {
        word: "client-crl-check",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::CrlCheck,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::CrlCheck(CrlCheck::Chain)),
        help: "whose revocation a list must tell: of all below the authority, or of the peer alone",
        more: "",
    },
    OptionSpec {
        word: "client-verify-time",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::Moment,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("now"),
        help: "time at which certificates must be valid",
        more: "For a machine whose clock is not to be trusted.",
    },
    OptionSpec {
        word: "danger-ignore-client",
        side: Sides::Listen,
        schemes: TLS,
        kind: ValueKind::Lapse,
        repeat: Repeat::On(Side::Listen),
        partner: None,
        default: DefaultValue::Absent,
        help: "fault of a certificate that a client is let in with",
        more: "The facts of each stream tell what was passed over. Who is revoked is never let in.",
    },
    OptionSpec {
        word: "ca",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("the authorities of the system, with `pin` none"),
        help: "PEM file with the authorities that may vouch for the peer",
        more: "It replaces those of the system.",
    },
    OptionSpec {
        word: "name",
        side: Sides::Connect,
        schemes: ANY_TLS,
        kind: ValueKind::PeerName,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("the host"),
        help: "name or IP address that the peer's certificate must hold",
        more: "",
    },
    OptionSpec {
        word: "pin",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::Pin,
        repeat: Repeat::On(Side::Connect),
        partner: None,
        default: DefaultValue::Absent,
        help: "key or certificate that the peer must show, by its SHA-256",
        more: "Without `ca` it is the peer's own, and all that is asked for, also of a \
               certificate that has signed itself; with `ca` it may be that of an issuer too. One \
               of several is enough.",
    },
    OptionSpec {
        word: "san",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::SanRule,
        repeat: Repeat::On(Side::Connect),
        partner: None,
        default: DefaultValue::Absent,
        help: "name that the peer's certificate must have: `dns:NAME`, `ip:NET`, `uri:URI`, \
               `spiffe://ID`",
        more: "One of several is enough. `dns:*.example.org`, `ip:10.0.0.0/8`, \
               `spiffe://example.org` and `spiffe://example.org/a/*` allow many.",
    },
    OptionSpec {
        word: "crl",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::On(Side::Connect),
        partner: None,
        default: DefaultValue::Absent,
        help: "PEM or DER file with revocation lists: who stands on one is refused",
        more: "Who is told of by no current list is refused, too.",
    },
    OptionSpec {
        word: "crl-check",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::CrlCheck,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::CrlCheck(CrlCheck::Chain)),
        help: "whose revocation a list must tell: of all below the authority, or of the peer alone",
        more: "",
    },
    OptionSpec {
        word: "verify-time",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::Moment,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("now"),
        help: "time at which certificates must be valid",
        more: "For a machine whose clock is not to be trusted.",
    },
    OptionSpec {
        word: "danger-ignore",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::Lapse,
        repeat: Repeat::On(Side::Connect),
        partner: None,
        default: DefaultValue::Absent,
        help: "fault of a certificate that the peer is let in with",
        more: "The facts of each stream tell what was passed over. Who is revoked is never let in.",
    },
    OptionSpec {
        word: "sni",
        side: Sides::Connect,
        schemes: TLS,
        kind: ValueKind::DnsName,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("`name`, unless that is an IP address"),
        help: "server name to ask for in the handshake",
        more: "It never changes which name is verified.",
    },
    OptionSpec {
        word: "alpn",
        side: Sides::Both,
        schemes: ANY_TLS,
        kind: ValueKind::Alpn,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Absent,
        help: "application protocols, with commas between them, the preferred one first",
        more: "",
    },
    OptionSpec {
        word: "pool",
        side: Sides::Both,
        schemes: Schemes::Only(&[Scheme::PoolTls]),
        kind: ValueKind::Path,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("`$LEVADA_POOL`, else the pool that runs here"),
        help: "socket of the TLS pool",
        more: "Without it and the variable, the first is taken that is there of \
               `$XDG_RUNTIME_DIR/levada/pool.sock`, `/run/levada/pool.sock`, \
               `levada/pool.sock` in the state directory and `/var/run/tlspool.sock`.",
    },
    OptionSpec {
        word: "kernel-tls",
        side: Sides::Both,
        schemes: Schemes::Only(&[Scheme::PoolTls]),
        kind: ValueKind::Switch,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::Switch(true)),
        help: "whether the kernel may seal and open the records, past the pool",
        more: "It does where it can and the pool allows it. With `off` all data goes through the pool: \
               this process never has the keys of the records, and the pool sees how each session ends.",
    },
    OptionSpec {
        word: "resume",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Switch,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::Switch(true)),
        help: "whether a peer that was met before needs no full handshake",
        more: "A listener seals sessions into tickets, by keys in memory that change every 6 hours. \
               Data is never sent before a handshake is over (no 0-RTT).",
    },
    OptionSpec {
        word: "max-record",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::RecordSize,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::RecordSize(16384)),
        help: "most plain bytes in one TLS record that we send",
        more: "It is a limit of ours, for a peer with little room; nothing is negotiated, and what \
               the peer sends is not limited by it.",
    },
    OptionSpec {
        word: "danger-key-log",
        side: Sides::Both,
        schemes: TLS,
        kind: ValueKind::Path,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Absent,
        help: "file that gets the secrets of every session: who reads it reads all traffic",
        more: "For Wireshark, in the form of SSLKEYLOGFILE, whose variable alone does nothing here. \
               The file is made for its owner alone, and refused where others may read it.",
    },
    OptionSpec {
        word: "family",
        side: Sides::Both,
        schemes: HOST,
        kind: ValueKind::Family,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Value(Value::Family(Family::Any)),
        help: "IP version to use",
        more: "",
    },
    OptionSpec {
        word: "bind",
        side: Sides::Connect,
        schemes: HOST,
        kind: ValueKind::Bind,
        repeat: Repeat::Never,
        partner: None,
        default: DefaultValue::Derived("what the system chooses"),
        help: "local IP address, and port if wanted, to connect from",
        more: "",
    },
    proxy(
        "proxy",
        ValueKind::Proxy,
        DefaultValue::Derived("none; no variable of the environment is looked at"),
        "HTTP proxy that connects us to the host, by CONNECT",
        "It looks up the host's name. `family` and `bind` are those of the way to it, \
         `deadline-connect` is for both ways. Its password stands elsewhere.",
    ),
    proxy(
        "proxy-password-file",
        ValueKind::Path,
        DefaultValue::Absent,
        "file whose first line is the password of the proxy's user",
        "It goes to the proxy in plain (basic authentication), unless that is `https://`.",
    ),
    proxy(
        "proxy-password-env",
        ValueKind::Variable,
        DefaultValue::Absent,
        "environment variable whose value is the password of the proxy's user",
        "In place of `proxy-password-file`.",
    ),
    proxy(
        "proxy-ca",
        ValueKind::Path,
        DefaultValue::Derived("the authorities of the system"),
        "PEM file with the authorities that may vouch for a proxy under TLS",
        "",
    ),
    web_socket(
        "path",
        Sides::Both,
        ValueKind::Target,
        Repeat::Never,
        DefaultValue::Derived("`/` for connecting, every path for listening"),
        "path of the request; for listening the only one that is served",
        "`ws` and `wss` have it behind the port, too; a query stands here only.",
    ),
    web_socket(
        "origin",
        Sides::Both,
        ValueKind::Origin,
        Repeat::On(Side::Listen),
        DefaultValue::Derived("none: no web page may connect"),
        "for listening, a web page that may connect; for connecting, the Origin to name",
        "Written as `https://example.org`, `https://*.example.org` or, for listening, `any`. \
         Clients that name no Origin are no browsers, and are let in.",
    ),
    web_socket(
        "subprotocol",
        Sides::Both,
        ValueKind::Subprotocols,
        Repeat::Never,
        DefaultValue::Derived("`binary` for listening, none for connecting"),
        "subprotocols, with commas between them, the preferred one first",
        "A client that offers none of them is let in without one.",
    ),
    web_socket(
        "header-file",
        Sides::Connect,
        ValueKind::Path,
        Repeat::Never,
        DefaultValue::Absent,
        "file with more header fields of the request, one `Name: value` a line",
        "They stand in a file since they often hold a secret, and an address holds none.",
    ),
    web_socket(
        "http",
        Sides::Both,
        ValueKind::Http,
        Repeat::Never,
        DefaultValue::Value(Value::Http(Http::V1)),
        "version of HTTP that carries WebSockets; `2` may carry many on one connection",
        "With `auto` TLS negotiates it, by ALPN. Without TLS, a listener then speaks what its client \
         begins with, and a client speaks 1.1. `2` and `auto` choose the `alpn` by themselves.",
    ),
    web_socket(
        "text-as-bytes",
        Sides::Both,
        ValueKind::Switch,
        Repeat::Never,
        DefaultValue::Value(Value::Switch(false)),
        "whether text messages are taken as bytes, instead of refused",
        "",
    ),
    web_socket(
        "deflate",
        Sides::Both,
        ValueKind::Deflate,
        Repeat::Never,
        DefaultValue::Value(Value::Deflate(Deflate::Off)),
        "whether messages are compressed, where the peer does it too (permessage-deflate)",
        "It pays for text alone. Whoever can add to what is sent beside a secret can learn the secret \
         from the length of what goes over the wire. `no-context-takeover` compresses less, and no \
         window is held between messages.",
    ),
    web_socket(
        "ping",
        Sides::Both,
        ValueKind::Deadline,
        Repeat::Never,
        DefaultValue::Value(Value::Deadline(TimeLimit::Off)),
        "how long a WebSocket's peer may be silent before it is pinged",
        "It then has as long again to say anything.",
    ),
    deadline(Deadline::Lookup, "how long the host's name may take to resolve", ""),
    deadline(Deadline::Connect, "how long the transport may take to connect", ""),
    deadline(
        Deadline::Handshake,
        "how long a handshake may take, from its first byte to the last",
        "",
    ),
    deadline(
        Deadline::Close,
        "how long a closing stream may stand without a byte either way",
        "It measures idleness: a slow tail that moves is not cut.",
    ),
    deadline(Deadline::Idle, "how long an open stream may stand without a byte", ""),
];

impl OptionSpec {
    /// The row of `word`, which is in lower case, with hyphens.
    pub fn find(word: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|row| row.word == word)
    }

    /// The rows that have a meaning for `scheme` on `side`, in the order of the table.
    pub fn fitting(scheme: Scheme, side: Side) -> impl Iterator<Item = &'static Self> {
        OPTIONS.iter().filter(move |row| row.fits(scheme, side))
    }

    /// Whether the word has a meaning for `scheme` on `side`.
    pub fn fits(&self, scheme: Scheme, side: Side) -> bool {
        self.schemes.contains(scheme) && self.side.contains(side)
    }
}

impl Schemes {
    /// Whether `scheme` is one of them.
    pub fn contains(self, scheme: Scheme) -> bool {
        match self {
            Self::Any => true,
            Self::Only(schemes) => schemes.contains(&scheme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for (index, row) in OPTIONS.iter().enumerate() {
            let word = row.word;
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{word}");
            assert!(!OPTIONS[..index].iter().any(|other| other.word == word), "{word} twice");
            assert!(!row.help.ends_with('.') && !row.help.contains('\n'), "{word}: help");
            assert!(row.more.is_empty() || row.more.ends_with('.'), "{word}: more");
            if let DefaultValue::Value(value) = &row.default {
                assert_eq!(value.kind(), row.kind, "{word}: default");
            }
            if let Some(partner) = row.partner {
                // Those that come one for each certificate are partners of that.
                let other = OptionSpec::find(partner).unwrap();
                assert!(other.partner == Some(word) || other.word == "cert", "{word}");
            }
        }
    }
}

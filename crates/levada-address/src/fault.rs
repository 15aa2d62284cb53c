//! What can be wrong with an address.

use std::fmt;

use levada_core::{PinError, SanRuleError};

use crate::error::Shown;
use crate::{Scheme, Side, UnixName};

/// What is wrong with an address. `Display` says it as half a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    // The whole.
    /// There is nothing.
    Empty,
    /// More than [`MAX_LEN`](crate::MAX_LEN) bytes, as given or as displayed.
    TooLong,
    /// A control character that is not percent-encoded.
    Control(char),
    /// `%` without two hexadecimal digits.
    PercentDigits,
    /// `#` and what follows.
    Fragment,

    // The scheme.
    /// No scheme.
    SchemeMissing,
    /// A scheme that is in no row of [`SCHEMES`](crate::SCHEMES).
    SchemeUnknown(String),
    /// No `//` where the scheme wants one.
    SlashesMissing(Scheme),
    /// `//` where the scheme has none.
    SlashesUnwanted(Scheme),
    /// The scheme has no meaning on the side for which the address is used.
    SchemeSide(Scheme, Side),

    // The endpoint.
    /// A user name before the host.
    Userinfo,
    /// A path behind the port.
    Path,
    /// A query in the path of a listener.
    Query,
    /// Something behind a scheme that stands alone.
    Trailing(Scheme),
    /// A host that is none.
    Host(HostFault),
    /// No host, or `*`, when connecting.
    HostNeeded,
    /// No port.
    PortMissing,
    /// A port that is no number from 0 to 65535.
    Port,
    /// Port 0 when connecting.
    PortZero,
    /// A Unix socket without a name.
    UnixEmpty,
    /// A Unix socket's name that is longer than [`UnixName::MAX_LEN`].
    UnixLong {
        /// Its length in bytes, decoded.
        len: usize,
    },
    /// A zero byte in a path.
    ZeroByte,

    // The options.
    /// Nothing where an option is to stand.
    OptionEmpty,
    /// A word that is in no row of [`OPTIONS`](crate::OPTIONS).
    OptionUnknown(String),
    /// A word without `=` and a value.
    OptionBare(&'static str),
    /// A word twice that may stand only once.
    OptionRepeated(&'static str),
    /// A word that has no meaning for this scheme.
    OptionScheme(&'static str, Scheme),
    /// A word that has no meaning on the side for which the address is used.
    OptionSide(&'static str, Side),
    /// A word that is needed for this side.
    OptionNeeded(&'static str, Side),
    /// The first word has no meaning without the second.
    OptionAlone(&'static str, &'static str),
    /// Two words that say the same in different ways.
    OptionsContradict(&'static str, &'static str),
    /// A value that is none of its kind.
    Value(ValueFault),
    /// Not as many keys as certificates.
    KeyCount {
        /// How many certificates there are.
        certs: usize,
        /// How many keys there are.
        keys: usize,
    },
    /// Not as many OCSP responses as certificates.
    StapleCount {
        /// How many certificates there are.
        certs: usize,
        /// How many responses there are.
        staples: usize,
    },
    /// The host, `bind` and `family` are not of the same version of IP.
    FamilyConflict,
}

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostFault {
    /// A bracket that is not closed.
    BracketOpen,
    /// Something between the closing bracket and the port.
    AfterBracket,
    /// An IPv6 address without brackets.
    Brackets,
    /// No IPv6 address between the brackets.
    NotIpv6,
    /// An IPv6 address with a zone.
    Zone,
    /// A number at the end, as in an IPv4 address, but none in full.
    NotIpv4,
    /// A letter outside ASCII.
    NotAscii,
    /// A character that no host name has.
    Character(char),
    /// Nothing before, between or behind the dots.
    EmptyLabel,
    /// A label of more than 63 bytes.
    LongLabel,
    /// A hyphen at the beginning or the end of a label.
    Hyphen,
    /// More than 253 bytes.
    LongName,
}

/// What is wrong with the value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueFault {
    /// Nothing.
    Empty,
    /// Bytes that are no UTF-8, in a value that is no path.
    NotUtf8,
    /// None of the values to choose from.
    NotAChoice,
    /// An IP address where only a name has a meaning.
    NotName,
    /// No IP address.
    NotIp,
    /// A protocol of no bytes.
    AlpnEmpty,
    /// A protocol of more than 255 bytes.
    AlpnLong,
    /// A time without a whole number.
    DurationNumber,
    /// A time without a known unit.
    DurationUnit,
    /// No time at all.
    DurationZero,
    /// More than 365 days.
    DurationLong,
    /// No number of bytes that a record can be limited to.
    RecordSize,
    /// No name of an environment variable.
    Variable,
    /// No pin.
    Pin(PinError),
    /// No rule about names.
    San(SanRuleError),
    /// No moment.
    Moment,
    /// A path that does not begin with a slash.
    TargetSlash,
    /// A path with a character that is to be percent-encoded.
    TargetCharacter,
    /// No Origin.
    NotOrigin,
    /// `any`, or a pattern of several Origins, where one is to be named.
    NotOneOrigin,
    /// A proxy that is neither `http://` nor `https://`.
    ProxyScheme,
    /// A password in the address of a proxy.
    ProxyPassword,
    /// A user of a proxy that is empty, not UTF-8, or has a colon or a control character.
    ProxyUser,
    /// A subprotocol that is no token (RFC 9110 section 5.6.2), or is there twice.
    Subprotocol,
}

impl From<HostFault> for Fault {
    fn from(fault: HostFault) -> Self {
        Self::Host(fault)
    }
}

impl From<ValueFault> for Fault {
    fn from(fault: ValueFault) -> Self {
        Self::Value(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the address is empty"),
            Self::TooLong => write!(f, "an address has at most {} bytes", crate::MAX_LEN),
            Self::Control(char) => {
                write!(f, "the control character U+{:04X} stands in the address", u32::from(*char))
            }
            Self::PercentDigits => f.write_str("`%` stands without two hexadecimal digits"),
            Self::Fragment => f.write_str("an address has no fragment"),
            Self::SchemeMissing => f.write_str("the scheme is missing"),
            Self::SchemeUnknown(name) => write!(f, "unknown scheme `{}`", Shown(name)),
            Self::SlashesMissing(scheme) => write!(f, "`//` follows `{scheme}:`"),
            Self::SlashesUnwanted(scheme) => write!(f, "no `//` follows `{scheme}:`"),
            Self::SchemeSide(scheme, side) => write!(f, "`{scheme}:` is not for {side}"),
            Self::Userinfo => f.write_str("an address has no user name and no password"),
            Self::Path => f.write_str("nothing but options follows the port"),
            Self::Query => f.write_str("a path that is served has no query"),
            Self::Trailing(scheme) => write!(f, "nothing but options follows `{scheme}:`"),
            Self::Host(fault) => fault.fmt(f),
            Self::HostNeeded => f.write_str("a host is needed for connecting"),
            Self::PortMissing => f.write_str("the port is missing"),
            Self::Port => f.write_str("the port is no number from 0 to 65535"),
            Self::PortZero => f.write_str("port 0 is for listening only"),
            Self::UnixEmpty => f.write_str("the Unix socket has no name"),
            Self::UnixLong { len } => write!(
                f,
                "the name of a Unix socket has at most {} bytes, this one has {len}",
                UnixName::MAX_LEN
            ),
            Self::ZeroByte => f.write_str("a path holds no zero byte"),
            Self::OptionEmpty => f.write_str("an option is missing"),
            Self::OptionUnknown(word) => write!(f, "unknown option `{}`", Shown(word)),
            Self::OptionBare(word) => write!(f, "`{word}` has no value"),
            Self::OptionRepeated(word) => write!(f, "`{word}` may stand only once"),
            Self::OptionScheme(word, scheme) => write!(f, "`{word}` means nothing to `{scheme}:`"),
            Self::OptionSide(word, side) => write!(f, "`{word}` is not for {side}"),
            Self::OptionNeeded(word, side) => write!(f, "`{word}` is needed for {side}"),
            Self::OptionAlone(word, other) => write!(f, "`{word}` needs `{other}`"),
            Self::OptionsContradict(word, other) => {
                write!(f, "`{word}` and `{other}` exclude each other")
            }
            Self::Value(fault) => fault.fmt(f),
            Self::KeyCount { certs, keys } => {
                let s = |count: &usize| if *count == 1 { "" } else { "s" };
                write!(f, "{keys} key{} for {certs} certificate{}", s(keys), s(certs))
            }
            Self::StapleCount { certs, staples } => {
                let s = |count: &usize| if *count == 1 { "" } else { "s" };
                write!(f, "{staples} response{} for {certs} certificate{}", s(staples), s(certs))
            }
            Self::FamilyConflict => f.write_str("the versions of IP contradict each other"),
        }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BracketOpen => "the bracket is not closed",
            Self::AfterBracket => "only a port follows the closing bracket",
            Self::Brackets => "an IPv6 address stands between brackets",
            Self::NotIpv6 => "this is no IPv6 address",
            Self::Zone => "an IPv6 address with a zone is not supported",
            Self::NotIpv4 => "this is neither an IPv4 address nor a host name",
            Self::NotAscii => "a host name is written in ASCII",
            Self::Character(char) => {
                let mut bytes = [0; 4];
                return write!(f, "a host name has no `{}`", Shown(char.encode_utf8(&mut bytes)));
            }
            Self::EmptyLabel => "a part of the host name is missing",
            Self::LongLabel => "a part of a host name has at most 63 bytes",
            Self::Hyphen => "no part of a host name begins or ends with a hyphen",
            Self::LongName => "a host name has at most 253 bytes",
        })
    }
}

impl fmt::Display for ValueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the value is missing",
            Self::NotUtf8 => "the value is not UTF-8",
            Self::NotAChoice => "this is none of the choices",
            Self::NotName => "this is an IP address, and no name",
            Self::NotIp => "this is no IP address",
            Self::AlpnEmpty => "a protocol is missing",
            Self::AlpnLong => "the name of a protocol has at most 255 bytes",
            Self::DurationNumber => "a time begins with a whole number",
            Self::DurationUnit => "a time ends with its unit",
            Self::DurationZero => "a deadline of zero can never be met",
            Self::DurationLong => "a deadline has at most 365 days",
            Self::Variable => "this is no name of an environment variable",
            Self::Pin(error) => return error.fmt(f),
            Self::San(error) => return error.fmt(f),
            Self::Moment => "this is no date and time",
            Self::RecordSize => "a record can be limited to a number of bytes from 64 to 16384",
            Self::TargetSlash => "a path begins with `/`",
            Self::TargetCharacter => "a path has no such character",
            Self::NotOrigin => "this is no origin",
            Self::NotOneOrigin => "this is not one origin",
            Self::ProxyScheme => "a proxy begins with `http://` or `https://`",
            Self::ProxyPassword => "a password does not stand in an address",
            Self::ProxyUser => "this is no user that a proxy can be told",
            Self::Subprotocol => "a subprotocol is a token, and there once",
        })
    }
}

//! Errors of the operating system, as plain values.

use alloc::string::String;
use core::fmt;

/// An error of the transport, in a form that can be cloned and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OsError {
    /// The system's number (`errno`), where it had one.
    pub code: Option<i32>,
    /// The sort of error, as [`std::io::ErrorKind`](https://doc.rust-lang.org/std/io/enum.ErrorKind.html) sorts them.
    pub kind: OsErrorKind,
    /// The system's own words.
    pub text: String,
}

impl OsError {
    /// The system's symbolic name, such as `ECONNRESET`, or `EIO` where the error has no number
    /// that belongs to a socket.
    pub fn symbol(&self) -> &'static str {
        let named = self.code.and_then(|code| ERRNO.iter().find(|(number, ..)| *number == code));
        match named {
            Some((_, symbol, _)) => symbol,
            None => self.kind.symbol(),
        }
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.symbol())
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $symbol:literal,)*) => {
        /// The sorts of transport error that a program can act on: the like-named members of
        /// [`std::io::ErrorKind`](https://doc.rust-lang.org/std/io/enum.ErrorKind.html).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
        pub enum OsErrorKind {
            $($(#[$doc])* $kind,)*
            /// Any other sort.
            Other,
        }

        impl OsErrorKind {
            /// Every sort but [`OsErrorKind::Other`].
            pub const NAMED: &[Self] = &[$(Self::$kind),*];

            const fn symbol(self) -> &'static str {
                match self {
                    $(Self::$kind => $symbol,)*
                    Self::Other => "EIO",
                }
            }
        }

        #[cfg(feature = "std")]
        impl From<std::io::ErrorKind> for OsErrorKind {
            fn from(kind: std::io::ErrorKind) -> Self {
                match kind {
                    $(std::io::ErrorKind::$kind => Self::$kind,)*
                    _ => Self::Other,
                }
            }
        }

        #[cfg(feature = "std")]
        impl From<OsErrorKind> for std::io::ErrorKind {
            fn from(kind: OsErrorKind) -> Self {
                match kind {
                    $(OsErrorKind::$kind => Self::$kind,)*
                    OsErrorKind::Other => Self::Other,
                }
            }
        }
    };
}

kinds! {
    /// The address is taken.
    AddrInUse = "EADDRINUSE",
    /// The address is not one of this machine.
    AddrNotAvailable = "EADDRNOTAVAIL",
    /// We write, and nobody reads any more.
    BrokenPipe = "EPIPE",
    /// The peer's system, or ours, gave the connection up.
    ConnectionAborted = "ECONNABORTED",
    /// Nobody listens there.
    ConnectionRefused = "ECONNREFUSED",
    /// The peer reset the connection.
    ConnectionReset = "ECONNRESET",
    /// Something is not as it has to be; from a transport that checks what it carries.
    InvalidData = "EBADMSG",
    /// The system does not take what was asked of it.
    InvalidInput = "EINVAL",
    /// No way to that host.
    HostUnreachable = "EHOSTUNREACH",
    /// The network is down.
    NetworkDown = "ENETDOWN",
    /// No way to that network.
    NetworkUnreachable = "ENETUNREACH",
    /// The transport is not connected.
    NotConnected = "ENOTCONN",
    /// There is no such file, socket or name.
    NotFound = "ENOENT",
    /// No memory.
    OutOfMemory = "ENOMEM",
    /// Not allowed.
    PermissionDenied = "EACCES",
    /// The system gave up waiting.
    TimedOut = "ETIMEDOUT",
    /// A transport that can tell was cut short.
    UnexpectedEof = "EIO",
    /// The system cannot do it.
    Unsupported = "EOPNOTSUPP",
    /// The transport takes no more bytes.
    WriteZero = "EIO",
}

/// Linux's numbers for the errors that sockets, Unix paths and kernel TLS give (asm-generic: the same on x86-64 and aarch64).
const ERRNO: &[(i32, &str, OsErrorKind)] = &[
    (1, "EPERM", OsErrorKind::PermissionDenied),
    (2, "ENOENT", OsErrorKind::NotFound),
    (4, "EINTR", OsErrorKind::Other),
    (5, "EIO", OsErrorKind::Other),
    (9, "EBADF", OsErrorKind::Other),
    (11, "EAGAIN", OsErrorKind::Other),
    (12, "ENOMEM", OsErrorKind::OutOfMemory),
    (13, "EACCES", OsErrorKind::PermissionDenied),
    (20, "ENOTDIR", OsErrorKind::Other),
    (22, "EINVAL", OsErrorKind::InvalidInput),
    (23, "ENFILE", OsErrorKind::Other),
    (24, "EMFILE", OsErrorKind::Other),
    (32, "EPIPE", OsErrorKind::BrokenPipe),
    (36, "ENAMETOOLONG", OsErrorKind::Other),
    (40, "ELOOP", OsErrorKind::Other),
    (71, "EPROTO", OsErrorKind::Other),
    (74, "EBADMSG", OsErrorKind::Other),
    (88, "ENOTSOCK", OsErrorKind::Other),
    (90, "EMSGSIZE", OsErrorKind::Other),
    (91, "EPROTOTYPE", OsErrorKind::Other),
    (93, "EPROTONOSUPPORT", OsErrorKind::Other),
    (95, "EOPNOTSUPP", OsErrorKind::Unsupported),
    (97, "EAFNOSUPPORT", OsErrorKind::Other),
    (98, "EADDRINUSE", OsErrorKind::AddrInUse),
    (99, "EADDRNOTAVAIL", OsErrorKind::AddrNotAvailable),
    (100, "ENETDOWN", OsErrorKind::NetworkDown),
    (101, "ENETUNREACH", OsErrorKind::NetworkUnreachable),
    (102, "ENETRESET", OsErrorKind::Other),
    (103, "ECONNABORTED", OsErrorKind::ConnectionAborted),
    (104, "ECONNRESET", OsErrorKind::ConnectionReset),
    (105, "ENOBUFS", OsErrorKind::Other),
    (106, "EISCONN", OsErrorKind::Other),
    (107, "ENOTCONN", OsErrorKind::NotConnected),
    (108, "ESHUTDOWN", OsErrorKind::Other),
    (110, "ETIMEDOUT", OsErrorKind::TimedOut),
    (111, "ECONNREFUSED", OsErrorKind::ConnectionRefused),
    (112, "EHOSTDOWN", OsErrorKind::Other),
    (113, "EHOSTUNREACH", OsErrorKind::HostUnreachable),
    (114, "EALREADY", OsErrorKind::Other),
    (125, "ECANCELED", OsErrorKind::Other),
];

#[cfg(feature = "std")]
impl From<&std::io::Error> for OsError {
    fn from(error: &std::io::Error) -> Self {
        use alloc::string::ToString;
        let text = match error.raw_os_error() {
            // The standard library appends the number, which `symbol` tells better.
            Some(code) => {
                let text = error.to_string();
                let plain = text.strip_suffix(&alloc::format!(" (os error {code})"));
                plain.map_or_else(|| text.clone(), ToString::to_string)
            }
            None => error.to_string(),
        };
        Self { code: error.raw_os_error(), kind: error.kind().into(), text }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn every_number_gets_its_symbol_kind_and_words_from_the_system() {
        for &(code, symbol, kind) in ERRNO {
            let error = OsError::from(&io::Error::from_raw_os_error(code));
            assert_eq!((error.symbol(), error.kind, error.code), (symbol, kind, Some(code)));
            assert!(!error.text.contains("os error"), "{error}");
        }
    }

    #[test]
    fn an_error_without_a_number_is_named_by_its_kind() {
        for &kind in OsErrorKind::NAMED {
            let std_kind = io::ErrorKind::from(kind);
            let error = OsError::from(&io::Error::new(std_kind, "in memory"));
            assert_eq!((error.kind, error.code, error.symbol()), (kind, None, kind.symbol()));
        }
        assert_eq!(OsError::from(&io::Error::other("x")).symbol(), "EIO");
        assert_eq!(OsErrorKind::from(io::ErrorKind::NotADirectory), OsErrorKind::Other);
    }
}

//! The name of a Unix socket.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::error::Wrong;
use crate::{Fault, percent};

/// The name of a Unix socket, of 1 to [`UnixName::MAX_LEN`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixName {
    /// A path, absolute or relative to the working directory, without zero bytes.
    Path(PathBuf),
    /// The name of an abstract socket (Linux), without the zero byte that the system puts first.
    Abstract(Vec<u8>),
}

impl UnixName {
    /// The longest name in bytes: the system has 108, and one is the zero byte at its end or, in
    /// an abstract name, at its beginning.
    pub const MAX_LEN: usize = 107;

    /// Reads what follows `unix:`, percent-encoded. An `@` that is not encoded makes it abstract.
    pub(crate) fn parse(raw: &str) -> Result<Self, Wrong> {
        let (prefix, name) = raw.strip_prefix('@').map_or((0, raw), |name| (1, name));
        let bytes =
            percent::decode(name).map_err(|error| Wrong::from(error).shifted(prefix))?.into_owned();
        if bytes.is_empty() {
            return Err(Wrong::new(raw.len()..raw.len(), Fault::UnixEmpty)
                .hint("write `unix:/path`, or `unix:@name` for an abstract socket"));
        }
        if bytes.len() > Self::MAX_LEN {
            let beyond = percent::raw_range(name, &(Self::MAX_LEN..bytes.len()));
            return Err(Wrong::new(beyond, Fault::UnixLong { len: bytes.len() })
                .on_char_boundaries(name)
                .shifted(prefix)
                .hint("a relative path may be shorter"));
        }
        if prefix == 1 {
            return Ok(Self::Abstract(bytes));
        }
        if let Some(zero) = bytes.iter().position(|&byte| byte == 0) {
            return Err(Wrong::new(percent::raw_range(name, &(zero..zero + 1)), Fault::ZeroByte));
        }
        Ok(Self::Path(OsString::from_vec(bytes).into()))
    }

    /// Writes the name so that [`UnixName::parse`] gives it back.
    pub(crate) fn write(&self, out: &mut String) {
        let bytes = match self {
            Self::Path(path) => path.as_os_str().as_bytes(),
            Self::Abstract(name) => {
                out.push('@');
                name
            }
        };
        // A path must not look like an abstract name, nor like the `//` of a host.
        let ambiguous =
            matches!(self, Self::Path(_)) && (bytes.starts_with(b"@") || bytes.starts_with(b"//"));
        let (first, rest) = bytes.split_at(usize::from(ambiguous));
        percent::encode_all(first, out);
        percent::encode(rest, b"?", out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(raw: &str) -> String {
        let mut out = String::new();
        UnixName::parse(raw).unwrap().write(&mut out);
        out
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        for raw in ["/run/x.sock", "run/x", "@name", "@%00a", "%40x", "%2F/x", "a@b", "/a%3Fb%25"] {
            assert_eq!(shown(raw), raw);
        }
        assert_eq!(shown("/%ff/č/%c4%8d"), "/%FF/č/č");
        assert_eq!(UnixName::parse("%40x").unwrap(), UnixName::Path("@x".into()));
        assert_eq!(UnixName::parse("@x").unwrap(), UnixName::Abstract(b"x".to_vec()));
    }

    #[test]
    fn the_length_is_that_of_the_bytes() {
        assert!(UnixName::parse(&"%41".repeat(107)).is_ok());
        assert!(UnixName::parse(&format!("@{}", "a".repeat(107))).is_ok());
        let wrong = UnixName::parse(&format!("@{}", "a".repeat(108))).unwrap_err();
        assert_eq!((wrong.fault, wrong.range), (Fault::UnixLong { len: 108 }, 108..109));
        // The limit falls into the middle of a letter, which is then wrong as a whole.
        let wrong = UnixName::parse(&"č".repeat(54)).unwrap_err();
        assert_eq!(wrong.range, 106..108);
    }
}

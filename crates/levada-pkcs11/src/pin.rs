//! PINs that nobody has to be asked for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use levada_tls::Passphrase;

use crate::error::KeyError;

/// A PIN that is kept somewhere. It is fetched whenever the token wants it, so that a new one counts
/// without further ado; one that was refused is not tried again, since every token locks itself after
/// some wrong ones.
#[derive(Clone)]
pub struct StoredPin(Arc<Fetch>);

type Fetch = dyn Fn() -> Result<Passphrase, KeyError> + Send + Sync;

impl StoredPin {
    /// The first line of the file `path`, without its end.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self(Arc::new(move || match std::fs::read(&path) {
            Ok(mut bytes) => {
                let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
                // What is behind it is wiped with the rest.
                bytes[end..].fill(0);
                bytes.truncate(end);
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
                Ok(Passphrase::new(bytes))
            }
            Err(error) => Err(KeyError::PinUnread { path: path.clone(), why: error.to_string() }),
        }))
    }

    /// The bytes of `pin`, for as long as the key is there.
    pub fn of(pin: Passphrase) -> Self {
        Self(Arc::new(move || Ok(pin.clone())))
    }

    pub(crate) fn fetch(&self) -> Result<Passphrase, KeyError> {
        self.0()
    }
}

impl fmt::Debug for StoredPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPin(..)")
    }
}

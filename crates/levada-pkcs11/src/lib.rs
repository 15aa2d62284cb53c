//! Private keys on PKCS#11 tokens: smart cards, HSMs, SoftHSM. The key never leaves its token: a
//! [`TokenKey`] is a [`Signer`](levada_tls::Signer) that has the token sign.
//!
//! ```no_run
//! use levada_pkcs11::{StoredPin, TokenKey};
//! use levada_tls::Identity;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let uri = "pkcs11:token=site;object=www?module-path=/usr/lib/softhsm/libsofthsm2.so".parse()?;
//! let key = TokenKey::new(uri, Some(StoredPin::in_file("/etc/levada/site.pin")));
//! key.prepare()?;
//! let identity = Identity::with_signer(&std::fs::read("/etc/levada/www.pem")?, key)?;
//! identity.try_signer()?;
//! # Ok(())
//! # }
//! ```
//!
//! Every call into a token may take its time: [`prepare`](TokenKey::prepare) and
//! [`log_in`](TokenKey::log_in) block, and a signer runs where it may block. A module has up to
//! [`CALLS`] of them at once, so that one which hangs does not hold all threads there are.
//!
//! Loading a module runs its code in this process: the crate `cryptoki` does it, in the unsafe code
//! that this workspace allows no crate but `levada-sys`.
#![forbid(unsafe_code)]

mod error;
mod key;
mod mechanism;
mod module;
mod pin;
mod token;
mod uri;

pub use error::KeyError;
pub use key::TokenKey;
pub use module::CALLS;
pub use pin::StoredPin;
pub use token::TokenFacts;
pub use uri::{KeyUri, UriError};

//! What is wrong with what JavaScript asks for, each with its stable code.

use levada::{IdentityError, SetupError};
use napi::bindgen_prelude::Error;

/// Thrown to whoever asks; its status is the error's `code` in JavaScript.
pub(crate) type Refusal = Error<&'static str>;

/// An error of this code, in the error's own words.
pub(crate) fn refuse(code: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Refusal {
    move |error| Error::new(code, error.to_string())
}

/// Node's own trouble.
pub(crate) fn internal(error: Error) -> Refusal {
    Error::new("ERR_LEVADA_INTERNAL", error.reason.clone())
}

pub(crate) fn of_setup(error: &SetupError) -> Refusal {
    let code = match error {
        SetupError::Address(_) | SetupError::Name(_) | SetupError::PoolName(_) => {
            "ERR_LEVADA_ADDRESS"
        }
        SetupError::Read { .. } | SetupError::KeyLog { .. } => "ERR_LEVADA_FILE",
        SetupError::Anchors { .. } | SetupError::Crls { .. } => "ERR_LEVADA_CA",
        SetupError::PassphraseVariable { .. } => "ERR_LEVADA_PASSPHRASE_MISSING",
        SetupError::Identity { error, .. } => of_identity(error),
        SetupError::Staple { .. } | SetupError::Identities { .. } => "ERR_LEVADA_CERTIFICATE",
        SetupError::NoPool => "ERR_LEVADA_NO_POOL",
        SetupError::Listen { error, .. } => levada::OsError::from(error).symbol(),
        _ => "ERR_LEVADA_OPTION",
    };
    refuse(code)(error)
}

pub(crate) fn of_identity(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::PassphraseMissing => "ERR_LEVADA_PASSPHRASE_MISSING",
        IdentityError::PassphraseWrong => "ERR_LEVADA_PASSPHRASE_WRONG",
        IdentityError::PassphraseNotNeeded => "ERR_LEVADA_PASSPHRASE_NOT_NEEDED",
        error if error.is_about_key() => "ERR_LEVADA_KEY",
        _ => "ERR_LEVADA_CERTIFICATE",
    }
}

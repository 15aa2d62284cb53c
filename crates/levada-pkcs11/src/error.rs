//! Why a key on a token cannot sign, and how to mend that.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cryptoki::error::Error;
use levada_tls::SignatureScheme;

use crate::token::TokenFacts;

/// Why a key on a token cannot be used. `Display` says what, where, and how to mend it; no PIN is in
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The module cannot be loaded.
    ModuleMissing {
        /// Its file.
        module: PathBuf,
        /// The loader's reason.
        why: String,
    },
    /// The module does not begin.
    ModuleFailed {
        /// Its file.
        module: PathBuf,
        /// Its reason.
        why: String,
    },
    /// The module has as many calls to do as it may.
    ModuleBusy {
        /// Its file.
        module: PathBuf,
    },
    /// The module knows no such token.
    TokenAbsent {
        /// The attributes that name it.
        wanted: String,
        /// The module's file.
        module: PathBuf,
        /// The labels of the tokens that are there.
        there: Vec<String>,
    },
    /// Several tokens are meant.
    TokenAmbiguous {
        /// The attributes that name it.
        wanted: String,
        /// Those that they fit.
        there: Vec<Arc<TokenFacts>>,
    },
    /// The token has no such private key.
    KeyMissing {
        /// The attributes that name it.
        wanted: String,
        /// The token.
        token: Arc<TokenFacts>,
    },
    /// Several private keys of the token are meant.
    KeyAmbiguous {
        /// The attributes that name it.
        wanted: String,
        /// The token.
        token: Arc<TokenFacts>,
        /// How many they fit.
        count: usize,
    },
    /// The key is of another kind than the certificate's.
    KeyOfOtherKind {
        /// The attributes that name it.
        wanted: String,
        /// The token.
        token: Arc<TokenFacts>,
        /// How it was to sign.
        scheme: SignatureScheme,
    },
    /// The key wants the PIN for each signature.
    KeyAsksEachTime {
        /// The attributes that name it.
        wanted: String,
        /// The token.
        token: Arc<TokenFacts>,
    },
    /// The token wants a PIN, and none is kept anywhere: somebody has to be asked.
    PinMissing {
        /// The token.
        token: Arc<TokenFacts>,
    },
    /// The file with the PIN cannot be read.
    PinUnread {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// The token does not take the PIN. It is not shown the same one again.
    PinRefused {
        /// The token.
        token: Arc<TokenFacts>,
    },
    /// One more wrong PIN would lock the token: none is tried.
    PinLastTry {
        /// The token.
        token: Arc<TokenFacts>,
    },
    /// The token has locked itself after too many wrong PINs.
    PinLocked {
        /// The token.
        token: Arc<TokenFacts>,
    },
    /// The token cannot sign so.
    NoMechanism {
        /// The token.
        token: Arc<TokenFacts>,
        /// How it is to sign.
        scheme: SignatureScheme,
        /// By what of PKCS#11.
        mechanism: &'static str,
    },
    /// The token failed.
    TokenFailed {
        /// The token.
        token: Arc<TokenFacts>,
        /// Its reason, with the function of PKCS#11 that gave it.
        why: String,
    },
}

/// What keeps a module from what it needs.
const IN_A_POOL: &str = "A pool has --token-dir for its files, and --token-net for its network";

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModuleMissing { module, why } => write!(
                f,
                "cannot load the PKCS#11 module {}: {why}; install it, or name its file by \
                 `?module-path=FILE` behind the URI",
                module.display()
            ),
            Self::ModuleFailed { module, why } => write!(
                f,
                "the PKCS#11 module {} does not begin: {why}; see whether it works alone: p11tool \
                 --provider FILE --list-tokens",
                module.display()
            ),
            Self::ModuleBusy { module } => write!(
                f,
                "the PKCS#11 module {} is still busy with the signatures before: it is too slow for so \
                 many, or it hangs",
                module.display()
            ),
            Self::TokenAbsent { wanted, module, there } => {
                let wanted = if wanted.is_empty() { "" } else { wanted };
                write!(f, "the module {} has no token {wanted}: ", module.display())?;
                match &there[..] {
                    [] => write!(
                        f,
                        "it has none at all; is it plugged in, and may this user use it? {IN_A_POOL}"
                    ),
                    there => write!(f, "it has {}", there.join(", ")),
                }
            }
            Self::TokenAmbiguous { wanted, there } => {
                let there: Vec<_> = there.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the URI fits several tokens ({wanted}): {}; add `serial=`",
                    there.join(", ")
                )
            }
            Self::KeyMissing { wanted, token } => write!(
                f,
                "the token {token} has no private key {wanted}; list what it has: p11tool --login \
                 --list-privkeys URI"
            ),
            Self::KeyAmbiguous { wanted, token, count } => write!(
                f,
                "the token {token} has {count} private keys that fit ({wanted}): add `object=` or `id=`"
            ),
            Self::KeyOfOtherKind { wanted, token, scheme } => write!(
                f,
                "the key {wanted} of the token {token} is of another kind than the certificate's, \
                 which signs by {scheme}: name the right one"
            ),
            Self::KeyAsksEachTime { wanted, token } => write!(
                f,
                "the key {wanted} of the token {token} wants its PIN for each signature \
                 (CKA_ALWAYS_AUTHENTICATE), which no server can give: use another of its keys"
            ),
            Self::PinMissing { token } => write!(
                f,
                "the token {token} wants a PIN, and there is none: name a file that has it"
            ),
            Self::PinUnread { path, why } => {
                write!(f, "cannot read the PIN in {}: {why}", path.display())
            }
            Self::PinRefused { token } => write!(
                f,
                "the token {token} does not take the PIN; it is not tried again before it is another, \
                 so that the token does not lock itself"
            ),
            Self::PinLastTry { token } => write!(
                f,
                "one more wrong PIN would lock the token {token}, so none is tried: log in once by \
                 hand, p11tool --login --list-privkeys URI"
            ),
            Self::PinLocked { token } => write!(
                f,
                "the token {token} has locked itself after too many wrong PINs: its security officer \
                 can set a new one"
            ),
            Self::NoMechanism { token, scheme, mechanism } => write!(
                f,
                "the token {token} cannot sign by {scheme}: it has no {mechanism}; use a key of another \
                 kind, or another token"
            ),
            Self::TokenFailed { token, why } => write!(
                f,
                "the token {token} failed: {why}; is it there, and may its module reach it? {IN_A_POOL}"
            ),
        }
    }
}

impl std::error::Error for KeyError {}

/// What a module answered, by the names of PKCS#11: `C_OpenSession: CKR_TOKEN_NOT_PRESENT`.
pub(crate) fn in_words(error: &Error) -> String {
    let Error::Pkcs11(answer, function) = error else { return error.to_string() };
    let mut text = format!("C_{function:?}: CKR");
    for letter in format!("{answer:?}").chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;
    use cryptoki::error::RvError;

    use super::*;

    #[test]
    fn answers_have_their_names_in_pkcs11() {
        let error = Error::Pkcs11(RvError::SlotIdInvalid, Function::GetTokenInfo);
        assert_eq!(in_words(&error), "C_GetTokenInfo: CKR_SLOT_ID_INVALID");
    }
}

//! Identities of a policy whose private key is on a token.

use std::ops::Range;
use std::path::Path;

use levada_config::{Fault, Faults};
#[cfg(feature = "pkcs11")]
use levada_tls::Identity;
use levada_tls::IdentityError;

use super::Held;
#[cfg(feature = "pkcs11")]
use super::held::LockedKey;
use crate::pin::{PinDesk, PinPrompt};

/// The keys on tokens of one policy. They are tried out where the policy is to be put in force: what
/// is wrong with them is a fault of its text.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// The policy as it is written.
    #[cfg(feature = "pkcs11")]
    text: String,
    #[cfg(feature = "pkcs11")]
    keys: Vec<Trial>,
}

#[cfg(feature = "pkcs11")]
#[derive(Debug)]
struct Trial {
    place: Range<usize>,
    key: levada_pkcs11::TokenKey,
    identity: Identity,
    /// Whether a person is asked for the PIN.
    asks: bool,
}

/// Why there is no identity with such a key.
pub(super) enum NoTokenKey {
    /// Where it is cannot be so.
    Fault(Fault),
    /// It goes not with its certificate.
    #[cfg_attr(not(feature = "pkcs11"), expect(dead_code, reason = "as where there are tokens"))]
    Identity(IdentityError),
}

#[cfg(feature = "pkcs11")]
impl Trials {
    /// Of the policy with this text.
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), keys: Vec::new() }
    }

    /// The identity of this chain, whose key is where `uri` says, which stands at `place`. The PIN is in
    /// a file, or is `asked` for.
    pub(super) fn held(
        &mut self,
        chain: &[u8],
        uri: &str,
        place: Range<usize>,
        pin_file: Option<&Path>,
        asked: Option<(PinPrompt, PinDesk)>,
    ) -> Result<Held, NoTokenKey> {
        use levada_pkcs11::{KeyUri, StoredPin, TokenKey};

        let fault = |what: String, hint: &str| {
            NoTokenKey::Fault(Fault::new(place.clone(), what, Some(hint.to_owned())))
        };
        let hint = "as `p11tool --login --list-privkeys` shows it";
        let uri: KeyUri = uri.parse().map_err(|error| fault(format!("{error}"), hint))?;
        if (pin_file.is_some() || asked.is_some()) && uri.pin_file().is_some() {
            let hint = "leave `pin-source` away";
            return Err(fault("the PIN has two places".to_owned(), hint));
        }
        let key = TokenKey::new(uri, pin_file.map(StoredPin::in_file));
        let identity = Identity::with_signer(chain, key.clone()).map_err(NoTokenKey::Identity)?;
        let (asks, tried) = (asked.is_some(), identity.clone());
        self.keys.push(Trial { place, key: key.clone(), identity: tried, asks });
        Ok(match asked {
            Some((prompt, pins)) => LockedKey::on_token(identity, key, prompt, pins),
            None => Held::Open(identity),
        })
    }

    /// Has each key sign. Blocks for as long as its module does.
    pub(super) fn run(&self) -> Result<(), Faults> {
        use levada_pkcs11::KeyError;

        let faults = self.keys.iter().filter_map(|Trial { place, key, identity, asks }| {
            let (what, hint) = match key.prepare() {
                Ok(()) => (identity.try_signer().err()?.to_string(), None),
                // A person who opens it later shows whether it fits.
                Err(KeyError::PinMissing { .. }) if *asks => return None,
                Err(error @ KeyError::PinMissing { .. }) => {
                    let hint = "write `key-pass = \"ask\"` to have a person asked for it";
                    (error.to_string(), Some(hint.to_owned()))
                }
                Err(error) => (error.to_string(), None),
            };
            Some(Fault::new(place.clone(), what, hint))
        });
        let faults: Vec<_> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(Faults::new(&self.text, faults)) }
    }
}

#[cfg(not(feature = "pkcs11"))]
impl Trials {
    pub(super) fn of(_: &str) -> Self {
        Self::default()
    }

    #[expect(clippy::unused_self, reason = "as where there are tokens")]
    pub(super) fn held(
        &mut self,
        _: &[u8],
        _: &str,
        place: Range<usize>,
        _: Option<&Path>,
        _: Option<(PinPrompt, PinDesk)>,
    ) -> Result<Held, NoTokenKey> {
        let hint = "build it with the feature `pkcs11`, or name the file of the private key";
        let what = "this pool is built without PKCS#11";
        Err(NoTokenKey::Fault(Fault::new(place, what, Some(hint.to_owned()))))
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there are tokens")]
    pub(super) fn run(&self) -> Result<(), Faults> {
        Ok(())
    }
}

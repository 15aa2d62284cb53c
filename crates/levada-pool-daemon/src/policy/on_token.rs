//! Identities of a policy whose private key is on a token.

use std::ops::Range;
use std::path::Path;

use levada_config::{Fault, Faults};
use levada_tls::{Identity, IdentityError};

/// The keys on tokens of one policy. They are tried out where the policy is to be put in force: what
/// is wrong with them is a fault of its text.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// The policy as it is written.
    text: String,
    #[cfg(feature = "pkcs11")]
    keys: Vec<(Range<usize>, levada_pkcs11::TokenKey, Identity)>,
}

/// Why there is no identity with such a key.
pub(super) enum NoTokenKey {
    /// Where it is cannot be so.
    Fault(Fault),
    /// It goes not with its certificate.
    Identity(IdentityError),
}

impl Trials {
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

#[cfg(feature = "pkcs11")]
impl Trials {
    /// The identity of this chain, whose key is where `uri` says, which stands at `place`.
    pub(super) fn identity(
        &mut self,
        chain: &[u8],
        uri: &str,
        place: Range<usize>,
        pin_file: Option<&Path>,
    ) -> Result<Identity, NoTokenKey> {
        use levada_pkcs11::{KeyUri, StoredPin, TokenKey};

        let fault = |what: String, hint: &str| {
            NoTokenKey::Fault(Fault::new(place.clone(), what, Some(hint.to_owned())))
        };
        let hint = "as `p11tool --login --list-privkeys` shows it";
        let uri: KeyUri = uri.parse().map_err(|error| fault(format!("{error}"), hint))?;
        if pin_file.is_some() && uri.pin_file().is_some() {
            let hint = "leave `key-pass-file` or `pin-source` away";
            return Err(fault("two files have the PIN".to_owned(), hint));
        }
        let key = TokenKey::new(uri, pin_file.map(StoredPin::in_file));
        let identity = Identity::with_signer(chain, key.clone()).map_err(NoTokenKey::Identity)?;
        self.keys.push((place, key, identity.clone()));
        Ok(identity)
    }

    /// Has each key sign. Blocks for as long as its module does.
    pub(super) fn run(&self) -> Result<(), Faults> {
        let fault = |place: &Range<usize>, what: String| Fault::new(place.clone(), what, None);
        let wrong = self.keys.iter().filter_map(|(place, key, identity)| match key.prepare() {
            Ok(()) => Some(fault(place, identity.try_signer().err()?.to_string())),
            Err(error) => Some(fault(place, error.to_string())),
        });
        let faults: Vec<_> = wrong.collect();
        if faults.is_empty() { Ok(()) } else { Err(Faults::new(&self.text, faults)) }
    }
}

#[cfg(not(feature = "pkcs11"))]
impl Trials {
    #[expect(clippy::unused_self, reason = "as where there are tokens")]
    pub(super) fn identity(
        &mut self,
        _: &[u8],
        _: &str,
        place: Range<usize>,
        _: Option<&Path>,
    ) -> Result<Identity, NoTokenKey> {
        let hint = "build it with the feature `pkcs11`, or name the file of the private key";
        let what = "this pool is built without PKCS#11";
        Err(NoTokenKey::Fault(Fault::new(place, what, Some(hint.to_owned()))))
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there are tokens")]
    pub(super) fn run(&self) -> Result<(), Faults> {
        Ok(())
    }
}

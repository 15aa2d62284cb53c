//! A private key on a token, which signs for a certificate.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use levada_tls::{Passphrase, SignatureScheme, Signer, Signing};

use crate::error::{KeyError, in_words};
use crate::mechanism::{self, Order};
use crate::module::Module;
use crate::pin::StoredPin;
use crate::token::{Token, TokenFacts, lock};
use crate::uri::KeyUri;

/// A private key on a token. Clones are one key; keys of one token share its sessions and its login.
///
/// Nothing is opened before it is needed, and what is open is used again. Where the token was away,
/// or somebody else has logged it out, a signature looks for it anew, opens a session, logs in and
/// tries once more; a module that does not see its token again is begun anew for that.
#[derive(Clone)]
pub struct TokenKey(Arc<Inner>);

struct Inner {
    uri: KeyUri,
    pin: Option<StoredPin>,
    found: Mutex<Option<Found>>,
}

/// Where the key was found.
#[derive(Clone)]
struct Found {
    epoch: u64,
    slot: Slot,
    facts: Arc<TokenFacts>,
    token: Arc<Token>,
    mechanisms: Arc<[MechanismType]>,
    object: Option<Object>,
}

/// The key as the token has it.
#[derive(Clone, Copy)]
struct Object {
    handle: ObjectHandle,
    /// RSA, EC or EC_EDWARDS; `None` where the token does not tell.
    kind: Option<KeyType>,
}

/// Why a call came to nothing.
enum Trouble {
    /// What was open may be void: it is worth another try.
    Lost(KeyError),
    /// Nothing is gained by trying again.
    Final(KeyError),
}

impl TokenKey {
    /// The key that `uri` names. `pin` is where the PIN is kept; without it that is the file in the
    /// URI, else the token has its own way to ask, or wants none, or [`log_in`](Self::log_in) is told
    /// the PIN.
    pub fn new(uri: KeyUri, pin: Option<StoredPin>) -> Self {
        let pin = pin.or_else(|| uri.pin_file().map(StoredPin::in_file));
        Self(Arc::new(Inner { uri, pin, found: Mutex::new(None) }))
    }

    /// What names it.
    pub fn uri(&self) -> &KeyUri {
        &self.0.uri
    }

    /// Finds the token and the key, and logs in with the PIN that is kept. Blocks for as long as the
    /// module does.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; [`KeyError::PinMissing`] where somebody has to be asked, for
    /// [`log_in`](Self::log_in).
    pub fn prepare(&self) -> Result<(), KeyError> {
        self.log_in_with(None)
    }

    /// The same with a PIN that somebody has been asked for. The token is not logged in twice.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; [`KeyError::PinRefused`] where the PIN is wrong.
    pub fn log_in(&self, pin: &Passphrase) -> Result<(), KeyError> {
        self.log_in_with(Some(pin))
    }

    /// Whether somebody may have to be asked for the PIN: there is none, and the token may have shut
    /// itself since somebody was asked last. [`prepare`](Self::prepare) shows it.
    pub fn wants_pin(&self) -> bool {
        lock(&self.0.found).as_ref().is_some_and(|found| found.token.wants_pin())
    }

    /// The token, where it was found.
    pub fn token(&self) -> Option<Arc<TokenFacts>> {
        lock(&self.0.found).as_ref().map(|found| found.facts.clone())
    }

    fn log_in_with(&self, pin: Option<&Passphrase>) -> Result<(), KeyError> {
        let module = Module::load(self.0.uri.module())?;
        let _call = module.calls.try_acquire().map_err(|_| busy(&module))?;
        self.call(&module, pin, |_, _, _| Ok(Ok(())))
    }

    async fn signature(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let module = Module::load(self.0.uri.module())?;
        let _line = module.line.try_acquire().map_err(|_| busy(&module))?;
        let _call = module.calls.acquire().await.map_err(|_| busy(&module))?;
        let failed = Cell::new(None);
        let signed = self.call(&module, None, |session, found, object| {
            // Some modules crash where they are asked for what the key cannot do.
            if object.kind.is_some_and(|kind| kind != mechanism::kind(scheme)) {
                let (wanted, token) = (self.0.uri.wanted_key(), found.facts.clone());
                return Ok(Err(KeyError::KeyOfOtherKind { wanted, token, scheme }));
            }
            let Some(order) = Order::new(scheme, message, &found.mechanisms) else {
                let (token, mechanism) = (found.facts.clone(), mechanism::needed(scheme));
                return Ok(Err(KeyError::NoMechanism { token, scheme, mechanism }));
            };
            let signature = session.sign(&order.mechanism(), object.handle, order.data());
            let signature = signature.inspect_err(|error| failed.set(Some(in_words(error))))?;
            Ok(Ok(order.encoded(signature)))
        });
        signed.map_err(|error| match (error, failed.take()) {
            // To try again it would want the PIN; but this is what went wrong.
            (KeyError::PinMissing { token }, Some(why)) => KeyError::TokenFailed { token, why },
            (error, _) => error,
        })
    }

    /// Has `work` done in a session, in a new one where the old ones are void.
    fn call<T>(
        &self,
        module: &Module,
        pin: Option<&Passphrase>,
        work: impl Fn(&Session, &Found, Object) -> Result<Result<T, KeyError>, Error>,
    ) -> Result<T, KeyError> {
        let mut tries = 0;
        loop {
            let error = match self.try_call(module, pin, &work) {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Lost(error)) => error,
            };
            tries += 1;
            let token = lock(&self.0.found).take().map(|found| found.token);
            module.forget(token.as_deref());
            // First all of it is opened anew, then the module is begun anew.
            if tries > 1 && (tries > 2 || !module.restart()) {
                return Err(error);
            }
        }
    }

    fn try_call<T>(
        &self,
        module: &Module,
        pin: Option<&Passphrase>,
        work: impl Fn(&Session, &Found, Object) -> Result<Result<T, KeyError>, Error>,
    ) -> Result<T, Trouble> {
        let (pkcs11, _running) = module.running();
        let found = self.found(module, pkcs11)?;
        let session = match found.token.session() {
            Some(session) => session,
            None => self.open(pkcs11, &found, pin)?,
        };
        let done = self.object(&session, &found).and_then(|object| {
            let done = work(&session, &found, object);
            done.map_err(|error| trouble(&found.facts, &error))?.map_err(Trouble::Final)
        });
        if !matches!(done, Err(Trouble::Lost(_))) && found.epoch == module.epoch() {
            found.token.keep(session);
        }
        done
    }

    /// The token, as it was found before or is now.
    fn found(&self, module: &Module, pkcs11: &Pkcs11) -> Result<Found, Trouble> {
        let epoch = module.epoch();
        if let Some(found) = lock(&self.0.found).as_ref().filter(|found| found.epoch == epoch) {
            return Ok(found.clone());
        }
        let uri = &self.0.uri;
        let failed = |error: Error| {
            let module = module.path().to_owned();
            Trouble::Lost(KeyError::ModuleFailed { module, why: in_words(&error) })
        };
        let slots = pkcs11.get_slots_with_token().map_err(failed)?;
        // A slot may be emptied, and its token not be initialized yet.
        let tokens = slots.into_iter().filter_map(|slot| {
            let info = pkcs11.get_token_info(slot).ok().filter(TokenInfo::token_initialized)?;
            Some((slot, Arc::new(TokenFacts::of(&info))))
        });
        let tokens: Vec<_> = tokens.collect();
        let mut fitting: Vec<_> =
            tokens.iter().filter(|(slot, facts)| uri.fits(facts, slot.id())).collect();
        let Some((slot, facts)) = fitting.pop().cloned() else {
            return Err(Trouble::Lost(KeyError::TokenAbsent {
                wanted: uri.wanted_token(),
                module: module.path().to_owned(),
                there: tokens.into_iter().map(|(_, facts)| format!("{:?}", facts.label)).collect(),
            }));
        };
        if !fitting.is_empty() {
            let there = fitting.iter().map(|(_, facts)| facts.clone());
            return Err(Trouble::Final(KeyError::TokenAmbiguous {
                wanted: uri.wanted_token(),
                there: there.chain([facts]).collect(),
            }));
        }
        let mechanisms = pkcs11.get_mechanism_list(slot);
        let mechanisms = mechanisms.map_err(|error| trouble(&facts, &error))?.into();
        let token = module.token(&facts);
        let found = Found { epoch, slot, facts, token, mechanisms, object: None };
        *lock(&self.0.found) = Some(found.clone());
        Ok(found)
    }

    /// A new session, logged in where the token wants that.
    fn open(
        &self,
        pkcs11: &Pkcs11,
        found: &Found,
        pin: Option<&Passphrase>,
    ) -> Result<Session, Trouble> {
        let trouble = |error| trouble(&found.facts, &error);
        let session = pkcs11.open_ro_session(found.slot).map_err(trouble)?;
        let _one_at_a_time = lock(&found.token.login);
        // Another session may have logged in, and that one for all.
        let info = pkcs11.get_token_info(found.slot).map_err(trouble)?;
        if info.login_required() && !is_logged_in(&session).map_err(trouble)? {
            self.log_in_session(&session, &info, found, pin)?;
        }
        Ok(session)
    }

    fn log_in_session(
        &self,
        session: &Session,
        info: &TokenInfo,
        found: &Found,
        asked: Option<&Passphrase>,
    ) -> Result<(), Trouble> {
        let token = found.facts.clone();
        if info.user_pin_locked() {
            return Err(Trouble::Final(KeyError::PinLocked { token }));
        }
        let pin = match (asked, &self.0.pin) {
            (Some(pin), _) => Some(pin.clone()),
            (None, Some(stored)) => Some(stored.fetch().map_err(Trouble::Final)?),
            // It asks by itself: at a reader with keys, or by a finger.
            (None, None) if info.protected_authentication_path() => None,
            (None, None) => {
                found.token.note_wanted();
                return Err(Trouble::Final(KeyError::PinMissing { token }));
            }
        };
        if pin.as_ref().is_some_and(|pin| found.token.has_refused(pin)) {
            return Err(Trouble::Final(KeyError::PinRefused { token }));
        }
        if info.user_pin_final_try() {
            return Err(Trouble::Final(KeyError::PinLastTry { token }));
        }
        let login = match &pin {
            Some(pin) => session
                .login_with_raw(UserType::User, &RawAuthPin::new(Box::new(pin.bytes().to_vec()))),
            None => session.login(UserType::User, None),
        };
        match login {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                found.token.note_login(asked.is_some());
                Ok(())
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => {
                Err(Trouble::Final(KeyError::PinLocked { token }))
            }
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => {
                if let Some(pin) = pin {
                    found.token.note_refused(pin);
                }
                Err(Trouble::Final(KeyError::PinRefused { token }))
            }
            Err(error) => Err(trouble(&token, &error)),
        }
    }

    /// The key itself, as it was found before or is now.
    fn object(&self, session: &Session, found: &Found) -> Result<Object, Trouble> {
        if let Some(object) = found.object {
            return Ok(object);
        }
        let object = self.find_object(session, &found.facts)?;
        *lock(&self.0.found) = Some(Found { object: Some(object), ..found.clone() });
        Ok(object)
    }

    fn find_object(&self, session: &Session, facts: &Arc<TokenFacts>) -> Result<Object, Trouble> {
        let uri = &self.0.uri;
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        template.extend(uri.object.clone().map(|label| Attribute::Label(label.into_bytes())));
        template.extend(uri.id.clone().map(Attribute::Id));
        let keys = session.find_objects(&template).map_err(|error| trouble(facts, &error))?;
        let (wanted, token) = (uri.wanted_key(), facts.clone());
        let [key] = keys[..] else {
            return Err(Trouble::Final(match keys.len() {
                0 => KeyError::KeyMissing { wanted, token },
                count => KeyError::KeyAmbiguous { wanted, token, count },
            }));
        };
        // What a token does not know is left out.
        let wanted_facts = [AttributeType::AlwaysAuthenticate, AttributeType::KeyType];
        let told = session.get_attributes(key, &wanted_facts).unwrap_or_default();
        if told.contains(&Attribute::AlwaysAuthenticate(true)) {
            return Err(Trouble::Final(KeyError::KeyAsksEachTime { wanted, token }));
        }
        let kind = told.iter().find_map(|fact| match fact {
            Attribute::KeyType(kind) => Some(*kind),
            _ => None,
        });
        Ok(Object { handle: key, kind })
    }
}

fn is_logged_in(session: &Session) -> Result<bool, Error> {
    use cryptoki::session::SessionState;
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

fn busy(module: &Module) -> KeyError {
    KeyError::ModuleBusy { module: module.path().to_owned() }
}

/// What a token's error means: most of them go away with what is void, but those about the request.
fn trouble(token: &Arc<TokenFacts>, error: &Error) -> Trouble {
    let failed = KeyError::TokenFailed { token: token.clone(), why: in_words(error) };
    match error {
        Error::Pkcs11(
            RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::KeyTypeInconsistent
            | RvError::KeyFunctionNotPermitted
            | RvError::KeySizeRange
            | RvError::DataLenRange
            | RvError::DataInvalid
            | RvError::ArgumentsBad
            | RvError::FunctionNotSupported
            | RvError::PinExpired,
            _,
        ) => Trouble::Final(failed),
        Error::Pkcs11(..) => Trouble::Lost(failed),
        _ => Trouble::Final(failed),
    }
}

impl Signer for TokenKey {
    fn sign(&self, scheme: SignatureScheme, message: Vec<u8>) -> Signing {
        let key = self.clone();
        Box::pin(async move { Ok(key.signature(scheme, &message).await?) })
    }

    fn supports(&self, scheme: SignatureScheme) -> bool {
        // Where it was not found yet, the signature tells why.
        let found = lock(&self.0.found).clone();
        found.is_none_or(|found| mechanism::can(scheme, &found.mechanisms))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKey").field(&self.0.uri).finish()
    }
}

//! The key of an identity: at hand, or locked until a person gives the PIN.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use levada_tls::{Identity, IdentityError, Passphrase};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::pin::{PinDesk, PinPrompt};
use crate::service::NoAnswer;

/// How often a PIN may be wrong before the handshakes that wait for it fail.
///
/// Source: TLS Pool protocol V2, PINENTRY.
const ATTEMPTS: u32 = 3;

/// How long nobody is asked again who has declined, or has been wrong too often.
const PAUSE: Duration = Duration::from_secs(5);

/// The key of an identity.
#[derive(Debug)]
pub(crate) enum Held {
    /// It is at hand.
    Open(Identity),
    /// It is locked. `shown` has the certificate alone, and cannot sign.
    Locked { shown: Identity, key: Arc<LockedKey> },
}

impl Held {
    /// What its certificate says. To sign with it, have it [opened](Self::open).
    pub(crate) const fn shown(&self) -> &Identity {
        match self {
            Self::Open(identity) | Self::Locked { shown: identity, .. } => identity,
        }
    }

    /// The identity with its key, for which a person may be waited for. No thread is held meanwhile.
    ///
    /// # Errors
    ///
    /// [`NoKey`].
    pub(crate) async fn open(&self) -> Result<Identity, NoKey> {
        match self {
            Self::Open(identity) => Ok(identity.clone()),
            Self::Locked { key, .. } => key.open().await,
        }
    }

    /// Takes the lock of `before` where it is the same key: what is open there is open here.
    pub(super) fn inherit(&mut self, before: &Self) {
        if let (Self::Locked { key, .. }, Self::Locked { key: kept, .. }) = (self, before)
            && key.lock.is_same(&kept.lock)
        {
            *key = kept.clone();
        }
    }
}

/// Why a locked key stays locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    NoPin(NoAnswer),
    WrongPin,
    Damaged(String),
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is locked, and ")?;
        match self {
            Self::NoPin(why) => write!(f, "there is no PIN: {why}"),
            Self::WrongPin => write!(f, "{ATTEMPTS} PINs were wrong"),
            Self::Damaged(why) => f.write_str(why),
        }
    }
}

/// A key that is encrypted or on a token, and what is known of its PIN.
pub(crate) struct LockedKey {
    lock: Lock,
    prompt: PinPrompt,
    pins: PinDesk,
    state: Mutex<State>,
}

enum State {
    Locked,
    /// A person is asked: all who need the key wait for that.
    Asking(watch::Receiver<Option<Result<Identity, NoKey>>>),
    /// The person is left alone until then.
    Resting(Instant, NoKey),
    Open(Identity),
}

impl fmt::Debug for LockedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedKey").field("prompt", &self.prompt).finish_non_exhaustive()
    }
}

/// What a PIN opens.
enum Lock {
    /// A chain, and the key behind it or in a file of its own.
    Files(Zeroizing<Vec<u8>>, Option<Zeroizing<Vec<u8>>>),
    #[cfg(feature = "pkcs11")]
    Token(Identity, levada_pkcs11::TokenKey),
}

impl Lock {
    fn read(&self, passphrase: Option<Passphrase>) -> Result<Identity, IdentityError> {
        match self {
            Self::Files(chain, key) => {
                let key = key.as_deref().map(Vec::as_slice);
                Identity::with_passphrase(chain, key, || passphrase)
            }
            #[cfg(feature = "pkcs11")]
            Self::Token(identity, key) => {
                use levada_pkcs11::KeyError;

                let opened = passphrase.map_or_else(|| key.prepare(), |pin| key.log_in(&pin));
                opened.map_err(|error| match error {
                    KeyError::PinMissing { .. } => IdentityError::PassphraseMissing,
                    KeyError::PinRefused { .. } => IdentityError::PassphraseWrong,
                    error => IdentityError::SignerFailed(error.to_string()),
                })?;
                identity.try_signer()?;
                Ok(identity.clone())
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Files(chain, key), Self::Files(other, other_key)) => {
                chain == other && key == other_key
            }
            #[cfg(feature = "pkcs11")]
            (Self::Token(shown, key), Self::Token(other, other_key)) => {
                shown.certificate_der() == other.certificate_der() && key.uri() == other_key.uri()
            }
            #[cfg(feature = "pkcs11")]
            _ => false,
        }
    }

    /// Whether what was open has locked itself: a token does that where it was away.
    fn is_locked_again(&self) -> bool {
        match self {
            Self::Files(..) => false,
            #[cfg(feature = "pkcs11")]
            Self::Token(_, key) => key.wants_pin(),
        }
    }

    /// What the person is told of the token, beside `prompt`.
    fn prompt(&self, prompt: &PinPrompt) -> PinPrompt {
        match self {
            Self::Files(..) => prompt.clone(),
            #[cfg(feature = "pkcs11")]
            Self::Token(_, key) => match key.token() {
                Some(token) => prompt.clone().token(
                    &token.manufacturer,
                    &token.model,
                    &token.serial,
                    &token.label,
                ),
                None => prompt.clone(),
            },
        }
    }
}

impl LockedKey {
    fn new(lock: Lock, prompt: PinPrompt, pins: PinDesk) -> Arc<Self> {
        Arc::new(Self { lock, prompt, pins, state: Mutex::new(State::Locked) })
    }

    /// The key of `shown`, which is on a token.
    #[cfg(feature = "pkcs11")]
    pub(super) fn on_token(
        shown: Identity,
        key: levada_pkcs11::TokenKey,
        prompt: PinPrompt,
        pins: PinDesk,
    ) -> Held {
        Held::Locked { key: Self::new(Lock::Token(shown.clone(), key), prompt, pins), shown }
    }

    /// Makes sure that the key is encrypted indeed, and that all but the PIN is there.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; [`IdentityError::PassphraseNotNeeded`] where it is not.
    pub(super) fn in_files(
        chain: Zeroizing<Vec<u8>>,
        key: Option<Zeroizing<Vec<u8>>>,
        prompt: PinPrompt,
        pins: PinDesk,
    ) -> Result<Held, IdentityError> {
        let shown = Identity::with_signer(&chain, |_, _| async { Err("locked".into()) });
        let lock = Lock::Files(chain, key);
        match lock.read(None) {
            Err(IdentityError::PassphraseMissing) => {}
            Ok(_) => return Err(IdentityError::PassphraseNotNeeded),
            Err(error) => return Err(error),
        }
        Ok(Held::Locked { shown: shown?, key: Self::new(lock, prompt, pins) })
    }

    async fn open(self: &Arc<Self>) -> Result<Identity, NoKey> {
        let gone = NoKey::NoPin(NoAnswer::Gone);
        let mut asking = {
            let mut state = self.state();
            match &*state {
                State::Open(identity) if !self.lock.is_locked_again() => {
                    return Ok(identity.clone());
                }
                State::Resting(until, why) if Instant::now() < *until => return Err(why.clone()),
                State::Asking(asking) => asking.clone(),
                State::Locked | State::Resting(..) | State::Open(_) => {
                    let (tell, asking) = watch::channel(None);
                    *state = State::Asking(asking.clone());
                    let key = self.clone();
                    // A task of its own: a person who takes longer than the handshake that needed the
                    // key first has not typed in vain.
                    tokio::spawn(async move {
                        let opened = key.ask().await;
                        *key.state() = match &opened {
                            Ok(identity) => State::Open(identity.clone()),
                            Err(why @ (NoKey::NoPin(NoAnswer::Declined) | NoKey::WrongPin)) => {
                                State::Resting(Instant::now() + PAUSE, why.clone())
                            }
                            Err(_) => State::Locked,
                        };
                        tell.send_replace(Some(opened));
                    });
                    asking
                }
            }
        };
        let opened = asking.wait_for(Option::is_some).await.map_err(|_| gone.clone())?;
        opened.clone().unwrap_or(Err(gone))
    }

    /// Asks until the PIN is right, or there is none.
    async fn ask(self: &Arc<Self>) -> Result<Identity, NoKey> {
        if !matches!(self.lock, Lock::Files(..)) {
            // Somebody else may have logged in to the token, or it may be away: then nobody is asked.
            match self.read(None).await? {
                Ok(identity) => return Ok(identity),
                Err(IdentityError::PassphraseMissing) => {}
                Err(error) => return Err(NoKey::Damaged(error.to_string())),
            }
        }
        let prompt = self.lock.prompt(&self.prompt);
        for attempt in 0..ATTEMPTS {
            let pin = self.pins.ask(&prompt, attempt).await.map_err(NoKey::NoPin)?;
            match self.read(Some(Passphrase::new(pin.expose().to_vec()))).await? {
                Ok(identity) => return Ok(identity),
                Err(IdentityError::PassphraseWrong) => {}
                Err(error) => return Err(NoKey::Damaged(error.to_string())),
            }
        }
        Err(NoKey::WrongPin)
    }

    /// Reads the key where that may block: to derive a key from a PIN takes as long as whoever
    /// encrypted it wanted, and a token as long as it does.
    async fn read(
        self: &Arc<Self>,
        passphrase: Option<Passphrase>,
    ) -> Result<Result<Identity, IdentityError>, NoKey> {
        let key = self.clone();
        let read = spawn_blocking(move || key.lock.read(passphrase)).await;
        read.map_err(|error| NoKey::Damaged(error.to_string()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in this file panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use levada_pool_wire::body::{Pin, PinEntry};
    use levada_pool_wire::{Exchanges, Incoming, Message, Packet, RequestId};
    use tokio::sync::mpsc;

    use super::*;
    use crate::control::Event;
    use crate::service::{Registration, Service, Terms};

    /// The files of `levada-tls`; the passphrase of the key is `correct-horse`.
    fn file(name: &str) -> Zeroizing<Vec<u8>> {
        let root = levada_testkit::docs::workspace_root();
        std::fs::read(root.join("crates/levada-tls/tests/data").join(name)).unwrap().into()
    }

    fn locked(service: &Service) -> Held {
        let pins = PinDesk::default();
        pins.connect(service);
        let key = Some(file("ec-pbkdf2.pem"));
        LockedKey::in_files(file("ec-cert.pem"), key, PinPrompt::new("PIN"), pins).unwrap()
    }

    /// Somebody who is registered, and where they are asked.
    fn registered(service: &Service) -> (Registration, mpsc::Receiver<Event>) {
        let (events, heard) = mpsc::channel(1);
        let mut book = Exchanges::default();
        let connection = book.connect().unwrap();
        let message = Message::PinEntry(PinEntry::default());
        let packet = Packet { request: RequestId(0), callback: None, message };
        let Ok(Incoming::Request { exchange }) = book.handle_packet(connection, &packet, false)
        else {
            panic!("it is a request")
        };
        let terms = Terms::new(Duration::from_secs(60), Duration::ZERO);
        (service.register(exchange, events, terms).unwrap(), heard)
    }

    /// An answer with this PIN.
    fn with_pin(pin: &str) -> Message {
        let pin = Pin::new(pin.as_bytes()).unwrap();
        Message::PinEntry(PinEntry { pin, ..PinEntry::default() })
    }

    /// Who gives these answers, and then no more. The questions that it got come out.
    fn person(
        service: &Service,
        answers: Vec<Result<&'static str, NoAnswer>>,
    ) -> (Registration, tokio::task::JoinHandle<Vec<u32>>) {
        let (registration, mut heard) = registered(service);
        let asked = tokio::spawn(async move {
            let mut attempts = Vec::new();
            for given in answers {
                let Some(Event::Consult { question, answer, .. }) = heard.recv().await else {
                    break;
                };
                let Message::PinEntry(question) = question else { panic!("{question:?}") };
                attempts.push(question.attempt);
                answer.give(given.map(with_pin));
            }
            attempts
        });
        (registration, asked)
    }

    #[tokio::test]
    async fn a7_the_third_attempt_opens_the_key_and_nobody_is_asked_again() {
        let service = Service::default();
        let (_registration, asked) = person(&service, vec![Ok("1"), Ok("2"), Ok("correct-horse")]);
        let held = locked(&service);
        assert!(held.shown().names().contains(&"host.example".to_owned()));
        let (first, second) = tokio::join!(held.open(), held.open());
        assert!(first.is_ok() && second.is_ok(), "one question serves all");
        assert!(held.open().await.is_ok());
        assert_eq!(asked.await.unwrap(), [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a7_who_was_wrong_too_often_or_declined_is_left_alone_for_a_while() {
        let service = Service::default();
        let answers = vec![Ok("1"), Ok("2"), Ok("3"), Ok(""), Ok("correct-horse")];
        let (_registration, asked) = person(&service, answers);
        let held = locked(&service);
        assert_eq!(held.open().await.unwrap_err(), NoKey::WrongPin);
        assert_eq!(held.open().await.unwrap_err(), NoKey::WrongPin, "nobody is asked");
        tokio::time::advance(PAUSE).await;
        let declined = NoKey::NoPin(NoAnswer::Declined);
        assert_eq!(held.open().await.unwrap_err(), declined);
        assert_eq!(held.open().await.unwrap_err(), declined, "nobody is asked");
        tokio::time::advance(PAUSE).await;
        assert!(held.open().await.is_ok());
        assert_eq!(asked.await.unwrap(), [0, 1, 2, 0, 0]);
    }

    #[tokio::test]
    async fn a_service_that_is_gone_or_late_fails_who_waits_and_nobody_else() {
        let service = Service::default();
        let held = locked(&service);
        assert_eq!(held.open().await.unwrap_err(), NoKey::NoPin(NoAnswer::Nobody));
        let (registration, asked) = person(&service, vec![Err(NoAnswer::Late)]);
        assert_eq!(held.open().await.unwrap_err(), NoKey::NoPin(NoAnswer::Late));
        asked.await.unwrap();
        // Its channel is closed, and it is registered still.
        assert_eq!(held.open().await.unwrap_err(), NoKey::NoPin(NoAnswer::Gone));
        drop(registration);
        let (_registration, _asked) = person(&service, vec![Ok("correct-horse")]);
        assert!(held.open().await.is_ok());
    }

    #[tokio::test]
    async fn a_handshake_that_gives_up_leaves_the_question_for_the_next() {
        let service = Service::default();
        let held = Arc::new(locked(&service));
        let (_registration, mut heard) = registered(&service);
        let waiting = tokio::spawn({
            let held = held.clone();
            async move { held.open().await.is_ok() }
        });
        let Some(Event::Consult { answer, .. }) = heard.recv().await else { panic!("no question") };
        waiting.abort();
        assert!(waiting.await.is_err());
        answer.give(Ok(with_pin("correct-horse")));
        assert!(held.open().await.is_ok(), "without another question");
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn a_key_that_is_not_encrypted_needs_no_pin() {
        let open = LockedKey::in_files(
            file("ec-cert.pem"),
            Some(file("ec-pkcs8.pem")),
            PinPrompt::default(),
            PinDesk::default(),
        );
        assert!(matches!(open, Err(IdentityError::PassphraseNotNeeded)));
    }
}

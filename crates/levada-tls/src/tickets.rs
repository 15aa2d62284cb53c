//! Session tickets (RFC 5077, RFC 8446 section 4.6.1) and the ring of keys that seals them.
//!
//! A ticket is the session itself, sealed and given to the client: nothing is kept here for those who
//! may come back, and every server that has the ring knows them again.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::config_error::TlsConfigError;

const NAME: usize = 16;
const SECRET: usize = 32;
const TAG: usize = 16;
/// What stands in a ticket before the sealed session: which key, and the nonce.
const FRONT: usize = NAME + NONCE_LEN;

/// One key of a [`TicketRing`]. Cheap to clone; our copy of the secret is wiped with the last one.
#[derive(Clone)]
pub struct TicketKey(Arc<KeyParts>);

struct KeyParts {
    name: [u8; NAME],
    secret: Zeroizing<[u8; SECRET]>,
    /// A nonce that repeats, by chance or because a fleet shares the key, does not break this one
    /// (RFC 8452).
    aead: RandomizedNonceKey,
}

impl TicketKey {
    /// The key with this secret. Tickets show the `name` in clear; no two keys of a fleet have the
    /// same.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::Provider`] when the provider of cryptography refuses it.
    pub fn new(name: [u8; 16], secret: &[u8; 32]) -> Result<Self, TlsConfigError> {
        let aead = RandomizedNonceKey::new(&AES_256_GCM_SIV, secret)
            .map_err(|_| TlsConfigError::Provider("it takes no key for tickets".to_owned()))?;
        Ok(Self(Arc::new(KeyParts { name, secret: Zeroizing::new(*secret), aead })))
    }

    /// A new random key.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::Provider`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, TlsConfigError> {
        let (mut name, mut secret) = ([0; NAME], Zeroizing::new([0; SECRET]));
        let filled = aws_lc_rs::rand::fill(&mut name);
        filled
            .and_then(|()| aws_lc_rs::rand::fill(&mut *secret))
            .map_err(|_| TlsConfigError::Provider("it has no random bytes".to_owned()))?;
        Self::new(name, &secret)
    }

    /// Its name.
    pub fn name(&self) -> &[u8; 16] {
        &self.0.name
    }

    /// Its secret, for a store that a fleet shares. Whoever has it reads the TLS 1.2 sessions whose
    /// tickets it sealed, and can stand in for the server when one of TLS 1.3 is resumed: seal it
    /// before it leaves the process.
    pub fn danger_secret(&self) -> &[u8; 32] {
        &self.0.secret
    }

    fn seal(&self, scope: &[u8], session: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = Vec::with_capacity(FRONT + session.len() + TAG);
        ticket.extend_from_slice(&self.0.name);
        ticket.extend_from_slice(&[0; NONCE_LEN]);
        ticket.extend_from_slice(session);
        let aead = &self.0.aead;
        let sealed = aead.seal_in_place_separate_tag(Aad::from(scope), &mut ticket[FRONT..]);
        let (nonce, tag) = sealed.ok()?;
        ticket[NAME..FRONT].copy_from_slice(nonce.as_ref());
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, scope: &[u8], nonce: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut session = sealed.to_vec();
        let length = self.0.aead.open_in_place(nonce, Aad::from(scope), &mut session).ok()?.len();
        session.truncate(length);
        Some(session)
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

/// Three keys that follow each other: each seals for one period, and opens for that and the next one.
///
/// The next key is there a whole period before it seals, so that in a fleet every server has it
/// before the first of them uses it; it opens already, for clocks that go before ours. Once its
/// period is over, too, the ring has expired: nothing is sealed with it any more.
#[derive(Clone, Debug)]
pub struct TicketRing {
    /// Previous, current, next.
    keys: [TicketKey; 3],
    /// When the current key begins to seal, in seconds since 1970.
    since: u64,
    /// In seconds.
    period: u64,
}

impl TicketRing {
    /// The longest period: a ticket lives for two of them, and for 7 days at most (RFC 8446 section
    /// 4.6.1).
    pub const MAX_PERIOD: Duration = Duration::from_secs(84 * 3600);

    /// The ring of these keys, the previous one first, the current one from `since` on.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::TicketPeriod`] for a period below one second or above
    /// [`MAX_PERIOD`](Self::MAX_PERIOD); fractions of seconds are dropped.
    pub fn new(
        keys: [TicketKey; 3],
        since: SystemTime,
        period: Duration,
    ) -> Result<Self, TlsConfigError> {
        if period.as_secs() == 0 || period > Self::MAX_PERIOD {
            return Err(TlsConfigError::TicketPeriod(period));
        }
        Ok(Self { keys, since: seconds(since), period: period.as_secs() })
    }

    /// A ring of random keys whose first period begins now.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) and [`TicketKey::generate`].
    pub fn generate(now: SystemTime, period: Duration) -> Result<Self, TlsConfigError> {
        let key = TicketKey::generate;
        Self::new([key()?, key()?, key()?], now, period)
    }

    /// The ring of the next period, with a random key behind those that go on.
    ///
    /// # Errors
    ///
    /// Those of [`TicketKey::generate`].
    pub fn turned(&self) -> Result<Self, TlsConfigError> {
        let [_, current, next] = &self.keys;
        Ok(Self {
            keys: [current.clone(), next.clone(), TicketKey::generate()?],
            since: self.since.saturating_add(self.period),
            period: self.period,
        })
    }

    /// The keys: previous, current, next.
    pub const fn keys(&self) -> &[TicketKey; 3] {
        &self.keys
    }

    /// When the current key begins to seal.
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.since)
    }

    /// How long each key seals.
    pub const fn period(&self) -> Duration {
        Duration::from_secs(self.period)
    }

    /// From when on nothing is sealed with it.
    pub fn expires(&self) -> SystemTime {
        self.since() + 2 * self.period()
    }

    /// The number of the period of `now`, as the key's that seals in it: 1 for the current one.
    fn period_of(&self, now: u64) -> Option<u64> {
        // The previous key's period begins one before the current one's.
        (now + self.period).checked_sub(self.since).map(|passed| passed / self.period)
    }

    /// The key that seals at `now`, and for how many seconds it will go on to open.
    fn sealing(&self, now: u64) -> Option<(&TicketKey, u64)> {
        let index = self.period_of(now)?;
        let key = self.keys.get(usize::try_from(index).ok()?)?;
        Some((key, (self.since + (index + 1) * self.period).saturating_sub(now)))
    }

    /// The key `name`, if it opens at `now`.
    fn opening(&self, name: &[u8], now: u64) -> Option<&TicketKey> {
        let index = self.keys.iter().position(|key| key.0.name == name)?;
        let period = self.period_of(now)?;
        // In its own period, in the one behind it, and in the one before, for a peer's clock.
        (index as u64).abs_diff(period).le(&1).then_some(&self.keys[index])
    }
}

/// Seconds since 1970; 0 before.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The keys of tickets while they are in use. Cheap to clone; clones share the ring, and so do all
/// servers that are built with them.
///
/// Tickets are bound to the rules about clients' certificates: a server with other rules does not
/// open them, though it has the keys.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use levada_tls::{TicketKeys, TicketRing};
///
/// // One server: its keys change every hour.
/// let own = TicketKeys::rotating(Duration::from_secs(3600), SystemTime::now)?;
///
/// // A fleet: who has the turn makes the next ring, and every member puts it in place.
/// let ring = TicketRing::generate(SystemTime::now(), Duration::from_secs(3600))?;
/// let shared = TicketKeys::given(ring.clone(), SystemTime::now);
/// shared.replace(ring.turned()?);
/// # Ok::<(), levada_tls::TlsConfigError>(())
/// ```
#[derive(Clone)]
pub struct TicketKeys(Arc<InUse>);

struct InUse {
    ring: RwLock<Arc<TicketRing>>,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// Whether we make the next ring when it is time.
    turns: bool,
}

impl TicketKeys {
    /// How long a key seals unless told otherwise: a ticket lives for 6 to 12 hours.
    pub const PERIOD: Duration = Duration::from_secs(6 * 3600);

    /// Random keys of this process's own, each of which seals for `period` by `clock`.
    ///
    /// # Errors
    ///
    /// Those of [`TicketRing::generate`].
    pub fn rotating(
        period: Duration,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, TlsConfigError> {
        let ring = TicketRing::generate(clock(), period)?;
        Ok(Self::new(ring, clock, true))
    }

    /// The keys of `ring`, until [`replace`](Self::replace) puts others in their place. Once they have
    /// expired by `clock`, no tickets are given out; handshakes go on.
    pub fn given(ring: TicketRing, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self::new(ring, clock, false)
    }

    fn new(
        ring: TicketRing,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
        turns: bool,
    ) -> Self {
        Self(Arc::new(InUse { ring: RwLock::new(Arc::new(ring)), clock: Box::new(clock), turns }))
    }

    /// Puts `ring` in place, for the next handshake.
    pub fn replace(&self, ring: TicketRing) {
        *self.0.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// The ring in use.
    pub fn ring(&self) -> TicketRing {
        TicketRing::clone(&self.now().0)
    }

    /// The ring in use, and the time.
    fn now(&self) -> (Arc<TicketRing>, u64) {
        let now = seconds((self.0.clock)());
        let ring = self.0.ring.read().unwrap_or_else(PoisonError::into_inner).clone();
        if self.0.turns && ring.period_of(now).is_none_or(|period| period > 1) {
            return (self.turn(now), now);
        }
        (ring, now)
    }

    /// Turns our own ring until its current period is that of `now`.
    fn turn(&self, now: u64) -> Arc<TicketRing> {
        let mut held = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been first.
        let turned = match held.period_of(now) {
            Some(0 | 1) => return held.clone(),
            Some(2) => held.turned(),
            Some(3) => held.turned().and_then(|ring| ring.turned()),
            // Long ago, or not yet: no key of it is of use.
            _ => TicketRing::generate(UNIX_EPOCH + Duration::from_secs(now), held.period()),
        };
        // Without random bytes the old ring stays, and expires.
        if let Ok(ring) = turned {
            *held = Arc::new(ring);
        }
        held.clone()
    }

    /// What seals and opens for a server whose rules about clients have the fingerprint `scope`.
    pub(crate) fn ticketer(&self, scope: [u8; 32]) -> Arc<dyn ProducesTickets> {
        Arc::new(Ticketer { keys: self.clone(), scope })
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(..)")
    }
}

/// Tickets as rustls asks for them.
struct Ticketer {
    keys: TicketKeys,
    scope: [u8; 32],
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let (ring, now) = self.keys.now();
        // Twice the longest period fits.
        ring.sealing(now).map_or(0, |(_, seconds)| seconds as u32)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let (ring, now) = self.keys.now();
        ring.sealing(now)?.0.seal(&self.scope, session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (front, sealed) = ticket.split_at_checked(FRONT)?;
        let (name, nonce) = front.split_at(NAME);
        let (ring, now) = self.keys.now();
        ring.opening(name, now)?.open(&self.scope, nonce, sealed)
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const PERIOD: u64 = 100;
    const START: u64 = 1_000_000;

    /// A clock that a test turns.
    #[derive(Clone, Default)]
    struct Clock(Arc<AtomicU64>);

    impl Clock {
        fn set(&self, at: u64) {
            self.0.store(START + at, Ordering::Relaxed);
        }

        fn reader(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
            let clock = self.clone();
            move || UNIX_EPOCH + Duration::from_secs(clock.0.load(Ordering::Relaxed))
        }
    }

    fn ring() -> TicketRing {
        let start = UNIX_EPOCH + Duration::from_secs(START);
        TicketRing::generate(start, Duration::from_secs(PERIOD)).unwrap()
    }

    fn given() -> (Clock, TicketKeys, Arc<dyn ProducesTickets>) {
        let clock = Clock::default();
        clock.set(0);
        let keys = TicketKeys::given(ring(), clock.reader());
        let ticketer = keys.ticketer([0; 32]);
        (clock, keys, ticketer)
    }

    #[test]
    fn each_key_seals_for_one_period_and_opens_for_one_more() {
        let (clock, keys, ticketer) = given();
        let [previous, current, next] = keys.ring().keys().clone();
        // A clock that goes behind the fleet's seals with the previous key.
        for (at, key, lifetime) in
            [(0, &current, 200), (99, &current, 101), (100, &next, 200), (199, &next, 101)]
        {
            clock.set(at);
            let ticket = ticketer.encrypt(b"session").unwrap();
            assert_eq!(&ticket[..NAME], key.name(), "{at}");
            assert_eq!(ticketer.lifetime(), lifetime, "{at}");
            for (later, opens) in [(0, true), (u64::from(lifetime) - 1, true), (200, false)] {
                clock.set(at + later);
                let expected = opens.then(|| b"session".to_vec());
                assert_eq!(ticketer.decrypt(&ticket), expected, "{at} + {later}");
            }
        }
        clock.0.store(START - 1, Ordering::Relaxed);
        assert_eq!(&ticketer.encrypt(b"").unwrap()[..NAME], previous.name());
        clock.0.store(START - PERIOD - 1, Ordering::Relaxed);
        assert_eq!(ticketer.encrypt(b""), None, "before the ring's time");
    }

    #[test]
    fn an_expired_ring_seals_nothing_until_it_is_replaced() {
        let (clock, keys, ticketer) = given();
        clock.set(199);
        let ticket = ticketer.encrypt(b"session").unwrap();
        clock.set(200);
        assert_eq!(keys.ring().expires(), keys.0.clock.as_ref()());
        assert_eq!((ticketer.encrypt(b"session"), ticketer.lifetime()), (None, 0));
        assert!(ticketer.decrypt(&ticket).is_some(), "what was given out is honoured");
        keys.replace(keys.ring().turned().unwrap());
        assert!(ticketer.encrypt(b"session").is_some());
        assert!(ticketer.decrypt(&ticket).is_some(), "the keys that go on are the same");
    }

    #[test]
    fn members_of_a_fleet_know_each_others_tickets_though_their_clocks_differ() {
        let (clock, keys, ticketer) = given();
        let other_clock = Clock::default();
        let other = TicketKeys::given(keys.ring(), other_clock.reader()).ticketer([0; 32]);
        for (at, other_at) in [(99, 101), (101, 99), (0, 0)] {
            clock.set(at);
            other_clock.set(other_at);
            let ticket = ticketer.encrypt(b"session").unwrap();
            assert_eq!(other.decrypt(&ticket).unwrap(), b"session");
        }
    }

    #[test]
    fn own_keys_turn_by_the_clock_and_old_ones_are_gone() {
        let clock = Clock::default();
        clock.set(0);
        let period = Duration::from_secs(PERIOD);
        let keys = TicketKeys::rotating(period, clock.reader()).unwrap();
        let ticketer = keys.ticketer([0; 32]);
        let first = ticketer.encrypt(b"first").unwrap();
        let before = keys.ring();
        clock.set(150);
        assert!(ticketer.decrypt(&first).is_some());
        assert_eq!(keys.ring().keys()[0].name(), before.keys()[1].name());
        assert_eq!(keys.ring().keys()[1].name(), before.keys()[2].name());
        clock.set(250);
        assert!(ticketer.decrypt(&first).is_none());
        let names = |ring: &TicketRing| ring.keys().clone().map(|key| *key.name());
        assert!(!names(&keys.ring()).contains(before.keys()[1].name()));
        // Long idle, and a clock set back: the ring begins anew, and seals in both cases.
        for at in [100_000, 0] {
            clock.set(at);
            let ticket = ticketer.encrypt(b"later").unwrap();
            assert_eq!(ticketer.decrypt(&ticket).unwrap(), b"later");
            assert_eq!(ticketer.lifetime(), 200);
        }
    }

    #[test]
    fn a_ticket_that_was_altered_cut_or_is_for_other_rules_opens_nothing() {
        let (_, keys, ticketer) = given();
        let ticket = ticketer.encrypt(b"session").unwrap();
        assert_eq!(keys.ticketer([1; 32]).decrypt(&ticket), None);
        for length in 0..ticket.len() {
            assert_eq!(ticketer.decrypt(&ticket[..length]), None, "{length}");
        }
        for index in 0..ticket.len() {
            let mut altered = ticket.clone();
            altered[index] ^= 1;
            assert_eq!(ticketer.decrypt(&altered), None, "{index}");
        }
        assert!(!ticket.windows(7).any(|window| window == b"session"));
    }

    #[test]
    fn periods_out_of_range_are_refused_and_nothing_shows_a_secret() {
        for period in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(302_401)] {
            let error = TicketRing::generate(UNIX_EPOCH, period).unwrap_err();
            assert_eq!(error, TlsConfigError::TicketPeriod(period));
        }
        let key = TicketKey::new([7; 16], &[9; 32]).unwrap();
        assert_eq!((key.name(), key.danger_secret()), (&[7; 16], &[9; 32]));
        let ring =
            TicketRing::new([key.clone(), key.clone(), key], UNIX_EPOCH, TicketRing::MAX_PERIOD);
        let shown = format!("{:?}", ring.unwrap());
        assert!(!shown.contains('9'), "{shown}");
    }
}

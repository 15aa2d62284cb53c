//! What whoever holds the descriptor of a session needs, whose records the kernel does.

use std::fmt;

use levada_core::Role;
use rustls::{CipherSuite, SupportedCipherSuite, Tls13CipherSuite};
use zeroize::Zeroizing;

use crate::kernel::duties::{Direction, Duties};
use crate::provider::provider;
use crate::record_keys::{RecordKeys, TrafficSecret, next_secret, tls13_keys};
use crate::version::TlsVersion;

/// A session behind its handshake, for whoever holds its descriptor: enough to go on with new keys, and
/// nothing of the identity, of resumption or of exporters. It can be passed to another process, as
/// [bytes](Self::to_bytes).
///
/// On TLS 1.3 the secrets of the records are in it, which its holder could read from the kernel's side of
/// the descriptor as well: as plaintext. On TLS 1.2 no secret is in it. Wiped when dropped, and `Debug`
/// does not show them.
pub struct KernelSession {
    role: Role,
    suite: SupportedCipherSuite,
    rekeys: bool,
    /// Records sealed already under the keys of now.
    sealed: u64,
    /// How many may be sealed under one key.
    limit: u64,
    /// On TLS 1.3, what is sent and received is sealed under.
    secrets: Option<Secrets>,
}

pub(crate) struct Secrets {
    pub(crate) transmit: TrafficSecret,
    pub(crate) receive: TrafficSecret,
}

impl KernelSession {
    /// The most bytes that one has.
    pub const MAX_LEN: usize = 128;
    /// Stands first: the layout of all that follows.
    const LAYOUT: u8 = 1;

    pub(crate) fn new(
        role: Role,
        suite: SupportedCipherSuite,
        sealed: u64,
        secrets: Option<Secrets>,
    ) -> Self {
        Self { role, suite, rekeys: false, sealed, limit: limit_of(suite), secrets }
    }

    /// Which end of the handshake we were.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The version of TLS.
    pub const fn version(&self) -> TlsVersion {
        match self.suite {
            SupportedCipherSuite::Tls12(_) => TlsVersion::V1_2,
            SupportedCipherSuite::Tls13(_) => TlsVersion::V1_3,
        }
    }

    /// Whether the kernel takes new keys.
    pub const fn rekeys(&self) -> bool {
        self.rekeys
    }

    /// Says whether the kernel takes new keys, as was found out.
    pub const fn set_rekeys(&mut self, rekeys: bool) {
        self.rekeys = rekeys;
    }

    /// Seals no more than so many records under one key, if that is fewer than the cipher allows
    /// (RFC 8446 section 5.5).
    pub fn renew_after(&mut self, records: u64) {
        self.limit = self.limit.min(records.saturating_add(Duties::RESERVE));
    }

    /// What is owed to the peer from now on.
    pub fn duties(&self) -> Duties {
        Duties::new(self.role, self.version(), self.rekeys, self.sealed, self.limit)
    }

    /// The next keys of a direction, in place of those before (RFC 8446 section 7.2); `None` on TLS 1.2,
    /// which has no others.
    pub fn renew(&mut self, direction: Direction) -> Option<RecordKeys> {
        let suite = tls13(self.suite)?;
        let secrets = self.secrets.as_mut()?;
        let secret = match direction {
            Direction::Transmit => &mut secrets.transmit,
            Direction::Receive => &mut secrets.receive,
        };
        *secret = next_secret(suite, secret)?;
        tls13_keys(suite, secret, 0)
    }

    /// The bytes of this session, at most [`Self::MAX_LEN`]. They hold secrets.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let role = match self.role {
            Role::Client => 1,
            Role::Server => 2,
        };
        // With room for all: no part of a secret stays behind where it grew.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::MAX_LEN));
        bytes.extend([Self::LAYOUT, role, u8::from(self.rekeys)]);
        bytes.extend(u16::from(self.suite.suite()).to_be_bytes());
        bytes.extend(self.sealed.to_be_bytes());
        if let Some(secrets) = &self.secrets {
            bytes.extend_from_slice(&secrets.transmit);
            bytes.extend_from_slice(&secrets.receive);
        }
        bytes
    }

    /// The session that these bytes are.
    ///
    /// # Errors
    ///
    /// [`KernelSessionError`] for anything that [`to_bytes`](Self::to_bytes) does not make.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KernelSessionError> {
        use KernelSessionError as Error;
        let (&[layout, role, rekeys, suite_high, suite_low], rest) =
            bytes.split_first_chunk().ok_or(Error::Length)?;
        if layout != Self::LAYOUT {
            return Err(Error::Layout(layout));
        }
        let role = match role {
            1 => Role::Client,
            2 => Role::Server,
            _ => return Err(Error::Value),
        };
        let rekeys = match rekeys {
            0 => false,
            1 => true,
            _ => return Err(Error::Value),
        };
        let number = u16::from_be_bytes([suite_high, suite_low]);
        let suite = suite(CipherSuite::from(number)).ok_or(Error::Suite(number))?;
        let (sealed, secrets) = rest.split_first_chunk().ok_or(Error::Length)?;
        let secret_len = tls13(suite).map_or(0, |suite| suite.common.hash_provider.output_len());
        if secrets.len() != 2 * secret_len {
            return Err(Error::Length);
        }
        let (transmit, receive) = secrets.split_at(secret_len);
        let secrets = (secret_len > 0).then(|| Secrets {
            transmit: Zeroizing::new(transmit.to_vec()),
            receive: Zeroizing::new(receive.to_vec()),
        });
        let sealed = u64::from_be_bytes(*sealed);
        Ok(Self { rekeys, ..Self::new(role, suite, sealed, secrets) })
    }
}

/// The cipher suite with this number, if we speak it.
fn suite(number: CipherSuite) -> Option<SupportedCipherSuite> {
    provider().cipher_suites.iter().copied().find(|suite| suite.suite() == number)
}

const fn tls13(suite: SupportedCipherSuite) -> Option<&'static Tls13CipherSuite> {
    match suite {
        SupportedCipherSuite::Tls13(suite) => Some(suite),
        SupportedCipherSuite::Tls12(_) => None,
    }
}

const fn limit_of(suite: SupportedCipherSuite) -> u64 {
    match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
    }
}

impl fmt::Debug for KernelSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelSession")
            .field("role", &self.role)
            .field("suite", &self.suite)
            .field("rekeys", &self.rekeys)
            .field("sealed", &self.sealed)
            .finish_non_exhaustive()
    }
}

/// Why bytes are no [`KernelSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelSessionError {
    /// They are in a layout that we do not know.
    Layout(u8),
    /// They are too few or too many.
    Length,
    /// They are of a cipher suite that we do not speak: its number in the IANA registry.
    Suite(u16),
    /// A value is none of those that there are.
    Value,
}

impl fmt::Display for KernelSessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session in the kernel cannot be taken over: ")?;
        match self {
            Self::Layout(layout) => write!(
                f,
                "it comes in layout {layout}, and we know {}: let both sides be of one version",
                KernelSession::LAYOUT
            ),
            Self::Length => f.write_str("it has too few or too many bytes"),
            Self::Suite(number) => write!(f, "we do not speak its cipher suite {number:#06x}"),
            Self::Value => f.write_str("one of its values is none of those that there are"),
        }
    }
}

impl std::error::Error for KernelSessionError {}

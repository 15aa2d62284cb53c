//! The structures and numbers of the header.
#![expect(non_camel_case_types, reason = "they are named as C names types")]

use std::ffi::{c_char, c_int};

use levada_pool::PoolError;
use levada_pool::wire::StartTlsFlags;

/// Flag of a request: we are the TLS client. This or LEVADA_POOL_SERVER has to be set.
pub const LEVADA_POOL_CLIENT: u32 = 0x9;
/// Flag: we are the TLS server. Without a flag about it, a client has to show a certificate.
pub const LEVADA_POOL_SERVER: u32 = 0x6;
/// Flag: a client asks for no name.
pub const LEVADA_POOL_WITHOUT_SNI: u32 = 0x200;
/// Flag: the session resumes none, and can not be resumed.
pub const LEVADA_POOL_IGNORE_CACHES: u32 = 0x400;
/// Flag: a server asks its client for a certificate, and lets in who has none.
pub const LEVADA_POOL_REQUEST_REMOTEID: u32 = 0x800;
/// Flag: a server does not ask its client for a certificate.
pub const LEVADA_POOL_IGNORE_REMOTEID: u32 = 0x1000;
/// Flag: the session is detached from the beginning.
pub const LEVADA_POOL_DETACH: u32 = 0x2000;
/// Flag: the session is detached when the handle is closed.
pub const LEVADA_POOL_FORK: u32 = 0x4000;
/// Flag: the certificate of a domain is enough for its users.
pub const LEVADA_POOL_DOMAIN_REPRESENTS_USER: u32 = 0x8000;
/// Flag: a server is asked for whom it stands, by LEVADA_POOL_QUESTION.
pub const LEVADA_POOL_LOCALID_CHECK: u32 = 0x10000;

// The numbers of the header are those of the protocol.
const _: () = {
    assert!(LEVADA_POOL_CLIENT == StartTlsFlags::CLIENT.bits());
    assert!(LEVADA_POOL_SERVER == StartTlsFlags::SERVER.bits());
    assert!(LEVADA_POOL_WITHOUT_SNI == StartTlsFlags::WITHOUT_SNI.bits());
    assert!(LEVADA_POOL_IGNORE_CACHES == StartTlsFlags::IGNORE_CACHES.bits());
    assert!(LEVADA_POOL_REQUEST_REMOTEID == StartTlsFlags::REQUEST_REMOTEID.bits());
    assert!(LEVADA_POOL_IGNORE_REMOTEID == StartTlsFlags::IGNORE_REMOTEID.bits());
    assert!(LEVADA_POOL_DETACH == StartTlsFlags::DETACH.bits());
    assert!(LEVADA_POOL_FORK == StartTlsFlags::FORK.bits());
    let by_domain = StartTlsFlags::DOMAIN_REPRESENTS_USER;
    assert!(LEVADA_POOL_DOMAIN_REPRESENTS_USER == by_domain.bits());
    assert!(LEVADA_POOL_LOCALID_CHECK == StartTlsFlags::LOCALID_CHECK.bits());
};

/// Why something was not done.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum levada_pool_error {
    /// It was.
    LEVADA_POOL_OK = 0,
    /// Nobody answers at the pool's socket.
    LEVADA_POOL_UNREACHABLE = 1,
    /// The pool went away: its sessions are over. The next request connects anew.
    LEVADA_POOL_GONE = 2,
    /// The pool said no; `refusal` of the event tells which no.
    LEVADA_POOL_REFUSED = 3,
    /// The TLS handshake failed; `facts` of the event tell how.
    LEVADA_POOL_HANDSHAKE = 4,
    /// No pool would take this request, or it names nothing that there is.
    LEVADA_POOL_INVALID = 5,
    /// The handle waits for something else.
    LEVADA_POOL_BUSY = 6,
    /// The pool did not answer in time.
    LEVADA_POOL_TIMED_OUT = 7,
    /// What answers is no pool, or one that breaks the protocol.
    LEVADA_POOL_PROTOCOL = 8,
    /// This process could not do its part, for want of descriptors or memory.
    LEVADA_POOL_LOCAL = 9,
    /// A flaw of this library; please report it.
    LEVADA_POOL_INTERNAL = 10,
}

/// What an event tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum levada_pool_kind {
    /// The request is done: `session` is protected, and its plaintext socket is the program's to close.
    LEVADA_POOL_PROTECTED = 1,
    /// The pool asks whether we stand for `local_id` of `session`: answer with levada_pool_answer().
    LEVADA_POOL_QUESTION = 2,
    /// The request is done: `facts` are what was asked for.
    LEVADA_POOL_REPORT = 3,
    /// The request is done: `bytes` are the peer's certificates in DER, its own first, one behind the
    /// other; each tells its own size.
    LEVADA_POOL_CHAIN = 4,
    /// The request is done: `bytes` are the keys. They are secret; the copy here is wiped by the next call
    /// with this handle.
    LEVADA_POOL_KEYS = 5,
    /// The request is done.
    LEVADA_POOL_DONE = 6,
    /// The request has failed: see `error`, `message`, `refusal` and `facts`.
    LEVADA_POOL_FAILED = 7,
}

/// How to protect a connection. Set what is not needed to 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct levada_pool_request {
    /// LEVADA_POOL_CLIENT or LEVADA_POOL_SERVER, and other flags.
    pub flags: u32,
    /// How long the handshake may take, in milliseconds; 0 is as long as the pool has it, UINT32_MAX for
    /// ever.
    pub timeout_ms: u32,
    /// Who the peer has to be: `domain` or `user@domain`, up to 127 bytes. A client needs it, for a server
    /// NULL is whoever comes.
    pub remote_id: *const c_char,
    /// Who we are; NULL is as the pool's policy says, and for a server whom its client asks for.
    pub local_id: *const c_char,
    /// The protocol inside TLS, by its name in IANA's registry of services, for the pool's policy; or NULL.
    pub service: *const c_char,
    /// Application protocols (ALPN), the best first, NULL behind the last; or NULL, which is none.
    pub alpn: *const *const c_char,
}

/// A connection that the pool protects.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct levada_pool_session {
    /// The plaintext socket: what is written there reaches the peer under TLS, what the peer sends is read
    /// there. It does not block, but for that of levada_pool_starttls(). The pool relays it, also where the
    /// kernel has TLS. -1 in a question.
    pub plain: c_int,
    /// Names the session to the pool; whoever has it may attach the session when it is detached.
    pub key: [u8; 16],
    /// Who we are.
    pub local_id: [c_char; 128],
    /// Who the peer is, verified; empty for a client that was not asked.
    pub remote_id: [c_char; 128],
}

/// What is known about a session. Texts are NULL where there is nothing to know.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct levada_pool_facts {
    /// The version of TLS: "1.2" or "1.3".
    pub version: *const c_char,
    /// The cipher suite, by its name in IANA's registry.
    pub suite: *const c_char,
    /// The group of the key exchange.
    pub group: *const c_char,
    /// The application protocol (ALPN) that both ends have.
    pub alpn: *const c_char,
    /// The name by which the peer was verified.
    pub verified_name: *const c_char,
    /// What the OCSP response says that a server has shown: "good", "revoked", "unknown", "no_answer" or
    /// "unreadable".
    pub staple: *const c_char,
    /// How the session ended, as a code that the book lists, such as "finished"; NULL while it lives.
    pub ending: *const c_char,
    /// The same in words.
    pub ended: *const c_char,
    /// How many certificates the peer has shown.
    pub peer_certificates: usize,
    /// SHA-256 of them all, each behind its size in 3 bytes; zeros where there are none.
    pub peer_chain_sha256: [u8; 32],
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether the peer has said goodbye: without it, the end of the plaintext may be a truncation.
    pub peer_goodbye: bool,
    /// Whether the session has ended as both ends wanted, with nothing lost.
    pub clean: bool,
}

/// What has come.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct levada_pool_event {
    /// The number of the request that it is about.
    pub number: u64,
    /// What it tells, and by that which of the fields below mean something. The others are 0.
    pub kind: levada_pool_kind,
    /// Of LEVADA_POOL_FAILED: why.
    pub error: levada_pool_error,
    /// Of LEVADA_POOL_REFUSED: the pool's error, counted from the protocol's base, 0 to 29; else -1.
    pub refusal: c_int,
    /// Of LEVADA_POOL_FAILED: why, in words.
    pub message: *const c_char,
    /// Of LEVADA_POOL_CHAIN and LEVADA_POOL_KEYS.
    pub bytes: *const u8,
    /// How many of them there are.
    pub size: usize,
    /// Of LEVADA_POOL_PROTECTED and LEVADA_POOL_QUESTION.
    pub session: levada_pool_session,
    /// Of LEVADA_POOL_REPORT, and of LEVADA_POOL_FAILED where a handshake has failed.
    pub facts: levada_pool_facts,
}

impl levada_pool_error {
    pub(crate) const fn of(error: &PoolError) -> Self {
        match error {
            PoolError::Unreachable { .. } => Self::LEVADA_POOL_UNREACHABLE,
            PoolError::Gone => Self::LEVADA_POOL_GONE,
            PoolError::Refused(_) => Self::LEVADA_POOL_REFUSED,
            PoolError::Handshake { .. } => Self::LEVADA_POOL_HANDSHAKE,
            PoolError::AgainstTheRules(_) => Self::LEVADA_POOL_INVALID,
            PoolError::Busy => Self::LEVADA_POOL_BUSY,
            PoolError::TimedOut => Self::LEVADA_POOL_TIMED_OUT,
            PoolError::Protocol(_) => Self::LEVADA_POOL_PROTOCOL,
            PoolError::Local { .. } => Self::LEVADA_POOL_LOCAL,
            // Whatever is new there is not ours to name.
            _ => Self::LEVADA_POOL_INTERNAL,
        }
    }

    /// What the number of an error means.
    pub(crate) const fn words(number: c_int) -> &'static std::ffi::CStr {
        match number {
            0 => c"there is nothing wrong",
            1 => c"nobody answers at the pool's socket",
            2 => c"the TLS pool went away: its sessions are over",
            3 => c"the TLS pool refused",
            4 => c"the TLS handshake failed",
            5 => c"no TLS pool would take this request",
            6 => c"the handle waits for something else",
            7 => c"the TLS pool did not answer in time",
            8 => c"the TLS pool does not keep to its protocol",
            9 => c"this process has no descriptors or no memory left",
            10 => c"a flaw of the library; please report it",
            _ => c"there is no such error",
        }
    }
}

impl levada_pool_session {
    pub(crate) const NONE: Self =
        Self { plain: -1, key: [0; 16], local_id: [0; 128], remote_id: [0; 128] };
}

impl levada_pool_facts {
    pub(crate) const NONE: Self = Self {
        version: std::ptr::null(),
        suite: std::ptr::null(),
        group: std::ptr::null(),
        alpn: std::ptr::null(),
        verified_name: std::ptr::null(),
        staple: std::ptr::null(),
        ending: std::ptr::null(),
        ended: std::ptr::null(),
        peer_certificates: 0,
        peer_chain_sha256: [0; 32],
        resumed: false,
        peer_goodbye: false,
        clean: false,
    };
}

impl levada_pool_event {
    pub(crate) const fn new(number: u64, kind: levada_pool_kind) -> Self {
        Self {
            number,
            kind,
            error: levada_pool_error::LEVADA_POOL_OK,
            refusal: -1,
            message: std::ptr::null(),
            bytes: std::ptr::null(),
            size: 0,
            session: levada_pool_session::NONE,
            facts: levada_pool_facts::NONE,
        }
    }
}

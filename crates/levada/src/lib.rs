//! One secure duplex byte stream whose whole life can be watched: over TCP, Unix sockets, TLS, TLS
//! pools and WebSocket.
//!
//! A stream is a [`Socket`], plain or under TLS, or a [`WsStream`], a WebSocket over one. Either has the
//! same [states](State), the same [events](Event), the same close contract and exactly one typed ending,
//! the [`Ended`]. [`connect`] dials an [`Address`],
//! [`listen`] accepts at one, and [`relay()`] joins two streams.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use levada::Ended;
//! use tokio::io::AsyncReadExt;
//!
//! let listener = levada::listen(&"tcp://127.0.0.1:0".parse()?).await?;
//! let here = listener.local().expect("it listens");
//! let mut client = levada::connect(&format!("tcp://{here}").parse()?).await?;
//!
//! // The other end goes away without a goodbye: that cannot be taken for the end of the data.
//! drop(listener.accept().await?);
//! let error = client.read(&mut [0; 16]).await.unwrap_err();
//! let ended = Ended::of(&error).expect("each failing call tells how the stream ended");
//! assert_eq!(ended.code(), "ECONNRESET");
//! assert!(!ended.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! # The close contract
//!
//! - The peer's goodbye (the FIN of a plain stream, the close_notify of TLS) reads as end of file,
//!   after all data before it. Writing goes on until our own [`shutdown`](Socket::shutdown), unless
//!   [`ClosePolicy::Both`] is set.
//! - A transport that ends without the goodbye is [`Ending::SocketClose`]: truncation is an error.
//! - What is written before the handshake is done waits, within a bound, and leaves only under TLS.
//! - Data that had arrived is read before the error that followed it.
//! - A write that waits at the end fails once with the reason; every later one fails too.
//! - Dropping a socket aborts it: it blocks nowhere, and the peer cannot take it for a clean end.
#![forbid(unsafe_code)]
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Levada runs on Linux, on x86-64 and aarch64.");

mod alarm;
mod carrier;
mod dial;
mod events;
mod files;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "http2")]
mod http2;
mod kernel;
mod key_log;
mod listener;
mod memory;
mod on_token;
mod open;
mod per_address;
mod pool;
mod proxy;
mod relay;
mod resolve;
mod scratch;
mod setup_error;
mod socket;
mod socket_signer;
mod splice;
mod split;
mod stdio;
mod stream;
mod wakers;
mod watch;
mod workers;
pub mod ws;

pub use carrier::Carrier;
pub use events::Events;
pub use levada_address::{
    Address, AddressError, ConnectEndpoint, Family, Host, Http, ListenEndpoint, UnixName,
};
pub use levada_core::{
    AlertDescription, Blame, Bytes, CertificateFacts, CertificateFault, Check, Checks, ClosePolicy,
    ConnectFailure, Deadline, Deadlines, Ended, Ending, Endpoint, Event, Facts, Fault, KernelTls,
    LIFECYCLE, Lapse, Mode, NoKernelTls, OsError, OsErrorKind, Outcome, Party, Pin, PinError, Role,
    Rule, SanRule, SanRuleError, ShownCertificate, Staple, StapleStatus, State, Step, SubjectName,
    Times, TlsFacts, Verification, WebSocketFacts, WhyPlain, machine,
};
#[cfg(feature = "pkcs11")]
pub use levada_pkcs11::{KeyError, KeyUri, StoredPin, TokenFacts, TokenKey, UriError};
pub use levada_tls::{
    Anchors, AnchorsError, Candidate, ChannelBinding, ClientAuth, ClientHello, CrlError, CrlScope,
    Crls, DangerKeyLog, Decision, ExporterError, HelloAnswer, Identities, IdentitiesBuilder,
    IdentitiesError, Identity, IdentityError, IdentityWarning, KernelSession, KernelSessionError,
    KeyAlgorithm, KeyingMaterial, NameError, Passphrase, PeerRules, PemError, Session, SessionName,
    SignatureScheme, Signer, SignerError, Signing, TicketKey, TicketKeys, TicketRing, TlsClient,
    TlsClientBuilder, TlsConfigError, TlsServer, TlsServerBuilder, TlsVersion, check_private_key,
    read_certificate,
};
pub use listener::{ClosedListener, Listener};
pub use memory::Pipe;
pub use open::{Binder, Dialer, connect, listen};
pub use pool::{Layer, PoolSession, PoolTls, ServerLayer};
// For the fuzzer.
#[doc(hidden)]
pub use proxy::Answer as ProxyAnswer;
pub use proxy::Proxy;
pub use relay::{Relay, relay};
pub use resolve::{IpVersion, Resolve, Resolving, SystemResolver};
pub use setup_error::SetupError;
pub use socket::{KernelHandover, Options, Socket, TcpOptions, UpgradeError};
pub use split::{NotOneSocket, ReadHalf, WriteHalf};
pub use stream::{Stream, Watched};
pub use ws::WsStream;

/// The book's page about certificates.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/verification.md")]
mod verification {}

/// The book's page about TLS sessions.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sessions.md")]
mod sessions {}

/// The book's page about the library: its examples run with the tests of the docs.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
mod book {}

//! One secure duplex byte stream whose whole life can be watched.
#![forbid(unsafe_code)]
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Levada runs on Linux, on x86-64 and aarch64.");

mod alarm;
mod carrier;
mod dial;
mod events;
mod listener;
mod memory;
mod open;
mod relay;
mod resolve;
mod scratch;
mod socket;
mod stdio;
mod wakers;

pub use carrier::Carrier;
pub use events::Events;
pub use levada_address::{
    Address, AddressError, ConnectEndpoint, Family, Host, ListenEndpoint, UnixName,
};
pub use levada_core::{
    AlertDescription, Blame, Bytes, CertificateFacts, CertificateFault, ClosePolicy,
    ConnectFailure, Deadline, Deadlines, Ended, Ending, Endpoint, Event, Facts, Fault, LIFECYCLE,
    Mode, OsError, OsErrorKind, Party, Role, Rule, ShownCertificate, State, Step, SubjectName,
    Times, TlsFacts, Verification, WhyPlain, machine,
};
pub use levada_tls::{
    Anchors, AnchorsError, ClientAuth, Identities, IdentitiesBuilder, IdentitiesError, Identity,
    IdentityError, NameError, Passphrase, PemError, Session, SessionName, TlsClient,
    TlsClientBuilder, TlsConfigError, TlsServer, TlsServerBuilder, TlsVersion,
};
pub use listener::Listener;
pub use memory::Pipe;
pub use open::{Binder, Dialer, SetupError, connect, listen};
pub use relay::relay;
pub use resolve::{IpVersion, Resolve, Resolving, SystemResolver};
pub use socket::{Options, Socket, TcpOptions, UpgradeError};

/// The book's page about the library: its examples run with the tests of the docs.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
mod book {}

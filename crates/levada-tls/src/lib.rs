//! TLS sessions for Levada: bytes in, bytes out; identities and verification. No sockets.
//!
//! This is the only crate that names rustls, and none of rustls' types leave it.
//!
//! A [`TlsClient`] or [`TlsServer`] holds what its sessions have in common and begins them; a
//! [`Session`] is one [`Engine`], driven by whoever has the transport:
//!
//! ```
//! use levada_tls::{Engine, SessionName, TlsClient, TlsVersion};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let anchors = levada_tls::Anchors::from_pem(include_bytes!("../tests/data/ec-cert.pem"))?;
//! let client = TlsClient::builder()
//!     .anchors(anchors)
//!     .alpn(["http/1.1"])
//!     .min_version(TlsVersion::V1_3)
//!     .build()?;
//! let mut session = client.session(&SessionName::new("host.example")?)?;
//! let mut transport = Vec::new();
//! session.write_wire(&mut transport)?;
//! assert_eq!(transport[0], 22, "a handshake record");
//! // What comes back goes to `session.open`, until `session.is_handshaking()` is over.
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod accepting;
mod anchors;
mod certificate;
mod certificate_fault;
mod client;
mod common;
mod config_error;
mod connection;
mod decision;
mod der_file;
mod engine;
mod exporter;
mod facts;
mod fault;
mod hello;
mod identities;
mod identity;
mod identity_error;
mod judge;
mod kernel;
mod key_log;
mod name;
mod offload;
mod outgoing;
mod over;
mod passphrase;
mod peer_hello;
mod pem;
mod private_key;
mod provider;
mod reader;
mod record;
mod record_keys;
mod resumption;
mod revocation;
mod rules;
mod running;
mod server;
mod session;
mod signature_scheme;
mod signer;
mod signing_line;
mod staple;
mod tickets;
mod verify;
mod version;
mod voice;
mod waiting;
mod witness;

pub use anchors::{Anchors, AnchorsError};
pub use certificate::{EncodedNames, encoded_names, read_certificate};
pub use client::{TlsClient, TlsClientBuilder};
pub use config_error::TlsConfigError;
pub use decision::{Candidate, Decision};
pub use engine::{Engine, Opened};
pub use exporter::{ChannelBinding, ExporterError, KeyingMaterial};
pub use hello::{ClientHello, HelloAnswer};
pub use identities::{Identities, IdentitiesBuilder, IdentitiesError};
pub use identity::Identity;
pub use identity_error::{IdentityError, IdentityWarning};
pub use kernel::{
    BadRecord, Direction, Duties, Duty, Handover, KernelSession, KernelSessionError, NotReady,
    Outgoing, Permit, Sent,
};
pub use key_log::DangerKeyLog;
pub use name::{NameError, SessionName};
pub use offload::{Awaited, BlockingPool, Work};
pub use passphrase::Passphrase;
pub use pem::PemError;
pub use private_key::{KeyAlgorithm, check_private_key};
pub use record_keys::{RecordCipher, RecordKeys};
pub use revocation::{CrlError, Crls};
pub use rules::{CrlScope, PeerRules};
pub use server::{ClientAuth, TlsServer, TlsServerBuilder};
pub use session::Session;
pub use signature_scheme::SignatureScheme;
pub use signer::{Signer, SignerError, Signing};
pub use signing_line::{MAX_SIGNING_ANSWER, read_signing_answer, signing_request};
pub use staple::read_staple;
pub use tickets::{TicketKey, TicketKeys, TicketRing};
pub use version::TlsVersion;

//! The address grammar of Levada: one set of words for the library, the command and its configuration.
//!
//! An address names one end of a stream: it is a scheme, an endpoint and options. The same words stand in an address, in a flag
//! of the command and in a key of the configuration, because all three come from one table,
//! [`OPTIONS`]; the schemes come from another, [`SCHEMES`].
//!
//! | address | endpoint |
//! |---|---|
//! | `tcp://host:port` | TCP |
//! | `tls://host:port`, `pool+tls://host:port` | TLS over TCP, in this process or by a TLS pool |
//! | `ws://host:port/path`, `wss://host:port/path` | a WebSocket over TCP, over TLS |
//! | `ws+unix:/path` | a WebSocket over a Unix socket |
//! | `unix:/path`, `unix:run/path`, `unix:@name` | a Unix socket: absolute, relative, abstract |
//! | `stdio:` | standard input and output |
//! | `echo:` | a peer that sends back what it gets |
//!
//! Options follow a `?`, as `key=value` with `&` between them; values are percent-decoded.
//!
//! # Two steps
//!
//! Parsing checks the grammar, and that each word belongs to the scheme. What the address is *for*
//! is known only to its user: [`Address::for_listening`] and [`Address::for_connecting`] check the
//! rest and give a typed view, where every default is filled in and nothing is left to look up.
//!
//! ```
//! use std::time::Duration;
//!
//! use levada_address::{Address, ConnectEndpoint};
//!
//! let address: Address = "tls://example.org:443?alpn=h2&deadline-connect=250ms".parse()?;
//! let to = address.for_connecting()?;
//! assert!(matches!(to.endpoint, ConnectEndpoint::Tcp { port, .. } if port.get() == 443));
//! assert_eq!(to.tls.unwrap().alpn, [b"h2".to_vec()]);
//! assert_eq!(to.deadlines.connect, Some(Duration::from_millis(250)));
//! assert_eq!(to.deadlines.handshake, Some(Duration::from_secs(10)));
//!
//! let error = "tls://:8443?crt=a.pem".parse::<Address>().unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "unknown option `crt`
//!     tls://:8443?crt=a.pem
//!                 ^^^
//!     did you mean `cert`?"
//! );
//! # Ok::<(), levada_address::AddressError>(())
//! ```
//!
//! This crate is pure: it opens no file, resolves no name and reads no environment. An address
//! holds no secret, only the paths of files that do.
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("Levada runs on Linux: paths are bytes here, and Unix sockets are endpoints");

mod address;
mod connect;
mod deadline;
mod endpoint;
mod error;
mod fault;
mod host;
mod key_place;
mod listen;
mod mask;
mod option;
mod options;
mod parse;
mod percent;
mod proxy;
pub mod render;
mod rules;
mod scheme;
mod side;
mod suggest;
mod unix;
mod value;
mod web_socket;

pub use address::Address;
pub use connect::{ConnectAddress, ConnectEndpoint, ConnectPool, ConnectTls};
pub use deadline::TimeLimit;
pub use endpoint::Endpoint;
pub use error::AddressError;
pub use fault::{Fault, HostFault, ValueFault};
pub use host::Host;
pub use key_place::KeyPlace;
pub use listen::{ClientCheck, ListenAddress, ListenEndpoint, ListenPool, ListenTls};
pub use option::{DefaultValue, OPTIONS, OptionSpec, Repeat, Schemes};
pub use options::{IdentityFiles, Options, PassphraseSource, SessionOptions};
pub use parse::MAX_LEN;
pub use proxy::{ConnectProxy, ProxyAddress};
pub use rules::CertificateRules;
pub use scheme::{Form, SCHEMES, Scheme, SchemeSpec};
pub use side::{Side, Sides};
pub use suggest::nearest;
pub use unix::UnixName;
pub use value::{ClientAuth, CrlCheck, Deflate, Family, Http, Value, ValueKind};
pub use web_socket::{ConnectWebSocket, ListenWebSocket};

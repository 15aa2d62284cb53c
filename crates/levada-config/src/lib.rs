//! The configuration file of `levada serve`: TOML in, routes and limits out, each fault with its line.
//!
//! A crate of its own, so that it is pure: it opens nothing, and a fuzzer can read what an operator
//! writes.
//!
//! The words are those of addresses and flags, because they come from the same table
//! ([`levada_address::OPTIONS`]); what else there is stands in [`KEYS`] and [`ROUTE_KEYS`].
//!
//! ```
//! use std::path::Path;
//!
//! let text = r#"
//! drain = "10s"
//!
//! [[route]]
//! listen = { address = "tls://:443", cert = "site.pem" }
//! to = "tcp://127.0.0.1:80"
//! "#;
//! let config = levada_config::parse(text, Path::new("/etc/levada")).unwrap();
//! let route = &config.routes[0];
//! assert_eq!(route.listen.address.to_string(), "tls://*:443?cert=/etc/levada/site.pem");
//!
//! let faults = levada_config::parse("[[route]]\nlisen = \"tcp://:80\"\nto = \"echo:\"\n", Path::new(""));
//! assert_eq!(
//!     faults.unwrap_err().in_file("levada.toml").to_string(),
//!     "levada.toml:1:1: a route needs `listen`
//!     [[route]]
//!     ^^^^^^^^^
//!     add `listen = \"ADDRESS\"`: where streams come from
//! levada.toml:2:1: unknown key `lisen`
//!     lisen = \"tcp://:80\"
//!     ^^^^^
//!     did you mean `listen`?"
//! );
//! ```
#![forbid(unsafe_code)]

mod config;
mod fault;
mod key;
mod reader;
pub mod render;
mod route;
mod sharing;
pub mod suggest;
mod when;

pub use config::{Config, End, LogFormat, Route};
pub use fault::{Fault, Faults, line_of};
pub use key::{KEYS, KeySpec, ROUTE_KEYS};
pub use reader::parse;
pub use when::When;

//! TLS ClientHellos made by hand, and what a server's answer tells, without io.
//!
//! A library for TLS offers what it finds safe, and so cannot ask whether a server still takes what is
//! not: SSL 3, TLS 1.0, RC4. A [`ClientHello`] offers exactly what is asked about, and the [`Reader`]
//! takes the server's bytes until its [`Answer`] is there. No handshake is ever completed, so nothing
//! here holds a key or computes one.
//!
//! ```
//! use levada_probe::{Answer, ClientHello, Reader, Until, Version};
//!
//! let hello = ClientHello {
//!     version: Version::Tls10,
//!     suites: &[0x002f],
//!     groups: &[],
//!     server_name: Some("host.example"),
//!     random: [0; 32],
//! };
//! assert_eq!(hello.record()[0], 22, "to be written to the server");
//!
//! let mut reader = Reader::new(Until::ServerHello);
//! assert_eq!(reader.take(&[21, 3, 1, 0, 2]), None, "the answer is not whole");
//! let answer = reader.take(&[2, 70]);
//! assert_eq!(answer, Some(Answer::Alert(levada_core::AlertDescription::PROTOCOL_VERSION)));
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod answer;
mod group;
mod hello;
mod suite;
mod version;

pub use answer::{Answer, Chosen, Reader, Until};
pub use group::Group;
pub use hello::ClientHello;
pub use suite::{Strength, Suite};
pub use version::Version;

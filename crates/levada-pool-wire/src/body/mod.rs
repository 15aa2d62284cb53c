//! The bodies of packets, one file each.

mod control;
mod error;
mod info;
mod lidentry;
mod pinentry;
mod ping;
mod prng;
mod starttls;

pub use control::Control;
pub use error::Failure;
pub use info::{Fact, FactTooLong, Info, InfoKind};
pub use lidentry::Lidentry;
pub use pinentry::{Pin, PinEntry};
pub use ping::Ping;
pub use prng::{Prng, PrngFault, PrngRequest};
pub use starttls::StartTls;

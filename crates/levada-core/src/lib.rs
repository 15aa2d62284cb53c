//! The vocabulary of a Levada stream: its [states](State), [events](Event), [facts](Facts) and
//! [endings](Ending), the [transition table](LIFECYCLE) that every stream obeys, and the
//! [close contract](Goodbyes) that gives each stream its one ending.
//!
//! This crate holds no io, no clock, no randomness and no environment: the compiler proves it, for
//! it is `no_std` (`tests/no_std.rs` builds a program without the standard library over it). The feature
//! `std` (on by default) adds the conversions to and from
//! [`std::io::Error`](https://doc.rust-lang.org/std/io/struct.Error.html); `serde` makes events, facts
//! and endings serializable.
//!
//! The state machine is the first enum of [`lifecycle`](State).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod alert;
mod certificate;
mod checks;
mod close;
mod deadline;
mod diagnosis;
mod ended;
mod ending;
mod event;
mod facts;
mod fault;
#[cfg(feature = "std")]
mod io;
mod kernel_tls;
mod lifecycle;
pub mod machine;
mod os_error;
mod pin;
mod san_rule;
mod text;

pub use alert::AlertDescription;
pub use certificate::{CertificateFacts, ShownCertificate, SubjectName};
pub use checks::{Check, Checks, Lapse, Outcome};
pub use close::{ClosePolicy, Goodbyes, Ours};
pub use deadline::{Deadline, Deadlines};
pub use diagnosis::Blame;
pub use ended::Ended;
pub use ending::{ConnectFailure, Ending, Rule};
pub use event::Event;
pub use facts::{
    Bytes, Endpoint, Facts, Staple, StapleStatus, Times, TlsFacts, Verification, WebSocketFacts,
    WhyPlain,
};
pub use fault::{CertificateFault, Fault, ProxyFault};
pub use kernel_tls::{KernelTls, NoKernelTls};
pub use lifecycle::{LIFECYCLE, Life, Mode, Party, Role, State, Step, Undeclared};
pub use os_error::{OsError, OsErrorKind};
pub use pin::{Pin, PinError};
pub use san_rule::{SanRule, SanRuleError};

//! The native half of the Node package `levada`: streams and listeners as handles, for the JavaScript
//! in `lib/` alone. What programs see is there; what a stream does is in the crate `levada`.
//!
//! JavaScript and the streams never wait for each other. Streams live on [threads](runtime) of their
//! own, each driven by one task, its [`Pump`](pump::Pump). JavaScript leaves [orders](pump::Order) for
//! a pump, and the pump sends [notices](door::Notice) back through the [`Door`](door::Door), in the
//! order in which things happened.

mod chunk;
mod door;
mod listener;
mod pump;
mod report;
mod runtime;
mod setup;
mod signer;
mod stream;
mod tls;

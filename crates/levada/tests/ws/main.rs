//! A WebSocket as a byte stream. The ids in the tests' names are those of the contract's rows: B bytes,
//! K wake-ups, C closing, E events, X errors.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bytes;
mod closing;
mod codecs;
mod compression;
mod deadlines;
mod errors;
mod events;
mod foreign;
mod opening;
mod properties;
mod relay;
mod stack;
mod support;
mod wakes;

//! The daemon, as clients, peers and operators see it: a pool in a thread of its own, a client that
//! speaks raw packets, and real TLS behind the passed sockets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod datagrams;
mod endings;
mod exchange;
mod facts;
mod fire;
mod hand_back;
mod interop;
mod lidentry;
mod on_the_fly;
mod operator;
mod pins;
mod plain_sides;
mod policies;
mod private;
mod questions;
mod streams;
mod support;

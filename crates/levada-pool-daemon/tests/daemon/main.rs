//! The daemon, as clients, peers and operators see it: a pool in a thread of its own, a client that
//! speaks raw packets, and real TLS behind the passed sockets.

mod endings;
mod exchange;
mod plain_sides;
mod questions;
mod support;

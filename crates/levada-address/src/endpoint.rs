//! Where an address leads.

use crate::error::Wrong;
use crate::{Fault, Host, UnixName};

/// Where an address leads, before it is known whether to listen there or to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP port, under whatever the scheme puts on top.
    Tcp {
        /// The host; `None`, written `*` or nothing at all, is every address of this machine and
        /// good for listening only.
        host: Option<Host>,
        /// The port; 0 is any free one and good for listening only.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(UnixName),
    /// Standard input and output.
    Stdio,
    /// A peer in this process that sends back what it gets.
    Echo,
}

/// Reads a port: nothing but digits.
pub(crate) fn parse_port(text: &str) -> Result<u16, Wrong> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ if digits => Err(Wrong::new(0..text.len(), Fault::Port)),
        _ => Err(Wrong::new(0..text.len(), Fault::Port)
            .hint("write the number: names of services are not looked up")),
    }
}

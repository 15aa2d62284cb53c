//! The pool's wire: a packet made, encoded, put together from its bytes and decoded.

use std::error::Error;

use levada_pool_wire::body::StartTls;
use levada_pool_wire::{Calls, Message, Packet};

pub(crate) fn run(count: u64) -> Result<(), Box<dyn Error>> {
    let mut calls = Calls::new(1);
    let (_, packet) = calls.call(Message::StartTls(StartTls::default()), true, None)?;
    for _ in 0..count {
        let bytes = packet.encode();
        if Packet::decode(bytes.expose())? != packet {
            return Err("a packet has changed".into());
        }
    }
    Ok(())
}

//! The WebSocket codec: 64 KiB encoded by one end and decoded by the other.

use std::error::Error;
use std::time::Duration;

use levada_ws::Role;
use levada_ws::connection::{Config, Connection, Event};

const WRITE: usize = 64 * 1024;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn masked(count: u64) -> Result<(), Box<dyn Error>> {
    run(Role::Client, count)
}

pub(crate) fn unmasked(count: u64) -> Result<(), Box<dyn Error>> {
    run(Role::Server, count)
}

fn run(sender: Role, count: u64) -> Result<(), Box<dyn Error>> {
    let mut one = Connection::new(sender, Config::default(), Duration::ZERO);
    let mut other = Connection::new(sender.peer(), Config::default(), Duration::ZERO);
    let (data, mut wire) = (vec![7; WRITE], vec![0; WRITE + 256]);
    for _ in 0..count {
        let encoded = one.encode(&data, &mut wire, &mut || KEY)?;
        let mut rest = &mut wire[..encoded.written];
        let mut read = 0;
        while !rest.is_empty() {
            let received = other.handle_wire(Duration::ZERO, rest);
            if let Some(Event::Data(chunk)) = received.event {
                read += chunk.payload.len();
            }
            rest = &mut rest[received.consumed..];
        }
        if read != WRITE {
            return Err("payload is lost".into());
        }
    }
    Ok(())
}

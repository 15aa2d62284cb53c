//! The relay: 64 KiB from a TLS client through a relay to a plain reader, all in memory.

use std::error::Error;

use levada::SessionName;
use levada::{Options, Pipe, Socket, relay};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::record::sides;

const PIECE: usize = 64 * 1024;
const PIPE: usize = 256 * 1024;

pub(crate) fn run(count: u64) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(relayed(count))
}

async fn relayed(count: u64) -> Result<(), Box<dyn Error>> {
    let (client, server) = sides()?;
    let session = client.session(&SessionName::new("localhost")?)?;
    let (outer, inner) = (Pipe::pair(PIPE), Pipe::pair(PIPE));
    let mut client = Socket::adopt(outer.0, Some(session), Options::default());
    let mut left = Socket::adopt(outer.1, Some(server.session()), Options::default());
    let mut right = Socket::adopt(inner.0, None, Options::default());
    let mut reader = Socket::adopt(inner.1, None, Options::default());

    let talk = async {
        let (data, mut room) = (vec![7; PIECE], vec![0; PIECE]);
        for _ in 0..count {
            client.write_all(&data).await?;
            client.flush().await?;
            reader.read_exact(&mut room).await?;
        }
        client.shutdown().await?;
        reader.shutdown().await?;
        client.closed().await;
        std::io::Result::Ok(())
    };
    let ((one, other), talked) = tokio::join!(relay(&mut left, &mut right), talk);
    talked?;
    if one.is_clean() && other.is_clean() { Ok(()) } else { Err(format!("{one}; {other}").into()) }
}

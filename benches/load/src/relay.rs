//! A relay of plain TCP with large buffers: what a terminator costs without any TLS, and so the one
//! half of the limit that none can pass.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use crate::options::Options;
use crate::socket;

pub(crate) async fn run(options: &Options) -> io::Result<()> {
    let to = options.to().map_err(io::Error::other)?;
    let listener = TcpListener::bind(options.listen().map_err(io::Error::other)?).await?;
    loop {
        let (near, _) = listener.accept().await?;
        tokio::task::spawn_local(async move {
            if let Err(error) = relay(&near, to).await {
                eprintln!("levada-load relay: {error}");
            }
        });
    }
}

async fn relay(near: &TcpStream, to: SocketAddr) -> io::Result<()> {
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    tokio::try_join!(one_way(near, &far), one_way(&far, near))?;
    Ok(())
}

async fn one_way(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut late = Vec::new();
    loop {
        let read = socket::read(from, |bytes| {
            let written = socket::write_some(to, bytes)?;
            late.extend_from_slice(&bytes[written..]);
            Ok(())
        });
        if read.await? == 0 {
            return socket::finish(to);
        }
        if !late.is_empty() {
            socket::write_all(to, &late).await?;
            late = Vec::new();
        }
    }
}

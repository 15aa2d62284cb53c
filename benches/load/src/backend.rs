//! What stands behind the terminator: answers the requests of one connection after the other.

use std::io;

use tokio::net::{TcpListener, TcpStream};

use crate::options::Options;
use crate::pattern::Pattern;
use crate::request::{LENGTH, Request};
use crate::socket;

pub(crate) async fn run(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind(options.listen().map_err(io::Error::other)?).await?;
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = serve(&tcp).await
                && error.kind() == io::ErrorKind::InvalidData
            {
                // The load at the other end sees the connection break; why is told here.
                eprintln!("levada-load backend: {error}");
            }
        });
    }
}

async fn serve(tcp: &TcpStream) -> io::Result<()> {
    while let Some(request) = next(tcp).await? {
        match request {
            Request::Source(count) => source(tcp, count).await?,
            Request::Sink(count) => sink(tcp, count).await?,
            Request::Echo(count) => echo(tcp, count).await?,
        }
    }
    Ok(())
}

/// The next request; `None` at the end of the stream.
async fn next(tcp: &TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = [0; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        tcp.readable().await?;
        // Exactly so many: what follows is the request's own data.
        match tcp.try_read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "this is no request of ours");
    Request::decode(&bytes).map(Some).ok_or_else(wrong)
}

async fn source(tcp: &TcpStream, mut left: u64) -> io::Result<()> {
    let mut pattern = Pattern::default();
    while left > 0 {
        let written = socket::write_some(tcp, pattern.next(left))?;
        pattern.advance(written);
        left -= written as u64;
        if left > 0 {
            tcp.writable().await?;
        }
    }
    Ok(())
}

async fn sink(tcp: &TcpStream, count: u64) -> io::Result<()> {
    let mut pattern = Pattern::default();
    let mut came = 0;
    while came < count {
        came += some(socket::read(tcp, |bytes| pattern.check(bytes)).await?)?;
    }
    socket::write_all(tcp, &came.to_be_bytes()).await
}

async fn echo(tcp: &TcpStream, mut left: u64) -> io::Result<()> {
    let mut late = Vec::new();
    while left > 0 {
        let read = socket::read(tcp, |bytes| {
            let written = socket::write_some(tcp, bytes)?;
            late.extend_from_slice(&bytes[written..]);
            Ok(())
        });
        left = left.saturating_sub(some(read.await?)?);
        if !late.is_empty() {
            socket::write_all(tcp, &late).await?;
            late.clear();
        }
    }
    Ok(())
}

/// A stream that ends inside of a request has lost something.
fn some(read: usize) -> io::Result<u64> {
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read as u64) }
}

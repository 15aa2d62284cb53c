//! One connection to the terminator, TLS or plain.

use std::io;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::request::Request;
use crate::session::Session;
use crate::socket;
use crate::target::Target;

pub(crate) struct Link {
    tcp: TcpStream,
    tls: Option<Session>,
    /// The part of a record whose rest has not come.
    partial: Vec<u8>,
    /// Records to be sent; empty between calls.
    out: Vec<u8>,
}

impl Link {
    /// Connects, and returns with the handshake complete.
    pub(crate) async fn open(target: &Target) -> io::Result<Self> {
        let tcp = TcpStream::connect(target.address).await?;
        tcp.set_nodelay(true)?;
        let mut link = Self { tcp, tls: target.session()?, partial: Vec::new(), out: Vec::new() };
        if let Some(tls) = &mut link.tls {
            tls.open(&mut [], &mut link.out, |_| Ok(()))?;
        }
        link.flush().await?;
        while link.tls.as_ref().is_some_and(Session::is_handshaking) {
            link.receive(|_| Ok(())).await?;
        }
        Ok(link)
    }

    pub(crate) async fn ask(&mut self, request: Request) -> io::Result<()> {
        self.send(&request.encode()).await
    }

    pub(crate) async fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => socket::write_all(&self.tcp, plain).await,
            Some(tls) => {
                tls.seal(plain, &mut self.out)?;
                self.flush().await
            }
        }
    }

    /// Waits for bytes and shows what plaintext is in them, which may be none.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends: no load is done with it then.
    pub(crate) async fn receive(
        &mut self,
        mut plain: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self { tcp, tls, partial, out } = self;
        let read = match tls {
            None => socket::read(tcp, plain).await?,
            Some(tls) => {
                socket::read_behind(tcp, partial, |wire| tls.open(wire, out, &mut plain)).await?
            }
        };
        if read == 0 || self.tls.as_ref().is_some_and(Session::peer_has_closed) {
            let what = "the terminator ended the stream too early";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.flush().await
    }

    /// Receives exactly `count` bytes of no interest.
    pub(crate) async fn skip(&mut self, count: usize) -> io::Result<()> {
        let mut came = 0;
        while came < count {
            let take = |bytes: &[u8]| {
                came += bytes.len();
                Ok(())
            };
            self.receive(take).await?;
        }
        if came == count { Ok(()) } else { Err(io::Error::other("more came than was asked for")) }
    }

    /// One byte there and back: the whole way is up, and tickets have come.
    pub(crate) async fn probe(&mut self) -> io::Result<()> {
        self.ask(Request::Source(1)).await?;
        self.skip(1).await
    }

    /// Says goodbye and waits until the terminator has hung up too, so that its work is done.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.out)?;
            self.flush().await?;
        }
        socket::finish(&self.tcp)?;
        loop {
            match socket::read(&self.tcp, |_| Ok(())).await {
                Ok(0) => return Ok(()),
                // Nothing is lost behind both goodbyes; some terminators leave so.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                outcome => outcome?,
            };
        }
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(Session::is_resumed)
    }

    pub(crate) fn negotiated(&self) -> Value {
        self.tls.as_ref().map_or_else(|| json!({"version": "plain"}), Session::negotiated)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            socket::write_all(&self.tcp, &self.out).await?;
            self.out.clear();
        }
        Ok(())
    }
}

/// Opens `count` links, a few at a time, so that no listen queue overflows.
pub(crate) async fn open_all(target: &Target, count: usize) -> io::Result<Vec<Link>> {
    const AT_A_TIME: usize = 32;
    let mut links = Vec::with_capacity(count);
    while links.len() < count {
        let some = AT_A_TIME.min(count - links.len());
        let tasks: Vec<_> = (0..some)
            .map(|_| {
                let target = target.clone();
                tokio::task::spawn_local(async move {
                    let mut link = Link::open(&target).await?;
                    link.probe().await?;
                    Ok(link)
                })
            })
            .collect();
        for task in tasks {
            links.push(crate::joined(task).await?);
        }
    }
    Ok(links)
}

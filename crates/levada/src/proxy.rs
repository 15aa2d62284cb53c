//! Connecting through an HTTP proxy: by CONNECT (RFC 9110 section 9.3.6), with basic authentication (RFC
//! 7617), and under TLS on the way to it where that is asked for.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use base64ct::{Base64, Encoding as _};
use levada_address::{Host, ProxyAddress};
use levada_core::{ConnectFailure, Deadlines, Ended, Ending, Fault, ProxyFault};
use levada_tls::{NameError, Passphrase, SessionName, TlsClient};
use tokio::io::{AsyncRead as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::carrier::Carrier;
use crate::socket::{Options, Socket};

/// More than a request has without its credentials: a host twice, and words of ours.
const REQUEST: usize = 1024;

/// The most bytes of a proxy's answer that are taken.
const LONGEST_ANSWER: usize = 8 * 1024;

/// The most header fields of one.
const MOST_FIELDS: usize = 64;

/// An HTTP proxy, for [`Socket::dial_through`]. Cheap to clone.
#[derive(Clone)]
pub struct Proxy {
    address: ProxyAddress,
    secrets: Arc<RwLock<Secrets>>,
}

/// What may change while the proxy is in use.
#[derive(Clone, Default)]
struct Secrets {
    /// What stands in Proxy-Authorization.
    credentials: Option<Zeroizing<String>>,
    tls: Option<(TlsClient, SessionName)>,
}

impl Proxy {
    /// The proxy at `address`, with the password of its user, if it has one. `tls` is asked for the way
    /// to it, where its address wants that.
    ///
    /// # Errors
    ///
    /// That of `tls`, and when the host's name cannot be verified.
    pub fn new<E: From<NameError>>(
        address: ProxyAddress,
        password: Option<&Passphrase>,
        tls: impl FnOnce() -> Result<TlsClient, E>,
    ) -> Result<Self, E> {
        let credentials = address.user.as_ref().map(|user| {
            let mut both = Zeroizing::new(Vec::from(user.as_bytes()));
            both.push(b':');
            both.extend_from_slice(password.map_or(&[], Passphrase::bytes));
            Zeroizing::new(Base64::encode_string(&both))
        });
        let tls = if address.tls {
            Some((tls()?, SessionName::new(&address.host.to_string())?))
        } else {
            None
        };
        Ok(Self { address, secrets: Arc::new(RwLock::new(Secrets { credentials, tls })) })
    }

    /// Goes on with the password and the authorities of `newer`, as do the clones of this one.
    pub(crate) fn replace(&self, newer: &Self) {
        let newer = newer.secrets();
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = newer;
    }

    fn secrets(&self) -> Secrets {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it is.
    pub const fn address(&self) -> &ProxyAddress {
        &self.address
    }

    /// Has it connect us to `host`, over a connection to it.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        host: &Host,
        port: NonZeroU16,
    ) -> Result<Carrier, Ending> {
        let Secrets { credentials, tls } = self.secrets();
        // Room for all of it: what moves leaves a copy behind.
        let room = REQUEST + credentials.as_ref().map_or(0, |words| words.len());
        let mut request = Zeroizing::new(String::with_capacity(room));
        // Writing to a String cannot fail.
        let _ = write!(request, "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(credentials) = &credentials {
            for part in ["Proxy-Authorization: Basic ", credentials.as_str(), "\r\n"] {
                request.push_str(part);
            }
        }
        request.push_str("\r\n");
        let Some((client, name)) = tls else {
            return ask_plain(tcp, request.as_bytes()).await.map(Carrier::from);
        };
        let session = client.session(&name).map_err(|error| Ending::FatalError {
            alert: None,
            cause: Fault::Internal(error.to_string()),
        })?;
        // The deadline of connecting holds for all of it.
        let deadlines = Deadlines { handshake: None, ..Deadlines::default() };
        let options = Options { deadlines, ..Options::default() };
        let mut socket = Socket::adopt(tcp, session, options);
        ask_under_tls(&mut socket, request.as_bytes()).await.map_err(ending_of)?;
        Ok(Carrier::foreign(socket))
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address.without_user())
    }
}

/// Why there is no way through the proxy.
enum Trouble {
    Io(io::Error),
    Proxy(ProxyFault),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ProxyFault> for Trouble {
    fn from(fault: ProxyFault) -> Self {
        Self::Proxy(fault)
    }
}

fn ending_of(trouble: Trouble) -> Ending {
    let error = match trouble {
        Trouble::Proxy(fault) => {
            return Ending::FatalError { alert: None, cause: Fault::Proxy(fault) };
        }
        Trouble::Io(error) => error,
    };
    match Ended::of(&error).map(|ended| ended.ending.clone()) {
        Some(Ending::ConnectFailed(failure)) => match *failure {
            ConnectFailure::Ended(ending) => ending,
            ConnectFailure::Lookup { error, .. } => Ending::SocketError(error),
        },
        Some(ending) => ending,
        None => Ending::SocketError((&error).into()),
    }
}

/// Takes nothing behind the answer: it is the peer's, and whoever gets the connection reads it.
async fn ask_plain(mut tcp: TcpStream, request: &[u8]) -> Result<TcpStream, Ending> {
    let asking = async {
        send(&mut tcp, request).await?;
        let mut answer = Answer::default();
        let mut room = [0; 512];
        loop {
            let count = tcp.peek(&mut room).await?;
            if count == 0 {
                return Err(ProxyFault::Truncated.into());
            }
            let end = answer.handle_wire(&room[..count])?;
            take(&tcp, &mut room[..end.unwrap_or(count)]).await?;
            if end.is_some() {
                return Ok(());
            }
        }
    };
    asking.await.map_err(ending_of)?;
    Ok(tcp)
}

/// Reads what was seen to be there.
async fn take(tcp: &TcpStream, mut seen: &mut [u8]) -> io::Result<()> {
    while !seen.is_empty() {
        match tcp.try_read(seen) {
            // It was there.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => seen = &mut seen[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.readable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As [`ask_plain`], byte by byte: they are in memory by then.
async fn ask_under_tls(socket: &mut Socket, request: &[u8]) -> Result<(), Trouble> {
    socket.established().await?;
    send(socket, request).await?;
    let mut answer = Answer::default();
    loop {
        let mut byte = [0];
        let mut room = ReadBuf::new(&mut byte);
        poll_fn(|cx| Pin::new(&mut *socket).poll_read(cx, &mut room)).await?;
        if room.filled().is_empty() {
            return Err(ProxyFault::Truncated.into());
        }
        if answer.handle_wire(&byte)?.is_some() {
            return Ok(());
        }
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| Pin::new(&mut *to).poll_write(cx, bytes)).await?;
        bytes = &bytes[count..];
    }
    poll_fn(|cx| Pin::new(&mut *to).poll_flush(cx)).await
}

/// A proxy's answer as it comes. It holds at most 8 KiB.
#[derive(Debug, Default)]
pub struct Answer {
    head: Vec<u8>,
    /// The bytes of answers that were not the last word (RFC 9110 section 15.2).
    before: usize,
}

impl Answer {
    /// Takes bytes up to the end of the answer, and gives how many that are once it has come.
    ///
    /// # Errors
    ///
    /// When the answer is no HTTP, and when it does not connect us.
    pub fn handle_wire(&mut self, wire: &[u8]) -> Result<Option<usize>, ProxyFault> {
        for (index, &byte) in wire.iter().enumerate() {
            if self.before + self.head.len() == LONGEST_ANSWER {
                return Err(ProxyFault::NotHttp);
            }
            self.head.push(byte);
            if byte != b'\n' {
                continue;
            }
            match self.status()? {
                None => {}
                Some(200..300) => return Ok(Some(index + 1)),
                Some(status @ 100..200) if status != 101 => {
                    self.before += self.head.len();
                    self.head.clear();
                }
                Some(status) => return Err(ProxyFault::Status(status)),
            }
        }
        Ok(None)
    }

    /// The status, once the head is complete.
    fn status(&self) -> Result<Option<u16>, ProxyFault> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&self.head) {
            Ok(httparse::Status::Complete(_)) => Ok(response.code),
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(ProxyFault::NotHttp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &[u8]) -> Result<Option<usize>, ProxyFault> {
        Answer::default().handle_wire(answer)
    }

    #[test]
    fn an_answer_ends_where_the_peers_bytes_begin() {
        let head = b"HTTP/1.1 200 Connection established\r\nVia: a proxy\r\n\r\n";
        assert_eq!(said(head), Ok(Some(head.len())));
        assert_eq!(said(&[&head[..], b"SSH-2.0"].concat()), Ok(Some(head.len())));
        assert_eq!(said(&head[..head.len() - 1]), Ok(None));
        assert_eq!(said(b"HTTP/1.0 200\r\n\r\n"), Ok(Some(16)));
        let early = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        assert_eq!(said(&[&early[..], head].concat()), Ok(Some(early.len() + head.len())));
    }

    #[test]
    fn what_does_not_connect_us_is_told() {
        let status = |code| Err(ProxyFault::Status(code));
        assert_eq!(said(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n"), status(407));
        assert_eq!(said(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"), status(502));
        assert_eq!(said(b"HTTP/1.1 101 Switching\r\n\r\n"), status(101));
        assert_eq!(said(b"SSH-2.0-OpenSSH_9.2\r\n"), Err(ProxyFault::NotHttp));
        assert_eq!(said(b"\x15\x03\x01\0\x02\x02\n"), Err(ProxyFault::NotHttp));
        assert_eq!(said(&[b'a'; LONGEST_ANSWER]), Ok(None));
        assert_eq!(said(&[b'a'; LONGEST_ANSWER + 1]), Err(ProxyFault::NotHttp));
        let endless = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(400);
        assert_eq!(said(&endless), Err(ProxyFault::NotHttp));
    }
}

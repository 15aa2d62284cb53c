//! Connecting: from a name to a transport that is up.

use std::ffi::OsString;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use levada_address::{ConnectEndpoint, Host, UnixName};
use levada_core::{ConnectFailure, Deadline, Deadlines, Ending, OsError};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::carrier::Carrier;
use crate::memory::Pipe;

/// Between the starts of two attempts (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Bytes that an echo holds before its writer has to wait.
const ECHO: usize = 256 * 1024;

/// Names that are looked up at once, over the whole process; others wait, within their deadline.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// What is told on the way.
#[derive(Debug)]
pub(crate) enum News {
    Resolving,
    Found { name: String, addresses: usize },
    Attempt(Option<SocketAddr>),
    AttemptFailed(SocketAddr, OsError),
}

/// A transport that is being connected.
pub(crate) struct Dialing {
    outcome: Pin<Box<dyn Future<Output = Result<Carrier, Ending>> + Send>>,
    news: Board,
}

impl std::fmt::Debug for Dialing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialing")
    }
}

impl Dialing {
    pub(crate) fn new(endpoint: ConnectEndpoint, deadlines: Deadlines) -> Self {
        let news = Board::default();
        let outcome = Box::pin(dial(endpoint, deadlines, news.clone()));
        Self { outcome, news }
    }

    /// Polls for the transport. Whatever the answer, [`Dialing::news`] may have some.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Carrier, Ending>> {
        self.outcome.as_mut().poll(cx)
    }

    pub(crate) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut *self.news.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where the dialling future leaves its news for the stream.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<Vec<News>>>);

impl Board {
    fn pin(&self, news: News) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }
}

async fn dial(
    endpoint: ConnectEndpoint,
    deadlines: Deadlines,
    news: Board,
) -> Result<Carrier, Ending> {
    let system = |error: io::Error| Ending::SocketError((&error).into());
    match endpoint {
        ConnectEndpoint::Tcp { host, port, family, bind } => {
            let addresses = match &host {
                Host::Ip(address) => vec![*address],
                Host::Name(name) => {
                    within(deadlines, Deadline::Lookup, lookup(name, &news)).await?
                }
            };
            let usable = |address: &IpAddr| {
                family.contains(*address) && bind.is_none_or(|b| b.is_ipv4() == address.is_ipv4())
            };
            let addresses = addresses.into_iter().filter(usable);
            let addresses =
                interleave(addresses.map(|ip| SocketAddr::new(ip, port.get())).collect());
            if addresses.is_empty() {
                let text = "the host has no address of the wanted family";
                return Err(lookup_failed(&host.to_string(), &io::Error::other(text)));
            }
            within(deadlines, Deadline::Connect, race(addresses, bind, &news)).await
        }
        ConnectEndpoint::Unix(name) => {
            news.pin(News::Attempt(None));
            let connecting = async {
                let stream = UnixStream::connect(kernel_name(&name)).await;
                stream.map(Carrier::from).map_err(system)
            };
            within(deadlines, Deadline::Connect, connecting).await
        }
        ConnectEndpoint::Stdio => Carrier::stdio().map_err(system),
        ConnectEndpoint::Echo => Ok(Pipe::echo(ECHO).into()),
        other => {
            let text = format!("{other:?} cannot be dialled");
            Err(system(io::Error::new(io::ErrorKind::Unsupported, text)))
        }
    }
}

/// The name as the kernel wants it: an abstract one begins with NUL there.
pub(crate) fn kernel_name(name: &UnixName) -> PathBuf {
    match name {
        UnixName::Path(path) => path.clone(),
        UnixName::Abstract(name) => OsString::from_vec([b"\0", &name[..]].concat()).into(),
    }
}

async fn within<T>(
    deadlines: Deadlines,
    deadline: Deadline,
    work: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    match deadlines.of(deadline) {
        Some(time) => timeout(time, work).await.unwrap_or(Err(Ending::TimedOut(deadline))),
        None => work.await,
    }
}

fn lookup_failed(name: &str, error: &io::Error) -> Ending {
    let failure = ConnectFailure::Lookup { name: name.to_owned(), error: error.into() };
    Ending::ConnectFailed(Box::new(failure))
}

/// Asks the system's resolver, on a thread of its own that nobody waits for: a lookup that hangs
/// holds neither the runtime nor the exit of the process.
async fn lookup(name: &str, news: &Board) -> Result<Vec<IpAddr>, Ending> {
    news.pin(News::Resolving);
    let permit = LOOKUPS.acquire().await;
    let (sender, answer) = oneshot::channel();
    let asked = name.to_owned();
    std::thread::Builder::new()
        .name("levada-lookup".to_owned())
        .spawn(move || {
            let _held_until_answered = permit;
            let found = (asked.as_str(), 0).to_socket_addrs();
            let addresses = found.map(|all| all.map(|one| one.ip()).collect::<Vec<_>>());
            // Whoever asked may have given up.
            let _ = sender.send(addresses);
        })
        .map_err(|error| lookup_failed(name, &error))?;
    let unanswered = Err(io::Error::other("the resolver gave no answer"));
    let addresses = answer.await.unwrap_or(unanswered).map_err(|e| lookup_failed(name, &e))?;
    news.pin(News::Found { name: name.to_owned(), addresses: addresses.len() });
    Ok(addresses)
}

/// Alternates the families, beginning with the resolver's first (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    let mut mixed: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    mixed.extend(second);
    mixed
}

/// Tries the addresses, each a little after the one before or as soon as that failed; the first
/// that connects wins, and the error of the last that failed is that of all.
async fn race(
    addresses: Vec<SocketAddr>,
    bind: Option<SocketAddr>,
    news: &Board,
) -> Result<Carrier, Ending> {
    type Attempt = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<TcpStream>)> + Send>>;

    let mut waiting = addresses.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut last_error = None;
    loop {
        let mut delay = Box::pin(sleep(ATTEMPT_DELAY));
        match waiting.next() {
            Some(address) => {
                news.pin(News::Attempt(Some(address)));
                running.push(Box::pin(async move { (address, connect(address, bind).await) }));
            }
            None if running.is_empty() => {
                let error: io::Error = last_error.unwrap_or_else(|| io::ErrorKind::NotFound.into());
                return Err(Ending::SocketError((&error).into()));
            }
            None => {}
        }
        let more = waiting.len() > 0;
        let settled = poll_fn(|cx| {
            for index in 0..running.len() {
                if let Poll::Ready(outcome) = running[index].as_mut().poll(cx) {
                    drop(running.swap_remove(index));
                    return Poll::Ready(Some(outcome));
                }
            }
            if more && delay.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        });
        match settled.await {
            Some((_, Ok(stream))) => return Ok(stream.into()),
            Some((address, Err(error))) => {
                news.pin(News::AttemptFailed(address, (&error).into()));
                last_error = Some(error);
            }
            None => {}
        }
    }
}

async fn connect(address: SocketAddr, bind: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    if let Some(local) = bind {
        socket.bind(local)?;
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_beginning_with_the_resolvers_first() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let six = [parse("[::1]:1"), parse("[::2]:1"), parse("[::3]:1")];
        let four = [parse("1.1.1.1:1"), parse("2.2.2.2:1")];
        assert_eq!(
            interleave(vec![six[0], six[1], six[2], four[0]]),
            [six[0], four[0], six[1], six[2]]
        );
        assert_eq!(interleave(vec![four[0], four[1], six[0]]), [four[0], six[0], four[1]]);
        assert_eq!(interleave(vec![]), []);
    }
}

//! Connecting: from a name to a transport that is up, by Happy Eyeballs v2 (RFC 8305).

use std::ffi::OsString;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use levada_address::{ConnectEndpoint, Family, Host, UnixName};
use levada_core::{ConnectFailure, Deadline, Deadlines, Ending, Endpoint, OsError};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::carrier::{Carrier, Ends};
use crate::memory::Pipe;
use crate::proxy::Proxy;
use crate::resolve::{IpVersion, Resolve, Resolving};
use crate::socket::TcpOptions;

/// How long IPv4 addresses that came first wait for those of IPv6 (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Between the starts of two attempts (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Bytes that an echo holds before its writer has to wait.
const ECHO: usize = 256 * 1024;

/// What is told on the way.
#[derive(Debug)]
pub(crate) enum News {
    Resolving,
    Found { name: String, addresses: usize },
    Attempt(Option<SocketAddr>),
    AttemptFailed(SocketAddr, OsError),
}

/// The transport and its ends, or why there is none.
type Outcome = Result<(Carrier, Ends), Ending>;

/// A transport that is being connected.
pub(crate) struct Dialing {
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    news: Board,
}

impl std::fmt::Debug for Dialing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialing")
    }
}

impl Dialing {
    pub(crate) fn new(
        endpoint: ConnectEndpoint,
        proxy: Option<Proxy>,
        resolver: Arc<dyn Resolve>,
        tcp: TcpOptions,
        deadlines: Deadlines,
    ) -> Self {
        let news = Board::default();
        let outcome = Box::pin(dial(endpoint, proxy, resolver, tcp, deadlines, news.clone()));
        Self { outcome, news }
    }

    /// Polls for the transport. Whatever the answer, [`Dialing::news`] may have some.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.outcome.as_mut().poll(cx)
    }

    /// What has happened since the last call, and when.
    pub(crate) fn news(&mut self) -> Vec<(Instant, News)> {
        std::mem::take(&mut *self.news.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where the dialling future leaves its news for the stream.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<Vec<(Instant, News)>>>);

impl Board {
    fn pin(&self, news: News) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), news));
    }
}

async fn dial(
    endpoint: ConnectEndpoint,
    proxy: Option<Proxy>,
    resolver: Arc<dyn Resolve>,
    tcp: TcpOptions,
    deadlines: Deadlines,
    news: Board,
) -> Outcome {
    let asked = |carrier: Carrier| {
        let ends = carrier.ends();
        (carrier, ends)
    };
    let system = |error: io::Error| Ending::SocketError((&error).into());
    match endpoint {
        ConnectEndpoint::Tcp { host, port, family, bind } => {
            // Our own way ends at the proxy, where there is one.
            let proxy_at = proxy.as_ref().map(Proxy::address);
            let (near, near_port) = proxy_at.map_or((&host, port), |at| (&at.host, at.port));
            let mut candidates = match near {
                Host::Ip(ip) => Candidates::known(*ip, near_port.get()),
                Host::Name(name) => {
                    news.pin(News::Resolving);
                    let wanted = |version| allows(family, bind, version);
                    let mut asked = Candidates::ask(&*resolver, name, near_port.get(), wanted);
                    within(deadlines, Deadline::Lookup, asked.first()).await?;
                    let addresses = asked.waiting.len();
                    news.pin(News::Found { name: name.clone(), addresses });
                    asked
                }
            };
            let attempt = |address| connect(address, bind, tcp);
            let connecting = async {
                let (tcp, address) = race(&mut candidates, attempt, &news).await?;
                // The system takes the unspecified address for its own loopback one.
                let peer = if address.ip().is_unspecified() {
                    tcp.peer_addr().ok()
                } else {
                    Some(address)
                };
                let [local, peer] = [tcp.local_addr().ok(), peer].map(|end| end.map(Endpoint::Ip));
                let carrier = match &proxy {
                    Some(proxy) => Box::pin(proxy.connect(tcp, &host, port)).await?,
                    None => tcp.into(),
                };
                Ok((carrier, Ends { local, peer }))
            };
            within(deadlines, Deadline::Connect, connecting).await
        }
        ConnectEndpoint::Unix(name) => {
            news.pin(News::Attempt(None));
            let connecting = async {
                let stream = UnixStream::connect(kernel_name(&name)).await;
                stream.map(|stream| asked(stream.into())).map_err(system)
            };
            within(deadlines, Deadline::Connect, connecting).await
        }
        ConnectEndpoint::Stdio => Carrier::stdio().map(asked).map_err(system),
        ConnectEndpoint::Echo => Ok(asked(Pipe::echo(ECHO).into())),
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

/// Whether addresses of this version may be used.
fn allows(family: Family, bind: Option<SocketAddr>, version: IpVersion) -> bool {
    match version {
        IpVersion::V4 => family != Family::V6 && bind.is_none_or(|local| local.is_ipv4()),
        IpVersion::V6 => family != Family::V4 && bind.is_none_or(|local| local.is_ipv6()),
    }
}

/// The addresses to try, as far as they are known, and the lookups that may still give some.
struct Candidates {
    name: String,
    port: u16,
    lookups: Vec<Resolving>,
    /// In the order in which they are to be tried.
    waiting: Vec<SocketAddr>,
    /// Why the last lookup that failed did.
    failure: Option<io::Error>,
}

impl Candidates {
    fn known(ip: IpAddr, port: u16) -> Self {
        let waiting = vec![SocketAddr::new(ip, port)];
        Self { name: ip.to_string(), port, lookups: Vec::new(), waiting, failure: None }
    }

    fn ask(
        resolver: &dyn Resolve,
        name: &str,
        port: u16,
        wanted: impl Fn(IpVersion) -> bool,
    ) -> Self {
        let versions = [IpVersion::V6, IpVersion::V4].into_iter().filter(|&one| wanted(one));
        let lookups = versions.map(|version| resolver.resolve(name, version)).collect();
        Self { name: name.to_owned(), port, lookups, waiting: Vec::new(), failure: None }
    }

    /// Waits until there is something to try: IPv6 addresses, or IPv4 ones that have waited for them.
    async fn first(&mut self) -> Result<(), Ending> {
        let mut delay: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            while self.poll_answer(cx).is_ready() {}
            if self.lookups.is_empty() || self.waiting.iter().any(SocketAddr::is_ipv6) {
                return Poll::Ready(());
            }
            if self.waiting.is_empty() {
                return Poll::Pending;
            }
            delay.get_or_insert_with(|| Box::pin(sleep(RESOLUTION_DELAY))).as_mut().poll(cx)
        })
        .await;
        if !self.waiting.is_empty() {
            return Ok(());
        }
        let none = || io::Error::other("it has no address that can be used here");
        let error = self.failure.take().unwrap_or_else(none);
        let failure = ConnectFailure::Lookup { name: self.name.clone(), error: (&error).into() };
        Err(Ending::ConnectFailed(Box::new(failure)))
    }

    /// Takes in one lookup's answer, if one has come.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let answered = self.lookups.iter_mut().enumerate().find_map(|(index, lookup)| match lookup
            .as_mut()
            .poll(cx)
        {
            Poll::Ready(answer) => Some((index, answer)),
            Poll::Pending => None,
        });
        let Some((index, answer)) = answered else { return Poll::Pending };
        drop(self.lookups.remove(index));
        match answer {
            Ok(found) => {
                self.waiting.extend(found.into_iter().map(|ip| SocketAddr::new(ip, self.port)));
                self.waiting = interleave(std::mem::take(&mut self.waiting));
            }
            Err(error) => self.failure = Some(error),
        }
        Poll::Ready(())
    }
}

/// Alternates the families, beginning with IPv6 (RFC 8305 section 4); within each the resolver's
/// order stays.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut second = second.into_iter();
    let mut mixed: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    mixed.extend(second);
    mixed
}

/// Tries the addresses, each a little after the one before or as soon as that failed; the first
/// that connects wins, with its address, and the error of the last that failed is that of all.
async fn race<A>(
    candidates: &mut Candidates,
    attempt: impl Fn(SocketAddr) -> A,
    news: &Board,
) -> Result<(TcpStream, SocketAddr), Ending>
where
    A: Future<Output = io::Result<TcpStream>>,
{
    let mut running: Vec<(SocketAddr, Pin<Box<A>>)> = Vec::new();
    let mut delay: Option<Pin<Box<Sleep>>> = None;
    let mut last_error = None;
    poll_fn(|cx| {
        loop {
            while candidates.poll_answer(cx).is_ready() {}
            let settled = running.iter_mut().enumerate().find_map(|(index, (_, attempt))| {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(outcome) => Some((index, outcome)),
                    Poll::Pending => None,
                }
            });
            match settled {
                Some((index, Ok(stream))) => {
                    let (address, _) = running.swap_remove(index);
                    return Poll::Ready(Ok((stream, address)));
                }
                Some((index, Err(error))) => {
                    let (address, _) = running.swap_remove(index);
                    news.pin(News::AttemptFailed(address, (&error).into()));
                    last_error = Some(error);
                    delay = None;
                    continue;
                }
                None => {}
            }
            let waits = |delay: &mut Pin<Box<Sleep>>| delay.as_mut().poll(cx).is_pending();
            if candidates.waiting.is_empty() || delay.as_mut().is_some_and(waits) {
                if running.is_empty() && candidates.lookups.is_empty() {
                    let none = || io::ErrorKind::NotFound.into();
                    let error: io::Error = last_error.take().unwrap_or_else(none);
                    return Poll::Ready(Err(Ending::SocketError((&error).into())));
                }
                return Poll::Pending;
            }
            let address = candidates.waiting.remove(0);
            news.pin(News::Attempt(Some(address)));
            running.push((address, Box::pin(attempt(address))));
            delay = Some(Box::pin(sleep(ATTEMPT_DELAY)));
        }
    })
    .await
}

async fn connect(
    address: SocketAddr,
    bind: Option<SocketAddr>,
    tcp: TcpOptions,
) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    tcp.apply(&socket)?;
    if let Some(local) = bind {
        socket.bind(local)?;
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_alternate_beginning_with_ipv6() {
        let six = [at("[::1]:1"), at("[::2]:1"), at("[::3]:1")];
        let four = [at("1.1.1.1:1"), at("2.2.2.2:1")];
        assert_eq!(
            interleave(vec![four[0], six[0], six[1], six[2]]),
            [six[0], four[0], six[1], six[2]]
        );
        assert_eq!(interleave(vec![four[0], four[1], six[0]]), [six[0], four[0], four[1]]);
        assert_eq!(interleave(vec![]), []);
    }

    /// Answers after so many milliseconds; `None` never answers.
    #[derive(Debug)]
    struct Slow {
        v4: Option<u64>,
        v6: Option<u64>,
    }

    impl Resolve for Slow {
        fn resolve(&self, _: &str, version: IpVersion) -> Resolving {
            let (delay, ip) = match version {
                IpVersion::V4 => (self.v4, at("127.0.0.1:1").ip()),
                IpVersion::V6 => (self.v6, at("[::1]:1").ip()),
            };
            Box::pin(async move {
                match delay {
                    Some(delay) => sleep(Duration::from_millis(delay)).await,
                    None => std::future::pending().await,
                }
                Ok(vec![ip])
            })
        }
    }

    /// Whether each address that is there to try first is an IPv6 one, and after how many ms.
    async fn first_of(v4: Option<u64>, v6: Option<u64>) -> (Vec<bool>, u128) {
        let began = Instant::now();
        let mut candidates = Candidates::ask(&Slow { v4, v6 }, "name", 1, |_| true);
        candidates.first().await.unwrap();
        let are_v6 = candidates.waiting.iter().map(SocketAddr::is_ipv6).collect();
        (are_v6, began.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn ipv4_waits_50_ms_for_ipv6_and_ipv6_waits_for_nobody() {
        assert_eq!(first_of(Some(10), Some(30)).await, (vec![true, false], 30));
        assert_eq!(first_of(Some(10), Some(200)).await, (vec![false], 60));
        assert_eq!(first_of(Some(10), None).await, (vec![false], 60));
        assert_eq!(first_of(None, Some(20)).await, (vec![true], 20));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_start_250_ms_apart_and_at_once_after_a_failure() {
        let began = Instant::now();
        let mut candidates = Candidates::known(at("1.1.1.1:1").ip(), 1);
        candidates.waiting = ["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1", "4.4.4.4:1"].map(at).to_vec();
        let starts = Mutex::new(Vec::new());
        let attempt = |address: SocketAddr| {
            starts.lock().unwrap().push(began.elapsed().as_millis());
            async move {
                // The first hangs, the second fails after 100 ms, the others at once.
                if address == at("1.1.1.1:1") {
                    sleep(Duration::from_secs(3)).await;
                } else if address == at("2.2.2.2:1") {
                    sleep(Duration::from_millis(100)).await;
                }
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        };
        let board = Board::default();
        race(&mut candidates, attempt, &board).await.unwrap_err();
        assert_eq!(*starts.lock().unwrap(), [0, 250, 350, 350]);
        let failed = |news: &&(Instant, News)| matches!(news.1, News::AttemptFailed(..));
        assert_eq!(board.0.lock().unwrap().iter().filter(failed).count(), 4);
    }
}

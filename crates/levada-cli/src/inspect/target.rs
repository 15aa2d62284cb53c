//! What is inspected: where it is, and how it is spoken to.

use std::net::IpAddr;
use std::time::Duration;

use levada::{
    Address, ConnectEndpoint, ConnectFailure, Deadline, Ended, Ending, Facts, Family, Host,
    IpVersion, Resolve as _, State, SystemResolver,
};
use levada::{Deadlines, Dialer};
use levada_address::{ConnectTls, ConnectWebSocket, Scheme};
use tokio::time::{Instant, timeout};

use crate::door::shown;
use crate::exit::{Stop, fail};

/// More addresses of one name are not visited.
const MOST_ADDRESSES: usize = 16;

/// A server to inspect.
#[derive(Debug)]
pub(crate) struct Target {
    /// As the user wrote it, without its options.
    pub(crate) address: String,
    pub(crate) endpoint: ConnectEndpoint,
    /// All of the address.
    pub(crate) whole: Address,
    /// How TLS is spoken; `None` where the address asks for none.
    pub(crate) tls: Option<ConnectTls>,
    /// How a WebSocket is asked for; `None` where none is.
    pub(crate) web_socket: Option<ConnectWebSocket>,
    pub(crate) deadlines: Deadlines,
    pub(crate) dialer: Dialer,
}

/// Where a target was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The addresses to visit, those of IPv6 first; `None` stands for one that is no IP address, or that
    /// a proxy finds.
    pub(crate) places: Vec<Option<IpAddr>>,
    /// How many more there are.
    pub(crate) more: usize,
    /// How long the lookup took, where there was one.
    pub(crate) lookup: Option<Duration>,
    /// Why there is none.
    pub(crate) failed: Option<Ended>,
}

impl Target {
    /// Reads all that `address` names.
    ///
    /// # Errors
    ///
    /// When it leads nowhere that can be inspected, or a file cannot be read.
    pub(crate) fn of(address: &Address) -> Result<Self, Stop> {
        match address.scheme() {
            Scheme::PoolTls => {
                return Err(fail(
                    "a pool tells little of its peers: inspect the server itself, tls://HOST:PORT",
                ));
            }
            scheme @ (Scheme::Stdio | Scheme::Echo) => {
                return Err(fail(format!(
                    "`{scheme}:` leads to no server that could be inspected: give a `tls:`, `tcp:`, \
                     `wss:`, `ws:`, `unix:` or `ws+unix:` address"
                )));
            }
            _ => {}
        }
        let connect = address.for_connecting().map_err(|error| fail(error.to_string()))?;
        let dialer = Dialer::new(address).map_err(|error| fail(error.to_string()))?;
        Ok(Self {
            address: shown(address, None),
            whole: address.clone(),
            endpoint: connect.endpoint,
            tls: connect.tls,
            web_socket: connect.web_socket,
            deadlines: connect.deadlines,
            dialer,
        })
    }

    /// Finds every address of it.
    pub(crate) async fn find(&self) -> Found {
        let (name, family) = match &self.endpoint {
            // It connects us to the host, and chooses one of its addresses.
            _ if self.dialer.proxy().is_some() => {
                return Found { places: vec![None], ..Found::default() };
            }
            ConnectEndpoint::Tcp { host: Host::Name(name), family, bind, .. } => {
                let bound = bind.map(|local| if local.is_ipv4() { Family::V4 } else { Family::V6 });
                (name, bound.unwrap_or(*family))
            }
            ConnectEndpoint::Tcp { host: Host::Ip(ip), .. } => {
                return Found { places: vec![Some(*ip)], ..Found::default() };
            }
            _ => return Found { places: vec![None], ..Found::default() },
        };
        let began = Instant::now();
        let ask = |version, unwanted: Family| {
            let answer = (family != unwanted).then(|| SystemResolver.resolve(name, version));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => Ok(Vec::new()),
                }
            }
        };
        let both =
            async { tokio::join!(ask(IpVersion::V6, Family::V4), ask(IpVersion::V4, Family::V6)) };
        let answers = match self.deadlines.lookup {
            Some(time) => timeout(time, both).await.ok(),
            None => Some(both.await),
        };
        let lookup = Some(began.elapsed());
        let ending = match answers {
            None => Ending::TimedOut(Deadline::Lookup).before_established(),
            Some((six, four)) => {
                let none = || std::io::Error::other("it has no address that can be used here");
                let failure = [&six, &four].into_iter().find_map(|answer| answer.as_ref().err());
                let error = failure.map_or_else(|| (&none()).into(), Into::into);
                let mut places: Vec<_> = six.into_iter().chain(four).flatten().map(Some).collect();
                if !places.is_empty() {
                    let more = places.len().saturating_sub(MOST_ADDRESSES);
                    places.truncate(MOST_ADDRESSES);
                    return Found { places, more, lookup, failed: None };
                }
                let failure = ConnectFailure::Lookup { name: name.clone(), error };
                Ending::ConnectFailed(Box::new(failure))
            }
        };
        let facts = Facts { host: Some(name.clone()), ..Facts::default() };
        let failed = Ended { ending, phase: State::HostLookup, facts: facts.into() };
        Found { places: Vec::new(), more: 0, lookup, failed: Some(failed) }
    }
}

//! Looking up names: the resolver as a trait, and the system's own.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};
use tokio::sync::{Semaphore, oneshot};

/// Lookups of the system's resolver that run at once, over the whole process; others wait, within
/// their deadline.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpVersion {
    /// IPv4: A records.
    V4,
    /// IPv6: AAAA records.
    V6,
}

/// What a resolver's answer comes in.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks up names. A dialled socket asks twice, once for each version of IP, and lets the two answers
/// race (RFC 8305 section 3).
pub trait Resolve: Debug + Send + Sync {
    /// The addresses of `name` of one version, the preferred one first; none is not an error.
    ///
    /// The future is dropped when its deadline passes or nobody wants the answer any more.
    fn resolve(&self, name: &str, version: IpVersion) -> Resolving;
}

/// The system's resolver: getaddrinfo(3), with all that it is set up to ask.
///
/// Each lookup has a thread that nobody waits for, so that one that hangs holds neither the runtime
/// nor the exit of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str, version: IpVersion) -> Resolving {
        let name = name.to_owned();
        Box::pin(async move {
            let permit = LOOKUPS.acquire().await;
            let (sender, answer) = oneshot::channel();
            std::thread::Builder::new().name("levada-lookup".to_owned()).spawn(move || {
                let _held_until_answered = permit;
                // Whoever asked may have given up.
                let _ = sender.send(ask_system(&name, version));
            })?;
            answer.await.unwrap_or_else(|_| Err(io::Error::other("the resolver gave no answer")))
        })
    }
}

fn ask_system(name: &str, version: IpVersion) -> io::Result<Vec<IpAddr>> {
    let family = match version {
        IpVersion::V4 => AddrFamily::Inet,
        IpVersion::V6 => AddrFamily::Inet6,
    };
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        address: family.into(),
        ..AddrInfoHints::default()
    };
    getaddrinfo(Some(name), None, Some(hints))?.map(|found| Ok(found?.sockaddr.ip())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = SystemResolver.resolve("localhost", IpVersion::V4).await.unwrap();
        assert!(
            found.iter().all(|address| address.is_ipv4() && address.is_loopback()),
            "{found:?}"
        );
        assert!(!found.is_empty());
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_is_an_error() {
        SystemResolver.resolve("nobody.invalid", IpVersion::V4).await.unwrap_err();
    }
}

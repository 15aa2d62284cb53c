//! A visit at one address: an attempt of its own, so that no other address hides what is wrong there.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use levada::{
    ConnectEndpoint, ConnectFailure, Ended, Ending, Facts, Fault, Rule, State, Stream, Verification,
};
use serde::Serialize;
use tokio::time::timeout;

use super::target::{Found, Target};

/// How long a server that has asked for a certificate may think about what it got: in TLS 1.3 it tells
/// its verdict after the handshake.
const AFTERTHOUGHT: Duration = Duration::from_secs(2);

/// How long our goodbye may take. Nobody depends on it.
pub(crate) const GOODBYE: Duration = Duration::from_millis(500);

/// How a visit went.
#[derive(Debug)]
pub(crate) struct Visit {
    /// The IP address that was visited, where the target has some.
    pub(crate) ip: Option<IpAddr>,
    /// The address with its port, or the path.
    pub(crate) at: String,
    pub(crate) facts: Facts,
    /// What went wrong; `None` where all went well.
    pub(crate) ended: Option<Ended>,
}

/// How far a visit came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The stream was established, and the peer is who it should be.
    Good,
    /// The transport was never up.
    Unreachable,
    /// TLS failed for another reason than the server's certificate.
    TlsFailed,
    /// We do not trust the server's certificate.
    NotVerified,
}

/// Visits all places at once.
pub(crate) async fn each(target: &Target, found: &Found) -> Vec<Visit> {
    let mut visits = Vec::new();
    let mut begun: Vec<_> =
        found.places.iter().map(|place| Box::pin(visit(target, *place))).collect();
    // They run together: each is polled whenever one of them has news, and there are few.
    poll_fn(|cx| {
        begun.retain_mut(|visit| match visit.as_mut().poll(cx) {
            Poll::Ready(done) => {
                visits.push(done);
                false
            }
            Poll::Pending => true,
        });
        if begun.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    visits.sort_by_key(|visit| found.places.iter().position(|place| *place == visit.ip));
    visits
}

async fn visit(target: &Target, ip: Option<IpAddr>) -> Visit {
    let dialled = match ip {
        Some(ip) => target.dialer.dial_at(ip),
        None => target.dialer.dial(),
    };
    let at = match (&target.endpoint, ip) {
        (ConnectEndpoint::Tcp { port, .. }, Some(ip)) => {
            SocketAddr::new(ip, port.get()).to_string()
        }
        _ => target.address.clone(),
    };
    let mut socket = match dialled {
        Ok(socket) => socket,
        Err(error) => {
            let cause = Fault::Internal(error.to_string());
            let ending = Ending::FatalError { alert: None, cause }.before_established();
            let facts = Facts::default();
            let ended = Ended { ending, phase: State::Unconnected, facts: facts.clone().into() };
            return Visit { ip, at, facts, ended: Some(ended) };
        }
    };
    let ended = match socket.established().await {
        Ok(()) => part(&mut socket).await,
        Err(error) => Ended::of(&error).cloned(),
    };
    let facts = match &ended {
        Some(ended) => Facts::clone(&ended.facts),
        None => socket.facts(),
    };
    Visit { ip, at, facts, ended }
}

/// Says goodbye, and waits for what a server may still have against us.
async fn part(socket: &mut Stream) -> Option<Ended> {
    let asked = socket.facts().tls.is_some_and(|tls| tls.identity_asked);
    // The goodbye is a courtesy: whether it arrives is no finding.
    let _ = timeout(GOODBYE, socket.shutdown()).await;
    if !asked {
        return None;
    }
    let ended = timeout(AFTERTHOUGHT, socket.closed()).await.ok()?;
    let refused = matches!(ended.ending, Ending::FatalAlert(_) | Ending::FatalError { .. });
    refused.then_some(ended)
}

impl Visit {
    /// How far it came.
    pub(crate) fn outcome(&self) -> Outcome {
        let Some(ended) = &self.ended else { return Outcome::Good };
        let verification = self.facts.tls.as_ref().and_then(|tls| tls.verification);
        match ended.phase {
            State::Unconnected | State::HostLookup | State::Connecting => Outcome::Unreachable,
            _ if verification == Some(Verification::Refused) => Outcome::NotVerified,
            _ => match self.cause() {
                Some(Ending::Refused(Rule::San | Rule::Pin)) => Outcome::NotVerified,
                _ => Outcome::TlsFailed,
            },
        }
    }

    /// Whether there is a TLS server, as far as the visit shows: what it accepts can be asked then.
    pub(crate) fn speaks_tls(&self) -> bool {
        let is_plain =
            matches!(self.cause(), Some(Ending::FatalError { cause: Fault::NotTls { .. }, .. }));
        self.facts.tls.is_some() && self.outcome() != Outcome::Unreachable && !is_plain
    }

    /// What ended it, whether or not the stream was established by then.
    fn cause(&self) -> Option<&Ending> {
        match &self.ended.as_ref()?.ending {
            Ending::ConnectFailed(failure) => match &**failure {
                ConnectFailure::Ended(ending) => Some(ending),
                ConnectFailure::Lookup { .. } => None,
            },
            ending => Some(ending),
        }
    }
}

//! A visit at one address: an attempt of its own, so that no other address hides what is wrong there.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use levada::{
    ConnectEndpoint, ConnectFailure, Dialer, Ended, Ending, Facts, Fault, Rule, SetupError, State,
    Stream, Verification,
};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::opening::Opening;
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
    /// What became of the opening handshake, where a WebSocket was asked for.
    pub(crate) opening: Option<Opening>,
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
    /// The server has opened no WebSocket, though all below it is up.
    WsFailed,
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

/// Begins a stream to one of the places of a target.
pub(crate) fn dial(dialer: &Dialer, place: Option<IpAddr>) -> Result<Stream, SetupError> {
    match place {
        Some(ip) => dialer.dial_at(ip),
        None => dialer.dial(),
    }
}

async fn visit(target: &Target, ip: Option<IpAddr>) -> Visit {
    let at = match (&target.endpoint, ip) {
        (ConnectEndpoint::Tcp { port, .. }, Some(ip)) => {
            SocketAddr::new(ip, port.get()).to_string()
        }
        _ => target.address.clone(),
    };
    let mut stream = match dial(&target.dialer, ip) {
        Ok(stream) => stream,
        Err(error) => {
            let cause = Fault::Internal(error.to_string());
            let ending = Ending::FatalError { alert: None, cause }.before_established();
            let facts = Facts::default();
            let ended = Ended { ending, phase: State::Unconnected, facts: facts.clone().into() };
            return Visit { ip, at, facts, opening: None, ended: Some(ended) };
        }
    };
    let began = Instant::now();
    let (established, opening) = match (&mut stream, &target.web_socket) {
        (Stream::WebSocket(stream), Some(asked)) => {
            let outcome = stream.established().await;
            let outcome_of = outcome.as_ref().map(|&()| ());
            let opening = Opening::of(stream, outcome_of, asked, began.elapsed());
            (outcome.map_err(Into::into), opening)
        }
        (stream, _) => (stream.established().await, None),
    };
    let ended = match established {
        Ok(()) => part(&mut stream).await,
        Err(error) => Ended::of(&error).cloned(),
    };
    let mut facts = match &ended {
        Some(ended) => Facts::clone(&ended.facts),
        None => stream.facts(),
    };
    if let Stream::WebSocket(stream) = &stream {
        // That of the TLS below: the opening has its own.
        facts.times.handshake = stream.get_ref().facts().times.handshake;
    }
    Visit { ip, at, facts, opening, ended }
}

/// Says goodbye, and waits for what a server may still have against us.
async fn part(stream: &mut Stream) -> Option<Ended> {
    let asked = stream.facts().tls.is_some_and(|tls| tls.identity_asked);
    // The goodbye is a courtesy: whether it arrives is no finding.
    let _ = timeout(GOODBYE, stream.shutdown()).await;
    if !asked {
        return None;
    }
    let ended = timeout(AFTERTHOUGHT, stream.closed()).await.ok()?;
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
                // A server may refuse our certificate when TLS is long up.
                Some(Ending::FatalAlert(_)) => Outcome::TlsFailed,
                _ if self.opening.is_some() => Outcome::WsFailed,
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

    /// Whether a WebSocket was opened.
    pub(crate) fn is_open(&self) -> bool {
        self.opening.as_ref().is_some_and(Opening::is_open)
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

//! Somebody who is asked about each peer, beside the rules.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use levada_core::{Checks, Fault, ShownCertificate};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, OtherError};

use crate::certificate::read_certificate;
use crate::offload::{Awaited, Desk, NoAnswer};
use crate::witness::Notes;

/// A peer that is to be decided on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// What it shows, its own certificate first. That it has the key to it is verified afterwards.
    pub chain: Vec<ShownCertificate>,
    /// What the rules found.
    pub checks: Checks,
}

/// What is decided on a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What the rules say.
    Keep,
    /// It is refused for this reason, whatever the rules say.
    Refuse(String),
    /// It is let in, whatever the rules say, also when it is revoked: nobody else vouches for it then
    /// ([`Verification::Danger`](levada_core::Verification::Danger)), and the facts tell what was wrong.
    DangerLetIn,
}

type Deciding = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// Who is asked.
#[derive(Clone)]
pub(crate) struct Decider(Arc<dyn Fn(Candidate) -> Deciding + Send + Sync>);

impl Decider {
    pub(crate) fn new<F, A>(ask: F) -> Self
    where
        F: Fn(Candidate) -> A + Send + Sync + 'static,
        A: Future<Output = Decision> + Send + 'static,
    {
        Self(Arc::new(move |candidate| Box::pin(ask(candidate))))
    }

    /// Waits for the decision: whether the rules are overruled. The error is a refusal, or what stood in
    /// the way of deciding.
    pub(crate) fn decide(
        &self,
        checks: &Checks,
        chain: &[CertificateDer<'_>],
    ) -> Result<bool, Error> {
        let candidate = Candidate {
            chain: chain.iter().map(|der| read_certificate(der)).collect(),
            checks: checks.clone(),
        };
        let ask = self.0.clone();
        // Sessions that ask work where they may block.
        let answer = Desk::current().map_or(Err(NoAnswer::Abandoned), |desk| {
            desk.wait(Awaited::Verdict, async move { ask(candidate).await })
        });
        match answer {
            Ok(Decision::Keep) => Ok(false),
            Ok(Decision::DangerLetIn) => Ok(true),
            Ok(Decision::Refuse(why)) => Err(refused(&why)),
            Err(no_answer) => {
                let why = match no_answer {
                    NoAnswer::Panicked => "who was asked about its certificates panicked",
                    NoAnswer::Abandoned => "a decision is not wanted any more",
                };
                Notes::note(|notes| notes.failed = Some(Fault::Undecided(why.to_owned())));
                Err(Error::General(why.to_owned()))
            }
        }
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decider(..)")
    }
}

fn refused(why: &str) -> Error {
    let words = format!("it was decided so: {why}");
    let error: Arc<dyn std::error::Error + Send + Sync> =
        Box::<dyn std::error::Error + Send + Sync>::from(words).into();
    Error::InvalidCertificate(CertificateError::Other(OtherError(error)))
}

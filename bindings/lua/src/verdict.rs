//! Asking the script about a peer whose certificate is not in order.

use levada::{Candidate, Decision, PeerRules};
use tokio::sync::oneshot;

use crate::life::Teller;

/// What is wrong, and where the answer goes: whether the peer is let in all the same.
pub(crate) struct Question {
    /// By check: its name, and what it found.
    pub(crate) faults: Vec<(String, String)>,
    pub(crate) answer: oneshot::Sender<bool>,
}

/// What a connection does about faults of the peer's certificate.
#[derive(Clone)]
pub(crate) struct Verdict {
    /// Whether they are told and passed over, whatever they are.
    pub(crate) lets_all_in: bool,
    /// Who is told; `None` where nobody listens.
    pub(crate) teller: Option<Teller>,
}

impl Verdict {
    pub(crate) fn asks(&self) -> bool {
        self.lets_all_in || self.teller.is_some()
    }

    /// Rules that ask.
    pub(crate) fn rules(self) -> PeerRules {
        PeerRules::new().ask(move |candidate| self.clone().decide(candidate))
    }

    async fn decide(self, candidate: Candidate) -> Decision {
        let faults: Vec<_> = candidate
            .checks
            .failed()
            .map(|(check, fault)| (format!("{check:?}").to_lowercase(), fault.to_string()))
            .collect();
        if faults.is_empty() {
            return Decision::Keep;
        }
        let let_in = match &self.teller {
            Some(teller) => teller.ask(|answer| Question { faults, answer }).await,
            None => Ok(false),
        };
        // Without an answer the script has gone, and the rules hold.
        if let_in.is_ok_and(|let_in| let_in || self.lets_all_in) {
            Decision::DangerLetIn
        } else {
            Decision::Keep
        }
    }
}

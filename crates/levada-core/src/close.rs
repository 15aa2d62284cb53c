//! The close contract: how two goodbyes, or the lack of one, make the ending of a stream.
//!
//! Each direction is a machine of its own, and their pair decides. No layer and no transport is
//! named here: a plain TCP stream's goodbye is its FIN, that of TLS is its close_notify.

use crate::ending::Ending;
use crate::lifecycle::Party;
use crate::os_error::OsError;

/// Our direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ours {
    /// We may write.
    #[default]
    Open,
    /// Our goodbye is asked for and goes out behind what was written; nothing more is accepted.
    Asked,
    /// Our goodbye has left.
    Sent,
}

/// What a peer's goodbye means for our own direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClosePolicy {
    /// We go on writing until we close ourselves.
    #[default]
    HalfOpen,
    /// The peer's goodbye closes both directions: ours goes out at once, and what was accepted but
    /// is not sealed yet is dropped.
    Both,
}

/// Both directions of a stream's outermost layer. The default is [`ClosePolicy::HalfOpen`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Goodbyes {
    policy: ClosePolicy,
    ours: Ours,
    theirs: bool,
    first: Option<Party>,
    /// That the peer's goodbye ended us too, with this much of ours unsent.
    cut: Option<u64>,
}

impl Goodbyes {
    /// Both directions open.
    pub const fn new(policy: ClosePolicy) -> Self {
        Self { policy, ours: Ours::Open, theirs: false, first: None, cut: None }
    }

    /// Our direction.
    pub const fn ours(&self) -> Ours {
        self.ours
    }

    /// Whether the peer's goodbye came: nothing more is to be read.
    pub const fn theirs(&self) -> bool {
        self.theirs
    }

    /// Who said goodbye first, once somebody has.
    pub const fn first(&self) -> Option<Party> {
        self.first
    }

    /// Whether the peer's goodbye has ended our direction, too: what we still have to write is lost.
    pub const fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Whether both goodbyes are complete.
    pub fn are_complete(&self) -> bool {
        self.theirs && self.ours == Ours::Sent
    }

    /// We ask for our goodbye. `false` when it was asked for before.
    pub fn ask(&mut self) -> bool {
        let news = self.ours == Ours::Open;
        if news {
            self.ours = Ours::Asked;
        }
        news
    }

    /// Our goodbye, and all before it, has left for the kernel. Gives the ending if that was the
    /// second of the two.
    pub fn sent(&mut self) -> Option<Ending> {
        let news = self.ours != Ours::Sent;
        self.ours = Ours::Sent;
        self.first.get_or_insert(Party::Local);
        if news { self.ending() } else { None }
    }

    /// The peer's goodbye came, and all before it was taken in. Gives the ending if that was the
    /// second of the two.
    ///
    /// `unsent` is how many accepted bytes no layer has sealed yet. Under [`ClosePolicy::Both`] the
    /// caller drops these, since our goodbye is asked for now and goes behind what is sealed; under
    /// [`ClosePolicy::HalfOpen`] they still go out, and the number means nothing.
    pub fn received(&mut self, unsent: u64) -> Option<Ending> {
        let news = !self.theirs;
        self.theirs = true;
        self.first.get_or_insert(Party::Peer);
        if news && self.policy == ClosePolicy::Both && self.ours != Ours::Sent {
            // Where we had asked already and nothing is lost, the peer has not ended us: we had.
            if self.ask() || unsent > 0 {
                self.cut = Some(unsent);
            }
        }
        if news { self.ending() } else { None }
    }

    fn ending(&self) -> Option<Ending> {
        self.are_complete().then_some(match self.cut {
            Some(unsent) => Ending::CloseNotify { unsent },
            None => Ending::Finished,
        })
    }

    /// The transport ended without the peer's goodbye, or after it. Gives the ending, if this is
    /// one: behind the peer's goodbye an end of file is what every transport does.
    pub fn end_of_transport(&self) -> Option<Ending> {
        (!self.theirs).then_some(Ending::SocketClose)
    }

    /// The transport failed. Gives the ending.
    ///
    /// # Errors
    ///
    /// The failure itself when both goodbyes are complete: nothing can be lost any more, and it is
    /// only an event.
    pub fn transport_failed(&self, error: OsError) -> Result<Ending, OsError> {
        if self.are_complete() { Err(error) } else { Ok(Ending::SocketError(error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os_error::OsErrorKind;
    use alloc::string::String;

    fn reset() -> OsError {
        OsError { code: Some(104), kind: OsErrorKind::ConnectionReset, text: String::new() }
    }

    #[test]
    fn whoever_begins_two_goodbyes_finish_the_stream() {
        let mut we_begin = Goodbyes::default();
        assert!(we_begin.ask());
        assert!(!we_begin.ask());
        assert_eq!(we_begin.sent(), None);
        assert_eq!(we_begin.received(0), Some(Ending::Finished));
        assert_eq!(we_begin.first(), Some(Party::Local));

        let mut they_begin = Goodbyes::default();
        assert_eq!(they_begin.received(0), None);
        assert_eq!(they_begin.ours(), Ours::Open, "half-open: we may go on writing");
        they_begin.ask();
        assert_eq!(they_begin.sent(), Some(Ending::Finished));
        assert_eq!(they_begin.first(), Some(Party::Peer));
    }

    #[test]
    fn under_both_the_peers_goodbye_asks_for_ours_and_drops_what_is_unsent() {
        let mut goodbyes = Goodbyes::new(ClosePolicy::Both);
        assert_eq!(goodbyes.received(7), None);
        assert_eq!(goodbyes.ours(), Ours::Asked);
        assert!(goodbyes.is_cut());
        assert!(!goodbyes.ask(), "the reply is that goodbye");
        assert_eq!(goodbyes.sent(), Some(Ending::CloseNotify { unsent: 7 }));
    }

    #[test]
    fn under_both_a_goodbye_that_crosses_ours_finishes_us_if_nothing_is_lost() {
        for (unsent, ending) in [(0, Ending::Finished), (1, Ending::CloseNotify { unsent: 1 })] {
            let mut goodbyes = Goodbyes::new(ClosePolicy::Both);
            goodbyes.ask();
            assert_eq!(goodbyes.received(unsent), None);
            assert_eq!(goodbyes.sent(), Some(ending));
        }
        let mut goodbyes = Goodbyes::new(ClosePolicy::Both);
        goodbyes.sent();
        assert_eq!(goodbyes.received(0), Some(Ending::Finished), "ours had left before");
    }

    #[test]
    fn an_end_without_a_goodbye_is_truncation_whatever_we_said() {
        let mut goodbyes = Goodbyes::default();
        assert_eq!(goodbyes.end_of_transport(), Some(Ending::SocketClose));
        goodbyes.ask();
        goodbyes.sent();
        assert_eq!(goodbyes.end_of_transport(), Some(Ending::SocketClose));
        goodbyes.received(0);
        assert_eq!(goodbyes.end_of_transport(), None);
    }

    #[test]
    fn a_failure_counts_until_both_goodbyes_are_complete() {
        let mut goodbyes = Goodbyes::default();
        goodbyes.received(0);
        assert_eq!(goodbyes.transport_failed(reset()), Ok(Ending::SocketError(reset())));
        goodbyes.sent();
        assert_eq!(goodbyes.transport_failed(reset()), Err(reset()));
    }
}

//! Whose a session is, and what becomes of it when a control connection closes.

use levada_pool_wire::{ErrorCode, StartTlsFlags};

/// One control connection, numbered from 1 on; no number comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// Whose a protected session is.
///
/// Source: TLS Pool protocol V2, detach and reattach, and when connections close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    /// The user who began it: nobody else may attach it.
    uid: u32,
    owner: Option<ClientId>,
    /// Whether it outlives its owner's control connection.
    fork: bool,
}

/// What the end of a control connection is to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bereaved {
    /// It belongs to somebody else, or to nobody.
    Unmoved,
    /// It lives on detached.
    Detached,
    /// It is to be torn down.
    Orphaned,
}

impl Ownership {
    pub(crate) const fn new(client: ClientId, uid: u32, flags: StartTlsFlags) -> Self {
        let owner = if flags.contains(StartTlsFlags::DETACH) { None } else { Some(client) };
        Self { uid, owner, fork: flags.contains(StartTlsFlags::FORK) }
    }

    pub(crate) const fn uid(self) -> u32 {
        self.uid
    }

    pub(crate) const fn owner(self) -> Option<ClientId> {
        self.owner
    }

    pub(crate) fn is_owned_by(self, client: ClientId) -> bool {
        self.owner == Some(client)
    }

    pub(crate) fn detach(&mut self, client: ClientId) -> Result<(), ErrorCode> {
        match self.owner {
            None => Err(ErrorCode::AlreadyDetached),
            Some(owner) if owner != client => Err(ErrorCode::NotYours),
            Some(_) => {
                self.owner = None;
                Ok(())
            }
        }
    }

    pub(crate) fn reattach(&mut self, client: ClientId, uid: u32) -> Result<(), ErrorCode> {
        if self.owner.is_some() {
            return Err(ErrorCode::AlreadyAttached);
        }
        if self.uid != uid {
            return Err(ErrorCode::NotYours);
        }
        self.owner = Some(client);
        Ok(())
    }

    pub(crate) fn bereave(&mut self, client: ClientId) -> Bereaved {
        if !self.is_owned_by(client) {
            return Bereaved::Unmoved;
        }
        self.owner = None;
        if self.fork { Bereaved::Detached } else { Bereaved::Orphaned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: ClientId = ClientId(1);
    const OTHER: ClientId = ClientId(2);

    fn attached() -> Ownership {
        Ownership::new(ME, 1000, StartTlsFlags::CLIENT)
    }

    #[test]
    fn a7_detach_and_reattach_in_the_order_of_the_sample_client() {
        let mut session = attached();
        assert_eq!(session.reattach(ME, 1000), Err(ErrorCode::AlreadyAttached));
        assert_eq!(session.detach(ME), Ok(()));
        assert_eq!(session.detach(ME), Err(ErrorCode::AlreadyDetached));
        assert_eq!(session.reattach(ME, 1000), Ok(()));
        assert_eq!(session.reattach(ME, 1000), Err(ErrorCode::AlreadyAttached));
    }

    #[test]
    fn a7_only_the_owner_detaches_and_only_the_same_user_attaches() {
        let mut session = attached();
        assert_eq!(session.detach(OTHER), Err(ErrorCode::NotYours));
        session.detach(ME).unwrap();
        assert_eq!(session.reattach(OTHER, 1001), Err(ErrorCode::NotYours));
        assert_eq!(session.reattach(OTHER, 1000), Ok(()));
        assert!(session.is_owned_by(OTHER));
    }

    #[test]
    fn a9_a_session_without_flags_dies_with_its_owner() {
        assert_eq!(attached().bereave(ME), Bereaved::Orphaned);
        assert_eq!(attached().bereave(OTHER), Bereaved::Unmoved);
    }

    #[test]
    fn a9_a_forked_session_becomes_detached_and_can_be_attached_again() {
        let flags = StartTlsFlags::CLIENT.with(StartTlsFlags::FORK);
        let mut session = Ownership::new(ME, 1000, flags);
        assert_eq!(session.bereave(ME), Bereaved::Detached);
        assert_eq!(session.reattach(OTHER, 1000), Ok(()));
    }

    #[test]
    fn a9_a_detached_session_and_one_that_was_attached_elsewhere_do_not_notice() {
        let flags = StartTlsFlags::CLIENT.with(StartTlsFlags::DETACH);
        let mut session = Ownership::new(ME, 1000, flags);
        assert_eq!(session.bereave(ME), Bereaved::Unmoved);
        session.reattach(OTHER, 1000).unwrap();
        assert_eq!(session.bereave(ME), Bereaved::Unmoved);
        assert_eq!(session.bereave(OTHER), Bereaved::Orphaned, "it follows its new owner");
    }
}

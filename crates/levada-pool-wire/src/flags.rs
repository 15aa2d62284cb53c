//! Sets of flags, each kept whole: bits without a name survive, so that a reply can echo them.

use core::fmt;

use crate::error_code::ErrorCode;

/// Declares a set of flags as a transparent number.
macro_rules! flags {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$flag_doc:meta])* $flag:ident = $bits:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name(u32);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: Self = Self($bits);)*

            /// No flag at all.
            pub const NONE: Self = Self(0);

            /// Every flag or mask that has a name, with it.
            pub const NAMED: &[(&str, Self)] = &[$((stringify!($flag), Self::$flag)),*];

            /// The set with these bits, whether they have names or not.
            pub const fn from_bits(bits: u32) -> Self {
                Self(bits)
            }

            /// All bits, those without a name too.
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// Whether all of `flags` are set.
            pub const fn contains(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }

            /// These flags and those.
            #[must_use]
            pub const fn with(self, flags: Self) -> Self {
                Self(self.0 | flags.0)
            }

            /// These flags but not those.
            #[must_use]
            pub const fn without(self, flags: Self) -> Self {
                Self(self.0 & !flags.0)
            }

            /// The flags that both sets have.
            #[must_use]
            pub const fn and(self, flags: Self) -> Self {
                Self(self.0 & flags.0)
            }
        }

        impl fmt::Debug for $name {
            /// The named single bits, then the rest as a number.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "("))?;
                let mut rest = self.0;
                for &(name, flag) in Self::NAMED {
                    if flag.0.is_power_of_two() && rest & flag.0 != 0 {
                        write!(f, "{name} | ")?;
                        rest &= !flag.0;
                    }
                }
                write!(f, "{rest:#x})")
            }
        }
    };
}

flags! {
    /// What a pool offers and an application can use. A client may ask with all bits set; the
    /// reply holds those that both have.
    ///
    /// Source: TLS Pool protocol V2, facilities.
    pub struct Facilities {
        /// TLS on a passed socket.
        STARTTLS = 0x1;
        /// GSS-API; named, never built.
        STARTGSS = 0x2;
        /// SSH; named, never built.
        STARTSSH = 0x4;
        /// All that V2 has today.
        ALL_CURRENT = 0x1;
    }
}

flags! {
    /// How a connection is to be protected.
    ///
    /// Source: TLS Pool protocol V2, STARTTLS flags.
    pub struct StartTlsFlags {
        /// We can be the TLS client.
        LOCALROLE_CLIENT = 0x1;
        /// We can be the TLS server.
        LOCALROLE_SERVER = 0x2;
        /// We can be either.
        LOCALROLE_PEER = 0x3;
        /// The peer can be the TLS client.
        REMOTEROLE_CLIENT = 0x4;
        /// The peer can be the TLS server.
        REMOTEROLE_SERVER = 0x8;
        /// The peer can be either.
        REMOTEROLE_PEER = 0xc;
        /// Datagrams; the protocol has the flag, nobody built it.
        DTLS = 0x100;
        /// Do not name the server in the client's hello.
        WITHOUT_SNI = 0x200;
        /// Neither use nor fill session caches.
        IGNORE_CACHES = 0x400;
        /// Ask the peer for its identity, and go on without one.
        REQUEST_REMOTEID = 0x800;
        /// Do not ask for the peer's identity; wins over `REQUEST_REMOTEID`.
        IGNORE_REMOTEID = 0x1000;
        /// The session starts its life detached.
        DETACH = 0x2000;
        /// The session becomes detached when the control connection closes.
        FORK = 0x4000;
        /// The peer's domain may speak for a user in it.
        DOMAIN_REPRESENTS_USER = 0x8000;
        /// Ask the application about the local identity.
        LOCALID_CHECK = 0x10000;
        /// Renegotiate the session with this control key; comes without a socket.
        RENEGOTIATE = 0x20000;
        /// Sign a certificate for the local identity on the fly.
        LOCALID_ONTHEFLY = 0x40000;
    }
}

flags! {
    /// How a local identity is chosen, and what to remember of it.
    ///
    /// The `SKIP_` values share the bit 0x80 and add conditions; a choice is skipped only while
    /// all the named conditions hold, so they are for [`LidentryFlags::contains`], not for
    /// single bits.
    ///
    /// Source: TLS Pool protocol V2, LIDENTRY flags.
    pub struct LidentryFlags {
        /// Skip on condition: the disclosure database has an entry.
        SKIP_DBENTRY = 0x80;
        /// Moreover, the entry is for the user of the remote identity, and not for all users.
        SKIP_USER = 0x81;
        /// Moreover, the entry is for this very domain.
        SKIP_DOMAIN_SAME = 0x82;
        /// Moreover, the entry is for this domain, or for all below its parent.
        SKIP_DOMAIN_ONEUP = 0x84;
        /// Moreover, the entry is for this domain, or for all below one that it lies in.
        SKIP_DOMAIN_SUB = 0x86;
        /// Moreover, the entry is not for all domains.
        SKIP_NOTROOT = 0x88;
        /// Send every entry of the database before the question.
        WANT_DBENTRY = 0x100;
        /// In a callback: an entry of the database, for information.
        DBENTRY = 0x1000;
        /// The flags of a registration, to be echoed in every answer.
        REGFLAGS = 0xfff;
        /// Insert the answer at the front of the database's list.
        DBINSERT = 0x2000;
        /// Append the answer to the database's list.
        DBAPPEND = 0x4000;
        /// Move the answer within the database's list.
        DBREORDER = 0x8000;
        /// The identity is new.
        NEW = 0x0010_0000;
        /// The identity may be signed on the fly.
        ONTHEFLY = 0x0020_0000;
    }
}

/// The side of TLS that the pool plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The pool sends the first hello.
    Client,
    /// The pool waits for it.
    Server,
}

impl StartTlsFlags {
    /// What a TLS client sets.
    pub const CLIENT: Self = Self::LOCALROLE_CLIENT.with(Self::REMOTEROLE_SERVER);
    /// What a TLS server sets.
    pub const SERVER: Self = Self::LOCALROLE_SERVER.with(Self::REMOTEROLE_CLIENT);

    /// The role that is left when each local role needs its opposite at the peer.
    ///
    /// Source: TLS Pool protocol V2, STARTTLS checks.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotImplemented`] when none is left, and [`ErrorCode::TlsDriverSetup`] when
    /// both are: TLS between equals is not built.
    pub const fn role(self) -> Result<Role, ErrorCode> {
        match (self.contains(Self::CLIENT), self.contains(Self::SERVER)) {
            (true, false) => Ok(Role::Client),
            (false, true) => Ok(Role::Server),
            (false, false) => Err(ErrorCode::NotImplemented),
            (true, true) => Err(ErrorCode::TlsDriverSetup),
        }
    }

    /// The flags of the reply once `role` is settled: as asked, without `FORK` and without the
    /// local role that was not taken.
    #[must_use]
    pub const fn settled(self, role: Role) -> Self {
        let unused = match role {
            Role::Client => Self::LOCALROLE_SERVER,
            Role::Server => Self::LOCALROLE_CLIENT,
        };
        self.without(Self::FORK).without(unused)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a4_client_and_server_requests() {
        assert_eq!(StartTlsFlags::CLIENT.bits(), 0x9);
        assert_eq!(StartTlsFlags::SERVER.bits(), 0x6);
    }

    #[test]
    fn a7_a_local_role_needs_its_opposite() {
        let role = |bits| StartTlsFlags::from_bits(bits).role();
        assert_eq!(role(0x9), Ok(Role::Client));
        assert_eq!(role(0x6), Ok(Role::Server));
        assert_eq!(role(0xb), Ok(Role::Client), "either locally, the peer a server");
        assert_eq!(role(0x7), Ok(Role::Server), "either locally, the peer a client");
        assert_eq!(role(0x5), Err(ErrorCode::NotImplemented), "two clients");
        assert_eq!(role(0x0), Err(ErrorCode::NotImplemented));
        assert_eq!(role(0xf), Err(ErrorCode::TlsDriverSetup), "two equals");
    }

    #[test]
    fn a7_the_reply_clears_fork_and_the_other_role_and_echoes_the_rest() {
        let asked = StartTlsFlags::from_bits(0xf00f_c80b);
        assert_eq!(asked.settled(Role::Client).bits(), 0xf00f_8809);
    }

    #[test]
    fn a4_skip_values_name_conditions_and_not_single_bits() {
        let flags = LidentryFlags::SKIP_DOMAIN_SUB;
        assert!(flags.contains(LidentryFlags::SKIP_DBENTRY));
        assert!(flags.contains(LidentryFlags::SKIP_DOMAIN_SAME));
        assert!(!flags.contains(LidentryFlags::SKIP_USER));
        assert_eq!(LidentryFlags::REGFLAGS.bits(), 0xfff);
    }

    #[test]
    fn bits_without_a_name_are_kept_and_shown() {
        let all = Facilities::from_bits(u32::MAX);
        assert_eq!(all.and(Facilities::ALL_CURRENT), Facilities::STARTTLS);
        assert_eq!(format!("{:?}", Facilities::from_bits(0x11)), "Facilities(STARTTLS | 0x10)");
    }
}
